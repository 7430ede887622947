#include "agent/frameworks/framework.h"

namespace dtest {

#define DTEST_FRAMEWORK(id, name, ...) const TestFramework& id##Adapter();
#include "dtest/frameworks.def"
#undef DTEST_FRAMEWORK

const TestFramework* FindFramework(absl::string_view name) {
#define DTEST_FRAMEWORK(id, its_name, ...) \
  if (name == its_name) return &id##Adapter();
#include "dtest/frameworks.def"
#undef DTEST_FRAMEWORK
  return nullptr;
}

const TestFramework* FrameworkThatClaims(absl::string_view output) {
#define DTEST_FRAMEWORK(id, ...) \
  if (id##Adapter().Claims(output)) return &id##Adapter();
#include "dtest/frameworks.def"
#undef DTEST_FRAMEWORK
  return nullptr;
}

}  // namespace dtest
