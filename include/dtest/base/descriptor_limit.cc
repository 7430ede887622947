#include "dtest/base/descriptor_limit.h"

#include <sys/resource.h>

namespace dtest {
namespace {

rlimit found_limit = {0, 0};  // rlim_max is 0: nothing was raised

}  // namespace

void RaiseDescriptorLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  const rlimit raised = {limit.rlim_max, limit.rlim_max};
  if (setrlimit(RLIMIT_NOFILE, &raised) == 0) found_limit = limit;
}

void RestoreDescriptorLimit() {
  if (found_limit.rlim_max != 0) setrlimit(RLIMIT_NOFILE, &found_limit);
}

}  // namespace dtest
