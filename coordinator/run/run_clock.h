// The clock of a run: the time of day as it was when the run began, and from then on as much later as CLOCK_MONOTONIC
// says. The wall clock may jump while tests run; this one does not, and still says the time of day. Any thread.
//
// In microseconds, as the event log has it: a report of the log is then the report of the run.

#ifndef DTEST_COORDINATOR_RUN_RUN_CLOCK_H_
#define DTEST_COORDINATOR_RUN_RUN_CLOCK_H_

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "dtest/base/clock.h"

namespace dtest {

class RunClock {
 public:
  RunClock() : began_(absl::FromUnixMicros(absl::ToUnixMicros(absl::Now()))), began_monotonic_(MonotonicNow()) {}

  absl::Time Now() const { return began_ + absl::Trunc(MonotonicNow() - began_monotonic_, absl::Microseconds(1)); }

 private:
  const absl::Time began_;
  const absl::Time began_monotonic_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_RUN_CLOCK_H_
