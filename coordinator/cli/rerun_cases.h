// What of a run is to be run again. Pure; any thread.

#ifndef DTEST_COORDINATOR_CLI_RERUN_CASES_H_
#define DTEST_COORDINATOR_CLI_RERUN_CASES_H_

#include <cstddef>
#include <cstdint>
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

// Whether the log of a rerun names as many cases left by the run before as it says that there are. If not, the log was
// cut before the rerun ran anything, and only the log of the run before names the others.
class LeftTold {
 public:
  void Note(const RunEvent& event);
  bool all() const { return told_ >= said_; }
  uint64_t told() const { return told_; }
  uint64_t said() const { return said_; }

 private:
  uint64_t said_ = 0, told_ = 0;
};

// "3 cases and 1 executable".
std::string CountOf(const std::vector<NamedCase>& cases);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_RERUN_CASES_H_
