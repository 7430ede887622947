// A run of the past, as its event log tells it: for commands that show it or run something of it again.
//
// Free functions. OptionsOfRun changes the working directory of the process: before other threads are started.

#ifndef DTEST_COORDINATOR_CLI_RECORDED_RUN_H_
#define DTEST_COORDINATOR_CLI_RECORDED_RUN_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "coordinator/cli/command_line.h"
#include "coordinator/event/run_event.h"
#include "coordinator/report/event_log.h"
#include "coordinator/settings/options.h"

namespace dtest {

// Gives `handle` the events of a log and, where the coordinator did not live to write them, those of the end: units
// that it says nothing of were not reached, and the run was interrupted. Errors as of ReplayEventLog.
absl::StatusOr<EventLogEnd> ReplayWholeRun(const std::string& log, absl::FunctionRef<void(const RunEvent&)> handle);

// What a run was asked to do, by the command that its log has, which needs neither dtest.toml nor variables, with
// `again` on top; but where things are kept and how they are shown is as `now` says, and no file is written that
// `again` does not name. Variables by which a reproduction told its process where the case had run (DTEST_ATTEMPT and
// its like) are in Options::as_it_ran, and not in `env`. Enters the run's working directory; paths of `again` are meant
// from where it is called.
// FailedPrecondition: the recorded command is not taken; InvalidArgument: what is put on top of it is not; errno's
// code: the run's working directory cannot be entered.
absl::StatusOr<Options> OptionsOfRun(const RunStarted& started, const std::string& log, const Options& now,
                                     GivenAnew again);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_RECORDED_RUN_H_
