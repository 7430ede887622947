// Runs that are stopped, and what was running then. Both sides of every deadline.

#include <map>

#include "scheduler_fixture.h"

namespace dtest {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

class StoppingTest : public SchedulerFixture {
 protected:
  void Begin(SchedulerOptions options) {
    Start(options);
    Add(0);
    Complete();
    Cases(0, std::vector<double>(10, 1.0));
    Join(0, 1);
    Join(1, 1);
  }
};

TEST_F(StoppingTest, AnInterruptTellsEveryHostAndHandsOutNothingMore) {
  Begin(Hosts(2));
  const auto leases = Leases(all);
  Do(StopRun{});
  const auto interrupts = Sent<Interrupt>(turn);
  ASSERT_THAT(interrupts, SizeIs(2));
  EXPECT_EQ(interrupts[0].second.grace, absl::Seconds(10));
  RunAll(leases[0]);
  EXPECT_THAT(Leases(turn), SizeIs(0));
  EXPECT_THAT(Ended(turn), SizeIs(1)) << "a result that was on its way counts";
  From(0, Idle{});
  EXPECT_FALSE(Finished());
  From(1, Idle{});
  EXPECT_EQ(Finished(), RunEnd::kInterrupted);
  EXPECT_THAT(Ended(all), SizeIs(10));
}

TEST_F(StoppingTest, AHostThatDoesNotAnswerIsWaitedForUntilGraceAndFiveSeconds) {
  Begin(Hosts(2));
  Do(StopRun{});
  From(0, Idle{});
  const absl::Time deadline = now + absl::Seconds(15);
  EXPECT_EQ(scheduler_->NextDeadline(), deadline);
  now = deadline - absl::Nanoseconds(1);
  Do(Tick{});
  EXPECT_FALSE(Finished());
  now = deadline;
  Do(Tick{});
  EXPECT_EQ(Finished(), RunEnd::kInterrupted);
}

TEST_F(StoppingTest, AHostLostWhileStoppingIsNotWaitedFor) {
  Begin(Hosts(2));
  Do(StopRun{});
  From(0, Idle{});
  Gone(1, true);
  EXPECT_EQ(Finished(), RunEnd::kInterrupted);
}

TEST_F(StoppingTest, ForceKillsAndFinishesAtOnce) {
  Begin(Hosts(2));
  Do(StopRun{});
  Do(StopRun{RunEnd::kInterrupted, true});
  const auto interrupts = Sent<Interrupt>(turn);
  ASSERT_THAT(interrupts, SizeIs(2));
  EXPECT_EQ(interrupts[0].second.grace, absl::ZeroDuration());
  EXPECT_EQ(Finished(), RunEnd::kInterrupted);
  EXPECT_THAT(Ended(all), SizeIs(10));
}

TEST_F(StoppingTest, AFailureWhileStoppingIsFinal) {
  SchedulerOptions options = Hosts(2);
  policy_.retries = 3;
  Begin(options);
  Do(StopRun{});
  RunAll(Leases(all)[0], Outcome::kFailed);
  ASSERT_THAT(Ended(turn), SizeIs(1));
  EXPECT_TRUE(Ended(turn)[0].final);
}

TEST_F(StoppingTest, AHostThatJoinsWhileStoppingGetsNothingAndIsNotWaitedFor) {
  Begin(Hosts(3));
  Do(StopRun{});
  Join(2, 1);
  EXPECT_THAT(turn, SizeIs(0));
  From(0, Idle{});
  From(1, Idle{});
  EXPECT_EQ(Finished(), RunEnd::kInterrupted);
}

TEST_F(StoppingTest, StopBeforeAnyHostIsUpFinishesAtOnce) {
  Start(Hosts(2));
  Do(StopRun{});
  EXPECT_EQ(Finished(), RunEnd::kInterrupted);
}

TEST_F(StoppingTest, MaxFailStopsWithAShortGrace) {
  SchedulerOptions options = Hosts(2);
  options.max_fail = 2;
  Begin(options);
  const auto leases = Leases(all);
  RunAll(leases[0], Outcome::kFailed);
  EXPECT_THAT(Sent<Interrupt>(turn), SizeIs(0)) << "one is not two";
  RunAll(leases[1], Outcome::kCrashed);
  ASSERT_THAT(Sent<Interrupt>(turn), SizeIs(2));
  EXPECT_EQ(Sent<Interrupt>(turn)[0].second.grace, absl::Seconds(1));
  EXPECT_THAT(Leases(turn), SizeIs(0));
  From(0, Idle{});
  From(1, Idle{});
  EXPECT_EQ(Finished(), RunEnd::kFailFast);
}

TEST_F(StoppingTest, AttemptsThatAreRetriedDoNotCountForMaxFail) {
  SchedulerOptions options = Hosts(2);
  options.max_fail = 1;
  policy_.retries = 1;
  Begin(options);
  RunAll(Leases(all)[0], Outcome::kFailed);
  EXPECT_THAT(Sent<Interrupt>(all), SizeIs(0));
}

TEST_F(StoppingTest, RunTimeoutCountsFromTheFirstEvent) {
  SchedulerOptions options = Hosts(2);
  options.run_timeout = absl::Seconds(60);
  const absl::Time start = now;
  Begin(options);
  now = start + absl::Seconds(60) - absl::Nanoseconds(1);
  EXPECT_LE(scheduler_->NextDeadline(), start + absl::Seconds(60));
  Do(Tick{});
  EXPECT_THAT(Sent<Interrupt>(all), SizeIs(0));
  now = start + absl::Seconds(60);
  Do(Tick{});
  EXPECT_THAT(Sent<Interrupt>(all), SizeIs(2));
  now += absl::Seconds(15);
  Do(Tick{});
  EXPECT_EQ(Finished(), RunEnd::kTimedOut);
  for (const AttemptEnded& ended : Ended(all)) EXPECT_EQ(ended.result.outcome, Outcome::kNotRun);
}

// ---- What was running when the run ended -----------------------------------------------------------------------

class CutTest : public StoppingTest {
 protected:
  // The cases that were running at the end, by position.
  std::map<uint32_t, AttemptEnded> Cut() const {
    std::map<uint32_t, AttemptEnded> cut;
    for (const AttemptEnded& ended : Ended(all)) {
      if (ended.result.outcome != Outcome::kNotRun) continue;
      EXPECT_TRUE(ended.final);
      EXPECT_THAT(ended.result.message, Not(HasSubstr("not run")));
      if (ended.host.has_value()) cut[ended.id.index] = ended;
    }
    return cut;
  }
  RunningCase Running(const Given& given, uint32_t index, absl::Duration elapsed) {
    return {SlotId(0), given.lease.id, index, elapsed, given.lease.unit};
  }
};

TEST_F(CutTest, WhatAnInterruptedAgentGivesBackWasRunning) {
  Begin(OneProcessACase(2));
  const auto leases = Leases(all);
  After(absl::Seconds(2));
  Do(StopRun{});
  Return(leases[0]);
  EXPECT_THAT(Ended(turn), SizeIs(0)) << "its verdict comes at the end";
  After(absl::Seconds(3));
  From(0, Idle{});
  From(1, Idle{});
  EXPECT_EQ(Finished(), RunEnd::kInterrupted);
  const auto cut = Cut();
  ASSERT_THAT(cut, SizeIs(1)) << "nothing is known of the other host";
  const AttemptEnded& ended = cut.begin()->second;
  EXPECT_EQ(ended.id.index, leases[0].indices[0]);
  EXPECT_EQ(ended.host, HostId(0));
  EXPECT_EQ(ended.result.duration, absl::Seconds(2)) << "the grace is not its own";
  EXPECT_EQ(ended.result.start, absl::ZeroDuration());
  EXPECT_EQ(ended.result.message, "it was running for 2.0 s when the run ended (interrupted)");
}

TEST_F(CutTest, WhatTheAgentSaysOfACaseThatItCutOffIsKept) {
  Begin(OneProcessACase(2));
  const auto leases = Leases(all);
  After(absl::Seconds(5));
  Do(StopRun{});
  CaseResult cut_off = Result(leases[0].lease.cases[0], Outcome::kNotRun, absl::Seconds(4));
  cut_off.start = absl::Milliseconds(1234);
  cut_off.output = "waiting for the lock";
  From(0, Results{leases[0].lease.id, UnitId(0), {cut_off}, true, {}});
  EXPECT_THAT(Ended(turn), SizeIs(0));
  From(0, Idle{});
  From(1, Idle{});
  const auto cut = Cut();
  ASSERT_THAT(cut, SizeIs(1));
  const CaseResult& result = cut.at(leases[0].indices[0]).result;
  EXPECT_EQ(result.duration, absl::Seconds(4));
  EXPECT_EQ(result.start, absl::Milliseconds(1234));
  EXPECT_EQ(result.output, "waiting for the lock");
  EXPECT_EQ(result.attempt, 1u);
  EXPECT_EQ(result.message, "it was running for 4.0 s when the run ended (interrupted)");
}

TEST_F(CutTest, ASilentHostsLastHeartbeatSaysWhatItRan) {
  SchedulerOptions options = Hosts(2);
  options.run_timeout = absl::Seconds(60);
  Begin(options);
  const auto leases = Leases(all);
  ASSERT_GE(leases[0].indices.size(), 1u);
  const uint32_t index = leases[0].indices.back();
  After(absl::Seconds(50));
  From(0, Heartbeat{{leases[0].lease.id}, {Running(leases[0], index, absl::Seconds(4))}});
  After(absl::Seconds(10));
  Do(Tick{});
  From(1, Idle{});
  After(absl::Seconds(15));
  Do(Tick{});
  EXPECT_EQ(Finished(), RunEnd::kTimedOut);
  const auto cut = Cut();
  ASSERT_THAT(cut, SizeIs(1));
  ASSERT_TRUE(cut.contains(index));
  EXPECT_EQ(cut.at(index).host, HostId(0));
  EXPECT_EQ(cut.at(index).result.duration, absl::Seconds(29));
  EXPECT_EQ(cut.at(index).result.start, absl::Seconds(46)) << "since its host joined";
  EXPECT_EQ(cut.at(index).result.message, "it was running for 29.0 s when the run ended (--run-timeout passed)");
}

TEST_F(CutTest, AHeartbeatThatNoLongerShowsACaseTakesItBack) {
  Begin(OneProcessACase(2));
  const auto leases = Leases(all);
  From(0, Heartbeat{{leases[0].lease.id}, {Running(leases[0], leases[0].indices[0], kMs)}});
  From(0, Heartbeat{{leases[0].lease.id}, {}});
  Do(StopRun{RunEnd::kInterrupted, true});
  EXPECT_THAT(Cut(), SizeIs(0));
}

TEST_F(CutTest, AfterAResultTheNextCaseOfTheLeaseRuns) {
  Start(Hosts(1));
  Add(0);
  Complete();
  Cases(0, std::vector<double>(100, 0.01));
  Join(0, 1);
  const auto leases = Leases(all);
  ASSERT_GT(leases[0].indices.size(), 2u);
  After(absl::Seconds(1));
  From(0, Results{leases[0].lease.id, UnitId(0), {Result(leases[0].lease.cases[0])}, false, {}});
  After(absl::Milliseconds(700));
  Do(StopRun{RunEnd::kInterrupted, true});
  const auto cut = Cut();
  ASSERT_THAT(cut, SizeIs(1));
  ASSERT_TRUE(cut.contains(leases[0].indices[1]));
  EXPECT_EQ(cut.at(leases[0].indices[1]).result.duration, absl::Milliseconds(700));
}

TEST_F(CutTest, TheHeartbeatIsBelievedBeforeTheOrderOfTheLease) {
  Start(Hosts(1));
  Add(0);
  Complete();
  Cases(0, std::vector<double>(100, 0.01));
  Join(0, 1);
  const auto leases = Leases(all);
  ASSERT_GT(leases[0].indices.size(), 3u);
  From(0, Results{leases[0].lease.id, UnitId(0), {Result(leases[0].lease.cases[0])}, false, {}});
  From(0, Heartbeat{{leases[0].lease.id}, {Running(leases[0], leases[0].indices[3], kMs)}});
  Do(StopRun{RunEnd::kInterrupted, true});
  ASSERT_THAT(Cut(), SizeIs(1));
  EXPECT_TRUE(Cut().contains(leases[0].indices[3]));
}

TEST_F(CutTest, MaxFailNamesWhatItInterrupts) {
  SchedulerOptions options = OneProcessACase(2);
  options.max_fail = 1;
  Begin(options);
  const auto leases = Leases(all);
  RunAll(leases[0], Outcome::kFailed);
  Return(leases[1]);
  From(0, Idle{});
  From(1, Idle{});
  EXPECT_EQ(Finished(), RunEnd::kFailFast);
  ASSERT_THAT(Cut(), SizeIs(1));
  EXPECT_THAT(Cut().begin()->second.result.message,
              HasSubstr("when the run ended (as many failures as -x or --max-fail"));
}

TEST_F(CutTest, WithoutAnyHostLeftWhatTheLastOnesRanIsNamed) {
  Begin(OneProcessACase(2));
  const auto leases = Leases(all);
  After(absl::Seconds(1));
  Gone(0);
  Gone(1);
  EXPECT_EQ(Finished(), RunEnd::kNoHosts);
  const auto cut = Cut();
  ASSERT_THAT(cut, SizeIs(2));
  const AttemptEnded& first = cut.at(leases[0].indices[0]);
  EXPECT_EQ(first.host, HostId(0));
  EXPECT_EQ(first.result.message,
            "it was running for 1.0 s when h0 was lost (link closed), and then the run ended (no host is left)");
}

TEST_F(CutTest, ACaseWhoseHostDoesNotComeBackBeganWhenItDid) {
  Start(OneProcessACase(1));
  Add(0);
  Complete();
  Cases(0, {1});
  Join(0, 1);
  const absl::Time began = now;
  After(absl::Seconds(1));
  Gone(0, /*may_return=*/true);
  After(absl::Seconds(10));
  Gone(0);
  ASSERT_EQ(Finished(), RunEnd::kNoHosts);
  ASSERT_THAT(Cut(), SizeIs(1));
  EXPECT_EQ(Cut().begin()->second.started, began);
}

TEST_F(CutTest, ACaseThatWaitsForAnotherHostAfterALossIsNotRunning) {
  Begin(OneProcessACase(2));
  Gone(0);
  Do(StopRun{});
  From(1, Idle{});
  EXPECT_EQ(Finished(), RunEnd::kInterrupted);
  EXPECT_THAT(Cut(), SizeIs(0));
}

TEST_F(CutTest, ACaseThatRanAgainElsewhereIsNamedThere) {
  SchedulerOptions options = OneProcessACase(2);
  options.hosts_a_case_may_take_down = 5;
  Begin(options);
  const auto leases = Leases(all);
  const uint32_t index = leases[0].indices[0];
  Gone(0);
  for (size_t k = 0; k < Leases(all).size(); ++k) {  // what the other host has before it
    const Given given = Leases(all)[k];
    if (given.host == 0) continue;
    if (given.indices[0] == index) break;
    RunAll(given);
  }
  After(absl::Seconds(3));
  Gone(1);
  EXPECT_EQ(Finished(), RunEnd::kNoHosts);
  const auto cut = Cut();
  ASSERT_THAT(cut, SizeIs(1));
  EXPECT_EQ(cut.at(index).host, HostId(1));
  EXPECT_EQ(cut.at(index).result.duration, absl::Seconds(3));
}

}  // namespace
}  // namespace dtest
