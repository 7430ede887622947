// Cases that are to be in one process, one after the other.

#include <map>
#include <set>

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

  // Suites of `each` cases of `seconds` and a last one of `rest`, each of which cost `setup` to begin with in earlier
  // runs.
  void Suites(uint32_t each, uint32_t count, double seconds, uint32_t rest, absl::Duration setup) {
    Add(0);
    CasesKnown known;
    known.unit = UnitId(0);
    known.policies = {policy_};
    known.suite_setup = setup;
    for (uint32_t k = 0; k < each * count + rest; ++k) {
      known.cases.push_back(SelectedCase{k, absl::Seconds(seconds)});
      known.suite_of.push_back(std::min(k / each, count));
    }
    Do(known);
    Complete();
  }
  // `count` suites of `each` cases, of which nobody knows anything.
  void NewSuites(uint32_t each, uint32_t count) {
    Add(0);
    CasesKnown known;
    known.unit = UnitId(0);
    known.policies = {policy_};
    for (uint32_t k = 0; k < each * count; ++k) {
      known.cases.push_back(SelectedCase{k, std::nullopt});
      known.suite_of.push_back(k / each);
    }
    Do(known);
    Complete();
  }
  // The whole lease: each case takes 0.1 s, and the first of each of its suites makes what they share.
  void RunWithSetup(const SchedulerFixture::Given& given, uint32_t each, absl::Duration setup) {
    ended_.insert(given.lease.id.value());
    Results results{given.lease.id, UnitId(0), {}, true, absl::Milliseconds(10)};
    uint32_t suite = UINT32_MAX;
    for (const LeasedCase& c : given.lease.cases) {
      const bool begins = c.index / each != suite;
      suite = c.index / each;
      const absl::Duration shared = begins ? setup : absl::ZeroDuration();
      results.results.push_back(Result(c, Outcome::kPassed, absl::Milliseconds(100) + shared));
      results.results.back().shared = shared;
    }
    From(given.host, results);
  }
  SchedulerFixture::Given NextToEnd() const {
    for (const auto& given : Leases(all)) {
      if (!ended_.contains(given.lease.id.value())) return given;
    }
    return {};
  }
  // Of all leases so far.
  bool EachSuiteIsInOneLease(uint32_t each, uint32_t count) const {
    std::vector<int> leases(count);
    for (const auto& given : Leases(all)) {
      std::set<uint32_t> suites;
      for (const uint32_t index : given.indices) suites.insert(std::min(index / each, count));
      for (const uint32_t suite : suites) {
        if (suite < count) ++leases[suite];
      }
    }
    return std::all_of(leases.begin(), leases.end(), [](int n) { return n == 1; });
  }

  std::set<uint64_t> ended_;      // leases
  std::map<uint32_t, int> runs_;  // of each case
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

TEST_F(GroupsTest, SuitesThatCostMuchToBeginWithAreKeptTogether) {
  for (const bool dear : {false, true}) {
    all.clear();
    Start(Hosts(2));
    Join(0, 2);
    Join(1, 2);
    Suites(10, 20, 0.4, 0, dear ? absl::Seconds(1) : absl::ZeroDuration());
    RunToTheEnd(absl::Milliseconds(400));
    EXPECT_EQ(Finished(), RunEnd::kCompleted);
    EXPECT_EQ(EachSuiteIsInOneLease(10, 20), dear);
  }
}

TEST_F(GroupsTest, OneThatWouldTakeMoreThanHalfOfASlotIsDividedIntoFewParts) {
  Start(Hosts(4));
  for (uint32_t h = 0; h < 4; ++h) Join(h);
  Suites(10, 8, 0.6, 100, absl::Seconds(5));  // 48 s, and 60 s of one suite; each case is longer than a short one
  RunToTheEnd(absl::Milliseconds(600));
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
  EXPECT_TRUE(EachSuiteIsInOneLease(10, 8));
  int of_the_long_one = 0;
  for (const auto& given : Leases(all)) of_the_long_one += given.indices.back() >= 80;
  EXPECT_GE(of_the_long_one, 4) << "half of a slot is 13.5 s";
  EXPECT_LE(of_the_long_one, 6);
}

