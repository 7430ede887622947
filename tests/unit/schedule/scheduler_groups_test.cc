// Cases that are to be in one process, one after the other.

#include "scheduler_fixture.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class GroupsTest : public SchedulerFixture {
 protected:
  // A unit whose cases are of these groups, 0 for none, and are expected to take `seconds`; negative: nobody knows.
  void Unit(uint32_t e, const std::vector<uint32_t>& groups, const std::vector<double>& seconds) {
    Add(e);
    CasesKnown known;
    known.unit = UnitId(e);
    known.policies = {policy_};
    known.group_of = groups;
    for (size_t k = 0; k < groups.size(); ++k) {
      SelectedCase& one = known.cases.emplace_back(SelectedCase{static_cast<uint32_t>(k)});
      const double expected = seconds[k % seconds.size()];
      if (expected >= 0) one.expected = absl::Seconds(expected);
      known.suite_of.push_back(0);
    }
    Do(known);
    Complete();
  }
  std::vector<std::vector<uint32_t>> Given(const std::vector<SchedulerAction>& actions) const {
    std::vector<std::vector<uint32_t>> cases;
    for (const auto& given : Leases(actions)) cases.push_back(given.indices);
    return cases;
  }
};

TEST_F(GroupsTest, AGroupIsOneLeaseWhereverItsCasesStandAndHoweverLongTheyAre) {
  Start(Hosts(2));
  Join(0, 2);
  Join(1, 2);
  Unit(0, {1, 0, 2, 1, 0, 2, 1}, {20});
  EXPECT_THAT(Given(all),
              testing::UnorderedElementsAre(ElementsAre(0, 3, 6), ElementsAre(2, 5), ElementsAre(1), ElementsAre(4)));
}

TEST_F(GroupsTest, TheLongestGroupIsHandedOutFirst) {
  Start(Hosts(1));
  Join(0, 1);
  Unit(0, {1, 1, 0, 2, 2, 2}, {10, 10, 25, 10, 10, 10});
  ASSERT_THAT(Given(all), SizeIs(1));
  EXPECT_THAT(Given(all)[0], ElementsAre(3, 4, 5));
}

TEST_F(GroupsTest, ShortGroupsShareABatchAndNoneIsCut) {
  Start(Hosts(2));
  Join(0, 1);
  Join(1, 1);
  std::vector<uint32_t> groups;
  for (uint32_t k = 0; k < 3000; ++k) groups.push_back(k / 3 + 1);
  Unit(0, groups, {0.01});
  RunToTheEnd();
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
  EXPECT_LT(Leases(all).size(), 1000u);
  for (const auto& given : Leases(all)) {
    EXPECT_EQ(given.indices.size() % 3, 0u);
    EXPECT_EQ(given.indices[0] % 3, 0u);
  }
}

TEST_F(GroupsTest, AFurtherAttemptWaitsForTheRestOfTheGroup) {
  policy_.retries = 1;
  Start(Hosts(2));
  Join(0, 1);
  Join(1, 1);
  Unit(0, {1, 1, 1}, {20});
  const auto first = Leases(all)[0];
  Results failed{first.lease.id, UnitId(0), {Result(first.lease.cases[0], Outcome::kFailed)}, false, {}};
  From(first.host, failed);
  EXPECT_THAT(Leases(turn), IsEmpty()) << "the other host is free, but the group is not";
  After(absl::Seconds(2));
  Results rest{first.lease.id, UnitId(0), {}, true, {}};
  for (const size_t k : {1, 2}) rest.results.push_back(Result(first.lease.cases[k]));
  From(first.host, rest);
  ASSERT_THAT(Leases(turn), SizeIs(1));
  EXPECT_THAT(Leases(turn)[0].indices, ElementsAre(0));
  RunAll(Leases(turn)[0]);
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

TEST_F(GroupsTest, WhatALostHostLeavesOfAGroupStaysTogetherAndApartFromItsSuspect) {
  Start(Hosts(3));
  for (const uint32_t h : {0, 1, 2}) Join(h, 1);
  Unit(0, {1, 1, 1, 1}, {20});
  const auto lost = Leases(all)[0];
  From(lost.host, Prepared{UnitId(0), ""});
  From(lost.host, Results{lost.lease.id, UnitId(0), {Result(lost.lease.cases[0])}, false, {}});
  Gone(lost.host);
  After(absl::Seconds(2));
  Do(Tick());
  std::vector<SchedulerFixture::Given> later = Leases(all);
  ASSERT_THAT(later, SizeIs(2)) << "one of the two at a time";
  RunAll(later[1]);
  later = Leases(all);
  ASSERT_THAT(later, SizeIs(3));
  EXPECT_THAT((std::vector{later[1].indices, later[2].indices}),
              testing::UnorderedElementsAre(ElementsAre(1), ElementsAre(2, 3)));
  RunAll(later[2]);
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

TEST_F(GroupsTest, AnotherIterationWaitsAndOtherCasesDoNot) {
  SchedulerOptions options = Hosts(2);
  options.repeat = 2;
  Start(options);
  Join(0, 1);
  Join(1, 1);
  Unit(0, {1, 1, 0}, {20, 20, 5});
  const auto group = Leases(all)[0];
  EXPECT_THAT(group.indices, ElementsAre(0, 1));
  EXPECT_EQ(Leases(all)[1].indices, std::vector<uint32_t>{2});
  RunAll(Leases(all)[1]);
  for (const auto& given : Leases(turn)) EXPECT_THAT(given.indices, ElementsAre(2)) << "of the second iteration";
  RunToTheEnd();
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

TEST_F(GroupsTest, CasesWithAProcessOfTheirOwnAreInNone) {
  Start(OneProcessACase(2));
  Join(0, 1);
  Join(1, 1);
  Unit(0, {1, 1}, {20});
  EXPECT_THAT(Given(all), testing::UnorderedElementsAre(ElementsAre(0), ElementsAre(1)));
}

}  // namespace
}  // namespace dtest
