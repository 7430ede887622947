// Second copies of the last running cases: when one is made, where, and what becomes of the two.

#include "scheduler_fixture.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class SpeculationTest : public SchedulerFixture {
 protected:
  static SchedulerOptions Speculating(SchedulerOptions options) {
    options.speculate = true;
    return options;
  }
  // Case 0, expected to take so long, runs on host 0, and all others are done; host 1 has nothing to do.
  Given OneLeft(SchedulerOptions options, double expected = 1) {
    Start(Speculating(std::move(options)));
    Join(0);
    Join(1);
    Add(0);
    Complete();
    Cases(0, {expected, expected});
    const std::vector<Given> leases = Leases(all);
    EXPECT_THAT(leases, SizeIs(2));
    After(absl::Seconds(expected));
    RunAll(leases[1]);
    EXPECT_EQ(leases[0].host, 0u);
    return leases[0];
  }
  // And it is over time: there is a copy of it on host 1.
  void Copied() { Copied(OneProcessACase(2)); }
  void Copied(SchedulerOptions options) {
    original = OneLeft(std::move(options));
    After(absl::Seconds(1));
    Do(Tick{});
    ASSERT_THAT(Leases(turn), SizeIs(1));
    copy = Leases(turn)[0];
    ASSERT_EQ(copy.host, 1u);
  }
  std::vector<CopyStage> Stages(const std::vector<SchedulerAction>& actions) const {
    std::vector<CopyStage> stages;
    for (const AttemptCopied& copied : Of<AttemptCopied>(actions)) stages.push_back(copied.stage);
    return stages;
  }
  std::vector<std::pair<uint32_t, LeaseId>> Cancels(const std::vector<SchedulerAction>& actions) const {
    std::vector<std::pair<uint32_t, LeaseId>> cancels;
    for (const auto& [host, cancel] : Sent<Cancel>(actions)) cancels.emplace_back(host, cancel.lease);
    return cancels;
  }
  void Tell(const Given& given, Outcome outcome, bool done = true) {
    From(given.host, Results{given.lease.id, given.lease.unit, {Result(given.lease.cases[0], outcome)}, done, kMs});
  }
  static std::pair<uint32_t, LeaseId> LeaseOf(const Given& given) { return {given.host, given.lease.id}; }

  Given original, copy;
};

// ---- When, and where -------------------------------------------------------------------------------------------

TEST_F(SpeculationTest, ACaseThatTakesLongerThanExpectedGetsACopyOnAnIdleHost) {
  const Given given = OneLeft(OneProcessACase(2));
  // Half as long again as expected, and a tenth of a second.
  EXPECT_EQ(scheduler_->NextDeadline(), now + absl::Milliseconds(600));
  After(absl::Milliseconds(400));
  Do(Tick{});
  EXPECT_THAT(turn, IsEmpty());
  After(absl::Milliseconds(200));
  Do(Tick{});
  const auto copies = Of<AttemptCopied>(turn);
  ASSERT_THAT(copies, SizeIs(1));
  EXPECT_EQ(copies[0].host, HostId(1));
  EXPECT_EQ(copies[0].original, HostId(0));
  EXPECT_EQ(copies[0].stage, CopyStage::kStarted);
  ASSERT_THAT(Leases(turn), SizeIs(1));
  EXPECT_EQ(Leases(turn)[0].lease.cases, given.lease.cases) << "the same attempt";
  EXPECT_EQ(scheduler_->progress().running_or_queued, 1u) << "it is one case";
  After(absl::Hours(1));
  Do(Tick{});
  EXPECT_THAT(turn, IsEmpty()) << "never more than one";
}

TEST_F(SpeculationTest, NotUnlessAskedFor) {
  Start(OneProcessACase(2));
  Join(0);
  Join(1);
  Add(0);
  Complete();
  Cases(0, {1, 1});
  RunAll(Leases(all)[1]);
  EXPECT_EQ(scheduler_->NextDeadline(), absl::InfiniteFuture());
  After(absl::Hours(1));
  Do(Tick{});
  EXPECT_THAT(turn, IsEmpty());
}

