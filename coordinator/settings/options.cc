#include "coordinator/settings/options.h"

namespace dtest {

SuccessOutput SuccessOutputOf(const Options& options) {
  return options.success_output.value_or(options.verbosity >= 2 ? SuccessOutput::kImmediate : SuccessOutput::kNever);
}

CasePolicies PoliciesOf(const Options& options) {
  return CasePolicies({.time_limit = options.timeout,
                       .retries = options.retries,
                       .processes = options.processes,
                       .limit_by_history = options.timeout_by_history,
                       .slow_after = options.slow_after,
                       .retry_delay = options.retry_delay,
                       .most_retry_delay = options.most_retry_delay,
                       .flaky_fails = options.flaky_fails},
                      options.overrides);
}

bool KeepsAllOutput(const Options& options) {
  return options.junit_success_output || SuccessOutputOf(options) != SuccessOutput::kNever;
}

}  // namespace dtest
