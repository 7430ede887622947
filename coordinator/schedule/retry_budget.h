// --retry-budget: how many further attempts a whole run may make of cases that failed, so that a broken build does not
// run everything several times. A value.

#ifndef DTEST_COORDINATOR_SCHEDULE_RETRY_BUDGET_H_
#define DTEST_COORDINATOR_SCHEDULE_RETRY_BUDGET_H_

#include <algorithm>
#include <cstdint>
#include <optional>

namespace dtest {

struct RetryBudget {
  std::optional<uint32_t> most;  // nullopt: there is none
  bool percent = false;          // of the cases of the run, each iteration counted; at least one attempt

  // Whether another attempt may be made after `made`, in a run of `cases`. Of a share nothing is known until all are
  // listed.
  bool Allows(uint64_t made, uint64_t cases, bool all_listed) const {
    if (!most.has_value() || (percent && !all_listed)) return true;
    return made < Attempts(cases);
  }
  uint64_t Attempts(uint64_t cases) const {
    return percent && *most > 0 ? std::max<uint64_t>(cases * *most / 100, 1) : *most;
  }
  friend bool operator==(const RetryBudget&, const RetryBudget&) = default;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_SCHEDULE_RETRY_BUDGET_H_
