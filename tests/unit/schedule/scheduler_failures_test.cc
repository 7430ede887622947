// What happens when things go wrong: hosts that are lost, cannot run something, or drain; leases that vanish; cases
// that take hosts down. Both sides of every deadline.

#include <set>

#include "scheduler_fixture.h"

namespace dtest {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

using FailuresTest = SchedulerFixture;

using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

using FailuresTest = SchedulerFixture;

// ---- Hosts that are lost ---------------------------------------------------------------------------------------

TEST_F(FailuresTest, ALostHostsLeasesGoElsewhereAtOnceAndFirst) {
  Start(Hosts(2));
  Add(0);
  Cases(0, std::vector<double>(1000, 0.02));
  Join(0, 1);
  const auto lost = Leases(all);
  Gone(0, true);
  EXPECT_EQ(scheduler_->progress().running_or_queued, 0u);
  Join(1, 1);
  const auto again = Leases(turn);
  ASSERT_GE(again.size(), 2u);
  EXPECT_EQ(again[0].indices, std::vector<uint32_t>{0}) << "the one that may have done it, alone";
  EXPECT_EQ(again[1].indices[0], 1u);
}

TEST_F(FailuresTest, AHostThatJoinsTwiceHasLostWhatItHeld) {
  Start(Hosts(1));
  Add(0);
  Cases(0, {1, 1, 1});
  Join(0, 1);
  const auto before = Leases(all);
  Join(0, 1);
  EXPECT_EQ(Leases(turn).size(), before.size());
  RunAll(before[0]);
  EXPECT_THAT(Ended(turn), SizeIs(0)) << "a result of the old agent";
}

TEST_F(FailuresTest, AllHostsGoneEndsTheRunWithEverythingNotRun) {
  Start(Hosts(2));
  Add(0);
  Cases(0, {1, 1, 1});
  Join(0, 1);
  Gone(0);
  EXPECT_FALSE(Finished()) << "the other may still join";
  Gone(1);
  EXPECT_EQ(Finished(), RunEnd::kNoHosts);
  ASSERT_THAT(Ended(all), SizeIs(3));
  for (const AttemptEnded& ended : Ended(all)) {
    EXPECT_EQ(ended.result.outcome, Outcome::kNotRun);
    EXPECT_TRUE(ended.final);
    EXPECT_EQ(ended.host.has_value(), ended.id.index == 0) << "only the first had begun";
    EXPECT_THAT(ended.result.message, HasSubstr("no host is left"));
  }
}

TEST_F(FailuresTest, AHostThatMayReturnIsWaitedForUntilItDoesOrDoesNot) {
  Start(Hosts(1));
  Add(0);
  Cases(0, {1});
  Join(0, 1);
  Gone(0, true);
  EXPECT_FALSE(Finished());
  Join(0, 1);
  EXPECT_THAT(Leases(turn), SizeIs(1));
  Gone(0, true);
  Gone(0, false);
  EXPECT_TRUE(Finished());
}

TEST_F(FailuresTest, HostsThatNeverCameUpEndTheRunToo) {
  Start(Hosts(2));
  Gone(0);
  EXPECT_FALSE(Finished());
  Gone(1);
  EXPECT_EQ(Finished(), RunEnd::kNoHosts);
}

TEST_F(FailuresTest, ACaseThatTakesDownTwoHostsIsBlamedAndNamesThem) {
  Start(Hosts(3));
  Add(0);
  Complete();
  Cases(0, {1});
  Join(0, 1);
  EXPECT_THAT(Leases(turn), SizeIs(1));
  Gone(0);
  EXPECT_THAT(Ended(turn), SizeIs(0));
  Join(1, 1);
  EXPECT_THAT(Leases(turn), SizeIs(1));
  const absl::Time began = now;
  After(absl::Seconds(2));
  Gone(1);
  ASSERT_THAT(Ended(turn), SizeIs(1));
  const AttemptEnded blamed = Ended(turn)[0];
  EXPECT_EQ(blamed.result.outcome, Outcome::kCrashed);
  EXPECT_TRUE(blamed.final);
  EXPECT_THAT(blamed.result.message, HasSubstr("h0 (link closed)"));
  EXPECT_THAT(blamed.result.message, HasSubstr("h1 (link closed)"));
  EXPECT_EQ(blamed.started, began);
  EXPECT_EQ(blamed.result.start, absl::ZeroDuration()) << "since the host joined";
  EXPECT_EQ(blamed.result.duration, absl::Seconds(2));
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

// Beside it each time, which proves nothing: the next loss tells them apart, since they run on different hosts.
TEST_F(FailuresTest, ACaseBesideTheOneThatTakesHostsDownIsNotBlamed) {
  Start(Hosts(4));
  Add(0);
  Complete();
  Cases(0, {1, 1});
  for (const uint32_t host : {0u, 1u}) {
    Join(host, 2);
    EXPECT_THAT(Leases(turn), SizeIs(2));
    Gone(host);
    EXPECT_THAT(Ended(turn), SizeIs(0));
  }
  Join(2, 2);
  const auto killer = Leases(turn);
  ASSERT_THAT(killer, SizeIs(1)) << "not both on one host, though it has a slot";
  Join(3, 2);
  const auto bystander = Leases(turn);
  ASSERT_THAT(bystander, SizeIs(1));
  Gone(2);
  ASSERT_THAT(Ended(turn), SizeIs(1));
  EXPECT_EQ(Ended(turn)[0].id.index, killer[0].indices[0]);
  EXPECT_EQ(Ended(turn)[0].result.outcome, Outcome::kCrashed);
  RunAll(bystander[0]);
  ASSERT_THAT(Ended(turn), SizeIs(1));
  EXPECT_EQ(Ended(turn)[0].result.outcome, Outcome::kPassed);
  EXPECT_TRUE(Finished());
}

TEST_F(FailuresTest, RetriesThatNoHostCanTakeNowAreInNobodysWay) {
  SchedulerOptions options = OneProcessACase(2);
  policy_.retries = 1;
  Start(options);
  Add(0);
  Add(1);
  Complete();
  Cases(0, std::vector<double>(100, 1));
  Join(0, 100);
  Gone(0, /*may_return=*/true);  // all 100 wait for a host that can run them
  Join(1, 1);
  const auto unfit = Leases(turn);
  From(1, Prepared{UnitId(0), "needs GLIBC_9.9"});
  for (const Given& given : unfit) Return(given);
  Cases(1, {1});
  const auto first = Leases(turn);
  ASSERT_THAT(first, SizeIs(1));
  EXPECT_EQ(first[0].lease.unit, UnitId(1));
  RunAll(first[0], Outcome::kFailed);
  After(absl::Seconds(2));  // nobody else came to retry it
  Do(Tick{});
  ASSERT_THAT(Leases(turn), SizeIs(1));
  EXPECT_EQ(Leases(turn)[0].lease.unit, UnitId(1));
  EXPECT_EQ(Leases(turn)[0].lease.cases[0].attempt, 2u);
}

TEST_F(FailuresTest, OnlyTheRunningCaseIsSuspectNotTheRestOfItsLeaseNorTheQueue) {
  Start(Hosts(4));
  Add(0);
  Complete();
  Cases(0, std::vector<double>(40, 0.1));
  std::set<uint32_t> blamed;
  for (uint32_t h = 0; h < 3; ++h) {
    Join(h, 1);
    Gone(h);
    for (const AttemptEnded& ended : Ended(turn)) blamed.insert(ended.id.index);
  }
  EXPECT_EQ(blamed, std::set<uint32_t>{0});
  Join(3, 1);
  RunToTheEnd();
}

TEST_F(FailuresTest, AfterResultsTheSuspectIsTheFirstWithoutOne) {
  Start(Hosts(2));
  Add(0);
  Cases(0, std::vector<double>(40, 0.01));
  Join(0, 1);
  const Given given = Leases(all)[0];
  ASSERT_GT(given.indices.size(), 2u);
  From(0, Results{given.lease.id, given.lease.unit, {Result(given.lease.cases[0])}, false, kMs});
  Gone(0);
  Join(1, 1);
  EXPECT_EQ(Leases(turn)[0].indices, std::vector<uint32_t>{1});
}

TEST_F(FailuresTest, CasesThatWaitForTheirFilesAreNotSuspect) {
  Start(Hosts(3));
  Add(0, 1000);
  Complete();
  Cases(0, {1});
  for (uint32_t h = 0; h < 2; ++h) {
    Join(h, 1);
    Gone(h);  // before Prepared
  }
  EXPECT_THAT(Ended(all), SizeIs(0));
  Join(2, 1);
  EXPECT_THAT(Leases(turn), SizeIs(1));
}

// ---- Hosts that cannot -----------------------------------------------------------------------------------------

TEST_F(FailuresTest, AnExecutableThatAHostCannotPrepareIsListedByAnother) {
  Start(Hosts(2));
  Join(0);
  Join(1);
  Add(0, 1000, false);
  const auto first = Sent<List>(all);
  ASSERT_THAT(first, SizeIs(1));
  From(first[0].first, Prepared{UnitId(0), "host is aarch64", false});
  const auto second = Sent<List>(turn);
  ASSERT_THAT(second, SizeIs(1));
  EXPECT_NE(second[0].first, first[0].first);
  From(second[0].first, Prepared{UnitId(0), "no libfoo.so.1", false});
  const auto failed = Of<ListingFailed>(turn);
  ASSERT_THAT(failed, SizeIs(1));
  EXPECT_THAT(failed[0].reason, HasSubstr("h0: host is aarch64"));
  EXPECT_THAT(failed[0].reason, HasSubstr("h1: no libfoo.so.1"));
  Complete();
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

TEST_F(FailuresTest, AfterThreeFailedListingsAnExecutableIsGivenUp) {
  Start(Hosts(5));
  for (uint32_t h = 0; h < 5; ++h) Join(h);
  Add(0, 1000, false);
  for (int k = 0; k < 3; ++k) {
    EXPECT_THAT(Of<ListingFailed>(all), SizeIs(0));
    From(Sent<List>(all).back().first, Prepared{UnitId(0), "cannot", false});
  }
  EXPECT_THAT(Of<ListingFailed>(all), SizeIs(1));
  EXPECT_THAT(Sent<List>(all), SizeIs(3));
}

TEST_F(FailuresTest, AListingIsRepeatedElsewhereWhenItsHostIsLost) {
  Start(Hosts(2));
  Join(0);
  Join(1);
  Add(0, 1000, false);
  const uint32_t lister = Sent<List>(all)[0].first;
  Gone(lister);
  ASSERT_THAT(Sent<List>(turn), SizeIs(1));
  EXPECT_NE(Sent<List>(turn)[0].first, lister);
  From(lister, Listed{UnitId(0), {}, "", "", kMs});  // of the dead host: ignored
  EXPECT_EQ(scheduler_->progress().unlisted, 1u);
}

TEST_F(FailuresTest, CasesUnknownEndsTheMatter) {
  Start(Hosts(1));
  Join(0);
  Add(0, 0, false);
  Complete();
  From(0, Listed{UnitId(0), {}, "crashed", "", kMs});
  EXPECT_FALSE(Finished());
  Do(CasesUnknown{UnitId(0)});
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

TEST_F(FailuresTest, WhatAHostCannotRunGoesToTheOthers) {
  Start(Hosts(2));
  Add(0, 1000);
  Cases(0, {1, 1});
  Join(0, 2);
  Join(1, 2);
  std::vector<Given> mine;
  for (const Given& given : Leases(all)) {
    if (given.host == 0) mine.push_back(given);
  }
  ASSERT_GE(mine.size(), 1u);
  From(0, Prepared{UnitId(0), "no libfoo.so.1", false});
  for (const Given& given : mine) {
    Return(given);
    for (const Given& again : Leases(turn)) EXPECT_EQ(again.host, 1u);
  }
  EXPECT_EQ(scheduler_->progress().running_or_queued, 2u);
}

TEST_F(FailuresTest, WhatNoHostCanRunIsAnInfraErrorThatSaysWhy) {
  Start(Hosts(2));
  Add(0, 1000);
  Complete();
  Cases(0, {1, 1, 1});
  Join(0, 1);
  Gone(1);
  const auto leases = Leases(all);
  From(0, Prepared{UnitId(0), "no libfoo.so.1", false});
  for (const Given& given : leases) Return(given);
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
  ASSERT_THAT(Ended(all), SizeIs(3));
  for (const AttemptEnded& ended : Ended(all)) {
    EXPECT_EQ(ended.result.outcome, Outcome::kInfraError);
    EXPECT_THAT(ended.result.message, HasSubstr("h0: no libfoo.so.1"));
  }
}

TEST_F(FailuresTest, ARetryOfWhatNoHostCanRunAnyMoreIsAnInfraError) {
  SchedulerOptions options = Hosts(1);
  policy_.retries = 1;
  Start(options);
  Add(0, 1000);
  Complete();
  Cases(0, {1});
  Join(0, 1);
  From(0, Prepared{UnitId(0), "", false});
  From(0, Prepared{UnitId(0), "cannot start: text file busy", false});
  RunAll(Leases(all)[0], Outcome::kFailed);
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
  EXPECT_EQ(Ended(all).back().result.outcome, Outcome::kInfraError);
}

TEST_F(FailuresTest, ACaseThatIsNotThereIsNotTriedAgain) {
  Start(Hosts(2));
  Add(0);
  Complete();
  Cases(0, {1});
  Join(0, 1);
  From(0, ListingWrong{UnitId(0), "it forgot A.a"});
  RunAll(Leases(all)[0], Outcome::kInfraError);
  ASSERT_THAT(Ended(all), SizeIs(1));
  EXPECT_TRUE(Ended(all)[0].final);
}

TEST_F(FailuresTest, AHostThatHasNotJoinedYetMayStillRunIt) {
  Start(Hosts(2));
  Add(0, 1000);
  Cases(0, {1});
  Join(0, 1);
  const auto leases = Leases(all);
  From(0, Prepared{UnitId(0), "no libfoo.so.1", false});
  Return(leases[0]);
  EXPECT_THAT(Ended(all), SizeIs(0));
  Join(1, 1);
  EXPECT_THAT(Leases(turn), SizeIs(1));
}

TEST_F(FailuresTest, ADrainingHostKeepsWhatRunsAndGivesBackTheRest) {
  Start(OneProcessACase(2));
  Add(0);
  Add(1, 1000);
  Cases(0, {0.2, 0.2});
  Join(0, 1);
  const auto leases = Leases(all);
  ASSERT_THAT(leases, SizeIs(2));
  From(0, Prepared{UnitId(1), "no space left on device", true});
  ASSERT_THAT(Sent<Recall>(turn), SizeIs(1));
  EXPECT_EQ(Sent<Recall>(turn)[0].second.lease, leases[1].lease.id);
  EXPECT_THAT(Of<Warn>(turn), SizeIs(1));
  From(0, Released{leases[1].lease.id});
  EXPECT_THAT(Leases(turn), SizeIs(0)) << "it takes no more";
  RunAll(leases[0]);
  EXPECT_THAT(Ended(turn), SizeIs(1));
  Join(1, 1);
  EXPECT_THAT(Leases(turn), SizeIs(1));
}

TEST_F(FailuresTest, WhenTheLastHostDrainsItsRunningCasesStillCount) {
  Start(OneProcessACase(1));
  Add(0);
  Add(1, 1000);
  Cases(0, {0.2, 0.2});
  Join(0, 1);
  const auto leases = Leases(all);
  From(0, Prepared{UnitId(1), "no space left on device", true});
  From(0, Released{leases[1].lease.id});
  EXPECT_FALSE(Finished());
  RunAll(leases[0]);
  EXPECT_EQ(Finished(), RunEnd::kNoHosts);
  ASSERT_THAT(Ended(all), SizeIs(2));
  EXPECT_EQ(Ended(all)[0].result.outcome, Outcome::kPassed);
  EXPECT_EQ(Ended(all)[1].result.outcome, Outcome::kNotRun);
}

TEST_F(FailuresTest, InfraErrorsDoNotUseUpRetriesButAreBounded) {
  Start(Hosts(1));
  Add(0);
  Complete();
  Cases(0, {1});
  Join(0, 1);
  for (int k = 0; k < 3; ++k) {
    ASSERT_FALSE(Finished()) << k;
    RunAll(Leases(all).back(), Outcome::kInfraError);
  }
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
  const auto ended = Ended(all);
  ASSERT_THAT(ended, SizeIs(3));
  for (uint32_t k = 0; k < 3; ++k) {
    EXPECT_EQ(ended[k].result.attempt, k + 1);
    EXPECT_EQ(ended[k].final, k == 2);
  }
}

TEST_F(FailuresTest, LeasesThatKeepComingBackEmptyEndAsInfraError) {
  Start(Hosts(1));
  Add(0);
  Complete();
  Cases(0, {1});
  Join(0, 1);
  for (int k = 0; k < 5; ++k) {
    ASSERT_FALSE(Finished()) << k;
    Return(Leases(all).back());
  }
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
  EXPECT_EQ(Ended(all)[0].result.outcome, Outcome::kInfraError);
}

// ---- Heartbeats ------------------------------------------------------------------------------------------------

TEST_F(FailuresTest, ALeaseMissingFromTwoHeartbeatsAfterFiveSecondsIsAskedFor) {
  Start(Hosts(1));
  Add(0);
  Cases(0, {10});
  Join(0, 1);
  After(absl::Seconds(5));
  From(0, Heartbeat{});
  From(0, Heartbeat{});
  From(0, Heartbeat{});
  EXPECT_THAT(turn, SizeIs(0)) << "it may still be on its way";
  After(absl::Milliseconds(1));
  From(0, Heartbeat{});
  EXPECT_THAT(turn, SizeIs(0)) << "once is not enough";
  From(0, Heartbeat{});
  EXPECT_THAT(Sent<Recall>(turn), SizeIs(1));
  EXPECT_THAT(Leases(turn), SizeIs(0)) << "the link may be so slow: it must not run twice";
  From(0, Heartbeat{});
  EXPECT_THAT(turn, SizeIs(0)) << "asked already";
}

TEST_F(FailuresTest, ALeaseTheAgentDoesNotKnowAfterAllIsTakenBack) {
  Start(Hosts(1));
  Add(0);
  Cases(0, {10});
  Join(0, 1);
  After(absl::Seconds(6));
  From(0, Heartbeat{});
  From(0, Heartbeat{});
  From(0, Refused{Leases(all)[0].lease.id});
  EXPECT_THAT(Leases(turn), SizeIs(0)) << "it may be running";
  From(0, Heartbeat{});
  EXPECT_THAT(Leases(turn), SizeIs(1));
}

TEST_F(FailuresTest, ALeaseThatWasThereAndIsMissingTwiceIsTakenBack) {
  Start(Hosts(1));
  Add(0);
  Cases(0, {10});
  Join(0, 1);
  From(0, Heartbeat{{Leases(all)[0].lease.id}, {}});
  After(absl::Seconds(6));
  From(0, Heartbeat{});
  EXPECT_THAT(Leases(turn), SizeIs(0));
  From(0, Heartbeat{});
  EXPECT_THAT(Leases(turn), SizeIs(1));
}

TEST_F(FailuresTest, ALeaseThatIsMentionedInBetweenStays) {
  Start(Hosts(1));
  Add(0);
  Cases(0, {10});
  Join(0, 1);
  const Given given = Leases(all)[0];
  After(absl::Seconds(6));
  for (int k = 0; k < 4; ++k) {
    From(0, Heartbeat{});
    From(0, Heartbeat{{given.lease.id}, {}});
  }
  EXPECT_THAT(Leases(all), SizeIs(1));
}

TEST_F(FailuresTest, ALeaseThatWasTakenBackIsCancelledWhereItTurnsUpAndItsResultsDoNotCount) {
  Start(Hosts(1));
  Add(0);
  Cases(0, {10});
  Join(0, 1);
  const Given given = Leases(all)[0];
  From(0, Heartbeat{{given.lease.id}, {}});
  After(absl::Seconds(6));
  From(0, Heartbeat{});
  From(0, Heartbeat{});
  const Given again = Leases(turn)[0];
  From(0, Heartbeat{{given.lease.id, again.lease.id}, {}});
  ASSERT_THAT(Sent<Cancel>(turn), SizeIs(1));
  EXPECT_EQ(Sent<Cancel>(turn)[0].second.lease, given.lease.id);
  RunAll(given);
  EXPECT_THAT(Ended(turn), SizeIs(0));
  RunAll(again);
  EXPECT_THAT(Ended(turn), SizeIs(1));
}

TEST_F(FailuresTest, AQueuedLeaseThatAHeartbeatShowsRunningIsNotRecalled) {
  Start(OneProcessACase(2));
  Add(0);
  Cases(0, {0.2, 0.2});
  Join(0, 1);
  const auto leases = Leases(all);
  ASSERT_THAT(leases, SizeIs(2));
  From(0, Heartbeat{{leases[0].lease.id, leases[1].lease.id},
                    {{SlotId(0), leases[0].lease.id, leases[0].indices[0], kMs, UnitId(0)},
                     {SlotId(1), leases[1].lease.id, leases[1].indices[0], kMs, UnitId(0)}}});
  Join(1, 1);
  EXPECT_THAT(Sent<Recall>(turn), SizeIs(0));
}

}  // namespace
}  // namespace dtest
