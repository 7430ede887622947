// The rules by which what history knows of a case says how long it may take, and from when on it is slow.
//
// `high` is what the case takes on a bad day on a host of speed 1 (CaseHistory::high); zero: history does not know it.
// Hosts that are slower are given longer, faster ones no less. Pure.

#ifndef DTEST_COORDINATOR_SCHEDULE_CASE_TIMES_H_
#define DTEST_COORDINATOR_SCHEDULE_CASE_TIMES_H_

#include <algorithm>

#include "absl/time/time.h"
#include "coordinator/schedule/case_policy.h"

namespace dtest::schedule {

// timeout = "auto": ten times what it takes on a bad day, so that no busy host makes a verdict...
inline constexpr double kLimitFactor = 10;
// ...and at least this, since what takes milliseconds may wait for a disk for seconds.
inline constexpr absl::Duration kLeastLimit = absl::Minutes(1);
// No more than the limit of an unknown case, unless that is less than thrice a bad day.
inline constexpr double kLeastFactor = 3;

inline absl::Duration TimeLimitOf(const CasePolicy& policy, absl::Duration high, double speed) {
  if (!policy.limit_by_history || high <= absl::ZeroDuration()) return policy.time_limit;
  const absl::Duration bad_day = high / std::min(speed, 1.0);
  const absl::Duration most = std::max(policy.time_limit, kLeastFactor * bad_day);
  return std::min(std::max(kLimitFactor * bad_day, kLeastLimit), most);
}

// slow = "auto": twice what it takes on a bad day, but what takes seconds is nobody's worry; without history as
// nextest.
inline constexpr double kSlowFactor = 2;
inline constexpr absl::Duration kLeastSlow = absl::Seconds(10);
inline constexpr absl::Duration kSlowUnknown = absl::Minutes(1);

inline absl::Duration SlowAfter(const CasePolicy& policy, absl::Duration high, double speed) {
  if (policy.slow_after.has_value()) return *policy.slow_after;
  if (high <= absl::ZeroDuration()) return kSlowUnknown;
  return std::max(kSlowFactor * high / std::min(speed, 1.0), kLeastSlow);
}

// Before the further attempt of a case that has failed so often.
inline absl::Duration RetryDelay(const CasePolicy& policy, uint32_t failures) {
  absl::Duration delay = policy.retry_delay;
  for (uint32_t i = 1; i < failures && delay < policy.most_retry_delay; ++i) {
    delay = std::min(delay * 2, policy.most_retry_delay);
  }
  return delay;
}

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_CASE_TIMES_H_
