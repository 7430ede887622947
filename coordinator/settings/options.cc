#include "coordinator/settings/options.h"

#include <utility>
#include <vector>

namespace dtest {

SuccessOutput SuccessOutputOf(const Options& options) {
  return options.success_output.value_or(options.verbosity >= 2 ? SuccessOutput::kImmediate : SuccessOutput::kNever);
}

CasePolicies PoliciesOf(const Options& options) {
  std::vector<PolicyOverride> overrides = options.overrides;
  overrides.insert(overrides.end(), options.exclusive.begin(), options.exclusive.end());
  return CasePolicies({.time_limit = options.timeout,
                       .retries = options.retries,
                       .processes = options.processes,
                       .limit_by_history = options.timeout_by_history,
                       .slow_after = options.slow_after,
                       .retry_delay = options.retry_delay,
                       .most_retry_delay = options.most_retry_delay,
                       .flaky_fails = options.flaky_fails,
                       .sandbox = SandboxOf(options.network)},
                      std::move(overrides), options.locks);
}

bool KeepsAllOutput(const Options& options) {
  return options.junit_success_output || SuccessOutputOf(options) != SuccessOutput::kNever;
}

}  // namespace dtest