TEST_F(GroupsTest, AnUnknownCaseOrOneWithNeedsLeavesItsSuiteTogether) {
  Start(Hosts(1));
  Join(0, 4);
  Add(0);
  CasesKnown known;
  known.unit = UnitId(0);
  known.policies = {policy_, policy_};
  known.policies[1].locks = {{"port", 1, LockScope::kFarm}};
  known.suite_setup = absl::Seconds(2);
  for (uint32_t k = 0; k < 60; ++k) {
    SelectedCase& one = known.cases.emplace_back(SelectedCase{k, absl::Milliseconds(600)});
    if (k % 6 == 2) one.expected.reset();
    if (k % 6 == 4) one.policy = 1;
    known.suite_of.push_back(k / 6);
  }
  Do(known);
  Complete();
  RunToTheEnd(absl::Milliseconds(600));
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
  std::map<uint32_t, int> leases;  // of a suite's cases without needs
  for (const auto& given : Leases(all)) {
    if (given.indices[0] % 6 != 4) ++leases[given.indices[0] / 6];
  }
  EXPECT_THAT(leases, SizeIs(10));
  for (const auto& [suite, count] : leases) EXPECT_EQ(count, 1);
}

TEST_F(GroupsTest, NothingWaitsForASuiteThatIsOnlyKeptTogether) {
  policy_.retries = 1;
  Start(Hosts(2));
  Join(0);
  Join(1);
  Suites(4, 2, 1, 0, absl::Seconds(4));
  const auto first = Leases(all)[0], second = Leases(all)[1];
  RunAll(second);
  Results failed{first.lease.id, UnitId(0), {Result(first.lease.cases[0], Outcome::kFailed)}, false, {}};
  From(first.host, failed);
  ASSERT_THAT(Leases(turn), SizeIs(1)) << "the rest of it still runs";
  EXPECT_THAT(Leases(turn)[0].indices, ElementsAre(first.indices[0]));
}

TEST_F(GroupsTest, WhatASuiteCostsIsLearntFromWhatCasesMakeForOthers) {
  Start(Hosts(1));
  Join(0);
  Suites(2, 3, 0.1, 0, absl::ZeroDuration());
  const auto given = Leases(all)[0];
  Results results{given.lease.id, UnitId(0), {}, true, absl::Seconds(4)};
  uint32_t suites = 0;
  for (const LeasedCase& c : given.lease.cases) {
    CaseResult& result = results.results.emplace_back(Result(c, Outcome::kPassed, absl::Seconds(3)));
    if (c.index % 2 == 0) result.shared = absl::Seconds(2);
    suites += c.index % 2 == 0;
  }
  results.results[0].shared += absl::Seconds(4);  // of all of them: start-up has it
  results.results[0].duration += absl::Seconds(4);
  From(0, results);
  EXPECT_EQ(scheduler_->SuiteSetup(UnitId(0)), absl::Seconds(2));
  EXPECT_GT(suites, 0u);
}

TEST_F(GroupsTest, WhatThisRunTeachesKeepsSuitesTogetherFromThenOn) {
  Start(Hosts(1));
  Join(0, 2);
  NewSuites(10, 6);
  const auto first = Leases(all)[0];
  ASSERT_THAT(first.indices, ElementsAre(0, 1, 2, 3)) << "nothing is known yet";
  const size_t given = Leases(all).size();
  RunWithSetup(first, 10, absl::Seconds(2));
  while (Leases(all).size() > ended_.size()) RunWithSetup(NextToEnd(), 10, absl::Seconds(2));
  std::set<uint32_t> suites, divided;
  const std::vector<SchedulerFixture::Given> leases = Leases(all);
  for (size_t k = given; k < leases.size(); ++k) {
    std::set<uint32_t> of_lease;
    for (const uint32_t index : leases[k].indices) of_lease.insert(index / 10);
    for (const uint32_t suite : of_lease) {
      if (!suites.insert(suite).second) divided.insert(suite);
    }
  }
  EXPECT_THAT(suites, SizeIs(testing::Ge(4u)));
  EXPECT_THAT(divided, IsEmpty());
}

