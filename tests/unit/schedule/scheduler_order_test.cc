// Units that come after others, and cases that are to be on one host.

#include "scheduler_fixture.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class OrderTest : public SchedulerFixture {
 protected:
  void Unit(uint32_t e, uint32_t cases, const std::vector<UnitBefore>& after = {}, const CasePolicy& policy = {}) {
    Add(e);
    CasesKnown known;
    known.unit = UnitId(e);
    known.policies = {policy};
    known.after = after;
    for (uint32_t k = 0; k < cases; ++k) known.cases.push_back(SelectedCase{k, absl::Seconds(1)});
    Do(known);
  }
  std::vector<std::string> Ended(uint32_t e) const {
    std::vector<std::string> told;
    for (const SchedulerAction& action : all) {
      const AttemptEnded* ended = std::get_if<AttemptEnded>(&action);
      if (ended != nullptr && ended->id.unit == UnitId(e))
        told.push_back(absl::StrCat(OutcomeName(ended->result.outcome), ": ", ended->result.message));
    }
    return told;
  }
  std::vector<uint32_t> UnitsOf(const std::vector<Given>& leases) const {
    std::vector<uint32_t> units;
    for (const Given& given : leases) units.push_back(given.lease.unit.value());
    return units;
  }
};

TEST_F(OrderTest, WhatComesAfterAnotherWaitsForItsLastVerdict) {
  policy_.retries = 1;
  Start(Hosts(2));
  Join(0);
  Join(1);
  Unit(1, 1, {{UnitId(0)}});
  CasePolicy once_more;
  once_more.retries = 1;
  Unit(0, 1, {}, once_more);
  Complete();
  ASSERT_THAT(UnitsOf(Leases(all)), ElementsAre(0));
  RunAll(Leases(all)[0], Outcome::kFailed);
  ASSERT_THAT(UnitsOf(Leases(all)), ElementsAre(0, 0)) << "it is tried again first";
  RunAll(Leases(all)[1], Outcome::kFailed);
  EXPECT_THAT(UnitsOf(Leases(turn)), ElementsAre(1)) << "the order is all that was asked for";
}

TEST_F(OrderTest, WhatNeedsAnotherIsNotRunUnlessThatPasses) {
  Start(Hosts(1));
  Join(0);
  Unit(0, 2);
  Unit(1, 2, {{UnitId(0), true, "its set-up make_db"}});
  Unit(2, 1, {{UnitId(1), true, "its set-up fill_db"}});
  Unit(3, 1, {{UnitId(1)}, {UnitId(2)}});
  Complete();
  for (size_t k = 0; Ended(0).size() < 2 && k < Leases(all).size(); ++k) {
    RunAll(Leases(all)[k], k == 0 ? Outcome::kFailed : Outcome::kPassed);
  }
  const char* const why = "infra error: not run, as its set-up make_db did not pass";
  EXPECT_THAT(Ended(1), ElementsAre(why, why));
  EXPECT_THAT(Ended(2), ElementsAre("infra error: not run, as its set-up fill_db did not pass"));
  EXPECT_EQ(UnitsOf(Leases(all)).back(), 3u) << "what only comes after them runs";
}

TEST_F(OrderTest, WhatBecomesKnownLaterHearsOfAFailureToo) {
  Start(Hosts(1));
  Join(0);
  Unit(0, 1);
  RunAll(Leases(all)[0], Outcome::kFailed);
  Unit(1, 1, {{UnitId(0), true, "its set-up"}});
  Unit(2, 1, {{UnitId(0)}});
  Complete();
  EXPECT_THAT(Ended(1), ElementsAre("infra error: not run, as its set-up did not pass"));
  EXPECT_THAT(UnitsOf(Leases(all)), ElementsAre(0, 2));
}

TEST_F(OrderTest, ASkippedSetUpIsNone) {
  Start(Hosts(1));
  Join(0);
  Unit(0, 1);
  Unit(1, 1, {{UnitId(0), true, "its set-up"}});
  Complete();
  RunAll(Leases(all)[0], Outcome::kSkipped);
  EXPECT_THAT(UnitsOf(Leases(turn)), ElementsAre(1));
}

