// The sinks that a command line asks for, wired together: each is handed an event after the sinks that it borrows from.
// Shared by `dtest run` and `dtest report`. One thread (the loop's).

#ifndef DTEST_COORDINATOR_CLI_REPORTS_H_
#define DTEST_COORDINATOR_CLI_REPORTS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/event/sink_set.h"
#include "coordinator/report/event_log.h"
#include "coordinator/report/junit.h"
#include "coordinator/report/run_record.h"
#include "coordinator/report/stress.h"
#include "coordinator/report/summary.h"
#include "coordinator/report/terminal.h"
#include "coordinator/report/timings.h"
#include "coordinator/settings/options.h"

namespace dtest {

class Reports {
 public:
  // Fails, before anything runs, if a file that was asked for cannot be written. `terminal` false: nothing is shown.
  static absl::StatusOr<std::unique_ptr<Reports>> Make(const Options& options, bool terminal);

  SinkSet& sinks() { return sinks_; }
  RunSummary& summary() { return *summary_; }
  TerminalReport* terminal() { return terminal_.get(); }

  // Ends what is shown with what --stress came to and the table of --timings or -v, where they were asked for. Call it
  // when the terminal report has written its end. Returns `exit_status`, or kExitBroken, explained, if not all that is
  // shown could be written.
  int FinishOutput(int exit_status) const;

  // Adds the run's own event log, and has failures end with the command that reproduces them from it. It is kept if it
  // can be: a failure is a warning, not an error.
  void KeepEventLog(const Options& options, const std::string& run_id);
  // Has failures end with the command that reproduces them from `log`, the path of an event log.
  void ShowHowToReproduce(const Options& options, const std::string& log);

 private:
  Reports() = default;
  std::unique_ptr<RunSummary> summary_;
  std::unique_ptr<TerminalReport> terminal_;
  std::unique_ptr<RunRecord> record_;  // null: no report of the whole run was asked for
  std::unique_ptr<JUnitReport> junit_;
  std::unique_ptr<StressReport> stress_;  // null: nothing is shown
  std::unique_ptr<RunTimings> timings_;   // null: not asked for
  std::vector<std::unique_ptr<EventLogWriter>> logs_;
  SinkSet sinks_;
};

// How a command line names the run of this event log: by its id, where that is enough to find it.
std::string RunToName(const Options& options, const std::string& log);

// Where the event logs of past runs are.
std::string RunsDirectory(const std::string& state_dir);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_REPORTS_H_
