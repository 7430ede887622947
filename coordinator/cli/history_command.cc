#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "absl/time/clock.h"
#include "coordinator/cli/case_trend.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/json_document.h"
#include "coordinator/cli/known_case.h"
#include "coordinator/cli/standard_output.h"
#include "coordinator/history/durations_file.h"
#include "coordinator/history/history.h"
#include "coordinator/report/json_append.h"
#include "coordinator/report/summary.h"
#include "coordinator/report/text.h"
#include "coordinator/run/selection.h"
#include "coordinator/settings/quarantine_list.h"
#include "dtest/base/utf8.h"
#include "dtest/base/whole_file.h"

namespace dtest {
namespace {

using KnownCase = History::KnownCase;

constexpr size_t kShown = 20;  // of each kind
constexpr size_t kMostTrends = 100;

std::string Name(const std::string& unit, const std::string& name) {
  return name == unit ? NameLine(name) : absl::StrCat(NameLine(unit), " ", NameLine(name));
}
std::string Name(const KnownCase& known) { return Name(known.unit, known.name); }

double FailureRate(const KnownCase& known) {
  return static_cast<double>(known.history.failures) / static_cast<double>(known.history.runs);
}

std::string RightAligned(uint64_t number, size_t width) {
  const std::string text = CountText(number);
  return std::string(width - std::min(width, text.size()), ' ') + text;
}

std::string Table(absl::string_view title, const std::vector<const KnownCase*>& cases, size_t shown) {
  if (cases.empty()) return "";
  std::string text = absl::StrCat(title, "\n      mean       high   runs failed\n");
  for (size_t i = 0; i < std::min(cases.size(), shown); ++i) {
    const CaseHistory& history = cases[i]->history;
    const absl::Duration mean = history.duration.value_or(absl::ZeroDuration());
    absl::StrAppend(&text, FixedSeconds(mean, 3, 9), "s ", FixedSeconds(history.high, 3, 9), "s ",
                    RightAligned(history.runs, 6), " ", RightAligned(history.failures, 6), "  ", Name(*cases[i]), "\n");
  }
  if (cases.size() > shown) absl::StrAppend(&text, "  and ", CountText(cases.size() - shown), " more\n");
  return text;
}

constexpr absl::Duration kNewFor = absl::Hours(24 * 7);

std::string DateText(absl::Time time) { return absl::FormatTime("%Y-%m-%d %H:%M", time, absl::LocalTimeZone()); }

std::string RunsTable(const std::vector<RunHistory>& runs) {
  if (runs.empty()) return "";
  std::string text = "\nruns:\n                    cases  failed  skipped  flaky        wall  slowest\n";
  for (const RunHistory& run : runs) {
    absl::StrAppend(&text, DateText(run.started), RightAligned(run.cases, 9), RightAligned(run.failed, 8),
                    RightAligned(run.skipped, 9), RightAligned(run.flaky, 7), FixedSeconds(run.wall, 3, 11), "s");
    if (!run.slowest_unit.empty()) {
      absl::StrAppend(&text, FixedSeconds(run.slowest, 3, 9), "s ", Name(run.slowest_unit, run.slowest_name));
    }
    if (!run.completed) absl::StrAppend(&text, "  (ended early: ", CountText(run.not_run), " not run)");
    text += "\n";
  }
  return text;
}

// The cases that were first seen in the last days, unless nothing older is known.
std::vector<const KnownCase*> NewCases(const std::vector<KnownCase>& all) {
  const absl::Time since = absl::Now() - kNewFor;
  std::vector<const KnownCase*> cases;
  for (const KnownCase& known : all) {
    if (known.history.first_run >= since) cases.push_back(&known);
  }
  if (cases.size() == all.size()) cases.clear();
  std::stable_sort(cases.begin(), cases.end(),
                   [](const KnownCase* a, const KnownCase* b) { return a->history.first_run > b->history.first_run; });
  return cases;
}

int Show(const std::vector<KnownCase>& all, const std::vector<RunHistory>& runs, size_t shown) {
  std::vector<const KnownCase*> slowest, flaky;
  for (const KnownCase& known : all) {
    if (known.history.duration.has_value()) slowest.push_back(&known);
    if (known.history.failures > 0 && known.history.failures < known.history.runs) flaky.push_back(&known);
  }
  std::stable_sort(slowest.begin(), slowest.end(),
                   [](const KnownCase* a, const KnownCase* b) { return *a->history.duration > *b->history.duration; });
  std::stable_sort(flaky.begin(), flaky.end(),
                   [](const KnownCase* a, const KnownCase* b) { return FailureRate(*a) > FailureRate(*b); });
  const std::string text = absl::StrCat(
      Plural(all.size(), "case"), " known\n", RunsTable(runs), Table("\nslowest:", slowest, shown),
      Table("\npassed and failed:", flaky, shown), Table("\nnew in the last 7 days:", NewCases(all), shown));
  return StatusAfterOutput(WriteOutput(text), kExitPassed);
}

std::string JsonTime(absl::Time time) { return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone()); }

void AppendRuns(const std::vector<RunHistory>& runs, JsonDocument* document) {
  document->BeginList("runs");
  for (const RunHistory& run : runs) {
    std::string* const text = document->Element();
    *text += "{\"run\":";
    AppendString(run.run_id, text);
    AppendField("started", JsonTime(run.started), text);
    AppendKey("wall", text);
    AppendDuration(run.wall, text);
    AppendFlag("completed", run.completed, text);
    AppendField("cases", run.cases, text);
    AppendField("failed", run.failed, text);
    AppendField("skipped", run.skipped, text);
    AppendField("not_run", run.not_run, text);
    AppendField("flaky", run.flaky, text);
    if (!run.slowest_unit.empty()) {
      AppendKey("slowest", text);
      *text += "{\"executable\":";
      AppendString(run.slowest_unit, text);
      AppendField("name", run.slowest_name, text);
      AppendKey("duration", text);
      AppendDuration(run.slowest, text);
      text->push_back('}');
    }
    text->push_back('}');
  }
  document->EndList();
}

int ShowAsJson(const std::vector<KnownCase>& all, const std::vector<RunHistory>& runs) {
  JsonDocument document("history");
  AppendRuns(runs, &document);
  document.BeginList("cases");
  for (const KnownCase& known : all) {
    std::string* const text = document.Element();
    *text += "{\"executable\":";
    AppendString(known.unit, text);
    AppendField("name", known.name, text);
    const CaseHistory& history = known.history;
    if (history.duration.has_value()) {
      AppendKey("mean", text);
      AppendDuration(*history.duration, text);
      AppendKey("high", text);
      AppendDuration(history.high, text);
    }
    AppendField("runs", history.runs, text);
    AppendField("failures", history.failures, text);
    AppendField("last_outcome", OutcomeName(history.last_outcome), text);
    AppendField("last_run", JsonTime(history.last_run), text);
    if (history.first_run != absl::InfinitePast()) AppendField("first_run", JsonTime(history.first_run), text);
    AppendFlag("flaky", LooksFlaky(history), text);
    text->push_back('}');
  }
  document.EndList();
  return document.End({}, kExitPassed);
}

std::string TrendText(const std::vector<NamedCase>& cases, const std::vector<CaseOfRun>& trend) {
  std::string text;
  for (const NamedCase& one : cases) {
    absl::StrAppend(&text, text.empty() ? "" : "\n", Name(one.unit, one.name), "\n");
    for (const CaseOfRun& run : trend) {
      if (run.unit != one.unit || run.name != one.name) continue;
      const absl::string_view outcome = run.flaky ? "flaky" : OutcomeName(run.outcome);
      absl::StrAppend(&text, "  ", DateText(run.time), FixedSeconds(run.duration, 3, 11), "s  ", outcome,
                      std::string(12 - std::min<size_t>(12, outcome.size()), ' '), run.run_id,
                      run.host.empty() ? "" : absl::StrCat("  ", NameLine(run.host)), "\n");
    }
  }
  return text;
}

int ShowTrend(const std::vector<NamedCase>& cases, const Options& options) {
  std::vector<std::string> problems;
  const std::vector<CaseOfRun> trend = CaseTrend(options.state_dir, cases, &problems);
  for (const std::string& problem : problems) std::fprintf(stderr, "dtest: warning: %s\n", problem.c_str());
  if (!options.json) return StatusAfterOutput(WriteOutput(TrendText(cases, trend)), kExitPassed);
  JsonDocument document("history");
  document.BeginList("verdicts");
  for (const CaseOfRun& run : trend) {
    std::string* const text = document.Element();
    *text += "{\"run\":";
    AppendString(run.run_id, text);
    AppendField("time", JsonTime(run.time), text);
    AppendField("executable", run.unit, text);
    AppendField("name", run.name, text);
    AppendField("outcome", OutcomeName(run.outcome), text);
    if (run.flaky) AppendFlag("flaky", true, text);
    AppendKey("duration", text);
    AppendDuration(run.duration, text);
    AppendDurationField("setup", run.setup, text);
    AppendDurationField("teardown", run.teardown, text);
    if (!run.host.empty()) AppendField("host", run.host, text);
    text->push_back('}');
  }
  document.EndList();
  return document.End({}, kExitPassed);
}

constexpr int kDaysOfQuarantine = 30;

// A case that passes and fails in turns.
struct FlakyCase {
  const KnownCase* known;
  std::optional<QuarantineEntry> entry;  // none: it has a name that no file can hold
};
struct Proposal {
  std::vector<FlakyCase> cases;  // those that fail most often first
  size_t in_quarantine = 0;      // already; not among `cases`
};

absl::StatusOr<Proposal> ProposeQuarantine(const std::vector<KnownCase>& all, const Options& options) {
  std::vector<QuarantineEntry> quarantine = options.quarantine;
  for (const std::string& file : options.quarantine_files) {
    absl::StatusOr<std::vector<QuarantineEntry>> read = ReadQuarantineFile(file);
    if (!read.ok()) return absl::InvalidArgumentError(read.status().message());  // no case is missed
    quarantine.insert(quarantine.end(), read->begin(), read->end());
  }
  const absl::CivilDay today = absl::ToCivilDay(absl::Now(), absl::UTCTimeZone());
  Proposal proposal;
  for (const KnownCase& known : all) {
    if (!LooksFlaky(known.history)) continue;
    FilterSubject subject;
    subject.unit = known.unit;
    subject.info.name = known.name;
    subject.has_info = false;
    const bool there = std::any_of(quarantine.begin(), quarantine.end(), [&](const QuarantineEntry& entry) {
      return entry.expires.value_or(today) >= today && entry.filter.Matches(subject);
    });
    if (there) {
      ++proposal.in_quarantine;
      continue;
    }
    FlakyCase& one = proposal.cases.emplace_back(FlakyCase{&known, std::nullopt});
    const std::string name = known.name == known.unit ? known.unit : absl::StrCat(known.unit, ".", known.name);
    const std::string filter_text = absl::StrCat("=", name);
    const absl::StatusOr<Filter> filter = Filter::Parse(filter_text);
    if (!IsUtf8(name) || !filter.ok()) continue;
    one.entry = QuarantineEntry{filter_text, *filter, absl::StrCat("flaky: ", RecordText(known.history)), "",
                                today + kDaysOfQuarantine};
  }
  std::stable_sort(proposal.cases.begin(), proposal.cases.end(), [](const FlakyCase& a, const FlakyCase& b) {
    return FailureRate(*a.known) > FailureRate(*b.known);
  });
  return proposal;
}

// As a dtest.toml that can be pasted.
std::string ProposalText(const Proposal& proposal) {
  const size_t count = proposal.cases.size();
  std::string text = absl::StrCat(
      "# ", Plural(count, "case"), count == 1 ? " passes and fails" : " pass and fail", " in turns",
      proposal.in_quarantine == 0 ? "" : absl::StrCat(", and ", proposal.in_quarantine, " more in quarantine"), "\n");
  for (const FlakyCase& one : proposal.cases) {
    if (one.entry.has_value()) {
      absl::StrAppend(&text, "\n", QuarantineToml(*one.entry), "# owner = \"who looks into it\"\n");
    } else {
      absl::StrAppend(&text, "\n# ", Name(*one.known), " (", RecordText(one.known->history),
                      ") has a name that no file can hold\n");
    }
  }
  return text;
}

int ShowProposal(const Proposal& proposal, bool json) {
  if (!json) return StatusAfterOutput(WriteOutput(ProposalText(proposal)), kExitPassed);
  JsonDocument document("history");
  document.BeginList("proposals");
  for (const FlakyCase& one : proposal.cases) {
    std::string* const text = document.Element();
    *text += "{\"executable\":";
    AppendString(one.known->unit, text);
    AppendField("name", one.known->name, text);
    AppendField("runs", one.known->history.runs, text);
    AppendField("failures", one.known->history.failures, text);
    if (one.entry.has_value()) {
      AppendField("filter", one.entry->filter_text, text);
      AppendField("reason", one.entry->reason, text);
      AppendField("expires", absl::FormatCivilTime(*one.entry->expires), text);
    }
    text->push_back('}');
  }
  document.EndList();
  AppendField("in_quarantine", uint64_t{proposal.in_quarantine}, document.fields());
  return document.End({}, kExitPassed);
}

int Export(const std::vector<KnownCase>& all, const std::string& path) {
  Durations durations;
  for (const KnownCase& known : all) {
    if (known.history.duration.has_value()) durations.units[known.unit][known.name] = *known.history.duration;
  }
  if (durations.units.empty()) {
    return ExplainFailure(absl::InvalidArgumentError("no case is known to the history: run some first"));
  }
  const std::string text = FormatDurations(durations);
  const bool to_output = path == kStandardOutput;
  const std::string shown = to_output ? "standard output" : path;
  int error = 0;
  if (to_output) {
    error = WriteOutput(text);
  } else if (absl::Status status = ReplaceFile(path, path, text); !status.ok()) {
    return ExplainFailure(status);
  }
  const absl::StatusOr<Durations> written = ParseDurations(text, shown);  // not all names can be in it
  if (!written.ok()) return ExplainFailure(written.status());
  if (const size_t left_out = durations.size() - written->size(); left_out > 0) {
    std::fprintf(stderr, "dtest: warning: %s of history are not in it: such a file holds names in UTF-8 only\n",
                 Plural(left_out, "case").c_str());
  }
  std::fprintf(stderr, "dtest: %s holds %s, digest %s\n", shown.c_str(), Plural(written->size(), "case").c_str(),
               written->digest.c_str());
  return StatusAfterOutput(error, kExitPassed);
}

// Leaves those that the filters match. NotFound: none.
absl::Status Choose(const std::vector<std::string>& filters, std::vector<KnownCase>* cases) {
  const absl::StatusOr<Selection> selection = Selection::Make(filters);
  if (!selection.ok()) return selection.status();
  if (absl::Status status = CheckNamesAreEnough(*selection); !status.ok()) return status;
  std::erase_if(*cases, [&](const KnownCase& known) { return !selection->Matches(SubjectOf(known)); });
  return cases->empty() ? absl::NotFoundError("no case that is known matches") : absl::OkStatus();
}

int Forget(History* history, const std::vector<KnownCase>& cases) {
  if (absl::Status status = history->Forget(cases); !status.ok()) return ExplainFailure(status);
  std::fprintf(stderr, "dtest: forgot %s\n", Plural(cases.size(), "case").c_str());
  return kExitPassed;
}

}  // namespace

