#include "dtest/base/version_order.h"

#include <gtest/gtest.h>

namespace dtest {
namespace {

TEST(CompareVersions, ByNumber) {
  EXPECT_LT(CompareVersions("2.4", "2.34"), 0);
  EXPECT_GT(CompareVersions("2.34", "2.4"), 0);
  EXPECT_EQ(CompareVersions("2.34", "2.34"), 0);
  EXPECT_LT(CompareVersions("2.2", "2.2.5"), 0);
  EXPECT_LT(CompareVersions("2.2", "2.2.0"), 0);
  EXPECT_LT(CompareVersions("", "2.0"), 0);
  EXPECT_EQ(CompareVersions("", ""), 0);
}

TEST(CompareVersions, WhatIsNoNumberIsZero) {
  EXPECT_EQ(CompareVersions("2.x", "2.0"), 0);
  EXPECT_EQ(CompareVersions("2.99999999999999999999", "2.0"), 0);
  EXPECT_LT(CompareVersions("2.-5", "2.1"), 0);
}

}  // namespace
}  // namespace dtest
