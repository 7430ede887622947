// What of a run is to be run again. Pure; any thread.

#ifndef DTEST_COORDINATOR_CLI_RERUN_CASES_H_
#define DTEST_COORDINATOR_CLI_RERUN_CASES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "coordinator/report/run_record.h"
#include "coordinator/settings/options.h"

namespace dtest {

// Each case and unit once, in the order of units and listings; behind them what the run before left and this one has
// not run.
struct RerunCases {
  // A final verdict, of any iteration, was a failure that counts, or there is none and it was so in the run before;
  // units that could not be listed.
  std::vector<NamedCase> failed;
  // Not run, or without a verdict in some iteration, and not in `failed`; units that the run ended before, or of which
  // the log does not tell all cases.
  std::vector<NamedCase> unfinished;
};
// `record` has heard all of a run that is over.
RerunCases CasesToRerun(const RunRecord& record);

// "3 cases and 1 executable".
std::string CountOf(const std::vector<NamedCase>& cases);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_RERUN_CASES_H_
