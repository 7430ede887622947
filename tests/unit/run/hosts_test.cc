#include "coordinator/cli/hosts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dtest {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

TEST(ClockRemark, IsOfLargeDifferencesOnly) {
  EXPECT_THAT(ClockRemark(absl::ZeroDuration()), IsEmpty());
  EXPECT_THAT(ClockRemark(absl::Seconds(-2)), IsEmpty()) << "what the host said was under way";
  EXPECT_THAT(ClockRemark(absl::Seconds(200.4)), HasSubstr("its clock is 3m20s ahead of this machine's"));
  EXPECT_THAT(ClockRemark(absl::Hours(-2)), HasSubstr("its clock is 2h behind this machine's"));
}

}  // namespace
}  // namespace dtest
