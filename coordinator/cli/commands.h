// The commands of `dtest`. Each does its work and returns the exit status; texts go to standard output, errors to
// standard error as "dtest: what was tried: what went wrong; what to do".
//
// On the program's first thread, one command a process.

#ifndef DTEST_COORDINATOR_CLI_COMMANDS_H_
#define DTEST_COORDINATOR_CLI_COMMANDS_H_

#include <vector>

#include "absl/status/status.h"
#include "coordinator/event/run_event.h"
#include "coordinator/settings/layers.h"
#include "coordinator/settings/options.h"

namespace dtest {

// `dtest [run]` and `dtest list`. `left`, of `dtest rerun`: what the run that it repeats left, also what is not to run.
int RunCommand(const Options& options, std::vector<CasesLeft> left = {});
// `dtest hosts`: 0 if every host is ready, 1 if some are not, 3 if none is.
int HostsCommand(const Options& options);
// `dtest report`: the exit status of the run that is shown.
int ReportCommand(const Options& options);

// `dtest reproduce CASE [RUN]`: runs a case again as it ran in that run, in one process behind those that ran before
// it, on its host, with its options. The exit status of that run: 1 if it fails again.
int ReproduceCommand(const Options& options);

// `dtest bisect CASE [RUN]`: which of the cases that ran before it make a case fail, found by running it behind some of
// them. 0: found. 1: it passes behind all, fails alone, or is flaky: there is nothing to be found.
int BisectCommand(const Options& options);

// `dtest rerun [RUN]`: runs again what failed in that run, or has no verdict, with its settings and those of the
// command line on top. Where there is nothing of that, the exit status of that run.
int RerunCommand(const Options& options, const SettingLayers& layers);

// `dtest plan PATH...`: what so many slots would give, by history.
int PlanCommand(const Options& options);

// `dtest history`: what is known; export; forget.
int HistoryCommand(const Options& options);

// `dtest profile`: runs the tests of pytest, one after the other, on this machine, and shows what pytest took time for.
// The exit status of the run.
int ProfileCommand(const Options& options);

// `dtest config`: the settings in force, or those that are named, and where they come from.
int ConfigCommand(const Options& options, const SettingLayers& layers);

// Prints "dtest: ..." and returns what a run that could not start exits with: 3 for Internal,
// Unavailable and ResourceExhausted, else 4.
int ExplainFailure(const absl::Status& status);

// Whether to colour what a person reads: --color, else NO_COLOR, CLICOLOR_FORCE and whether it is a terminal that can
// (TERM is not "dumb").
bool UseColor(const Options& options);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_COMMANDS_H_