TEST_F(SpeculationTest, NeverOnTheSameHost) {
  Start(Speculating(OneProcessACase(1)));
  Join(0, 2);
  Add(0);
  Complete();
  Cases(0, {1, 1});
  RunAll(Leases(all)[1]);
  After(absl::Hours(1));
  Do(Tick{});
  EXPECT_THAT(turn, IsEmpty());
}

TEST_F(SpeculationTest, NotWhileAnythingIsLeftToHandOutOrToList) {
  Start(Speculating(OneProcessACase(2)));
  Join(0);
  Join(1);
  Add(0);
  Cases(0, {1, 1});
  Add(1, 0, false);  // host 1 is to list it once it can
  Complete();
  RunAll(Leases(all).back());
  After(absl::Hours(1));
  Do(Tick{});
  EXPECT_THAT(Of<AttemptCopied>(all), IsEmpty());
}

TEST_F(SpeculationTest, WithoutHistoryWhatTheRunHasSeenIsTheEstimate) {
  Start(Speculating(OneProcessACase(2)));
  Join(0);
  Join(1);
  Add(0);
  Complete();
  Cases(0, {-1, -1});
  After(absl::Hours(1));
  Do(Tick{});
  EXPECT_THAT(turn, IsEmpty()) << "nothing is known, so nothing is too long";
  After(absl::Seconds(1));
  RunAll(Leases(all)[1], Outcome::kPassed, absl::Seconds(1));
  EXPECT_THAT(Stages(turn), ElementsAre(CopyStage::kStarted));
}

TEST_F(SpeculationTest, AFastHostTakesOverWhatASlowOneHasOnlyBegun) {
  Start(Speculating(OneProcessACase(1)));
  Add(0);
  Complete();
  Cases(0, {10});
  Join(0, 1, 0.1);
  ASSERT_THAT(Leases(all), SizeIs(1));
  After(absl::Seconds(1));
  Join(1, 1, 1);  // 10 s there, 99 s here
  EXPECT_THAT(Stages(turn), ElementsAre(CopyStage::kStarted));
}

TEST_F(SpeculationTest, TheFastestIdleHostIsChosenAndTheLongestCaseFirst) {
  Start(Speculating(OneProcessACase(4)));
  Add(0);
  Complete();
  Cases(0, {10, 20});
  Join(0, 2, 1);
  ASSERT_THAT(Leases(all), SizeIs(2));
  After(absl::Seconds(12));
  Join(1, 1, 0.5);
  Join(2, 1, 2);
  EXPECT_THAT(Leases(turn), IsEmpty());
  After(absl::Seconds(30));
  Do(Tick{});
  ASSERT_THAT(Leases(turn), SizeIs(2));
  EXPECT_EQ(Leases(turn)[0].host, 2u);
  EXPECT_THAT(Leases(turn)[0].indices, ElementsAre(1));
  EXPECT_EQ(Leases(turn)[1].host, 1u);
}

TEST_F(SpeculationTest, ShippingMustPay) {
  Start(Speculating(OneProcessACase(2)));
  Add(0, uint64_t{5} << 30);  // two minutes
  Complete();
  Cases(0, {1});
  Join(0);
  From(0, Prepared{UnitId(0), "", false});
  After(absl::Seconds(60));
  Join(1);
  EXPECT_THAT(Leases(turn), IsEmpty());
  After(absl::Seconds(60));
  Do(Tick{});
  EXPECT_THAT(Stages(turn), ElementsAre(CopyStage::kStarted)) << "it may well take two minutes more";
}

TEST_F(SpeculationTest, ACaseThatWaitsForItsFilesIsNotCopied) {
  Start(Speculating(OneProcessACase(2)));
  Add(0, 1000);
  Complete();
  Cases(0, {1});
  Join(0);
  After(absl::Seconds(60));
  Join(1);
  EXPECT_THAT(Of<AttemptCopied>(all), IsEmpty());
}

