// CLOCK_MONOTONIC as an absl::Time, as the cores, the session and the loops want it. It has nothing to do with the time
// of day (a run's loop adds that itself), and never jumps. Any thread.
//
// It stands still while the machine is suspended, as the tests do: limits of cases rely on that. With CLOCK_BOOTTIME
// every running case would time out at the end of a suspend, and a local agent would leave although its coordinator
// had slept with it.
// What that costs: an agent that slept alone, for longer than its lease, runs on until it is told of its stream's end.

#ifndef DTEST_BASE_CLOCK_H_
#define DTEST_BASE_CLOCK_H_

#include <time.h>

#include "absl/time/time.h"

namespace dtest {

inline absl::Time MonotonicNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::TimeFromTimespec(now);
}

}  // namespace dtest

#endif  // DTEST_BASE_CLOCK_H_
