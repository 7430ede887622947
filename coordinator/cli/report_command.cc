#include <filesystem>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/recorded_run.h"
#include "coordinator/cli/reports.h"
#include "coordinator/cli/run_log.h"
#include "coordinator/report/event_log.h"

namespace dtest {
int ReportCommand(const Options& options) {
  namespace fs = std::filesystem;
  absl::StatusOr<std::string> log = FindRunLog(options.state_dir, options.paths.empty() ? "" : options.paths.front());
  if (!log.ok()) return ExplainFailure(log.status());
  std::error_code error;
  for (const std::string& output : {options.junit, options.events}) {
    if (!output.empty() && fs::equivalent(output, *log, error)) {
      return ExplainFailure(
          absl::InvalidArgumentError(absl::StrCat(output, " is the event log to report on; write elsewhere")));
    }
  }
  absl::StatusOr<std::unique_ptr<Reports>> reports = Reports::Make(options, /*terminal=*/true);
  if (!reports.ok()) return ExplainFailure(reports.status());
  (*reports)->ShowHowToReproduce(options, *log);
  SinkSet& sinks = (*reports)->sinks();
  absl::StatusOr<EventLogEnd> end = ReplayWholeRun(*log, [&](const RunEvent& event) { sinks.Handle(event); });
  if (!end.ok()) return ExplainFailure(end.status());
  sinks.Flush(end->last);
  return (*reports)->FinishOutput((*reports)->summary().ExitStatus());
}

}  // namespace dtest
