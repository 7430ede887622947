// The core: a process that goes on with further leases.

#include <csignal>

#include "core_fixture.h"

namespace dtest {
namespace {

class AgentCoreFollow : public AgentCoreTest {
 protected:
  // One that may follow another.
  Actions GetFollower(uint64_t id, std::vector<uint32_t> cases, UnitId unit = kMath) {
    return Get(Follower(id, cases, unit));
  }
  Lease Follower(uint64_t id, const std::vector<uint32_t>& cases, UnitId unit = kMath) const {
    Lease lease{LeaseId(id), unit, {}};
    for (const uint32_t index : cases) lease.cases.push_back({index, 1, limit_});
    lease.may_follow = true;
    return lease;
  }
  Actions AsksForMore(uint32_t slot = 0) { return Do(BatchEnds{SlotId(slot)}); }
  Actions GoesOn(uint32_t slot = 0) {
    ProcessEnded ended;
    ended.slot = SlotId(slot);
    ended.goes_on = true;
    return Do(std::move(ended));
  }
  // Lease 1, with the case 0, is about to end; lease 2, with the cases 5 and 6, is held for its process.
  void HoldTwo() {
    Join(1);
    GetFollower(1, {0});
    GetFollower(2, {5, 6});
    Begin(0);
    ASSERT_THAT(AsksForMore(), ElementsAre("then run 0 in 0: 5 6"));
  }
  CaseResult Told(size_t lease) const {
    return std::get<Results>(std::get<Reply>(raw_[lease]).message).results.front();
  }
};

TEST_F(AgentCoreFollow, OneProcessRunsLeaseAfterLease) {
  HoldTwo();
  EXPECT_THAT(Finish(0), IsEmpty());  // until its process has torn it down
  EXPECT_THAT(GoesOn(), ElementsAre("results 1 [0 passed] done"));
  const CaseResult first = Told(0);
  EXPECT_THAT(RunCase(5), IsEmpty());
  Begin(6);
  EXPECT_THAT(AsksForMore(), ElementsAre("no more in 0"));
  Finish(6);
  EXPECT_THAT(Ends(0), ElementsAre("results 2 [5 passed, 6 passed] done"));
  const CaseResult second = Told(0);
  EXPECT_EQ(second.process, first.process);
  EXPECT_EQ(first.place, 0u);
  EXPECT_EQ(second.place, 1u);
  EXPECT_THAT(GetFollower(3, {7}), ElementsAre("run 0 in 0: 7"));
}

TEST_F(AgentCoreFollow, WhatItTakesToGoOnIsNoStart) {
  HoldTwo();
  Finish(0);
  After(absl::Seconds(3));
  GoesOn();
  After(absl::Milliseconds(5));
  RunCase(5);
  RunCase(6);
  ASSERT_THAT(Ends(0), testing::SizeIs(1));
  EXPECT_EQ(std::get<Results>(std::get<Reply>(raw_[0]).message).startup, absl::Milliseconds(5));
}

TEST_F(AgentCoreFollow, AProcessKnowsWhetherOthersMayFollow) {
  Join(1);
  ASSERT_THAT(GetFollower(1, {0}), ElementsAre("run 0 in 0: 0"));
  EXPECT_TRUE(std::get<StartBatch>(raw_[0]).may_go_on);
  RunCase(0);
  Ends(0);
  ASSERT_THAT(GetLease(2, {1}), ElementsAre("run 0 in 0: 1"));
  EXPECT_FALSE(std::get<StartBatch>(raw_[0]).may_go_on);
}

TEST_F(AgentCoreFollow, NotIntoAnotherSandbox) {
  Join(1);
  Lease kept = Follower(1, {0}), next = Follower(2, {1});
  kept.sandbox = Sandbox::kNoNetwork;
  ASSERT_THAT(Get(kept), ElementsAre("run 0 in 0: 0"));
  EXPECT_EQ(std::get<StartBatch>(raw_[0]).sandbox, Sandbox::kNoNetwork);
  Get(next);
  Begin(0);
  EXPECT_THAT(AsksForMore(), ElementsAre("no more in 0"));
  Finish(0);
  ASSERT_THAT(Ends(0), ElementsAre("results 1 [0 passed] done", "run 0 in 0: 1"));
  EXPECT_EQ(std::get<StartBatch>(raw_[1]).sandbox, Sandbox::kNone);
}

TEST_F(AgentCoreFollow, OnlyTheNextLeaseMayFollow) {
  Join(1);
  GetFollower(1, {0});
  GetLease(2, {1});
  GetFollower(3, {2});
  Begin(0);
  EXPECT_THAT(AsksForMore(), ElementsAre("no more in 0"));
  Finish(0);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed] done", "run 0 in 0: 1"));
}

TEST_F(AgentCoreFollow, NothingFollowsThatAnotherProcessWouldRunOtherwise) {
  Join(1);
  GetFollower(1, {0});
  Lease apart = Follower(2, {1});
  apart.may_follow = false;
  Lease iteration = Follower(3, {1});
  iteration.iteration = 2;
  Lease other_env = Follower(4, {1});
  other_env.env = {{"TZ", "UTC"}};
  const Lease other_unit = Follower(5, {1}, kText);
  Begin(0);
  for (const Lease& lease : {apart, iteration, other_env, other_unit}) {
    Get(lease);
    EXPECT_THAT(AsksForMore(), ElementsAre("no more in 0"));
    Get(Recall{lease.id});
  }
}

TEST_F(AgentCoreFollow, NothingFollowsWhatIsToHaveItsProcessForItself) {
  Join(1);
  GetLease(1, {0});
  GetFollower(2, {1});
  Begin(0);
  EXPECT_THAT(AsksForMore(), ElementsAre("no more in 0"));
}

TEST_F(AgentCoreFollow, AListingComesFirst) {
  Join(1);
  GetFollower(1, {0});
  GetFollower(2, {1});
  Get(List{kText});
  Begin(0);
  EXPECT_THAT(AsksForMore(), ElementsAre("no more in 0"));
}

TEST_F(AgentCoreFollow, ASlotThatIsToCloseIsGivenNoMore) {
  Join(2);
  GetFollower(1, {0});
  GetLease(2, {1});
  GetFollower(3, {2});
  Begin(0);
  Do(SlotsOpen{1});
  EXPECT_THAT(AsksForMore(), ElementsAre("no more in 0"));
}

TEST_F(AgentCoreFollow, WhatIsHeldCountsAsRunning) {
  HoldTwo();
  EXPECT_THAT(Get(Recall{LeaseId(2)}), ElementsAre("refused 2"));
  After(absl::Hours(2));
  EXPECT_THAT(Tick(), testing::Contains(testing::StartsWith("heartbeat 1 2")));
}

TEST_F(AgentCoreFollow, AProcessThatDiesBeforeGivesBackWhatItWasToRun) {
  HoldTwo();
  EXPECT_THAT(Ends(0, SIGSEGV),
              ElementsAre("results 1 [0 crashed (killed by signal 11 (Segmentation fault))] done", "run 0 in 0: 5 6"));
}

TEST_F(AgentCoreFollow, SoDoesOneThatIsPastItsLimit) {
  HoldTwo();
  After(limit_);
  EXPECT_THAT(Tick(), ElementsAre("kill 0 with 15"));
  EXPECT_THAT(GoesOn(), ElementsAre("kill 0 with 9")) << "it has not heard the signal, or does not want to";
  EXPECT_THAT(Begin(5), IsEmpty());
  EXPECT_THAT(Get(Recall{LeaseId(2)}), ElementsAre("released 2"));
  EXPECT_THAT(Ends(0, SIGTERM), ElementsAre("results 1 [0 timed out (exceeded its time limit of 60 s)] done"));
}

TEST_F(AgentCoreFollow, ItsWaitForTheAnswerIsPartOfNoLimit) {
  Join(1);
  GetFollower(1, {0});
  Begin(0);
  After(limit_ * 2);  // the agent has slept
  AsksForMore();
  EXPECT_GT(core_->NextDeadline(), now_);
  After(limit_);
  EXPECT_THAT(Tick(), ElementsAre("kill 0 with 15")) << "its tear-down has a limit as well";
}

TEST_F(AgentCoreFollow, WhatIsHeldCanBeCancelled) {
  limit_ = absl::Hours(9);
  HoldTwo();
  EXPECT_THAT(Get(Cancel{LeaseId(2)}), IsEmpty()) << "its process will begin with it";
  After(absl::Hours(2));
  EXPECT_THAT(Tick(), testing::Contains(testing::StartsWith("heartbeat 2 1")));
  Finish(0);
  EXPECT_THAT(GoesOn(), ElementsAre("results 1 [0 passed] done", "kill 0 with 9"));
  EXPECT_THAT(Begin(5), IsEmpty());
  EXPECT_THAT(Ends(0, SIGKILL), ElementsAre("released 2"));
  EXPECT_THAT(GetLease(3, {1}), ElementsAre("run 0 in 0: 1"));
}

TEST_F(AgentCoreFollow, WhatIsHeldAndCancelledIsReleasedWhereItsProcessEndsBefore) {
  HoldTwo();
  Get(Cancel{LeaseId(2)});
  EXPECT_THAT(Ends(0, SIGSEGV), ElementsAre("released 2", HasSubstr("results 1 [0 crashed")));
}

TEST_F(AgentCoreFollow, ACancelledProcessThatGoesOnHasNotEnded) {
  HoldTwo();
  Get(Cancel{LeaseId(1)});
  EXPECT_THAT(GoesOn(), ElementsAre("kill 0 with 9"));
  EXPECT_THAT(Ends(0, SIGKILL), ElementsAre("released 1", "run 0 in 0: 5 6"));
}

TEST_F(AgentCoreFollow, ADeathBeforeTheNextTestIsNoneInAGlobalSetUp) {
  HoldTwo();
  Finish(0);
  GoesOn();
  EXPECT_THAT(Ends(0, SIGSEGV), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 6"));
  RunCase(6);
  EXPECT_THAT(Ends(0), ElementsAre("results 2 [5 crashed (killed by signal 11 (Segmentation fault) between tests: one "
                                   "had ended, and this one had not begun), 6 "
                                   "passed] done"));
}

TEST_F(AgentCoreFollow, ACancelledLeaseTakesNoOtherWithIt) {
  HoldTwo();
  EXPECT_THAT(Get(Cancel{LeaseId(1)}), ElementsAre("kill 0 with 9"));
  EXPECT_THAT(Ends(0, SIGKILL), ElementsAre("released 1", "run 0 in 0: 5 6"));
}

TEST_F(AgentCoreFollow, AnInterruptDropsWhatHasNotBegun) {
  HoldTwo();
  EXPECT_THAT(Get(Interrupt{absl::Seconds(5)}), ElementsAre("kill 0 with 2"));
  EXPECT_THAT(GoesOn(), ElementsAre("kill 0 with 9"));
  EXPECT_THAT(Ends(0, SIGKILL), ElementsAre(HasSubstr("results 1 [0 not run"), "idle"));
}

TEST_F(AgentCoreFollow, AHostOfNoUseGivesBackWhatItsProcessDoesNotGetTo) {
  Join(2);
  GetFollower(1, {0});
  GetLease(3, {1});
  GetFollower(2, {5});
  Begin(0);
  AsksForMore();
  ProcessEnded cannot;
  cannot.slot = SlotId(1);
  cannot.spawn_error = "no such file";
  Do(cannot);
  EXPECT_THAT(Ends(0, SIGSEGV), ElementsAre("results 2 [] done", HasSubstr("results 1 [0 crashed")));
}

TEST_F(AgentCoreFollow, WhatTheProcessDidNotKnowIsToldBeforeItGoesOn) {
  HoldTwo();
  Finish(0);
  ProcessEnded ended;
  ended.goes_on = true;
  ended.listing_wrong = "it listed 'a', and does not collect it";
  EXPECT_THAT(Do(ended), ElementsAre(HasSubstr("listing of 0 wrong"), "results 1 [0 passed] done"));
  RunCase(5);
  RunCase(6);
  EXPECT_THAT(Ends(0), ElementsAre("results 2 [5 passed, 6 passed] done"));
}

}  // namespace
}  // namespace dtest
