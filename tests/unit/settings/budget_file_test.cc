#include "coordinator/settings/budget_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dtest {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(BudgetFile, WhatItSays) {
  const BudgetFile file = *ParseBudgetFile(
      "baseline = 'durations.json'\nfactor = 1.5\nslack = '1s'\n[[case]]\nfilter = 'suite(Net)'\nmax = '2s'\n"
      "[[case]]\nfilter = 'Disk'\nmax = 'none'\n",
      "/d/budget.toml");
  EXPECT_EQ(file.baseline, "/d/durations.json");
  EXPECT_EQ(file.factor, 1.5);
  EXPECT_EQ(file.slack, absl::Seconds(1));
  ASSERT_EQ(file.entries.size(), 2u);
  EXPECT_EQ(file.entries[0].filter_text, "suite(Net)");
  EXPECT_EQ(file.entries[0].most, absl::Seconds(2));
  EXPECT_EQ(file.entries[0].origin, "/d/budget.toml:4");
  EXPECT_EQ(file.entries[1].most, absl::InfiniteDuration());
  EXPECT_EQ(ParseBudgetFile("baseline = '/e/d.json'", "budget.toml")->baseline, "/e/d.json");
  EXPECT_EQ(ParseBudgetFile("baseline = 'd.json'", "budget.toml")->baseline, "./d.json");
  EXPECT_EQ(ParseBudgetFile("baseline = 'd.json'\nfactor = 3", "budget.toml")->factor, 3);
}

TEST(BudgetFile, ABaselineIsABudget) {
  const BudgetFile file = *ParseBudgetFile(" {\n  \"dtest_durations\": 1}", "d.json");
  EXPECT_EQ(file.baseline, "d.json");
  EXPECT_EQ(file.factor, 2);
  EXPECT_EQ(file.slack, absl::Milliseconds(100));
}

TEST(BudgetFile, AllItsMistakesAreTold) {
  const std::string wrong(
      ParseBudgetFile("factr = 2\nfactor = 0.5\nslack = 'soon'\nbaseline = ''\n[[case]]\nmax = '1s'\n"
                      "[[case]]\nfilter = 'a'\nmaximum = '1s'\n[[case]]\nfilter = 'b'\nmax = 0\n",
                      "b.toml")
          .status()
          .message());
  EXPECT_THAT(wrong,
              AllOf(HasSubstr("b.toml:1:1: unknown key 'factr' of a budget; it has baseline, factor, slack, case; "
                              "did you mean 'factor'?"),
                    HasSubstr("b.toml:2:10: factor: give a number from 1 to 1000"),
                    HasSubstr("b.toml:3:9: slack: 'soon' is not a duration"),
                    HasSubstr("b.toml:4:12: baseline: give the name of a file")));
  EXPECT_THAT(wrong, AllOf(HasSubstr("b.toml:5:1: a case of a budget needs a filter"),
                           HasSubstr("b.toml:7:1: a case of a budget needs a max"),
                           HasSubstr("b.toml:9:1: unknown key 'maximum' of a case of a budget; it has filter, max"),
                           HasSubstr("b.toml:12:7: max: '0' is not a duration"), HasSubstr("12 | max = 0\n")));
  EXPECT_THAT(std::string(ParseBudgetFile("", "b.toml").status().message()),
              HasSubstr("a budget needs a baseline or a [[case]]"));
  EXPECT_THAT(std::string(ParseBudgetFile("case = 1", "b.toml").status().message()), HasSubstr("cases are tables"));
  EXPECT_THAT(std::string(ReadBudgetFile("/nowhere/b.toml").status().message()),
              HasSubstr("cannot read /nowhere/b.toml"));
}

}  // namespace
}  // namespace dtest
