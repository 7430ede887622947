#include "coordinator/report/run_record.h"

#include <algorithm>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/report/text.h"

namespace dtest {
namespace {

// Past this many bytes of texts, which no report of 30 MB can hold, little is kept of each further one.
constexpr size_t kTextBudget = 64 << 20;
constexpr size_t kTextCapOverBudget = 2 << 10;
// A log may be damaged or foreign: of a unit with more verdicts to come than this, none is named.
constexpr uint64_t kMostVerdicts = 1 << 24;

}  // namespace

RunRecord::RunRecord(const RunSummary* summary) : summary_(*summary) { number_of_host_[""] = 0; }

absl::Status RunRecord::Handle(const RunEvent& event) {
  if (const auto* ended = std::get_if<CaseEnded>(&event.what)) {
    On(*ended);
  } else if (const auto* late = std::get_if<CaseProperties>(&event.what)) {
    On(*late);
  } else if (const auto* warning = std::get_if<Warning>(&event.what)) {
    On(*warning);
  } else if (const auto* listed = std::get_if<UnitListed>(&event.what)) {
    On(*listed);
  } else if (const auto* selected = std::get_if<CasesSelected>(&event.what)) {
    On(*selected);
  } else if (std::holds_alternative<RunFinished>(event.what)) {
    Finish();
  }
  return absl::OkStatus();
}

void RunRecord::On(const UnitListed& listed) {
  UnitRecord* unit = UnitOf(listed.unit, listed.name);
  // What proves to be listed wrongly is told of twice, the second time without its cases.
  unit->expected = std::max<uint64_t>(unit->expected, listed.selected * summary_.repeat());
  unit->listing_error = KeepText(listed.error);
  unit->listing_output = KeepText(listed.output);
  unit->unreached = listed.unreached;
}

void RunRecord::On(const CasesSelected& selected) {
  UnitRecord* unit = UnitOf(selected.unit, selected.unit_name);
  for (const CasesSelected::Case& one : selected.cases) unit->listed.Add(one.index, one.info);
}

void RunRecord::On(const CaseEnded& ended) {
  const CaseResult& result = ended.result;
  const IteratedCase key(ended.id, ended.iteration);
  UnitRecord* unit = UnitOf(ended.id.unit, ended.unit);
  if (ended.replaces.has_value() && ended.final) {
    Replace(unit, ended);
    return;
  }
  if (!ended.final) {
    AttemptRecord attempt = Keep(ended);
    if (ended.replaces.has_value()) TakeBack(unit, ended, &attempt);
    unfinished_[key].push_back(std::move(attempt));
    return;
  }
  CaseRecord record;
  // Known already, but in logs of earlier versions.
  record.position = static_cast<uint32_t>(unit->listed.Add(ended.id.index, {.name = ended.name,
                                                                            .suite = ended.suite,
                                                                            .parameter = ended.parameter,
                                                                            .file = ended.file,
                                                                            .line = ended.line}));
  record.iteration = ended.iteration;
  record.host = NumberOfHost(ended.host);
  record.outcome = result.outcome;
  record.flaky = ended.flaky;
  record.leaky = result.leaky;
  record.forgiven = ended.forgiven();
  record.started = ended.started;
  record.duration = result.duration;
  const auto earlier = unfinished_.find(key);
  if (result.outcome != Outcome::kPassed || earlier != unfinished_.end() || !result.message.empty() ||
      !result.output.empty() || !result.properties.empty() || !result.warning.empty() || !ended.quarantine.empty()) {
    CaseDetail* detail = DetailOf(&record);
    detail->quarantine = std::string(ended.quarantine);
    detail->owner = std::string(ended.owner);
    if (earlier != unfinished_.end()) {
      detail->earlier = std::move(earlier->second);
      unfinished_.erase(earlier);
    }
    detail->last = Keep(ended);
    if (!ended.before.empty()) {
      detail->last.properties.emplace_back("order-dependent behind", KeepText(absl::StrJoin(ended.before, ", ")));
    }
  }
  unit->cases.push_back(record);
  ++unit->verdicts;
}

std::vector<CaseRecord>::iterator RunRecord::Told(UnitRecord* unit, const CaseEnded& ended) {
  return std::find_if(unit->cases.begin(), unit->cases.end(), [&](const CaseRecord& record) {
    return unit->listed.index(record.position) == ended.id.index && record.iteration == ended.iteration;
  });
}

void RunRecord::TakeBack(UnitRecord* unit, const CaseEnded& ended, AttemptRecord* attempt) {
  const auto told = Told(unit, ended);
  if (told == unit->cases.end()) return;
  if (told->detail != 0) {
    CaseDetail& detail = details_[told->detail - 1];
    attempt->properties.insert(attempt->properties.begin(), detail.last.properties.begin(),
                               detail.last.properties.end());
    unfinished_[{ended.id, ended.iteration}] = std::move(detail.earlier);
  }
  unit->cases.erase(told);
  --unit->verdicts;
}

void RunRecord::Replace(UnitRecord* unit, const CaseEnded& ended) {
  const auto told = Told(unit, ended);
  if (told == unit->cases.end()) return;
  told->outcome = ended.result.outcome;
  told->flaky = ended.flaky;
  told->leaky |= ended.result.leaky;
  told->forgiven = ended.forgiven();
  AttemptRecord& last = DetailOf(&*told)->last;
  const std::vector<std::pair<std::string, std::string>> properties = std::move(last.properties);
  last = Keep(ended);
  last.properties.insert(last.properties.begin(), properties.begin(), properties.end());
}

void RunRecord::On(const CaseProperties& late) {
  auto& properties = late_[{{late.id, late.iteration}, late.attempt}].properties;
  properties.insert(properties.end(), late.properties.begin(), late.properties.end());
}

void RunRecord::On(const Warning& warning) {
  if (!warning.about.has_value()) return;
  const CaseAttempt& about = *warning.about;
  std::string& at_end = late_[{{about.id, about.iteration}, about.attempt}].at_end;
  absl::StrAppend(&at_end, at_end.empty() ? "" : "\n", KeepText(warning.text));
}

void RunRecord::Finish() {
  unit_of_.clear();
  std::sort(units_.begin(), units_.end(), [](const UnitRecord& a, const UnitRecord& b) { return a.id < b.id; });
  for (UnitRecord& unit : units_) {
    AddWithoutVerdict(&unit);
    if (!late_.empty()) AddLate(&unit);
    std::sort(unit.cases.begin(), unit.cases.end(), [&](const CaseRecord& a, const CaseRecord& b) {
      return std::pair(unit.listed.index(a.position), a.iteration) <
             std::pair(unit.listed.index(b.position), b.iteration);
    });
  }
  late_.clear();
}

void RunRecord::AddWithoutVerdict(UnitRecord* unit) {
  const size_t iterations = summary_.repeat();
  const uint64_t verdicts = unit->listed.size() * iterations;
  // Their number alone says nothing: one may have been judged more often than each is to be.
  if (verdicts > kMostVerdicts) return;
  std::vector<bool> judged(verdicts);
  for (const CaseRecord& record : unit->cases) {
    const size_t iteration = record.iteration - size_t{1};
    if (iteration < iterations) judged[record.position * iterations + iteration] = true;
  }
  for (size_t i = 0; i < judged.size(); ++i) {
    if (judged[i]) continue;
    CaseRecord record;
    record.position = static_cast<uint32_t>(i / iterations);
    record.iteration = static_cast<uint32_t>(i % iterations + 1);
    record.has_verdict = false;
    record.outcome = Outcome::kNotRun;
    const CaseId id{unit->id, unit->listed.index(record.position)};
    if (const auto earlier = unfinished_.find({id, record.iteration}); earlier != unfinished_.end()) {
      CaseDetail* detail = DetailOf(&record);
      detail->earlier = std::move(earlier->second);
      detail->last.outcome = Outcome::kNotRun;
    }
    unit->cases.push_back(record);
  }
}

void RunRecord::AddLate(UnitRecord* unit) {
  for (CaseRecord& record : unit->cases) {
    const CaseDetail* known = Detail(record);
    const uint32_t attempts = known == nullptr ? 1 : static_cast<uint32_t>(known->earlier.size()) + 1;
    const IteratedCase key(CaseId{unit->id, unit->listed.index(record.position)}, record.iteration);
    for (uint32_t attempt = 1; attempt <= attempts; ++attempt) {
      const auto late = late_.find({key, attempt});
      if (late == late_.end()) continue;
      CaseDetail* detail = DetailOf(&record);
      AttemptRecord& to = attempt == attempts ? detail->last : detail->earlier[attempt - 1];
      to.properties.insert(to.properties.end(), late->second.properties.begin(), late->second.properties.end());
      to.at_end = std::move(late->second.at_end);
    }
  }
}

UnitRecord* RunRecord::UnitOf(UnitId id, absl::string_view name) {
  const auto [entry, is_new] = unit_of_.try_emplace(id.value(), units_.size());
  if (is_new) {
    units_.emplace_back().id = id;
    units_.back().name = std::string(name);
  }
  return &units_[entry->second];
}

CaseDetail* RunRecord::DetailOf(CaseRecord* record) {
  if (record->detail == 0) {
    details_.emplace_back();
    record->detail = static_cast<uint32_t>(details_.size());
  }
  return &details_[record->detail - 1];
}

AttemptRecord RunRecord::Keep(const CaseEnded& ended) {
  const CaseResult& result = ended.result;
  AttemptRecord kept;
  kept.outcome = result.outcome;
  kept.message = KeepText(result.message);
  kept.output = KeepText(result.output);
  kept.output_cut = result.output_cut;
  kept.hint = KeepText(ended.hint);
  kept.warning = KeepText(result.warning);
  kept.properties = result.properties;
  return kept;
}

std::string RunRecord::KeepText(absl::string_view text) {
  const size_t cap = text_bytes_ + text.size() > kTextBudget ? kTextCapOverBudget : SIZE_MAX;
  std::string kept;
  if (text.size() <= cap) {
    kept = std::string(text);
  } else {
    const absl::string_view head = Utf8Prefix(text, cap / 2), tail = Utf8Suffix(text, cap / 2);
    kept = absl::StrCat(head, "\n[... ", text.size() - head.size() - tail.size(),
                        " bytes left out by dtest to keep this report small ...]\n", tail);
  }
  text_bytes_ += kept.size();
  return kept;
}

uint32_t RunRecord::NumberOfHost(absl::string_view name) {
  const auto known = number_of_host_.find(name);
  if (known != number_of_host_.end()) return known->second;
  const uint32_t number = static_cast<uint32_t>(hosts_.size());
  hosts_.emplace_back(name);
  number_of_host_.emplace(std::string(name), number);
  return number;
}

}  // namespace dtest