TEST_F(SpeculationTest, OfABatchTheCaseThatAHeartbeatShows) {
  Start(Speculating(Hosts(1)));
  Add(0);
  Complete();
  Cases(0, {0.01, 0.01, 0.01}, absl::Seconds(1));
  Join(0);
  const std::vector<Given> leases = Leases(all);
  ASSERT_THAT(leases, SizeIs(1));
  ASSERT_THAT(leases[0].indices, ElementsAre(0, 1, 2));
  After(absl::Seconds(5));
  Join(1);
  EXPECT_THAT(Leases(turn), IsEmpty()) << "which of them, nobody knows";
  After(absl::Seconds(1));
  From(0, Results{leases[0].lease.id, UnitId(0), {Result(leases[0].lease.cases[0])}, false, kMs});
  After(absl::Seconds(1));
  Heartbeat heartbeat{{leases[0].lease.id}, {{SlotId(0), leases[0].lease.id, 1, absl::Seconds(4), UnitId(0)}}};
  From(0, heartbeat);
  ASSERT_THAT(Leases(turn), SizeIs(1));
  EXPECT_THAT(Leases(turn)[0].indices, ElementsAre(1));
  RunAll(Leases(turn)[0]);
  EXPECT_THAT(Cancels(turn), ElementsAre(LeaseOf(leases[0])));
  EXPECT_THAT(Leases(turn), IsEmpty()) << "the last case may still start there";
  From(0, Released{leases[0].lease.id});
  ASSERT_THAT(Leases(turn), SizeIs(1));
  EXPECT_THAT(Leases(turn)[0].indices, ElementsAre(2));
  RunToTheEnd();
  EXPECT_THAT(Ended(all), SizeIs(3));
}

// What it runs after all others have results may be the tear-down of their suite: that would be cut off untold.
TEST_F(SpeculationTest, OfABatchNotTheLastCaseThatNoHeartbeatShows) {
  Start(Speculating(Hosts(1)));
  Add(0);
  Complete();
  Cases(0, {0.01, 0.01}, absl::Seconds(1));
  Join(0);
  const std::vector<Given> leases = Leases(all);
  ASSERT_THAT(leases, SizeIs(1));
  From(0, Results{leases[0].lease.id, UnitId(0), {Result(leases[0].lease.cases[0])}, false, kMs});
  Join(1);
  After(absl::Seconds(5));
  From(0, Heartbeat{{leases[0].lease.id}, {}});
  EXPECT_THAT(Leases(turn), IsEmpty());
}

TEST_F(SpeculationTest, ASuspectOfALostHostIsNotCopied) {
  Start(Speculating(OneProcessACase(3)));
  Add(0);
  Complete();
  Cases(0, {1});
  Join(0);
  Join(1);
  Gone(0);
  ASSERT_THAT(Leases(turn), SizeIs(1));
  After(absl::Hours(1));
  Join(2);
  EXPECT_THAT(Leases(turn), IsEmpty());
}

// ---- The first result counts -----------------------------------------------------------------------------------

