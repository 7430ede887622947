// The agent's clock: CLOCK_MONOTONIC expressed as an absl::Time, as the cores and the session want it. It has nothing
// to do with the time of day. Any thread.

#ifndef DTEST_AGENT_CLOCK_H_
#define DTEST_AGENT_CLOCK_H_

#include <time.h>

#include "absl/time/time.h"

namespace dtest {

inline absl::Time MonotonicNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::TimeFromTimespec(now);
}

}  // namespace dtest

#endif  // DTEST_AGENT_CLOCK_H_