TEST_F(OrderTest, AUnitThatComesToNothingHasNotPassedAndHoldsNobodyUp) {
  Start(Hosts(1));
  Join(0);
  Unit(1, 1, {{UnitId(0)}});
  Unit(2, 1, {{UnitId(0), true, "its set-up"}});
  Add(0);
  Complete();
  EXPECT_THAT(Leases(all), IsEmpty());
  Do(CasesUnknown{UnitId(0)});
  EXPECT_THAT(UnitsOf(Leases(turn)), ElementsAre(1));
  EXPECT_THAT(Ended(2), ElementsAre("infra error: not run, as its set-up is not selected, or could not be listed"));
}

TEST_F(OrderTest, ASetUpThatIsNotSelectedHasNotPassed) {
  Start(Hosts(1));
  Join(0);
  Unit(0, 0);
  Unit(1, 1, {{UnitId(0), true, "its set-up"}});
  Unit(2, 1, {{UnitId(0)}});
  Complete();
  EXPECT_THAT(UnitsOf(Leases(all)), ElementsAre(2));
  EXPECT_THAT(Ended(1), ElementsAre("infra error: not run, as its set-up is not selected, or could not be listed"));
}

TEST_F(OrderTest, UnitsThatWaitForOneAnotherEndAsErrors) {
  Start(Hosts(1));
  Join(0);
  Unit(0, 1, {{UnitId(1)}});
  Unit(1, 1, {{UnitId(0)}});
  Unit(2, 1);
  Complete();
  ASSERT_THAT(UnitsOf(Leases(all)), ElementsAre(2));
  RunAll(Leases(all)[0]);
  EXPECT_THAT(Ended(0), ElementsAre("infra error: not run: it is to run after tests that are to run after it"));
  EXPECT_THAT(Ended(1), SizeIs(1));
  EXPECT_TRUE(std::holds_alternative<Finish>(all.back()));
}

TEST_F(OrderTest, AStoppedRunTellsOfWhatWaited) {
  Start(Hosts(1));
  Join(0);
  Unit(0, 1);
  Unit(1, 1, {{UnitId(0)}});
  Complete();
  Do(StopRun{RunEnd::kInterrupted, true});
  EXPECT_THAT(Ended(1), ElementsAre("not run: interrupted"));
}

TEST_F(OrderTest, CasesOfOneHostGoWhereTheFirstWent) {
  CasePolicy pinned;
  pinned.same_host = "db";
  Start(Hosts(2));
  Join(0, 2);
  Join(1, 4);
  Unit(0, 3, {}, pinned);
  Unit(1, 3, {{UnitId(0)}}, pinned);
  Complete();
  for (size_t k = 0; k < Leases(all).size(); ++k) RunAll(Leases(all)[k]);
  ASSERT_THAT(Leases(all), SizeIs(6));
  for (const Given& given : Leases(all)) EXPECT_EQ(given.host, Leases(all)[0].host);
}

TEST_F(OrderTest, WhereTheirHostIsGoneTheyCannotRun) {
  CasePolicy pinned;
  pinned.same_host = "db";
  Start(Hosts(2));
  Join(0);
  Unit(0, 1, {}, pinned);
  Unit(1, 1, {{UnitId(0)}}, pinned);
  Complete();
  RunAll(Leases(all)[0]);
  ASSERT_THAT(UnitsOf(Leases(all)), ElementsAre(0, 1));
  Join(1);
  Gone(0);
  EXPECT_THAT(UnitsOf(Leases(all)), ElementsAre(0, 1)) << "not on the other";
  ASSERT_THAT(Ended(1), SizeIs(1));
  EXPECT_THAT(Ended(1)[0], testing::HasSubstr("infra error: it is to run where others of its kind ran, on "));
  EXPECT_THAT(Ended(1)[0], testing::HasSubstr("which is gone: link closed"));
}

}  // namespace
}  // namespace dtest
