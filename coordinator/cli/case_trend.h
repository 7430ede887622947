// How cases fared from run to run, as the event logs that are kept tell it. Free function, any thread.

#ifndef DTEST_COORDINATOR_CLI_CASE_TREND_H_
#define DTEST_COORDINATOR_CLI_CASE_TREND_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/settings/options.h"
#include "dtest/outcome.h"

namespace dtest {

// A final verdict of one of the cases.
struct CaseOfRun {
  std::string run_id;
  absl::Time time;  // when it was known
  std::string unit, name, host;
  Outcome outcome = Outcome::kPassed;
  bool flaky = false;
  absl::Duration duration;
  absl::Duration setup, teardown;  // of it
  uint32_t iteration = 1;
};

// Of all kept runs, that which began first first; within one in the order of its log. Reads the logs, but parses only
// the lines in which a name occurs. A log that cannot be read is named in `problems` and passed over.
std::vector<CaseOfRun> CaseTrend(const std::string& state_dir, const std::vector<NamedCase>& cases,
                                 std::vector<std::string>* problems);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_CASE_TREND_H_
