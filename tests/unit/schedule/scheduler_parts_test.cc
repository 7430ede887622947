// The parts of the scheduler that are worth looking at alone: the tournament tree, the cost model, lists of cases.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

#include "coordinator/schedule/case_array.h"
#include "coordinator/schedule/cost_model.h"
#include "coordinator/schedule/max_tree.h"
#include "coordinator/schedule/pending.h"

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
  EXPECT_EQ(list.RemoveAfter(cases, 1), 2u);
  EXPECT_EQ(list.RemoveAfter(cases, kNone), 0u);
  EXPECT_EQ(list.RemoveAfter(cases, 3), 4u);
  EXPECT_EQ(list.tail, 3u);
  list.PushFront(cases, 4);
  std::vector<uint32_t> left;
  for (uint32_t i = list.head; i != kNone; i = cases[i].next) left.push_back(i);
  EXPECT_THAT(left, testing::ElementsAre(4, 1, 3));
  while (list.count > 0) list.RemoveAfter(cases, kNone);
  EXPECT_EQ(list.head, kNone);
  EXPECT_EQ(list.tail, kNone);
}

TEST(CaseArrayTest, RecordsStayWhereTheyAre) {
  CaseArray cases;
  const CaseRecord* first = &cases[cases.Add()];
  for (int k = 0; k < 100000; ++k) cases[cases.Add()].index = k;
  EXPECT_EQ(first, &cases[0]);
  EXPECT_EQ(cases[100000].index, 99999u);
}

TEST(TimeLeftTest, WorkByCapacityButAtLeastTheLongest) {
  EXPECT_EQ(TimeLeft(100, 4, 10), 25);
  EXPECT_EQ(TimeLeft(100, 40, 10), 10);
  EXPECT_EQ(TimeLeft(0, 4, 0), 0);
  EXPECT_EQ(TimeLeft(1, 0, 0), std::numeric_limits<double>::infinity());
}

class CostModelTest : public testing::Test {
 protected:
  CostModel costs_{absl::Milliseconds(50), absl::Seconds(2)};
};

TEST_F(CostModelTest, TheDefaultHoldsUntilAnythingIsSeen) {
  costs_.AddUnit(0, 1, absl::ZeroDuration());
  EXPECT_DOUBLE_EQ(costs_.Unknown(0, 0), 0.05);
}

TEST_F(CostModelTest, SuitesDifferOnceSeen) {
  costs_.AddUnit(0, 2, absl::ZeroDuration());
  for (int k = 0; k < 50; ++k) {
    costs_.Learn(0, 0, 1.0);
    costs_.Learn(0, 1, 0.001);
  }
  EXPECT_GT(costs_.Unknown(0, 0), 0.8);
  EXPECT_LT(costs_.Unknown(0, 1), 0.2);
}

TEST_F(CostModelTest, AnExecutableThatHasNotRunIsExpectedToBeLikeTheOthers) {
  costs_.AddUnit(0, 1, absl::ZeroDuration());
  costs_.AddUnit(1, 1, absl::ZeroDuration());
  for (int k = 0; k < 20; ++k) costs_.Learn(0, 0, 3.0);
  EXPECT_DOUBLE_EQ(costs_.UnknownMean(1), 0.05) << "sums rely on it until Refresh";
  costs_.Refresh(1);
  EXPECT_NEAR(costs_.UnknownMean(1), 3.0, 1e-6);
}

TEST_F(CostModelTest, BatchesAreAThirdOfAnEvenShareBoundedByTheLongest) {
  costs_.AddUnit(0, 1, absl::ZeroDuration());
  EXPECT_DOUBLE_EQ(costs_.BatchSeconds(0, 30, 30, 10), 1.0);
  EXPECT_DOUBLE_EQ(costs_.BatchSeconds(0, 3000, 3000, 10), 2.0);
}

TEST_F(CostModelTest, StartUpMakesBatchesLongerButNotThanAnEvenShare) {
  costs_.AddUnit(0, 1, absl::Milliseconds(500));
  EXPECT_NEAR(costs_.BatchSeconds(0, 3000, 3000, 10), 9.5, 1e-6);
  EXPECT_NEAR(costs_.BatchSeconds(0, 30, 30, 10), 3.0, 1e-6);
}

TEST_F(CostModelTest, BatchesOfUnknownCasesGrowWithWhatWasSeen) {
  costs_.AddUnit(0, 1, absl::ZeroDuration());
  EXPECT_EQ(costs_.BatchUnknownCases(0), 4u);
  for (int k = 0; k < 4; ++k) costs_.Learn(0, 0, 0.001);
  EXPECT_EQ(costs_.BatchUnknownCases(0), 32u);
}

TEST(PendingTest, SumsFollowWhatIsLearnt) {
  CaseArray cases;
  CostModel costs(absl::Milliseconds(50), absl::Seconds(2));
  Pending pending(&cases, &costs, false);
  pending.AddUnit(0);
  costs.AddUnit(0, 1, absl::ZeroDuration());
  for (int k = 0; k < 10; ++k) {
    const uint32_t i = cases.Add();
    cases[i].known = k < 3;
    cases[i].seconds = static_cast<float>(k);  // 0, 1, 2 known: the last two are long
    pending.AddBack(i);
  }
  pending.CheckInvariants();
  EXPECT_EQ(pending.nanos(), Nanos(3) + 7 * Nanos(0.05));
  costs.Learn(0, 0, 1.0);
  pending.EstimatesChanged(0);
  pending.CheckInvariants();
  EXPECT_EQ(pending.nanos(), Nanos(3) + 7 * Nanos(1.0));
  EXPECT_EQ(pending.TakeLong(0), 2u);
  EXPECT_EQ(pending.TakeLong(0), 1u);
  EXPECT_TRUE(pending.by_longest().empty());
  EXPECT_EQ(pending.TakeAll(0).size(), 8u);
  EXPECT_EQ(pending.nanos(), 0);
  pending.CheckInvariants();
}

}  // namespace
}  // namespace dtest::schedule
