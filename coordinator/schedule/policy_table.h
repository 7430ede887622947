// The different policies of a run, each once: cases are many, policies few, so a case carries two bytes. One thread.

#ifndef DTEST_COORDINATOR_SCHEDULE_POLICY_TABLE_H_
#define DTEST_COORDINATOR_SCHEDULE_POLICY_TABLE_H_

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "coordinator/schedule/case_policy.h"
#include "coordinator/schedule/check.h"
#include "coordinator/schedule/ids.h"
#include "coordinator/schedule/needs.h"

namespace dtest::schedule {

class PolicyTable {
 public:
  explicit PolicyTable(NeedsTable* needs) : needs_(*needs) {}

  // The id of a policy, new or known. O(different policies): once for each of a unit's, not for each case.
  PolicyId IdOf(const CasePolicy& policy) {
    const auto known = std::find(policies_.begin(), policies_.end(), policy);
    const auto id = static_cast<uint16_t>(known - policies_.begin());
    Check(policies_.size() < UINT16_MAX, "a run has no more different policies than two bytes tell apart");
    if (known == policies_.end()) {
      policies_.push_back(policy);
      needs_of_.push_back(needs_.IdOf(policy));
    }
    return PolicyId(id);
  }
  const CasePolicy& operator[](PolicyId id) const { return policies_[id.value()]; }
  // kNoNeeds: none.
  NeedsId NeedsOf(PolicyId id) const { return needs_of_[id.value()]; }
  NeedsTable& needs() { return needs_; }

 private:
  NeedsTable& needs_;
  std::vector<CasePolicy> policies_;
  std::vector<NeedsId> needs_of_;
};

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_POLICY_TABLE_H_
