#include "agent/frameworks/framework.h"

#include "agent/frameworks/googletest.h"
#include "agent/frameworks/plain.h"

namespace dtest {

const TestFramework& FrameworkFor(Framework framework) {
  static const GoogleTestFramework googletest;
  static const PlainFramework plain;
  if (framework == Framework::kGoogleTest) return googletest;
  return plain;
}

}  // namespace dtest
