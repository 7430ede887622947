// How a case is to be run, as far as that is decided case by case: by the coordinator, once, as its unit becomes known.
// What each field asks for is done in one place only: an agent is told the time limit and the variables with each
// lease, and nothing of the rest, since the scheduler hands leases out accordingly.

#ifndef DTEST_COORDINATOR_SCHEDULE_CASE_POLICY_H_
#define DTEST_COORDINATOR_SCHEDULE_CASE_POLICY_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "dtest/ids.h"

namespace dtest {

// How cases share processes.
enum class Processes : uint8_t {
  kBatch = 0,  // several cases in one
  kCase = 1,   // one a case
};

struct CasePolicy {
  absl::Duration time_limit = absl::InfiniteDuration();  // of each attempt
  uint32_t retries = 0;                                  // further attempts after a failure
  Processes processes = Processes::kBatch;               // kCase: it has a process of its own
  bool limit_by_history = false;  // `time_limit` is of cases that history does not know: case_times.h has the rule
  std::optional<absl::Duration> slow_after = {};           // it is told to be slow then; nullopt: by history, as well
  absl::Duration retry_delay = absl::ZeroDuration();       // before the first further attempt; doubled for each...
  absl::Duration most_retry_delay = absl::ZeroDuration();  // ...up to this
  bool flaky_fails = false;                                // passed, but not at first, has failed
  std::vector<std::pair<std::string, std::string>> env = {};  // variables of its process, beside the run's
  friend bool operator==(const CasePolicy&, const CasePolicy&) = default;
};

namespace schedule {

using PolicyId = StrongId<struct PolicyIdTag, uint16_t>;

// The different policies of a run, each once: cases are many, policies few, so a case carries two bytes. One thread.
class PolicyTable {
 public:
  // The id of a policy, new or known. O(different policies): once for each of a unit's, not for each case.
  PolicyId IdOf(const CasePolicy& policy) {
    const auto known = std::find(policies_.begin(), policies_.end(), policy);
    const auto id = static_cast<uint16_t>(known - policies_.begin());
    if (known == policies_.end()) policies_.push_back(policy);
    return PolicyId(id);
  }
  const CasePolicy& operator[](PolicyId id) const { return policies_[id.value()]; }

 private:
  std::vector<CasePolicy> policies_;
};

}  // namespace schedule

}  // namespace dtest

#endif  // DTEST_COORDINATOR_SCHEDULE_CASE_POLICY_H_