TEST_F(SpeculationTest, TheCopyWins) {
  Copied();
  Tell(copy, Outcome::kPassed);
  EXPECT_THAT(Stages(turn), ElementsAre(CopyStage::kWon));
  ASSERT_THAT(Ended(turn), SizeIs(1));
  EXPECT_EQ(Ended(turn)[0].host, HostId(1));
  EXPECT_FALSE(Ended(turn)[0].flaky);
  EXPECT_THAT(Cancels(turn), ElementsAre(LeaseOf(original)));
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

TEST_F(SpeculationTest, TheOriginalWins) {
  Copied();
  Tell(original, Outcome::kFailed);
  EXPECT_THAT(Stages(turn), ElementsAre(CopyStage::kLost));
  ASSERT_THAT(Ended(turn), SizeIs(1));
  EXPECT_EQ(Ended(turn)[0].host, HostId(0));
  EXPECT_THAT(Cancels(turn), ElementsAre(LeaseOf(copy)));
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

TEST_F(SpeculationTest, ALateResultOfTheLoserIsIgnored) {
  for (const bool copy_wins : {false, true}) {
    all.clear();
    Copied();
    Add(1, 0, false);  // so that the run goes on
    const Given winner = copy_wins ? copy : original, loser = copy_wins ? original : copy;
    Tell(winner, Outcome::kPassed);
    ASSERT_THAT(Ended(all), SizeIs(2));
    Tell(loser, Outcome::kFailed);  // it crossed the Cancel
    EXPECT_THAT(Ended(turn), IsEmpty());
    From(loser.host, Released{loser.lease.id});
    EXPECT_THAT(Ended(turn), IsEmpty());
  }
}

TEST_F(SpeculationTest, ARetryWaitsUntilTheLoserIsGone) {
  for (const bool copy_wins : {false, true}) {
    SchedulerOptions options = OneProcessACase(2);
    policy_.retries = 1;
    all.clear();
    Copied(options);
    const Given winner = copy_wins ? copy : original, loser = copy_wins ? original : copy;
    Tell(winner, Outcome::kFailed);
    ASSERT_THAT(Ended(turn), SizeIs(1));
    EXPECT_FALSE(Ended(turn)[0].final);
    EXPECT_THAT(Leases(turn), IsEmpty());
    EXPECT_THAT(Cancels(turn), ElementsAre(LeaseOf(loser)));
    After(absl::Seconds(10));
    Tell(loser, Outcome::kPassed, /*done=*/false);
    EXPECT_THAT(Ended(turn), IsEmpty()) << "of an attempt that has ended";
    From(loser.host, Released{loser.lease.id});
    ASSERT_THAT(Leases(turn), SizeIs(1));
    EXPECT_NE(Leases(turn)[0].host, winner.host) << "where it failed";
    EXPECT_EQ(Leases(turn)[0].lease.cases[0].attempt, 2u);
    RunAll(Leases(turn)[0]);
    EXPECT_TRUE(Ended(turn)[0].flaky);
    EXPECT_EQ(Finished(), RunEnd::kCompleted);
  }
}

TEST_F(SpeculationTest, FailFastEndsTheRunWithTheFirstFailureOfEither) {
  SchedulerOptions options = OneProcessACase(2);
  options.max_fail = 1;
  Copied(options);
  Tell(copy, Outcome::kFailed);
  ASSERT_THAT(Ended(turn), SizeIs(1));
  EXPECT_EQ(Ended(turn)[0].result.outcome, Outcome::kFailed);
  EXPECT_THAT(Finished(), testing::Optional(RunEnd::kFailFast));
}

// ---- One of the two comes to nothing ---------------------------------------------------------------------------

TEST_F(SpeculationTest, AnInfraErrorOfOneLeavesTheOther) {
  for (const bool of_copy : {false, true}) {
    all.clear();
    Copied();
    const Given broken = of_copy ? copy : original, other = of_copy ? original : copy;
    Tell(broken, Outcome::kInfraError);
    EXPECT_THAT(Stages(turn), ElementsAre(of_copy ? CopyStage::kLost : CopyStage::kWon));
    EXPECT_THAT(Ended(turn), IsEmpty());
    EXPECT_THAT(Cancels(turn), IsEmpty());
    Tell(other, Outcome::kPassed);
    ASSERT_THAT(Ended(turn), SizeIs(1));
    EXPECT_EQ(Ended(turn)[0].result.attempt, 1u);
    EXPECT_EQ(Finished(), RunEnd::kCompleted);
  }
}

TEST_F(SpeculationTest, ALostHostLeavesTheOther) {
  for (const bool of_copy : {false, true}) {
    all.clear();
    Copied();
    const Given broken = of_copy ? copy : original, other = of_copy ? original : copy;
    Gone(broken.host);
    EXPECT_THAT(Stages(turn), ElementsAre(of_copy ? CopyStage::kLost : CopyStage::kWon));
    EXPECT_THAT(Ended(turn), IsEmpty());
    Tell(other, Outcome::kPassed);
    ASSERT_THAT(Ended(turn), SizeIs(1));
    EXPECT_EQ(Finished(), RunEnd::kCompleted);
  }
}

TEST_F(SpeculationTest, ACaseThatTakesBothHostsDownIsBlamed) {
  SchedulerOptions options = OneProcessACase(3);
  Copied(options);
  Gone(0);
  EXPECT_THAT(Ended(turn), IsEmpty());
  Gone(1);
  ASSERT_THAT(Ended(turn), SizeIs(1));
  EXPECT_EQ(Ended(turn)[0].result.outcome, Outcome::kCrashed);
  EXPECT_THAT(Ended(turn)[0].result.message, testing::AllOf(testing::HasSubstr("h0"), testing::HasSubstr("h1")));
}

TEST_F(SpeculationTest, ALeaseThatComesBackLeavesTheOther) {
  for (const bool of_copy : {false, true}) {
    all.clear();
    Copied();
    Return(of_copy ? copy : original);
    EXPECT_THAT(Stages(turn), ElementsAre(of_copy ? CopyStage::kLost : CopyStage::kWon));
    Tell(of_copy ? original : copy, Outcome::kPassed);
    EXPECT_EQ(Finished(), RunEnd::kCompleted);
  }
}

TEST_F(SpeculationTest, AStopEndsCopiesFirst) {
  Copied();
  Do(StopRun{});
  EXPECT_THAT(Stages(turn), ElementsAre(CopyStage::kLost));
  EXPECT_THAT(Cancels(turn), ElementsAre(LeaseOf(copy)));
  EXPECT_THAT(Sent<Interrupt>(turn), SizeIs(2));
  Tell(copy, Outcome::kPassed);
  EXPECT_THAT(Ended(turn), IsEmpty());
  Tell(original, Outcome::kPassed);
  EXPECT_THAT(Ended(turn), SizeIs(1));
  EXPECT_EQ(Finished(), RunEnd::kInterrupted);
}

TEST_F(SpeculationTest, PropertiesOfTheOneThatLostAreDropped) {
  SchedulerOptions options = OneProcessACase(2);
  policy_.retries = 1;
  Copied(options);
  Tell(copy, Outcome::kFailed);
  EXPECT_THAT(Cancels(turn), ElementsAre(LeaseOf(original)));
  const LeasedCase c = original.lease.cases[0];
  From(original.host,
       Results{original.lease.id, original.lease.unit, {Result(c)}, true, kMs, {{c.index, c.attempt, {{"k", "v"}}}}});
  EXPECT_THAT(Of<PropertiesCame>(turn), IsEmpty());
}

TEST_F(SpeculationTest, IterationsAreCopiedOneByOne) {
  SchedulerOptions options = OneProcessACase(2);
  options.repeat = 2;
  Start(Speculating(options));
  Add(0);
  Complete();
  Cases(0, {1});
  Join(0);
  Join(1);
  const std::vector<Given> leases = Leases(all);
  ASSERT_THAT(leases, SizeIs(2));
  After(absl::Seconds(1));
  RunAll(leases[1]);
  After(absl::Seconds(1));
  Do(Tick{});
  const auto copies = Of<AttemptCopied>(turn);
  ASSERT_THAT(copies, SizeIs(1));
  const uint32_t iteration = copies[0].iteration;
  EXPECT_EQ(copies[0].attempt, 1u);
  EXPECT_EQ(Leases(turn)[0].lease.iteration, iteration);
  RunAll(Leases(turn)[0]);
  ASSERT_THAT(Ended(turn), SizeIs(1));
  EXPECT_EQ(Ended(turn)[0].iteration, iteration);
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

}  // namespace
}  // namespace dtest
