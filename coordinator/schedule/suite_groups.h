// Which suites that cost much to begin with are handed out whole, and how one that is too long for that is divided.
//
// Pure; no state.

#ifndef DTEST_COORDINATOR_SCHEDULE_SUITE_GROUPS_H_
#define DTEST_COORDINATOR_SCHEDULE_SUITE_GROUPS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace dtest::schedule {

// A case that may share a process, of cases in the order in which they run.
struct SuiteCase {
  uint32_t suite = 0;
  std::optional<absl::Duration> expected;  // nullopt: what the others of its suite take
};

struct SuiteCosts {
  absl::Duration setup;  // to begin with a suite, on average
  absl::Duration
      half_of_a_slot;  // of what there is to do: no part is expected to take much more, nor less than `setup`
  // Whether a suite whose cases are expected to take so long should be in one lease.
  absl::FunctionRef<bool(absl::Duration)> keeps_together;
};

// The group of each case, parallel to them, numbered from `first` on; 0: it is in none. A suite of which nothing is
// expected is in none.
std::vector<uint32_t> GroupSuites(absl::Span<const SuiteCase> cases, const SuiteCosts& costs, uint32_t first);

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_SUITE_GROUPS_H_
