// The core: units and their listings.

#include <csignal>

#include "core_fixture.h"

namespace dtest {
namespace {

using testing::Contains;

using AgentCore = AgentCoreTest;

TEST_F(AgentCore, NothingIsPreparedBeforeItIsNeeded) {
  Join();
  EXPECT_THAT(Get(Prefetch{kMath}), ElementsAre("prepare 0"));
  EXPECT_THAT(Get(Prefetch{kMath}), IsEmpty());
  EXPECT_THAT(Do(FilesReady{kMath, "", false}), ElementsAre("prepared 0"));
  EXPECT_THAT(Get(Prefetch{kMath}), ElementsAre("prepared 0"));
}

TEST_F(AgentCore, ExecutableOfAnotherMachineIsRefusedAtOnce) {
  Join();
  AddUnit add;
  add.spec.id = UnitId(2);
  add.spec.name = "arm_test";
  add.spec.machine = "aarch64";
  EXPECT_THAT(Get(add), ElementsAre("prepared 2: this host is x86_64, arm_test is built for aarch64"));
  // Whatever comes for it all the same is given back.
  EXPECT_THAT(GetLease(7, {0}, UnitId(2)), ElementsAre(HasSubstr("prepared 2: this host"), "results 7 [] done"));
  EXPECT_THAT(Get(List{UnitId(2)}), ElementsAre(HasSubstr("prepared 2: this host")));
}

TEST_F(AgentCore, ScriptRunsOnAnyMachine) {
  Join();
  AddUnit add;
  add.spec.id = UnitId(2);
  EXPECT_THAT(Get(add), IsEmpty());
  EXPECT_THAT(Get(Prefetch{UnitId(2)}), ElementsAre("prepare 2"));
}

TEST_F(AgentCore, LeaseOfUnknownExecutableIsGivenBack) {
  Join();
  EXPECT_THAT(GetLease(1, {0}, UnitId(9)),
              ElementsAre("prepared 9: protocol error: executable 9 is used before it was added", "results 1 [] done"));
}

TEST_F(AgentCore, ListingTakesASlotBeforeQueuedLeases) {
  Join(1);
  EXPECT_THAT(GetLease(1, {0}), ElementsAre("run 0 in 0: 0"));
  EXPECT_THAT(GetLease(2, {1}), IsEmpty());
  EXPECT_THAT(Get(List{kText}), IsEmpty());
  EXPECT_THAT(Get(List{kText}), IsEmpty());  // asked twice, listed once
  RunCase(0);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed] done", "list 1 in 0"));
  EXPECT_THAT(Do(ListingEnded{SlotId(0), {"A.B"}, "", "", kMs, ""}), ElementsAre("listed 1 A.B", "run 0 in 0: 1"));
}

TEST_F(AgentCore, ListingPastItsLimitIsKilledOnTime) {
  Join(1);
  Get(List{kMath});
  After(absl::Seconds(30) - kMs);
  EXPECT_THAT(Tick(), IsEmpty());
  After(kMs);
  EXPECT_THAT(Turn(), ElementsAre("kill 0 with 15"));
  After(absl::Seconds(5) - kMs);
  EXPECT_THAT(Tick(), IsEmpty());
  After(kMs);
  EXPECT_THAT(Turn(), ElementsAre("kill 0 with 9"));
  EXPECT_THAT(Turn(), IsEmpty());
  EXPECT_THAT(Do(ListingEnded{SlotId(0), {}, "killed by signal 9", "", kMs, ""}),
              ElementsAre("listed 0: listing exceeded its time limit of 30 s"));
}

TEST_F(AgentCore, ListingThatCannotStartIsAMatterOfThisHost) {
  Join(1);
  Get(List{kMath});
  EXPECT_THAT(Do(ListingEnded{SlotId(0), {}, "", "", kMs, "cannot start math_test: no such file"}),
              ElementsAre("prepared 0: cannot start math_test: no such file"));
}

TEST_F(AgentCore, LeaseWhoseExecutableIsNotPreparedIsOvertaken) {
  Join();
  Get(Prefetch{kText});
  Do(FilesReady{kText, "", false});
  EXPECT_THAT(GetLease(1, {0}, kMath), ElementsAre("prepare 0"));
  EXPECT_THAT(GetLease(2, {0}, kText), ElementsAre("run 1 in 0: 0"));
  EXPECT_THAT(Do(FilesReady{kMath, "", false}), ElementsAre("prepared 0"));
  RunCase(0);
  EXPECT_THAT(Ends(0), ElementsAre("results 2 [0 passed] done", "run 0 in 0: 0"));
}

TEST_F(AgentCore, FailedPreparationGivesBackAllThatWaitsForIt) {
  Join();
  GetLease(1, {0});
  GetLease(2, {1});
  Get(List{kMath});
  EXPECT_THAT(Do(FilesReady{kMath, "no space left on device", true}),
              ElementsAre("prepared 0: no space left on device drain", "results 1 [] done", "results 2 [] done"));
  EXPECT_THAT(Do(FilesReady{kMath, "", false}), IsEmpty());  // answered already
}

TEST_F(AgentCore, SpawnErrorGivesTheLeaseBackAfterSayingWhy) {
  Join(2);
  GetLease(1, {0, 1});
  GetLease(2, {2});
  EXPECT_THAT(GetLease(3, {3}), IsEmpty());
  ProcessEnded ended;
  ended.spawn_error = "cannot start math_test: Exec format error";
  EXPECT_THAT(Do(ended), ElementsAre("prepared 0: cannot start math_test: Exec format error", "results 3 [] done",
                                     "results 1 [] done"));
  // The one that runs goes on; what remains of it after a crash does not.
  EXPECT_THAT(GetLease(4, {0}, kText), ElementsAre("run 1 in 0: 0"));
}

TEST_F(AgentCore, WhatPrintsAllIsAskedForNoReport) {
  prints_all_ = true;
  Join(1);
  EXPECT_THAT(GetLease(1, {0, 1}), ElementsAre("run 0 in 0: 0 1 without report"));
  RunCase(0);
  RunCase(1, Outcome::kFailed);
  EXPECT_THAT(Ends(1), ElementsAre("results 1 [0 passed, 1 failed] done"));
}

TEST_F(AgentCore, SilenceOfWhatPrintsAllIsAskedForAReportOnce) {
  prints_all_ = true;
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  Begin(1);  // and is not heard of again, although all went well
  EXPECT_THAT(Ends(0), IsEmpty());
  EXPECT_THAT(Turn(), Contains("run 0 in 0: 1 2"));
  RunUnheard(1);
  EXPECT_THAT(Ends(0), IsEmpty());
  Turn();
  EXPECT_THAT(Ends(0), ElementsAre(HasSubstr("2 crashed")));  // with a report there is no excuse
  EXPECT_THAT(GetLease(2, {3}), ElementsAre("run 0 in 0: 3"));
}

TEST_F(AgentCore, CrashOfWhatPrintsAllIsConfirmedWithAReport) {
  prints_all_ = true;
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  Begin(1);
  Ends(0, SIGSEGV);
  EXPECT_THAT(Turn(), Contains("run 0 in 0: 1"));
}

}  // namespace
}  // namespace dtest