int HistoryCommand(const Options& options) {
  const std::string path = options.state_dir + "/history.db";
  const std::string word = options.paths.empty() ? "" : options.paths.front();
  const std::vector<std::string> rest(options.paths.begin() + (options.paths.empty() ? 0 : 1), options.paths.end());
  const auto fail = [&](const absl::Status& status) {
    int exit_status = ExplainFailure(status);
    if (absl::IsNotFound(status)) exit_status = kExitNothingSelected;
    return options.json ? EndWithError("history", {}, status.message(), exit_status) : exit_status;
  };
  absl::StatusOr<std::unique_ptr<History>> history = History::Open(path);
  if (!history.ok()) return fail(history.status());
  if (!(*history)->warning().empty()) std::fprintf(stderr, "dtest: warning: %s\n", (*history)->warning().c_str());
  const size_t shown = options.durations == 0 ? kShown : options.durations;
  absl::StatusOr<std::vector<RunHistory>> runs = (*history)->Runs(shown);
  if (!runs.ok()) return fail(runs.status());
  if (word == "trend" && rest.empty()) {
    if (!options.json) return StatusAfterOutput(WriteOutput(RunsTable(*runs)), kExitPassed);
    JsonDocument document("history");
    AppendRuns(*runs, &document);
    return document.End({}, kExitPassed);
  }
  absl::StatusOr<std::vector<KnownCase>> all = (*history)->All();
  if (!all.ok()) return fail(all.status());
  if (word.empty()) return options.json ? ShowAsJson(*all, *runs) : Show(*all, *runs, shown);
  if (word == "flaky") {
    const absl::StatusOr<Proposal> proposal = ProposeQuarantine(*all, options);
    return proposal.ok() ? ShowProposal(*proposal, options.json) : fail(proposal.status());
  }
  if (word == "export") return Export(*all, rest.front());
  if (absl::Status status = Choose(rest, &*all); !status.ok()) return fail(status);
  if (word == "forget") return Forget(history->get(), *all);
  if (all->size() > kMostTrends) {
    return fail(absl::InvalidArgumentError(absl::StrCat("that matches ", Plural(all->size(), "case"), ": name ",
                                                        kMostTrends, " at most, whose trend can be read")));
  }
  std::vector<NamedCase> cases;
  for (const KnownCase& known : *all) cases.push_back({known.unit, known.name});
  return ShowTrend(cases, options);
}

}  // namespace dtest
