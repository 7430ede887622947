// `dtest rerun`: what the event log says of a run's verdicts, made into options of a run.

#include <cstdio>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/recorded_run.h"
#include "coordinator/cli/rerun_cases.h"
#include "coordinator/cli/run_log.h"
#include "coordinator/report/event_log.h"
#include "coordinator/report/run_record.h"
#include "coordinator/report/summary.h"
#include "coordinator/report/text.h"
#include "coordinator/run/left_behind.h"

namespace dtest {
namespace {

// What is typed, and chooses where settings come from, which a rerun does not ask again. Empty: nothing.
std::string ChoosesLayers(const SettingLayer& typed) {
  for (const GivenSetting& given : typed) {
    const bool none = given.values.empty() || given.values.back() == "none";
    if (given.setting->chooses_layers && !none) return given.setting->name;
  }
  return "";
}

}  // namespace

int RerunCommand(const Options& options, const SettingLayers& layers) {
  const SettingLayer& typed = layers.Strongest();
  if (const std::string name = ChoosesLayers(typed); !name.empty()) {
    return ExplainFailure(absl::InvalidArgumentError(
        absl::StrCat("dtest rerun has the settings of the run that it repeats, and --", name,
                     " has others: give those of them that are to differ on the command line")));
  }
  const absl::StatusOr<std::string> path =
      FindRunLog(options.state_dir, options.paths.empty() ? "" : options.paths.front(), LatestRun::kNoReproduction);
  if (!path.ok()) return ExplainFailure(path.status());
  RunStarted started;
  RunSummary summary;
  RunRecord record(&summary);
  LeftTold left_told;
  const absl::StatusOr<EventLogEnd> end = ReplayWholeRun(*path, [&](const RunEvent& event) {
    left_told.Note(event);
    if (const auto* begin = std::get_if<RunStarted>(&event.what)) started = *begin;
    (void)summary.Handle(event);  // neither fails
    (void)record.Handle(event);
  });
  if (!end.ok()) return ExplainFailure(end.status());
  if (!end->finished && EventLogIsBeingWritten(*path)) {
    return ExplainFailure(absl::FailedPreconditionError(
        absl::StrCat("the run of ", *path, " is still going on: wait for its end, or name another (dtest rerun RUN)")));
  }
  if (!left_told.all()) {
    return ExplainFailure(absl::FailedPreconditionError(absl::StrCat(
        "the log ", *path, " ends where it tells which cases the run before left (", left_told.told(), " of ",
        left_told.said(), "), and nothing of it was run: name the run that it was to repeat (dtest rerun RUN)")));
  }

  const RerunCases cases = CasesToRerun(record);
  const bool failed = options.rerun_failed || !options.rerun_unfinished;
  const bool unfinished = options.rerun_unfinished;
  const std::string run = started.run_id.empty() ? *path : started.run_id;
  const bool without_rest = failed && !unfinished && !cases.unfinished.empty();
  const std::string rest = CountOf(cases.unfinished);
  const std::string and_rest =
      !without_rest ? ""
                    : absl::StrCat("; there is ", rest, " of it without a verdict: dtest rerun --unfinished ",
                                   ShellWord(options.paths.empty() ? run : options.paths.front()));
  // With --failed the user has said that the rest is not meant.
  const bool rest_fails = without_rest && !options.rerun_failed;
  std::vector<NamedCase> only;
  if (failed) only = cases.failed;
  if (unfinished) only.insert(only.end(), cases.unfinished.begin(), cases.unfinished.end());
  if (only.empty()) {
    std::fprintf(stderr, "dtest: nothing of run %s %s: there is nothing to run again%s\n", run.c_str(),
                 !unfinished ? "failed"
                 : failed    ? "failed or lacks a verdict"
                             : "lacks a verdict",
                 and_rest.c_str());
    const int status = summary.ExitStatus();
    return status == kExitPassed && rest_fails ? kExitFailed : status;
  }
  absl::StatusOr<Options> again = OptionsOfRun(
      started, *path, options, {.without = {"filter", "last-failed", "shard", "shard-durations"}, .on_top = typed});
  if (!again.ok()) return ExplainFailure(again.status());
  std::fprintf(stderr, "dtest: note: %s of run %s%s\n", CountOf(only).c_str(), run.c_str(), and_rest.c_str());
  again->only = std::move(only);
  again->as_it_ran.clear();  // of another process
  std::vector<CasesLeft> left;
  AddLeft(cases.failed,
          {.unit = "", .cases = {}, .why = absl::StrCat("it failed in run ", run), .failed = true, .left_out = !failed},
          &left);
  AddLeft(cases.unfinished,
          {.unit = "",
           .cases = {},
           .why = absl::StrCat("it has none in run ", run, " either"),
           .failed = false,
           .left_out = without_rest && !rest_fails},
          &left);
  const int status = RunCommand(*again, std::move(left));
  // The latest run is the one that has just ended: it knows what has passed by now, and has the rest.
  if (status == kExitFailed && rest_fails) {
    std::fprintf(stderr, "dtest: there is still %s without a verdict: dtest rerun --unfinished\n", rest.c_str());
  }
  return status;
}

}  // namespace dtest
