// Invariants: a broken one is a bug of ours, and going on would hide it.

#ifndef DTEST_COORDINATOR_SCHEDULE_CHECK_H_
#define DTEST_COORDINATOR_SCHEDULE_CHECK_H_

#include <cstdio>
#include <cstdlib>

namespace dtest::schedule {

inline void Check(bool holds, const char* invariant) {
  if (holds) return;
  std::fprintf(stderr, "scheduler invariant broken: %s\n", invariant);
  std::abort();
}

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_CHECK_H_