TEST_F(GroupsTest, ASuiteIsNotKeptTogetherForMoreUnknownCasesThanWhatWasSeenWarrants) {
  Start(Hosts(1));
  Join(0, 2);
  NewSuites(100, 2);
  RunWithSetup(Leases(all)[0], 100, absl::Seconds(20));
  for (const auto& given : Leases(turn)) EXPECT_THAT(given.indices, SizeIs(testing::Le(32u)));
  while (Leases(all).size() > ended_.size()) RunWithSetup(NextToEnd(), 100, absl::Seconds(20));
  size_t most = 0;
  for (const auto& given : Leases(all)) most = std::max(most, given.indices.size());
  EXPECT_GT(most, 40u) << "and yet, once enough was seen";
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

TEST_F(GroupsTest, CasesWithAProcessOfTheirOwnGoOneAfterTheOther) {
  Start(OneProcessACase(2));
  Join(0, 1);
  Join(1, 1);
  Unit(0, {1, 1, 0}, {20});
  EXPECT_THAT(Given(all), testing::UnorderedElementsAre(ElementsAre(0), ElementsAre(2)));
  RunAll(Leases(all)[0]);
  RunToTheEnd();
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

TEST_F(GroupsTest, CasesWithNeedsGoOneAfterTheOtherAndWaitForTheRest) {
  Start(Hosts(2));
  Join(0, 2);
  Join(1, 2);
  CasesKnown known;
  known.unit = UnitId(0);
  known.policies = {CasePolicy(), CasePolicy{.slots = 2}};
  for (uint32_t k = 0; k < 4; ++k) {
    known.cases.push_back({k, absl::Seconds(20), absl::ZeroDuration(), static_cast<uint16_t>(k / 2)});
  }
  known.suite_of = {0, 0, 0, 0};
  known.group_of = {1, 1, 1, 1};
  Add(0);
  Do(known);
  Complete();
  for (size_t k = 0; k < 3; ++k) {
    ASSERT_THAT(Leases(all), SizeIs(k + 1)) << "one of the group at a time";
    After(absl::Seconds(1));
    RunAll(Leases(all)[k]);
  }
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

TEST_F(GroupsTest, WhatIsToBeFirstGoesBeforeLongGroups) {
  Start(Hosts(1));
  Join(0, 1);
  Add(0);
  CasesKnown known;
  known.unit = UnitId(0);
  for (uint32_t k = 0; k < 5; ++k) {
    SelectedCase& one = known.cases.emplace_back(SelectedCase{k, absl::Seconds(k < 4 ? 10 : 0.1)});
    one.first = k == 4;
    known.suite_of.push_back(0);
  }
  known.group_of = {1, 1, 2, 2, 3};
  Do(known);
  ASSERT_THAT(Leases(all), SizeIs(testing::Ge(1u)));
  EXPECT_THAT(Leases(all)[0].indices, ElementsAre(4));
}

TEST_F(GroupsTest, ALongCaseGoesBeforeAGroupThatIsLessLong) {
  Start(Hosts(1));
  Join(0, 1);
  Unit(0, {1, 1, 0, 2}, {1, 1, 3, 1});
  EXPECT_THAT(Given(all)[0], ElementsAre(2));
}

TEST_F(GroupsTest, ALargeGroupThatWaitsIsInNobodysWay) {
  SchedulerOptions options = Hosts(2);
  options.repeat = 2;
  Start(options);
  Join(0, 1);
  std::vector<uint32_t> groups(3000, 1);
  groups.push_back(2);
  groups.push_back(3);
  Unit(0, groups, {0.1});
  const auto large = Leases(all)[0];
  ASSERT_THAT(large.indices, SizeIs(3000));
  Join(1, 1);
  // The other host has all the rest, of both iterations, while the first still runs the large group.
  for (int turns = 0; turns < 20; ++turns) {
    const std::vector<SchedulerFixture::Given> leases = Leases(all);
    for (size_t k = 1; k < leases.size(); ++k) {
      if (!ended_.insert(leases[k].lease.id.value()).second) continue;
      EXPECT_LT(leases[k].indices.size(), 3000u);
      for (const uint32_t index : leases[k].indices) ++runs_[index];
      RunAll(leases[k]);
    }
  }
  EXPECT_EQ(runs_[3000], 2);
  EXPECT_EQ(runs_[3001], 2);
}

TEST_F(GroupsTest, StressSaysThatTheyAreNotKeptApart) {
  SchedulerOptions options = Hosts(1);
  options.stress = StressLimits{absl::Seconds(10), 3};
  Start(options);
  Join(0, 2);
  Unit(0, {1, 1}, {5});
  ASSERT_THAT(Of<Warn>(all), SizeIs(1));
  EXPECT_THAT(Of<Warn>(all)[0].text, testing::HasSubstr("--stress"));
}

}  // namespace
}  // namespace dtest
