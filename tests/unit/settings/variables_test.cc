#include "coordinator/settings/variables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Variables, OneASetting) {
  const VariableSettings read =
      ReadVariables({{"DTEST_RETRIES", "2"}, {"DTEST_DATA", "a/**\nb c"}, {"DTEST_JUNIT", ""}, {"RETRIES", "5"}});
  ASSERT_EQ(read.layer.size(), 2u) << "an empty one counts as unset";
  EXPECT_STREQ(read.layer[0].setting->name, "data");
  EXPECT_THAT(read.layer[0].values, ElementsAre("a/**", "b c"));
  EXPECT_STREQ(read.layer[1].setting->name, "retries");
  EXPECT_EQ(read.layer[1].origin, "DTEST_RETRIES");
  EXPECT_TRUE(read.warnings.empty());
}

TEST(Variables, WhatTestsSeeIsNoSetting) {
  const VariableSettings read = ReadVariables(
      {{"DTEST_HOST", "h1"}, {"DTEST_SLOT", "0"}, {"DTEST_RUN_ID", "x"}, {"DTEST_ENVIRONMENT", "/opt/env"}});
  EXPECT_TRUE(read.layer.empty()) << "dtest may run in a test of dtest";
  EXPECT_TRUE(read.warnings.empty());
}

TEST(Variables, ASettingWithoutAVariableIsTold) {
  EXPECT_THAT(ReadVariables({{"DTEST_ENV", "A=1"}}).warnings,
              ElementsAre(HasSubstr("DTEST_ENV is not read: give --env")));
}

TEST(Variables, SlipsAreTold) {
  const VariableSettings read = ReadVariables({{"DTEST_RETRYS", "2"}, {"DTEST_GOOGLETEST", "elsewhere"}});
  EXPECT_TRUE(read.layer.empty());
  EXPECT_THAT(read.warnings,
              ElementsAre(HasSubstr("DTEST_RETRYS is no variable of dtest's; did you mean 'DTEST_RETRIES'?")));
}

}  // namespace
}  // namespace dtest
