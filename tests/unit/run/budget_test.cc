#include "coordinator/run/budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

CaseInfos Cases() {
  CaseInfos cases;
  cases.Add({.name = "Net.A", .suite = "Net"});
  cases.Add({.name = "Net.B", .suite = "Net"});
  cases.Add({.name = "Disk.A", .suite = "Disk"});
  return cases;
}

Budget MakeBudget() {
  BudgetFile file;
  file.shown = "budget.toml";
  file.baseline = "d.json";
  file.entries = {{"suite(Net)", *Filter::Parse("suite(Net)"), absl::Seconds(2), "budget.toml:4"},
                  {"Net.B", *Filter::Parse("Net.B"), absl::InfiniteDuration(), "budget.toml:8"},
                  {"Gone", *Filter::Parse("Gone"), absl::Seconds(1), "budget.toml:12"}};
  Durations baseline;
  baseline.units["t"]["Net.A"] = absl::Seconds(50);
  baseline.units["t"]["Disk.A"] = absl::Seconds(1);
  return Budget(std::move(file), std::move(baseline));
}

TEST(Budget, TheLastEntryThatMatchesIsStrongerThanTheBaseline) {
  Budget budget = MakeBudget();
  std::vector<absl::Duration> most;
  for (const Budget::Limit& limit : budget.LimitsOf("t", Cases())) most.push_back(limit.most);
  EXPECT_THAT(most, ElementsAre(absl::Seconds(2), absl::InfiniteDuration(), absl::Milliseconds(2100)));
  EXPECT_EQ(budget.LimitsOf("another", Cases())[2].most, absl::InfiniteDuration());
  EXPECT_THAT(budget.Unmatched({}), ElementsAre("the budget of 'Gone' (budget.toml:12) matches no case: drop it"));
  EXPECT_THAT(budget.Unmatched({{"other_test", "Gone.Case", {}}}), IsEmpty());
}

TEST(Budget, WhatTakesLongerHasFailed) {
  Budget budget = MakeBudget();
  const std::vector<Budget::Limit> limits = budget.LimitsOf("t", Cases());
  EXPECT_EQ(budget.Excess(limits[0], absl::Seconds(2), 1), std::nullopt);
  EXPECT_EQ(budget.Excess(limits[0], absl::Milliseconds(2500), 1),
            "over its budget: it took 2.500 s, and may take 2.000 s (budget.toml:4)");
  EXPECT_EQ(budget.Excess(limits[0], absl::Seconds(4), 0.5), std::nullopt) << "a slow host";
  EXPECT_EQ(budget.Excess(limits[0], absl::Seconds(5), 0.5),
            "over its budget: it took 5.000 s (2.500 s on an average host), and may take 2.000 s (budget.toml:4)");
  EXPECT_NE(budget.Excess(limits[0], absl::Milliseconds(2001), 2), std::nullopt);
  EXPECT_EQ(budget.Excess(limits[1], absl::Hours(1), 1), std::nullopt);
  EXPECT_EQ(budget.Excess(limits[2], absl::Seconds(3), 1),
            "over its budget: it took 3.000 s, and may take 2.100 s (2 times what it took in d.json, and 100ms)");
}

TEST(Budget, NoneAllowsEverything) { EXPECT_THAT(Budget().LimitsOf("t", Cases()), IsEmpty()); }

}  // namespace
}  // namespace dtest
