#include "coordinator/settings/options.h"

namespace dtest {

SuccessOutput SuccessOutputOf(const Options& options) {
  return options.success_output.value_or(options.verbosity >= 2 ? SuccessOutput::kImmediate : SuccessOutput::kNever);
}

CasePolicies PoliciesOf(const Options& options) {
  return CasePolicies({.time_limit = options.timeout, .retries = options.retries, .processes = options.processes},
                      options.overrides);
}

bool KeepsAllOutput(const Options& options) {
  return options.junit_success_output || SuccessOutputOf(options) != SuccessOutput::kNever;
}

}  // namespace dtest
