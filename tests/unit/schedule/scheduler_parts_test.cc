// The parts of the scheduler that are worth looking at alone: the tournament tree, the cost model, lists of cases.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "coordinator/schedule/case_array.h"
#include "coordinator/schedule/cost_model.h"
#include "coordinator/schedule/listings.h"
#include "coordinator/schedule/max_tree.h"
#include "coordinator/schedule/pending.h"
#include "coordinator/schedule/retry_queue.h"

namespace dtest::schedule {
namespace {

TEST(MaxTreeTest, AgreesWithALinearSearchWhateverChanges) {
  std::mt19937 random(7);
  for (uint32_t n : {1u, 2u, 3u, 17u, 64u, 100u}) {
    MaxTree tree;
    tree.Grow(n);
    std::vector<double> keys(n);
    for (int step = 0; step < 500; ++step) {
      const uint32_t i = random() % n;
      keys[i] = random() % 10;
      tree.Set(i, keys[i]);
      const uint32_t best = static_cast<uint32_t>(std::max_element(keys.begin(), keys.end()) - keys.begin());
      ASSERT_EQ(tree.key(tree.Top()), keys[best]) << n;
      ASSERT_EQ(tree.Top(), best) << "the lowest among equals, " << n;
    }
  }
}

TEST(MaxTreeTest, GrowingKeepsKeys) {
  MaxTree tree;
  tree.Grow(2);
  tree.Set(1, 5);
  tree.Grow(50);
  EXPECT_EQ(tree.Top(), 1u);
  tree.Set(49, 6);
  EXPECT_EQ(tree.Top(), 49u);
}

TEST(CaseListTest, RemovesFromTheFrontTheMiddleAndTheBack) {
  CaseArray cases;
  CaseList list;
  for (int k = 0; k < 5; ++k) list.PushBack(cases, cases.Add());
  const auto n = [](uint32_t number) { return CaseNumber(number); };
  EXPECT_EQ(list.RemoveAfter(cases, n(1)), n(2));
  EXPECT_EQ(list.RemoveAfter(cases, kNoCase), n(0));
  EXPECT_EQ(list.RemoveAfter(cases, n(3)), n(4));
  EXPECT_EQ(list.tail, n(3));
  list.PushFront(cases, n(4));
  std::vector<CaseNumber> left;
  for (CaseNumber i = list.head; i != kNoCase; i = cases[i].next) left.push_back(i);
  EXPECT_THAT(left, testing::ElementsAre(n(4), n(1), n(3)));
  while (list.count > 0) list.RemoveAfter(cases, kNoCase);
  EXPECT_EQ(list.head, kNoCase);
  EXPECT_EQ(list.tail, kNoCase);
}

TEST(CaseArrayTest, RecordsStayWhereTheyAre) {
  CaseArray cases;
  const CaseRecord* first = &cases[cases.Add()];
  for (int k = 0; k < 100000; ++k) cases[cases.Add()].index = k;
  EXPECT_EQ(first, &cases[CaseNumber(0)]);
  EXPECT_EQ(cases[CaseNumber(100000)].index, 99999u);
}

TEST(TimeLeftTest, WorkByCapacityButAtLeastTheLongest) {
  constexpr auto s = [](int seconds) { return absl::Seconds(seconds); };
  EXPECT_EQ(TimeLeft(s(100), 4, s(10)), s(25));
  EXPECT_EQ(TimeLeft(s(100), 40, s(10)), s(10));
  EXPECT_EQ(TimeLeft(s(0), 4, s(0)), s(0));
  EXPECT_EQ(TimeLeft(s(1), 0, s(0)), absl::InfiniteDuration());
}

class CostModelTest : public testing::Test {
 protected:
  // Where nothing is leased.
  double BatchSeconds(int pending_seconds, double capacity, UnitId unit = UnitId(0)) const {
    const absl::Duration pending = absl::Seconds(pending_seconds);
    return absl::ToDoubleSeconds(costs_.BatchLength(unit, pending, pending, capacity));
  }
  CostModel costs_{absl::Milliseconds(50), absl::Seconds(2)};
};

TEST_F(CostModelTest, TheDefaultHoldsUntilAnythingIsSeen) {
  costs_.AddUnit(UnitId(0), 1, absl::ZeroDuration(), absl::ZeroDuration());
  EXPECT_EQ(costs_.Unknown(UnitId(0), 0), absl::Seconds(0.05));
}

TEST_F(CostModelTest, SuitesDifferOnceSeen) {
  costs_.AddUnit(UnitId(0), 2, absl::ZeroDuration(), absl::ZeroDuration());
  for (int k = 0; k < 50; ++k) {
    costs_.Learn(UnitId(0), 0, absl::Seconds(1.0));
    costs_.Learn(UnitId(0), 1, absl::Seconds(0.001));
  }
  EXPECT_GT(costs_.Unknown(UnitId(0), 0), absl::Seconds(0.8));
  EXPECT_LT(costs_.Unknown(UnitId(0), 1), absl::Seconds(0.2));
}

TEST_F(CostModelTest, AnExecutableThatHasNotRunIsExpectedToBeLikeTheOthers) {
  costs_.AddUnit(UnitId(0), 1, absl::ZeroDuration(), absl::ZeroDuration());
  costs_.AddUnit(UnitId(1), 1, absl::ZeroDuration(), absl::ZeroDuration());
  for (int k = 0; k < 20; ++k) costs_.Learn(UnitId(0), 0, absl::Seconds(3.0));
  EXPECT_EQ(costs_.UnknownMean(UnitId(1)), absl::Seconds(0.05)) << "sums rely on it until Refresh";
  costs_.Refresh(UnitId(1));
  EXPECT_NEAR(absl::ToDoubleSeconds(costs_.UnknownMean(UnitId(1))), 3.0, 1e-6);
}

TEST_F(CostModelTest, BatchesAreLessThanAnEvenShareAndNotWithoutBound) {
  costs_.AddUnit(UnitId(0), 1, absl::ZeroDuration(), absl::ZeroDuration());
  EXPECT_GT(BatchSeconds(30, 10), 0);
  EXPECT_LT(BatchSeconds(30, 10), 3) << "or none would be left to even out";
  EXPECT_GT(BatchSeconds(60, 10), BatchSeconds(30, 10));
  EXPECT_EQ(BatchSeconds(3000, 10), BatchSeconds(6000, 10)) << "or a lost host would cost too much";
}

TEST_F(CostModelTest, StartUpMakesBatchesLongerButNotThanAnEvenShare) {
  costs_.AddUnit(UnitId(0), 1, absl::Milliseconds(500), absl::ZeroDuration());
  costs_.AddUnit(UnitId(1), 1, absl::ZeroDuration(), absl::ZeroDuration());
  EXPECT_GT(BatchSeconds(3000, 10), BatchSeconds(3000, 10, UnitId(1)));
  EXPECT_LE(BatchSeconds(30, 10), 3);
}

TEST_F(CostModelTest, ACaseIsLongIfTheStartOfAProcessIsLittleBesideIt) {
  costs_.AddUnit(UnitId(0), 1, absl::ZeroDuration(), absl::ZeroDuration());
  costs_.AddUnit(UnitId(1), 1, absl::Seconds(2), absl::ZeroDuration());
  EXPECT_LT(costs_.long_case(UnitId(0)), costs_.long_case(UnitId(1)));
  EXPECT_GE(costs_.long_case(UnitId(1)), absl::Seconds(2));
}

TEST_F(CostModelTest, BatchesOfUnknownCasesGrowWithWhatWasSeen) {
  costs_.AddUnit(UnitId(0), 1, absl::ZeroDuration(), absl::ZeroDuration());
  const uint32_t at_first = costs_.BatchUnknownCases(UnitId(0));
  EXPECT_GT(at_first, 0u);
  for (int k = 0; k < 4; ++k) costs_.Learn(UnitId(0), 0, absl::Seconds(0.001));
  EXPECT_GT(costs_.BatchUnknownCases(UnitId(0)), at_first);
}

TEST(PendingTest, SumsFollowWhatIsLearnt) {
  CaseArray cases;
  CostModel costs(absl::Milliseconds(50), absl::Seconds(2));
  NeedsTable needs({});
  PolicyTable policies(&needs);
  Groups groups;
  Pending pending(&cases, &costs, &policies, &groups, false);
  pending.AddUnit(UnitId(0));
  costs.AddUnit(UnitId(0), 1, absl::ZeroDuration(), absl::ZeroDuration());
  for (int k = 0; k < 10; ++k) {
    const CaseNumber i = cases.Add();
    cases[i].known = k < 3;
    cases[i].seconds = static_cast<float>(k);  // 0, 1, 2 known: the last two are long
    pending.AddBack(i);
  }
  pending.CheckInvariants();
  EXPECT_EQ(pending.expected(), absl::Seconds(3) + 7 * absl::Milliseconds(50));
  costs.Learn(UnitId(0), 0, absl::Seconds(1.0));
  pending.EstimatesChanged(UnitId(0));
  pending.CheckInvariants();
  EXPECT_EQ(pending.expected(), absl::Seconds(10));
  EXPECT_EQ(pending.TakeLong(UnitId(0)), CaseNumber(2));
  EXPECT_EQ(pending.TakeLong(UnitId(0)), CaseNumber(1));
  EXPECT_TRUE(pending.by_longest().empty());
  EXPECT_EQ(pending.TakeAll(UnitId(0)).size(), 8u);
  EXPECT_EQ(pending.expected(), absl::ZeroDuration());
  pending.CheckInvariants();
}

class ListingsTest : public testing::Test {
 protected:
  static constexpr UnitId kA{0}, kB{1};
  static constexpr HostId kFirst{0}, kSecond{1};
  UnitId Give(HostId host) {
    return listings_.Give(host, [](UnitId) { return true; });
  }
  Listings listings_;
};

TEST_F(ListingsTest, AreGivenInOrderToThoseThatMayList) {
  EXPECT_TRUE(listings_.Add(kA, false));
  EXPECT_FALSE(listings_.Add(kA, false)) << "once";
  EXPECT_TRUE(listings_.Add(kB, false));
  EXPECT_EQ(listings_.Give(kFirst, [](UnitId unit) { return unit != kA; }), kB);
  EXPECT_EQ(Give(kSecond), kA);
  EXPECT_EQ(Give(kSecond), kNoUnit);
  EXPECT_EQ(listings_.ListerOf(kA), kSecond);
  EXPECT_TRUE(listings_.IsBeingListed(kB));
  EXPECT_EQ(listings_.open(), 2u);
}

TEST_F(ListingsTest, OpenUntilTheirCasesAreKnown) {
  listings_.Add(kA, false);
  listings_.Add(kB, true);
  EXPECT_FALSE(listings_.IsUnlisted(kB)) << "its cases are told without";
  listings_.Resolve(kB);
  Give(kFirst);
  listings_.SetListed(kA);
  EXPECT_EQ(listings_.ListerOf(kA), kNoHost);
  EXPECT_TRUE(listings_.IsOpen(kA));
  listings_.CompleteBundle();
  EXPECT_FALSE(listings_.complete());
  listings_.Resolve(kA);
  EXPECT_TRUE(listings_.complete());
  EXPECT_FALSE(listings_.IsOpen(kA));
}

TEST_F(ListingsTest, ComeToNothingAtTheThirdTimeAndSayWhy) {
  listings_.Add(kA, false);
  listings_.Add(kB, false);
  for (const char* why : {"h0: lost", "h0: cannot"}) {
    EXPECT_EQ(Give(kFirst), kA) << "first of all, again";
    EXPECT_EQ(listings_.ComesToNothing(kA, why), std::nullopt);
    EXPECT_TRUE(listings_.HasTried(kA, kFirst));
    EXPECT_FALSE(listings_.HasTried(kA, kSecond));
  }
  EXPECT_EQ(Give(kSecond), kA);
  EXPECT_EQ(listings_.ComesToNothing(kA, "h1: full"), "h0: lost; h0: cannot; h1: full");
  EXPECT_FALSE(listings_.IsOpen(kA));
  EXPECT_EQ(listings_.open(), 1u);
}

TEST(RetryQueueTest, FirstComeFirstServedOfThoseThatAreAccepted) {
  RetryQueue queue;
  const RetryQueue::Kind a{UnitId(0), HostId(1)}, b{UnitId(1), HostId(1)}, c{UnitId(0), HostId(2)};
  const auto n = [](uint32_t number) { return CaseNumber(number); };
  const absl::Time now = absl::UnixEpoch();
  queue.Add(a, n(5), now);
  queue.Add(b, n(6), now + absl::Seconds(1));
  queue.Add(a, n(7), now + absl::Seconds(2));
  queue.Add(c, n(8), now + absl::Seconds(3));
  const auto any = [](const RetryQueue::Kind&, absl::Time) { return true; };
  const auto only = [](RetryQueue::Kind kind) {
    return [kind](const RetryQueue::Kind& one, absl::Time) { return one == kind; };
  };
  EXPECT_EQ(queue.FindFirst(any), n(5));
  EXPECT_EQ(queue.FindFirst(only(b)), n(6));
  EXPECT_EQ(queue.FindFirst(only(c)), n(8));
  EXPECT_EQ(queue.FindFirst([&](const RetryQueue::Kind&, absl::Time since) { return since > now; }), n(6));
  EXPECT_THAT(queue.CasesOf(UnitId(0)), testing::UnorderedElementsAre(n(5), n(7), n(8)));
  queue.Remove(a, n(5));
  EXPECT_EQ(queue.FindFirst(any), n(6)) << "the next of its kind came later";
  EXPECT_EQ(queue.FindFirst(only(a)), n(7));
  queue.Remove(b, n(6));
  queue.Remove(a, n(7));
  EXPECT_EQ(queue.FindFirst(any), n(8));
  EXPECT_EQ(queue.FindFirst(only(a)), kNoCase);
  queue.Remove(c, n(8));
  EXPECT_EQ(queue.FindFirst(any), kNoCase);
  EXPECT_THAT(queue.All(), testing::IsEmpty());
}

}  // namespace
}  // namespace dtest::schedule
