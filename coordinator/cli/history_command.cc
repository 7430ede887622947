#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "absl/time/clock.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/json_document.h"
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

std::string Name(const KnownCase& known) {
  return known.name == known.unit ? NameLine(known.name)
                                  : absl::StrCat(NameLine(known.unit), " ", NameLine(known.name));
}

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

int Show(const std::vector<KnownCase>& all, size_t shown) {
  std::vector<const KnownCase*> slowest, flaky;
  for (const KnownCase& known : all) {
    if (known.history.duration.has_value()) slowest.push_back(&known);
    if (known.history.failures > 0 && known.history.failures < known.history.runs) flaky.push_back(&known);
  }
  std::stable_sort(slowest.begin(), slowest.end(),
                   [](const KnownCase* a, const KnownCase* b) { return *a->history.duration > *b->history.duration; });
  std::stable_sort(flaky.begin(), flaky.end(),
                   [](const KnownCase* a, const KnownCase* b) { return FailureRate(*a) > FailureRate(*b); });
  const std::string text = absl::StrCat(Plural(all.size(), "case"), " known\n", Table("\nslowest:", slowest, shown),
                                        Table("\npassed and failed:", flaky, shown));
  return StatusAfterOutput(WriteOutput(text), kExitPassed);
}

int ShowAsJson(const std::vector<KnownCase>& all) {
  JsonDocument document("history");
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
    AppendField("last_run", absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", history.last_run, absl::UTCTimeZone()), text);
    text->push_back('}');
  }
  document.EndList();
  return document.End({}, kExitPassed);
}

constexpr int kDaysOfQuarantine = 30;

// Entries of quarantine for the cases that pass and fail in turns, those that fail most often first, as a dtest.toml
// that can be pasted. Those that are in quarantine already are only counted.
int ProposeQuarantine(const std::vector<KnownCase>& all, const Options& options) {
  std::vector<QuarantineEntry> quarantine = options.quarantine;
  for (const std::string& file : options.quarantine_files) {
    absl::StatusOr<std::vector<QuarantineEntry>> read = ReadQuarantineFile(file);
    if (!read.ok()) return ExplainFailure(read.status());
    quarantine.insert(quarantine.end(), read->begin(), read->end());
  }
  const absl::CivilDay today = absl::ToCivilDay(absl::Now(), absl::UTCTimeZone());
  std::vector<const KnownCase*> flaky;
  size_t in_quarantine = 0;
  for (const KnownCase& known : all) {
    if (!LooksFlaky(known.history)) continue;
    FilterSubject subject;
    subject.unit = known.unit;
    subject.info.name = known.name;
    subject.has_info = false;
    const bool there = std::any_of(quarantine.begin(), quarantine.end(), [&](const QuarantineEntry& entry) {
      return entry.expires.value_or(today) >= today && entry.filter.Matches(subject);
    });
    there ? void(++in_quarantine) : flaky.push_back(&known);
  }
  std::stable_sort(flaky.begin(), flaky.end(),
                   [](const KnownCase* a, const KnownCase* b) { return FailureRate(*a) > FailureRate(*b); });
  std::string text = absl::StrCat(
      "# ", Plural(flaky.size(), "case"), flaky.size() == 1 ? " passes and fails" : " pass and fail", " in turns",
      in_quarantine == 0 ? "" : absl::StrCat(", and ", in_quarantine, " more in quarantine"), "\n");
  for (const KnownCase* known : flaky) {
    const std::string name = known->name == known->unit ? known->unit : absl::StrCat(known->unit, ".", known->name);
    const std::string filter_text = absl::StrCat("=", name);
    const absl::StatusOr<Filter> filter = Filter::Parse(filter_text);
    if (!IsUtf8(name) || !filter.ok()) {
      absl::StrAppend(&text, "\n# ", Name(*known), " (", RecordText(known->history), ") has a name that no file can hold\n");
      continue;
    }
    const QuarantineEntry entry{filter_text, *filter, absl::StrCat("flaky: ", RecordText(known->history)), "",
                                today + kDaysOfQuarantine};
    absl::StrAppend(&text, "\n", QuarantineToml(entry), "# owner = \"who looks into it\"\n");
  }
  return StatusAfterOutput(WriteOutput(text), kExitPassed);
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
  std::fprintf(stderr, "dtest: %s holds %s, digest %s\n", shown.c_str(), Plural(written->size(), "case").c_str(),
               written->digest.c_str());
  return StatusAfterOutput(error, kExitPassed);
}

int Forget(History* history, std::vector<KnownCase> all, const std::vector<std::string>& filters) {
  const absl::StatusOr<Selection> selection = Selection::Make(filters);
  if (!selection.ok()) return ExplainFailure(selection.status());
  if (selection->NeedsInfo()) {
    return ExplainFailure(absl::InvalidArgumentError(
        "label(), file() and parameter() cannot be asked here: history knows names only; choose by unit(), suite() or name()"));
  }
  all.erase(std::remove_if(all.begin(), all.end(),
                           [&](const KnownCase& known) {
                             FilterSubject subject;
                             subject.unit = known.unit;
                             subject.info.name = known.name;
                             subject.has_info = false;
                             subject.never_ran = known.history.runs == 0;
                             subject.failed_last = !subject.never_ran && IsFailure(known.history.last_outcome);
                             return !selection->Matches(subject);
                           }),
            all.end());
  if (all.empty()) {
    std::fprintf(stderr, "dtest: no case that is known matches\n");
    return kExitNothingSelected;
  }
  if (absl::Status status = history->Forget(all); !status.ok()) return ExplainFailure(status);
  std::fprintf(stderr, "dtest: forgot %s\n", Plural(all.size(), "case").c_str());
  return kExitPassed;
}

}  // namespace

int HistoryCommand(const Options& options) {
  const std::string path = options.state_dir + "/history.db";
  absl::StatusOr<std::unique_ptr<History>> history = History::Open(path);
  const auto fail = [&](const absl::Status& status) {
    const int exit_status = ExplainFailure(status);
    return options.json ? EndWithError("history", {"cases"}, status.message(), exit_status) : exit_status;
  };
  if (!history.ok()) return fail(history.status());
  if (!(*history)->warning().empty()) std::fprintf(stderr, "dtest: warning: %s\n", (*history)->warning().c_str());
  absl::StatusOr<std::vector<KnownCase>> all = (*history)->All();
  if (!all.ok()) return fail(all.status());
  if (options.json) return ShowAsJson(*all);
  if (options.paths.empty()) return Show(*all, options.durations == 0 ? kShown : options.durations);
  if (options.paths.front() == "flaky") return ProposeQuarantine(*all, options);
  if (options.paths.front() == "export") return Export(*all, options.paths[1]);
  return Forget(history->get(), *std::move(all), {options.paths.begin() + 1, options.paths.end()});
}

}  // namespace dtest
