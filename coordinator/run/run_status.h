// What a person who asks is told about the hosts of a run: which case has run longest, what each host runs (SIGUSR1),
// and what a first signal waits for. Borrows the units. Pure; one thread, the loop's.

#ifndef DTEST_COORDINATOR_RUN_RUN_STATUS_H_
#define DTEST_COORDINATOR_RUN_RUN_STATUS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/report/terminal.h"
#include "coordinator/run/run_unit.h"
#include "coordinator/run/running_cases.h"
#include "dtest/ids.h"
#include "dtest/messages.h"

namespace dtest {

class RunStatus {
 public:
  // `units` by UnitId; they outlive it.
  RunStatus(std::vector<std::string> host_names, const std::vector<RunUnit>* units)
      : host_names_(std::move(host_names)), units_(*units), running_(host_names_.size()) {}

  void Heard(HostId host, const std::vector<RunningCase>& running, absl::Time now) {
    running_.Heard(host, running, now);
  }
  void Ended(HostId host, const Results& results) { running_.Ended(host, results); }
  void Gone(HostId host) { running_.Gone(host); }

  // The case that has run longest; none if nothing is known to run.
  std::optional<LongCase> Longest() const;
  // For each host how many cases run there, and below it which.
  std::vector<std::string> RunningLines(absl::Time now) const;
  // What a first signal (by its number) leads to, and which cases it waits for.
  std::string StoppingText(int number, absl::Time now) const;

 private:
  LongCase Describe(const RunningCases::Entry& running) const;

  const std::vector<std::string> host_names_;
  const std::vector<RunUnit>& units_;
  RunningCases running_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_RUN_STATUS_H_
