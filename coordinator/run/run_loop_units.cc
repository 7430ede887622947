// The run loop's part about units: what becomes of them from their specification to the cases that run.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/bundle/framework_table.h"
#include "coordinator/bundle/unit_spec.h"
#include "coordinator/report/text.h"
#include "coordinator/run/declared_cases.h"
#include "coordinator/run/expected_cases.h"
#include "coordinator/run/left_behind.h"
#include "coordinator/run/run_loop.h"
#include "coordinator/schedule/ids.h"

namespace dtest {
namespace {

// Cases a CasesSelected.
constexpr size_t kSelectedPerEvent = 1000;

bool MayBeEmpty(const Bundle::Unit& unit) {
  const std::optional<UnitSpec>& spec = unit.shipped ? unit.shipped : unit.in_place;
  return spec.has_value() && FrameworkNamed(spec->framework).may_be_empty;
}

}  // namespace

void RunLoop::UnitReady(UnitId id, const absl::Status& status, const std::vector<std::string>& warnings) {
  if (end_.has_value()) return;  // as HostListed
  for (const std::string& text : warnings) Emit(Warning{text});
  const Bundle::Unit& unit = out_.bundle->unit(id);
  --units_pending_;
  Unit(id).ready = now_ - started_;
  if (status.ok()) {
    const UnitSpec& spec = unit.shipped ? *unit.shipped : *unit.in_place;
    const bool known = unit.listing && MayTrust(unit);
    Schedule(UnitAdded{id, unit.shipped ? SpecBytes(spec) : 0, known});
    if (known) {
      CasesListed(id, unit.listing->cases, unit.listing->startup, /*asked=*/false);
    }
  } else {
    Schedule(UnitAdded{id, 0, true});
    ListingBroke(id, std::string(status.message()), "");
  }
  if (units_pending_ == 0) Schedule(BundleComplete());
}

// Cases made from files that nobody named may be others than in an earlier run. Where all cases run, the processes
// that run them show it; where filters choose, nobody would miss a case that is not in the listing. To repeat a run,
// the cases it had are what is wanted.
bool RunLoop::MayTrust(const Bundle::Unit& unit) const {
  const bool of_earlier_run = unit.listing_key.has_value();
  return !of_earlier_run || TakesAll() || options_.scheduler.together;
}

void RunLoop::CasesListed(UnitId id, CaseInfos cases, absl::Duration startup, bool asked) {
  RunUnit& unit = Unit(id);
  if (unit.listed) return;
  const bool may_be_empty = MayBeEmpty(out_.bundle->unit(id));
  if (cases.empty() && !options_.allow_unrunnable && !may_be_empty) {
    return ListingBroke(id,
                        "lists no case at all: were its tests linked into it? If it has none, leave it out, or go on "
                        "without it: --allow-unrunnable",
                        "");
  }
  unit.listed = true;
  unit.cases = std::move(cases);
  std::string missing;
  if (const Declarations* declarations = out_.bundle->unit(id).declarations; declarations != nullptr) {
    DeclaredCases declared = Declare(*declarations, unit.cases);
    unit.cases = std::move(declared.cases);
    unit.declared = std::move(declared.declared);
    missing = MissingText(declared.missing);
  }
  std::vector<std::optional<CaseHistory>> histories;
  // A reproduction runs cases as they ran, whatever history expects of them.
  if (out_.history != nullptr && !options_.scheduler.together) histories = out_.history->Cases(unit.name, unit.cases);
  unit.selected = selection_.Select(unit.name, unit.cases, histories, unit.declared);
  if (out_.stepwise != nullptr && !selection_.IsBroughtAlong(unit.name)) {
    out_.stepwise->LeaveOutPassed(unit.name, unit.cases, &unit.selected);
  }
  if (unit.cases.empty()) {
    Emit(Warning{absl::StrCat(
        unit.name, may_be_empty ? " has no test to run" : " lists no case at all: were its tests linked into it?")});
  }
  Emit(UnitListed{id, unit.name, static_cast<uint32_t>(unit.cases.size()), static_cast<uint32_t>(unit.selected.size()),
                  "", "", false, unit.ready, asked ? startup : absl::ZeroDuration()});
  if (!missing.empty()) {  // its other cases run
    unit.listing_wrong = true;
    Emit(UnitListed{id, unit.name, 0, 0, std::move(missing), ""});
  }
  for (CasesLeft& left : LeftBehind(unit.name, selection_.RestOf(unit.name), "it is not listed any more", left_)) {
    Emit(std::move(left));
  }
  if (options_.list_only) {
    Schedule(CasesKnown{.unit = id, .startup = startup});
  } else {
    TellSelected(id);
    FindQuarantined(&unit, histories);
    unit.budget = budget_.LimitsOf(unit.name, unit.cases);
    if (!histories.empty()) startup = out_.history->Startup(unit.name).value_or(startup);
    CasesKnown known = ExpectedCases(id, unit.name, unit.cases, unit.selected, options_.policies, startup, histories,
                                     options_.durations.get(), unit.declared);
    if (!histories.empty()) known.suite_setup = out_.history->SuiteSetup(unit.name).value_or(absl::ZeroDuration());
    known.unlisted_too = TakesAll();
    if (const Declarations* declared = out_.bundle->unit(id).declarations; declared != nullptr) {
      known.after = UnitsBefore(*declared);
    }
    for (SelectedCase& one : known.cases) {
      const auto found = unit.quarantined.find(one.index);
      one.uncounted = found != unit.quarantined.end() && !quarantine_.expired(found->second.entry);
      one.first = !histories.empty() && IsFirst(histories[one.index]);
      if (out_.stepwise != nullptr) {
        const absl::string_view name = unit.cases.name(one.index);
        one.first |= out_.stepwise->IsFirst(unit.name, name);
        one.uncounted |= out_.stepwise->IsSkipped(unit.name, name);
      }
    }
    Schedule(std::move(known));
  }
}

std::vector<UnitBefore> RunLoop::UnitsBefore(const Declarations& declarations) {
  if (declarations.after.empty()) return {};
  if (by_name_.empty()) {
    for (uint32_t u = 0; u < units_.size(); ++u) by_name_.emplace(units_[u].name, UnitId(u));
  }
  std::vector<UnitBefore> before;
  for (const DeclaredBefore& one : declarations.after) {
    const auto found = by_name_.find(one.unit);  // a run that is made again may have a part of them
    before.push_back({found == by_name_.end() ? schedule::kNoUnit : found->second, one.must_pass, one.what});
  }
  return before;
}

// In parts, so that no event and no line of the log grows with the suite.
void RunLoop::TellSelected(UnitId id) {
  const RunUnit& unit = Unit(id);
  for (size_t begin = 0; begin < unit.selected.size(); begin += kSelectedPerEvent) {
    CasesSelected selected{id, unit.name, {}};
    for (size_t i = begin; i < std::min(begin + kSelectedPerEvent, unit.selected.size()); ++i) {
      selected.cases.push_back({unit.selected[i], unit.cases[unit.selected[i]]});
    }
    Emit(std::move(selected));
  }
}

bool RunLoop::IsFirst(const std::optional<CaseHistory>& history) const {
  const bool never_ran = !history.has_value() || history->runs == 0;
  return never_ran ? options_.new_first : options_.failed_first && IsFailure(history->last_outcome);
}

void RunLoop::FindQuarantined(RunUnit* unit, const std::vector<std::optional<CaseHistory>>& known) {
  const absl::flat_hash_map<uint32_t, uint32_t> entries = quarantine_.Find(unit->name, unit->cases);
  if (entries.empty()) return;
  for (const uint32_t index : unit->selected) {
    const auto entry = entries.find(index);
    if (entry == entries.end()) continue;
    const bool is_known = !known.empty() && known[index].has_value();
    unit->quarantined[index] = {entry->second, is_known ? RecordText(*known[index]) : ""};
    const std::string expired = quarantine_.TakeExpiredText(entry->second);
    if (!expired.empty()) Emit(Warning{expired});
  }
}

void RunLoop::AddQuarantine(const RunUnit& unit, CaseEnded* ended) const {
  const auto found = unit.quarantined.find(ended->id.index);
  if (found == unit.quarantined.end()) return;
  const QuarantineEntry& entry = quarantine_.entry(found->second.entry);
  const bool failed = IsFailure(ended->result.outcome);
  if (quarantine_.expired(found->second.entry)) {
    if (!failed) return;
    absl::StrAppend(&ended->hint, ended->hint.empty() ? "" : "\n", "its quarantine expired on ",
                    absl::FormatCivilTime(*entry.expires), ": ", entry.reason, entry.owner.empty() ? "" : " (",
                    entry.owner, entry.owner.empty() ? "" : ")");
    return;
  }
  ended->quarantine = entry.reason;
  ended->owner = entry.owner;
  if (ended->result.outcome == Outcome::kPassed && ended->final) ended->hint = found->second.evidence;
}

void RunLoop::TellUnmatched() {
  if (!quarantine_.has_unmatched() && !budget_.has_unmatched()) return;
  // Of units that could not be listed nothing is known.
  const auto unlisted = [](const RunUnit& unit) { return unit.cases.empty() || unit.listing_wrong; };
  if (std::any_of(units_.begin(), units_.end(), unlisted)) return;
  std::vector<History::KnownCase> elsewhere;
  if (out_.history != nullptr) elsewhere = out_.history->All().value_or(std::vector<History::KnownCase>());
  absl::flat_hash_set<absl::string_view> here;
  for (const RunUnit& unit : units_) here.insert(unit.name);
  std::erase_if(elsewhere, [&here](const History::KnownCase& known) { return here.contains(known.unit); });
  for (std::string& text : quarantine_.Unmatched(elsewhere)) Emit(Warning{std::move(text)});
  for (std::string& text : budget_.Unmatched(elsewhere)) Emit(Warning{std::move(text)});
}

void RunLoop::ListingBroke(UnitId id, std::string error, std::string output) {
  RunUnit& unit = Unit(id);
  if (unit.listed) return;
  unit.listed = true;
  Emit(UnitListed{id, unit.name, 0, 0, std::move(error), std::move(output), false, unit.ready});
  Schedule(CasesUnknown{id});
}

void RunLoop::ListingProvedWrong(HostId id, const ListingWrong& wrong) {
  if (wrong.unit.value() >= units_.size() || std::exchange(Unit(wrong.unit).listing_wrong, true)) return;
  const bool remembered = out_.bundle->Forget(wrong.unit);
  const std::optional<HostId> lister = Unit(wrong.unit).lister;
  const std::string where = !lister.has_value() || *lister == id
                                ? ""
                                : absl::StrCat(" (listed on ", HostName(*lister), ", run on ", HostName(id), ")");
  Emit(UnitListed{wrong.unit, Unit(wrong.unit).name, 0, 0,
                  absl::StrCat("what it lists is not what it runs: ", wrong.error, where,
                               remembered ? " (the listing was an earlier run's: the next run lists it anew)" : ""),
                  ""});
}

std::vector<RunLoop::Listing> RunLoop::TakeListings() {
  std::vector<Listing> listings;
  for (RunUnit& unit : units_) {
    listings.push_back({unit.name, std::move(unit.cases), std::move(unit.selected)});
  }
  return listings;
}

void RunLoop::SendCases(HostId host, UnitId unit) {
  CaseInfos::InParts(Unit(unit).cases, kMostListingBytes, [&](CaseInfos part, bool more) {
    Send(host, CaseTable{unit, std::move(part), more});
  });
}

void RunLoop::HostListed(HostId id, Listed listed) {
  const UnitId unit = listed.unit;
  if (unit.value() >= units_.size()) return;
  if (const auto so_far = listed_so_far_.find({id, unit}); listed.more || so_far != listed_so_far_.end()) {
    CaseInfos& cases = listed_so_far_[{id, unit}];
    cases.Append(listed.cases);
    if (listed.more) return;
    listed.cases = std::move(cases);
    listed_so_far_.erase({id, unit});
  }
  Listed heard;  // the scheduler needs no cases
  heard.unit = unit;
  heard.error = listed.error;
  heard.duration = listed.duration;
  Schedule(FromHost{id, std::move(heard)});
  if (end_.has_value()) return;  // it came too late: nobody would give its cases a verdict
  if (!listed.error.empty()) {
    ListingBroke(unit, std::move(listed.error), std::move(listed.output));
    return;
  }
  // Other hosts that listed it too hold the same table only if they got the same names.
  if (!Unit(unit).listed) {
    has_table_[id.value()][unit.value()] = true;
    Unit(unit).lister = id;
  }
  if (!listed.cases.empty()) out_.bundle->Remember(unit, listed.cases, listed.duration);
  CasesListed(unit, std::move(listed.cases), listed.duration, /*asked=*/true);
}

}  // namespace dtest
