#include "coordinator/settings/overrides.h"

#include <algorithm>

namespace dtest {

CasePolicies::OfUnit CasePolicies::Resolve(absl::string_view unit, const CaseInfos& cases,
                                           const std::vector<uint32_t>& selected) const {
  OfUnit resolved;
  if (overrides_.empty()) {
    resolved.policies = {base_};
    resolved.of_case.assign(selected.size(), 0);
    return resolved;
  }
  resolved.of_case.reserve(selected.size());
  FilterSubject subject;
  subject.unit = unit;
  for (const uint32_t index : selected) {
    subject.info = cases[index];
    CasePolicy policy = base_;
    for (const PolicyOverride& one : overrides_) {
      if (!one.filter.Matches(subject)) continue;
      policy.time_limit = one.time_limit.value_or(policy.time_limit);
      policy.retries = one.retries.value_or(policy.retries);
      policy.processes = one.processes.value_or(policy.processes);
    }
    // Neighbours most often have the same.
    auto known = std::find(resolved.policies.rbegin(), resolved.policies.rend(), policy);
    if (known == resolved.policies.rend()) {
      resolved.policies.push_back(policy);
      known = resolved.policies.rbegin();
    }
    resolved.of_case.push_back(static_cast<uint16_t>(resolved.policies.rend() - known - 1));
  }
  if (resolved.policies.empty()) resolved.policies.push_back(base_);
  return resolved;
}

bool CasePolicies::MayRetry() const {
  return base_.retries > 0 || std::any_of(overrides_.begin(), overrides_.end(), [](const PolicyOverride& one) {
           return one.retries.value_or(0) > 0;
         });
}

}  // namespace dtest
