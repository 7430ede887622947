// What TerminalReport prints when the run is over.

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "coordinator/report/terminal.h"
#include "coordinator/report/text.h"

namespace dtest {
namespace {

constexpr size_t kFailuresShown = 200;  // at the default verbosity
constexpr size_t kNamed = 20;           // of others, at the default verbosity
constexpr size_t kNamedVerbose = 1000;  // with -v
constexpr size_t kWidestHost = 50;      // columns of a name that others are aligned with

std::string NameOf(const RunSummary::Attempt& attempt) {
  return CaseLine(attempt.unit, attempt.name, attempt.iteration, attempt.host);
}

std::string NameOf(const RunRecord& run, const UnitRecord& unit, const CaseRecord& record) {
  return CaseLine(unit.name, RunRecord::Info(unit, record).name, record.iteration, run.Host(record));
}

// Of units that the run ended before, but for those that the run before left as a whole: AppendLeft tells of them.
std::vector<std::string> UnreachedNames(const RunSummary& summary) {
  absl::flat_hash_set<absl::string_view> left;
  for (const LeftCases::One& one : summary.left().all()) {
    if (one.what.name.empty() && !one.selected && !one.left_out) left.insert(one.unit);
  }
  std::vector<std::string> names;
  for (const std::string& unit : summary.unreached()) {
    if (!left.contains(unit)) names.push_back(NameLine(unit));
  }
  return names;
}

}  // namespace

void TerminalReport::On(const RunFinished& finished) {
  finished_ = true;
  if (!shown_.empty()) absl::StrAppend(&bytes_, kEraseLine);
  shown_.clear();
  held_.clear();
  AppendLosses(finished.end);
  if (options_.passed_output_at_end) AppendPassedOutput();
  if (options_.verbosity >= 0) {
    // Who asked for the end at the first failures knows that the rest was not run.
    if (finished.end != RunEnd::kFailFast || options_.verbosity >= 1) {
      AppendNotBegun();
      AppendUnreached();
    }
    AppendWithoutVerdict();
    AppendLeft();
    AppendQuarantined();
    AppendFailures();
    AppendInterrupted();
    AppendSlowest();
  }
  lines_ += '\n';
  if (finished.end != RunEnd::kCompleted) {
    static constexpr const char* kEnds[] = {"",         "stopped early", "interrupted", "run timeout",
                                            "no hosts", "dtest failed"};
    const absl::string_view end = kEnds[static_cast<int>(finished.end)];
    AppendColored(Color::kRed, end);
    if (finished.reason.empty() || finished.reason == end) {
      lines_ += '\n';
    } else {
      lines_ += ':';
      AppendMessage(finished.reason);
    }
  }
  AppendClosing();
}

void TerminalReport::AppendLosses(RunEnd end) {
  std::vector<std::pair<std::string, absl::string_view>> table;
  size_t width = 0;
  for (const RunSummary::Host& host : summary_.hosts()) {
    if (!host.down) continue;
    table.emplace_back(absl::StrCat(OneLine(host.name), host.was_up ? "" : " (never came up)"), host.reason);
    width = std::max(width, std::min(table.back().first.size(), kWidestHost));
  }
  if (table.empty()) return;
  // All of a reason where it was not shown when it happened.
  const bool whole = end == RunEnd::kNoHosts || summary_.hosts_used() == 0;
  lines_ += "\nhosts lost:\n";
  for (const auto& [host, reason] : table) {
    std::string text = whole ? std::string() : Headline(reason);
    if (whole) AppendClean(reason, Colors::kDrop, &text);
    std::string indent = absl::StrCat("  ", host, std::string(width - std::min(width, host.size()), ' '), "  ");
    for (const absl::string_view line : absl::StrSplit(text, '\n')) {
      if (line.empty() && !text.empty()) continue;
      absl::StrAppend(&lines_, indent, line, "\n");
      indent.assign(2 + width + 2, ' ');
    }
  }
}

void TerminalReport::AppendPassedOutput() {
  const RunRecord& run = *options_.record;
  bool first = true;
  for (const UnitRecord& unit : run.units()) {
    for (const CaseRecord& record : unit.cases) {
      const CaseDetail* detail = run.Detail(record);
      if (record.outcome != Outcome::kPassed || detail == nullptr || detail->last.output.empty()) continue;
      if (std::exchange(first, false)) lines_ += "\noutput of cases that passed:\n";
      absl::StrAppend(&lines_, "  [", FixedSeconds(record.duration, 3, 8), "s] ", NameOf(run, unit, record), "\n");
      AppendBlock(detail->last.output, detail->last.output_cut);
    }
  }
}

void TerminalReport::AppendNames(const std::vector<std::string>& names, uint64_t count) {
  const size_t shown = std::min(names.size(), options_.verbosity >= 1 ? kNamedVerbose : kNamed);
  for (size_t i = 0; i < shown; ++i) absl::StrAppend(&lines_, "  ", names[i], "\n");
  AppendMore(count - shown);
}

void TerminalReport::AppendMore(uint64_t count) {
  if (count > 0)
    absl::StrAppend(&lines_, "  ... and ", CountText(count), " more, in the event log and the JUnit file\n");
}

void TerminalReport::AppendNotBegun() {
  if (summary_.not_begun().empty()) return;
  absl::StrAppend(&lines_, "\n", Plural(summary_.not_begun_count(), "case"), " not run:\n");
  std::vector<std::string> names;
  for (const RunSummary::Attempt& attempt : summary_.not_begun()) names.push_back(NameOf(attempt));
  AppendNames(names, summary_.not_begun_count());
}

void TerminalReport::AppendWithoutVerdict() {
  const uint64_t missing = summary_.without_verdict();
  if (missing == 0 || options_.record == nullptr) return;
  std::vector<std::string> names;
  for (const UnitRecord& unit : options_.record->units()) {
    for (const CaseRecord& record : unit.cases) {
      if (names.size() == kNamedVerbose) break;
      if (!record.has_verdict) names.push_back(NameOf(*options_.record, unit, record));
    }
  }
  if (names.empty()) return;  // a log of an earlier version counts them only
  absl::StrAppend(&lines_, "\n", Plural(missing, "case"), " without a verdict:\n");
  AppendNames(names, missing);
}

void TerminalReport::AppendLeft() {
  const LeftCases& left = summary_.left();
  if (left.count() == 0) return;
  absl::StrAppend(&lines_, "\n", CountText(left.count()), " of the run before, without a verdict in this one:\n");
  std::vector<std::string> names;
  for (const LeftCases::One& one : left.all()) {
    if (names.size() == kNamedVerbose) break;
    if (one.selected || one.left_out) continue;
    names.push_back(absl::StrCat(one.what.name.empty() ? NameLine(one.unit) : CaseLine(one.unit, one.what.name, 1, ""),
                                 ": ", OneLine(one.why)));
  }
  AppendNames(names, left.count());
}

void TerminalReport::AppendUnreached() {
  const std::vector<std::string> names = UnreachedNames(summary_);
  if (names.empty()) return;
  absl::StrAppend(&lines_, "\n", Plural(names.size(), "executable"), " not listed:\n");
  AppendNames(names, names.size());
}

void TerminalReport::AppendInterrupted() {
  if (summary_.interrupted().empty()) return;
  lines_ += "\nstill running at the end:\n";
  std::vector<std::string> names;
  for (const RunSummary::Attempt& attempt : summary_.interrupted()) {
    names.push_back(absl::StrCat("[", FixedSeconds(attempt.duration, 3, 8), "s] ", NameOf(attempt)));
  }
  AppendNames(names, summary_.interrupted_count());
}

void TerminalReport::AppendFailures() {
  if (!summary_.unlisted().empty()) {
    absl::StrAppend(&lines_, "\n", Plural(summary_.unlisted().size(), "executable"), " could not be listed:\n");
    for (const RunSummary::Unlisted& unlisted : summary_.unlisted()) {
      absl::StrAppend(&lines_, "  ", NameLine(unlisted.unit), ": ", Headline(unlisted.error), "\n");
    }
  }
  const std::vector<RunSummary::Attempt>& failed = summary_.failed();
  if (failed.empty()) return;
  absl::StrAppend(&lines_, "\n", Plural(summary_.failures(), "failure"), ":\n");
  const size_t shown = options_.verbosity >= 1 ? failed.size() : std::min(failed.size(), kFailuresShown);
  for (size_t i = 0; i < shown; ++i) {
    lines_ += "  ";
    AppendColored(Color::kRed, OutcomeName(failed[i].outcome));
    absl::StrAppend(&lines_, " [", FixedSeconds(failed[i].duration, 3, 8), "s] ", NameOf(failed[i]),
                    failed[i].headline.empty() ? "" : ": ", failed[i].headline, "\n");
  }
  AppendMore(summary_.failures() - shown);
}

void TerminalReport::AppendQuarantined() {
  std::vector<const RunSummary::Quarantined*> passed;
  size_t shown = 0;
  const size_t most = options_.verbosity >= 1 ? kNamedVerbose : kFailuresShown;
  if (summary_.forgiven() > 0) {
    absl::StrAppend(&lines_, "\n", Plural(summary_.forgiven(), "quarantined case"),
                    " failed, which does not fail the run:\n");
  }
  for (const RunSummary::Quarantined& one : summary_.quarantined()) {
    if (!one.forgiven) {
      passed.push_back(&one);
    } else if (shown < most) {
      ++shown;
      absl::StrAppend(&lines_, "  ", OutcomeName(one.attempt.outcome), " [", FixedSeconds(one.attempt.duration, 3, 8),
                      "s] ", NameOf(one.attempt), one.attempt.headline.empty() ? "" : ": ", one.attempt.headline,
                      "\n      quarantined: ", WhyText(one.reason, one.owner), "\n");
    }
  }
  AppendMore(summary_.forgiven() - shown);
  if (passed.empty()) return;
  absl::StrAppend(&lines_, "\n", Plural(passed.size(), "quarantined case"), " passed; drop what is mended:\n");
  std::vector<std::string> names;
  names.reserve(passed.size());
  for (const RunSummary::Quarantined* one : passed) {
    names.push_back(absl::StrCat(NameOf(one->attempt), ": ", WhyText(one->reason, one->owner), "; before this run ",
                                 one->hint.empty() ? "it was not known" : OneLine(one->hint)));
  }
  AppendNames(names, names.size());
}

void TerminalReport::AppendSlowest() {
  if (options_.durations == 0) return;
  const std::vector<RunSummary::Attempt> slowest = summary_.Slowest();
  const size_t shown = std::min(slowest.size(), options_.durations);
  if (shown == 0) return;
  absl::StrAppend(&lines_, "\nslowest ", shown, ":\n");
  for (size_t i = 0; i < shown; ++i) {
    absl::StrAppend(&lines_, "  [", FixedSeconds(slowest[i].duration, 3, 8), "s] ", NameOf(slowest[i]));
    if (slowest[i].outcome != Outcome::kPassed) absl::StrAppend(&lines_, " ", OutcomeName(slowest[i].outcome));
    if (slowest[i].attempt > 1) absl::StrAppend(&lines_, " (attempt ", slowest[i].attempt, ")");
    const std::string phases = PhasesText(slowest[i].duration, slowest[i].setup, slowest[i].teardown);
    if (!phases.empty()) absl::StrAppend(&lines_, " (", phases, ")");
    lines_ += '\n';
  }
}

void TerminalReport::AppendClosing() {
  const uint64_t missing = summary_.without_verdict();
  std::string verdicts =
      absl::StrCat(missing > 0 ? absl::StrCat(CountText(summary_.cases()), " of ", Plural(summary_.expected(), "case"))
                               : Plural(summary_.cases(), "case"),
                   ": ", CountText(summary_.count(Outcome::kPassed)), " passed");
  for (int i = 1; i < kOutcomeCount; ++i) {
    const Outcome outcome = static_cast<Outcome>(i);
    const uint64_t count = summary_.count(outcome);
    if (count == 0) continue;
    absl::StrAppend(&verdicts, ", ", CountText(count), " ", OutcomeName(outcome),
                    outcome == Outcome::kInfraError && count > 1 ? "s" : "");
  }
  if (summary_.forgiven() > 0)
    absl::StrAppend(&verdicts, ", ", CountText(summary_.forgiven()), " failed in quarantine");
  if (summary_.flaky() > 0) absl::StrAppend(&verdicts, "; ", CountText(summary_.flaky()), " flaky");
  if (summary_.leaky() > 0) {
    absl::StrAppend(&verdicts, summary_.flaky() > 0 ? ", " : "; ", CountText(summary_.leaky()), " leaky");
  }
  if (missing > 0) absl::StrAppend(&verdicts, "; ", CountText(missing), missing == 1 ? " has" : " have", " no verdict");
  if (!summary_.unlisted().empty()) {
    absl::StrAppend(&verdicts, "; ", Plural(summary_.unlisted().size(), "executable"), " could not be listed");
  }
  if (const size_t unreached = UnreachedNames(summary_).size(); unreached > 0) {
    absl::StrAppend(&verdicts, "; ", Plural(unreached, "executable"), " not listed: the run ended first");
  }
  if (summary_.left().count() > 0) {
    absl::StrAppend(&verdicts, "; ", CountText(summary_.left().count()), " of the run before not run");
  }
  if (summary_.left().left_out() > 0) {
    absl::StrAppend(&verdicts, "; ", CountText(summary_.left().left_out()), " of the run before left out");
  }
  if (summary_.cases() == 0 && missing == 0 && summary_.listed() > 0) {
    absl::StrAppend(&verdicts, " (", Plural(summary_.listed(), "case"), " listed)");
  }
  if (const CoverageMeasured* coverage = summary_.coverage(); coverage != nullptr && coverage->percent.has_value()) {
    absl::StrAppend(
        &verdicts, "; ",
        coverage->missed ? summary_.CoverageFault() : absl::StrCat("coverage ", PercentText(*coverage->percent)));
  }
  const int exit_status = summary_.ExitStatus();
  AppendColored(exit_status == kExitPassed            ? Color::kGreen
                : exit_status == kExitNothingSelected ? Color::kYellow
                                                      : Color::kRed,
                verdicts);
  absl::StrAppend(&lines_, "\nin ", SecondsText(summary_.wall_time()), " on ",
                  summary_.hosts_used() < summary_.hosts().size() ? absl::StrCat(summary_.hosts_used(), " of ") : "",
                  Plural(summary_.hosts().size(), "host"), " (", Plural(summary_.slots_used(), "slot"), "), shipped ",
                  BytesText(summary_.shipped_bytes()));
  if (summary_.shipped_bytes() > 0) absl::StrAppend(&lines_, " to ", Plural(summary_.shipped_hosts(), "host"));
  lines_ += '\n';
  if (summary_.copies() > 0) {
    absl::StrAppend(&lines_, CountText(summary_.copies()),
                    summary_.copies() == 1 ? " speculative copy, " : " speculative copies, ",
                    CountText(summary_.copies_won()), " won\n");
  }
  std::vector<std::string> connecting;
  for (const RunSummary::Host& host : summary_.hosts()) {
    if (!host.up && !host.down) connecting.push_back(OneLine(host.name));
  }
  if (!connecting.empty()) {
    absl::StrAppend(&lines_, "still connecting at the end: ", absl::StrJoin(connecting, ", "), "\n");
  }
}

}  // namespace dtest
