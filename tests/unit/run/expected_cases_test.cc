#include "coordinator/run/expected_cases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/event/run_event.h"
#include "unit/agent/dotted_cases.h"
#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

using ::testing::ElementsAre;

const CaseInfos& Cases() {
  static const auto* const cases = new CaseInfos(DottedCases({"A.x", "A.y", "B.x", "A.z", "B.y"}));
  return *cases;
}

class ExpectedCasesTest : public ::testing::Test {
 protected:
  ExpectedCasesTest() : history_(*History::Open(scratch_.File("history.db"))) {}

  void Passed(const std::string& name, absl::Duration duration) {
    CaseEnded ended;
    ended.unit = "t";
    ended.name = name;
    ended.host = "h";
    ended.result.outcome = Outcome::kPassed;
    ended.result.duration = duration;
    ASSERT_TRUE(history_->Handle({absl::UnixEpoch(), ended}).ok());
    ASSERT_TRUE(history_->Handle({absl::UnixEpoch(), RunFinished{}}).ok());
  }

  std::vector<std::optional<CaseHistory>> Known() { return history_->Cases("t", Cases()); }

  ScratchDirectory scratch_;
  std::unique_ptr<History> history_;
  const Durations file_{{{"t", {{"A.x", absl::Seconds(7)}, {"B.x", absl::Seconds(8)}, {"A.y", absl::Seconds(9)}}}}, ""};
};

std::vector<double> Seconds(const CasesKnown& known) {
  std::vector<double> seconds;
  for (const SelectedCase& c : known.cases) seconds.push_back(c.expected ? absl::ToDoubleSeconds(*c.expected) : -1);
  return seconds;
}

TEST_F(ExpectedCasesTest, HistoryCountsBeforeTheFileOfDurations) {
  Passed("A.x", absl::Seconds(2));
  const CasePolicy policy{.retries = 2};
  const CasesKnown known =
      ExpectedCases(UnitId(3), "t", Cases(), {0, 2, 4}, CasePolicies(policy), absl::Seconds(1), Known(), &file_);
  EXPECT_THAT(known.policies, ElementsAre(policy));
  EXPECT_EQ(known.unit, UnitId(3));
  EXPECT_THAT(Seconds(known), ElementsAre(2, 8, -1));
  EXPECT_EQ(known.cases[1].index, 2u);
  EXPECT_GE(known.cases[0].high, absl::Seconds(2));
  EXPECT_EQ(known.startup, absl::Seconds(1));
}

TEST_F(ExpectedCasesTest, EitherMayBeMissing) {
  EXPECT_THAT(Seconds(ExpectedCases(UnitId(0), "t", Cases(), {1, 3}, CasePolicies(), {}, {}, &file_)),
              ElementsAre(9, -1));
  EXPECT_THAT(Seconds(ExpectedCases(UnitId(0), "other", Cases(), {1}, CasePolicies(), {}, {}, &file_)),
              ElementsAre(-1));
  EXPECT_THAT(Seconds(ExpectedCases(UnitId(0), "t", Cases(), {1}, CasePolicies(), {}, {}, nullptr)), ElementsAre(-1));
}

TEST_F(ExpectedCasesTest, NeighboursOfOneSuiteShareItsNumber) {
  const std::vector<uint32_t> suite_of =
      ExpectedCases(UnitId(0), "t", Cases(), {0, 1, 2, 4}, CasePolicies(), {}, {}, nullptr).suite_of;
  EXPECT_EQ(suite_of[0], suite_of[1]);
  EXPECT_NE(suite_of[1], suite_of[2]);
  EXPECT_EQ(suite_of[2], suite_of[3]);
}

TEST_F(ExpectedCasesTest, GroupsAreNumbered) {
  CaseInfos cases;
  cases.Add({.name = "a", .group = "db"});
  cases.Add({.name = "b"});
  cases.Add({.name = "c", .group = "net"});
  cases.Add({.name = "d", .group = "db"});
  const auto groups = [&](const std::vector<uint32_t>& selected) {
    return ExpectedCases(UnitId(0), "t", cases, selected, CasePolicies(), {}, {}, nullptr).group_of;
  };
  EXPECT_THAT(groups({0, 1, 2, 3}), ElementsAre(1, 0, 2, 1));
  EXPECT_THAT(groups({1}), ElementsAre());
}

}  // namespace
}  // namespace dtest
