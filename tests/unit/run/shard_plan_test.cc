#include "coordinator/run/shard_plan.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "coordinator/run/selection.h"

namespace dtest {
namespace {

bool All(absl::string_view, absl::string_view) { return true; }

Durations FileOf(std::vector<int> seconds) {
  Durations durations;
  for (size_t i = 0; i < seconds.size(); ++i) {
    durations.units["t"][absl::StrCat("S.", i)] = absl::Seconds(seconds[i]);
  }
  return durations;
}

TEST(ShardPlan, LongestFirstToWhomeverHasLeast) {
  const ShardPlan plan(2, FileOf({5, 4, 3, 3, 3}), All);
  EXPECT_EQ(plan.Part("t", "S.0"), 0u);
  EXPECT_EQ(plan.Part("t", "S.1"), 1u);
  EXPECT_EQ(plan.Part("t", "S.2"), 1u);
  EXPECT_EQ(plan.Part("t", "S.3"), 0u);
  EXPECT_EQ(plan.Part("t", "S.4"), 1u);
  EXPECT_EQ(plan.expected()[0], absl::Seconds(8));
  EXPECT_EQ(plan.expected()[1], absl::Seconds(10));
}

TEST(ShardPlan, WhatTheFileDoesNotKnowGoesByHash) {
  const ShardPlan plan(1000, FileOf({1}), All);
  EXPECT_EQ(plan.Part("io_test", "Net.Connect"), ShardOf("io_test", "Net.Connect", 1000));
  EXPECT_EQ(plan.Part("other", "S.0"), ShardOf("other", "S.0", 1000));
  EXPECT_EQ(plan.Part("t", "S.0"), 0u);
}

TEST(ShardPlan, CasesThatWillNotRunAreNotCounted) {
  absl::StatusOr<Selection> selection = Selection::Make({"-S.0"}, 1, 2);
  ASSERT_TRUE(selection.ok());
  selection->DivideBy(FileOf({100, 2, 1, 1}));
  EXPECT_EQ(selection->expected(), std::vector<absl::Duration>(2, absl::Seconds(2)));
}

// Any N, any file, any cases, also on machines that list different ones: each case is in exactly one part.
TEST(ShardPlan, PartsNeitherOverlapNorLeaveOut) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    Durations durations;
    const int known = static_cast<int>(random() % 60);
    for (int i = 0; i < known; ++i) {
      const int64_t kind = random() % 4;
      const absl::Duration duration = kind == 0 ? absl::ZeroDuration()
                                      : kind == 1
                                          ? absl::Seconds(1)
                                          : absl::Nanoseconds(static_cast<int64_t>(random()) << (random() % 20));
      durations.units[absl::StrCat("t", random() % 3)][absl::StrCat("S.", random() % 80)] = duration;
    }
    const uint32_t count = 1 + random() % 70;
    std::vector<Selection> shards;
    for (uint32_t i = 1; i <= count; ++i) {
      const bool filtered = round % 2 == 0;
      shards.push_back(
          *Selection::Make(filtered ? std::vector<std::string>{"-*.1?"} : std::vector<std::string>(), i, count));
      shards.back().DivideBy(durations);
    }
    for (int unit = 0; unit < 4; ++unit) {
      for (int i = 0; i < 100; ++i) {
        const std::string in = absl::StrCat("t", unit), name = absl::StrCat("S.", i);
        const FilterSubject subject = {.unit = in, .info = {.name = name, .suite = "S"}};
        const bool wanted =
            Selection::Make(round % 2 == 0 ? std::vector<std::string>{"-*.1?"} : std::vector<std::string>())
                ->Matches(subject);
        int parts = 0;
        for (const Selection& shard : shards) parts += shard.Matches(subject) ? 1 : 0;
        ASSERT_EQ(parts, wanted ? 1 : 0) << "N " << count << ", t" << unit << " " << name;
      }
    }
  }
}

TEST(ShardPlan, PartsAreAboutEquallyLong) {
  std::mt19937 random(3);
  std::lognormal_distribution<double> seconds(-2, 1.2);
  Durations durations;
  absl::Duration all, longest;
  for (int i = 0; i < 2000; ++i) {
    const absl::Duration one = absl::Seconds(seconds(random));
    durations.units[absl::StrCat("t", i % 7)][absl::StrCat("S.", i)] = one;
    all += one;
    longest = std::max(longest, one);
  }
  for (const uint32_t count : {2u, 5u, 16u}) {
    const ShardPlan plan(count, durations, All);
    for (const absl::Duration part : plan.expected()) {
      EXPECT_LE(part, 1.01 * std::max(all / count, longest)) << count;
      EXPECT_GE(part, 0.99 * all / count) << count;
    }
  }
}

TEST(ShardPlan, NeverChanges) {
  // An upgrade of dtest on some machines must not move cases.
  const ShardPlan plan(3, FileOf({1, 1, 1, 1, 2, 2, 0}), All);
  std::string parts;
  for (int i = 0; i < 7; ++i) absl::StrAppend(&parts, plan.Part("t", absl::StrCat("S.", i)));
  EXPECT_EQ(parts, "2201012");
}

}  // namespace
}  // namespace dtest
