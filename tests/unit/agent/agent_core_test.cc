#include <csignal>
#include <ctime>

#include "core_fixture.h"

namespace dtest {
namespace {

using testing::Contains;

using AgentCore = AgentCoreTest;

constexpr char kTornDown[] = " after its last test (global tear-down, leak check or atexit)";

// ---- Preparing and listing

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

// ---- Results

TEST_F(AgentCore, LastWordsOfSmallLeasesTravelTogetherWhileTheQueueIsDeep) {
  Join(1);
  for (uint32_t i = 0; i < 12; ++i) GetLease(i + 1, {i % 4});
  RunCase(0);
  EXPECT_THAT(Ends(0), ElementsAre("run 0 in 0: 1"));
  RunCase(1);
  EXPECT_THAT(Ends(0), ElementsAre("run 0 in 0: 2"));
  RunCase(2, Outcome::kFailed);
  EXPECT_THAT(Ends(1), ElementsAre("results 1 [0 passed] done", "results 2 [1 passed] done",
                                   "results 3 [2 failed] done", "run 0 in 0: 3"));
  RunCase(3);
  EXPECT_THAT(Ends(0), ElementsAre("run 0 in 0: 0"));
  After(AgentOptions().result_delay);
  EXPECT_THAT(Turn(), ElementsAre("results 4 [3 passed] done"));
  RunCase(0);
  EXPECT_THAT(Ends(0), ElementsAre("results 5 [0 passed] done", "run 0 in 0: 1"));  // seven are left
}

TEST_F(AgentCore, BatchOfCasesReportsInGroups) {
  Join(1);
  EXPECT_THAT(GetLease(1, {0, 1, 2}), ElementsAre("run 0 in 0: 0 1 2"));
  EXPECT_THAT(RunCase(0), IsEmpty());
  After(options_.result_delay - kMs);
  EXPECT_THAT(Turn(), IsEmpty());
  EXPECT_THAT(RunCase(1), IsEmpty());
  After(kMs);
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed, 1 passed]"));
  EXPECT_THAT(RunCase(2), IsEmpty());
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [2 passed] done"));
}

TEST_F(AgentCore, ResultsGoWhenThereAreMany) {
  options_.results_per_message = 2;
  Join(1);
  GetLease(1, {0, 1, 2, 3});
  EXPECT_THAT(RunCase(0), IsEmpty());
  EXPECT_THAT(RunCase(1), ElementsAre("results 1 [0 passed, 1 passed]"));
  EXPECT_THAT(RunCase(2), IsEmpty());
}

TEST_F(AgentCore, ResultsGoWhenTheyAreLarge) {
  options_.bytes_per_message = 10;
  Join(1);
  GetLease(1, {0, 1});
  CaseResult result;
  result.outcome = Outcome::kFailed;
  result.output = "0123456789";
  EXPECT_THAT(Do(CaseFinished{SlotId(0), result}), ElementsAre("results 1 [0 failed <0123456789>]"));
}

TEST_F(AgentCore, ResultSaysWhereAndWhen) {
  Join(2);
  GetLease(1, {9});
  At(absl::Milliseconds(100));
  Get(Lease{LeaseId(2), kMath, {{5, 3}, {6, 1}}, 4});
  ASSERT_TRUE(std::holds_alternative<StartBatch>(raw_.back()));
  EXPECT_EQ(std::get<StartBatch>(raw_.back()).iteration, 4u);
  At(absl::Milliseconds(130));
  Begin(5, 1);
  At(absl::Milliseconds(170));
  Finish(5, Outcome::kFailed, 1);
  At(absl::Milliseconds(200));
  Turn();
  ASSERT_EQ(raw_.size(), 1u);
  const auto& results = std::get<Results>(std::get<Reply>(raw_[0]).message);
  const CaseResult& result = results.results.at(0);
  EXPECT_EQ(result.attempt, 3u);
  EXPECT_EQ(result.slot, SlotId(1));
  EXPECT_EQ(result.start, absl::Milliseconds(130));
  EXPECT_EQ(result.duration, absl::Milliseconds(40));
  At(absl::Milliseconds(210));
  RunCase(6, Outcome::kPassed, 1);
  Ends(1, 0, 1);
  EXPECT_EQ(std::get<Results>(std::get<Reply>(raw_[0]).message).startup, absl::Milliseconds(30));
}

TEST_F(AgentCore, TheFrameworksOwnClockCountsWhereItSaysMore) {
  Join(1);
  GetLease(1, {0, 1});
  CaseResult result;
  result.duration = absl::Milliseconds(300);
  Begin(0);
  Do(CaseFinished{SlotId(0), result});
  After(options_.result_delay);
  Turn();
  EXPECT_EQ(std::get<Results>(std::get<Reply>(raw_[0]).message).results[0].duration, absl::Milliseconds(300));
}

TEST_F(AgentCore, CasesInAnotherOrderThanTheLease) {
  Join(1);
  GetLease(1, {7, 3, 5});
  RunCase(3);
  RunCase(5, Outcome::kFailed);
  RunCase(7);
  EXPECT_THAT(Ends(1), ElementsAre("results 1 [3 passed, 5 failed, 7 passed] done"));
}

TEST_F(AgentCore, CaseNamedTwiceInALeaseRunsOnce) {
  Join(1);
  EXPECT_THAT(GetLease(1, {4, 2, 4, 2}), ElementsAre("run 0 in 0: 2 4"));
  RunCase(2);
  RunCase(4);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [2 passed, 4 passed] done"));
}

TEST_F(AgentCore, BatchThatIsCutGoesOnInAFreshProcess) {
  JoinReady();
  GetLease(1, {0, 1, 2});
  Do(BatchCut{SlotId(0), 2});
  RunCase(0);
  EXPECT_THAT(RunCase(1), IsEmpty());  // the last of its process
  Ends(0);
  EXPECT_THAT(Tick(), ElementsAre("run 0 in 0: 2"));
  RunCase(2);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed, 1 passed, 2 passed] done"));
}

TEST_F(AgentCore, EmptyLeaseIsDoneAtOnce) {
  Join(1);
  EXPECT_THAT(GetLease(1, {}), ElementsAre("results 1 [] done"));
}

TEST_F(AgentCore, DuplicateLeaseIgnored) {
  Join(1);
  GetLease(1, {0});
  EXPECT_THAT(GetLease(1, {0}), IsEmpty());
  RunCase(0);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed] done"));
  EXPECT_THAT(GetLease(1, {0}), IsEmpty());
}

TEST_F(AgentCore, UnexpectedNewsOfCasesIsIgnored) {
  Join(1);
  EXPECT_THAT(RunCase(0), IsEmpty());                       // no process
  EXPECT_THAT(RunCase(0, Outcome::kPassed, 9), IsEmpty());  // no such slot
  EXPECT_THAT(Ends(0, 0, 9), IsEmpty());
  GetLease(1, {0, 1});
  RunCase(5);  // not of the lease
  RunCase(0);
  RunCase(0, Outcome::kFailed);  // has its result
  Begin(1);
  Finish(0);
  Finish(1);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed, 1 passed] done"));
  EXPECT_THAT(Ends(0), IsEmpty());
}

// ---- Long listings

TEST_F(AgentCore, AListingTooLongForAMessageIsToldInParts) {
  Join(1);
  Get(List{kMath});
  ListingEnded ended;
  const std::string parameter(kMostListingBytes / 2 - 100, 'p');
  for (const char* name : {"A.One", "A.Two", "A.Three"}) ended.cases.Add({.name = name, .parameter = parameter});
  Do(ended);
  std::vector<bool> more;
  CaseInfos told;
  for (const AgentAction& action : raw_) {
    const Listed& listed = std::get<Listed>(std::get<Reply>(action).message);
    EXPECT_EQ(listed.error, "");
    EXPECT_LE(listed.cases.MessageBytes(), kMostListingBytes);
    told.Append(listed.cases);
    more.push_back(listed.more);
  }
  EXPECT_THAT(more, ElementsAre(true, false));
  EXPECT_TRUE(told == ended.cases);
}

TEST_F(AgentCore, ACaseTooLongForAnyMessageIsAnErrorOfTheListing) {
  Join(1);
  Get(List{kMath});
  ListingEnded ended;
  ended.cases.Add({.name = "A.One"});
  ended.cases.Add({.name = "A.Two", .parameter = std::string(kMostCaseBytes, 'p')});
  Do(ended);
  ASSERT_THAT(raw_, testing::SizeIs(1));
  const Listed& listed = std::get<Listed>(std::get<Reply>(raw_[0]).message);
  EXPECT_THAT(listed.error, testing::HasSubstr("name and parameter of the case A.Two... take 335"));
  EXPECT_TRUE(listed.cases.empty());
}

// ---- Crashes

TEST_F(AgentCore, CrashInACaseBlamesItAndTheRestGoesOnInAFreshProcess) {
  Join(1);
  GetLease(1, {0, 1, 2, 3});
  RunCase(0);
  Begin(1);
  ProcessEnded ended;
  ended.signal = SIGSEGV;
  ended.output = "last words";
  EXPECT_THAT(Do(ended), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 2 3"));
  RunCase(2);
  RunCase(3);
  EXPECT_THAT(Ends(0),
              ElementsAre("results 1 [0 passed, 1 crashed (killed by signal 11 (Segmentation fault)) <last words>, "
                          "2 passed, 3 passed] done"));
}

TEST_F(AgentCore, ExitInACaseIsACrashWhateverTheStatus) {
  Join(1);
  GetLease(1, {0});
  Begin(0);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 crashed (exited with status 0 before the test had ended)] done"));
  GetLease(2, {0});
  Begin(0);
  EXPECT_THAT(Ends(3), ElementsAre("results 2 [0 crashed (exited with status 3 before the test had ended)] done"));
}

TEST_F(AgentCore, KillByTheKernelNamesAProbableReason) {
  Join(1);
  GetLease(1, {0});
  Begin(0);
  EXPECT_THAT(Ends(0, SIGKILL), ElementsAre(HasSubstr("killed by signal 9 (Killed), perhaps by the kernel")));
}

TEST_F(AgentCore, CrashLoopingExecutable) {
  Join(1);
  EXPECT_THAT(GetLease(1, {0, 1, 2}), ElementsAre("run 0 in 0: 0 1 2"));
  EXPECT_THAT(Ends(0, SIGABRT), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1 2"));
  EXPECT_THAT(Ends(1), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 2"));
  EXPECT_THAT(
      Ends(0),
      ElementsAre("results 1 [0 crashed (killed by signal 6 (Aborted) before the first test, in global set-up), "
                  "1 crashed (exited with status 1 before the first test, in global set-up), "
                  "2 crashed (exited with status 0 without running the test)] done"));
}

TEST_F(AgentCore, DeathBetweenCasesIsWhoseProcessDiesAlone) {
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  EXPECT_THAT(Ends(0, SIGSEGV), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 0"));
  RunCase(0);
  EXPECT_THAT(Ends(0), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1"));
  EXPECT_THAT(Ends(0, SIGSEGV), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 2"));
  RunCase(2);
  EXPECT_THAT(Ends(0),
              ElementsAre("results 1 [0 passed, 1 crashed (killed by signal 11 (Segmentation fault) before the "
                          "first test, in global set-up), 2 passed] done"));
}

// Alone they pass, but the run must not be green.
TEST_F(AgentCore, DeathBetweenCasesThatNobodyRepeatsIsTheNextOnesWithAllTheirNames) {
  Join(1);
  GetLease(2, {0, 1});
  RunCase(0);
  ProcessEnded exits;
  exits.exit_code = 3;
  exits.premature = exits.in_suite = true;
  exits.output = "no licence";
  exits.cases = "A.a";
  EXPECT_THAT(Do(std::move(exits)), IsEmpty());
  for (uint32_t index : {0u, 1u}) {
    EXPECT_THAT(Turn(), ElementsAre(absl::StrCat("run 0 in 0: ", index)));
    RunCase(index);
    if (index == 0) {
      EXPECT_THAT(Ends(0), IsEmpty());
      continue;
    }
    EXPECT_THAT(Ends(0), ElementsAre("results 2 [0 passed, 1 crashed (exited with status 3 before the test, in the "
                                     "set-up of its suite; none of its cases does that alone, so it may not be this "
                                     "one's doing. Its cases: A.a) <no licence>] done"));
  }
}

TEST_F(AgentCore, DeathInTheTearDownOfAFailedCasesSuiteIsNotTheNextOnes) {
  Join(1);
  GetLease(1, {0, 1});
  RunCase(0, Outcome::kFailed);
  ProcessEnded ended;
  ended.signal = SIGSEGV;
  ended.after_failure = true;
  EXPECT_THAT(Do(std::move(ended)), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1"));
  RunCase(1);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 failed, 1 passed] done"));
}

TEST_F(AgentCore, HangBetweenCasesIsTheNextOnes) {
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  After(absl::Seconds(60) - kMs);
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed]"));
  After(kMs);
  EXPECT_THAT(Turn(), ElementsAre("kill 0 with 15"));
  EXPECT_THAT(Ends(0, SIGTERM), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 2"));
  RunCase(2);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [1 timed out (exceeded its time limit of 60 s between tests: one had "
                                   "ended, and this one had not begun), 2 passed] done"));
}

TEST_F(AgentCore, LastCaseHeldUntilExit) {
  Join(1);
  GetLease(1, {0, 1});
  RunCase(0);
  RunCase(1);
  After(absl::Seconds(1));
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed]"));
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [1 passed] done"));
}

// 0 leaks: its result has left, and is taken back.
TEST_F(AgentCore, WhatFailsAsAProcessEndsIsWhoseProcessFailsAlone) {
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  RunCase(1);
  After(absl::Seconds(1));
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed, 1 passed]"));
  RunCase(2);
  EXPECT_THAT(EndsLate(23, "leak", "ERROR: LeakSanitizer"), IsEmpty());
  EXPECT_THAT(Get(Recall{LeaseId(1)}), ElementsAre("refused 1"));
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 0"));
  RunCase(0);
  EXPECT_THAT(EndsLate(23, "leak of 0", "ERROR: LeakSanitizer"), IsEmpty());
  for (uint32_t index : {1u, 2u}) {
    After(absl::Seconds(1));
    const Actions turn = Turn();
    EXPECT_THAT(turn.front(), absl::StrCat("run 0 in 0: ", index));
    if (index == 1) {
      EXPECT_THAT(turn.back(),
                  absl::StrCat("results 1 [] not passed: 0 failed (the process exited with status 23", kTornDown,
                               ": ERROR: LeakSanitizer) <leak of 0> warning ERROR: "
                               "LeakSanitizer"));
    }
    RunCase(index);
    if (index == 1) {
      EXPECT_THAT(EndsLate(0), IsEmpty());
    } else {
      EXPECT_THAT(EndsLate(0), ElementsAre("results 1 [2 passed] done"));
    }
  }
}

TEST_F(AgentCore, WhatFailsAsAProcessEndsAndNobodyRepeatsNamesThemAll) {
  Join(1);
  GetLease(1, {0, 1});
  RunCase(0);
  RunCase(1);
  EndsLate(9, "broken");
  for (uint32_t index : {0u, 1u}) {
    Turn();
    RunCase(index);
    const Actions last = EndsLate(0);
    if (index == 0) {
      EXPECT_THAT(last, IsEmpty());
      continue;
    }
    EXPECT_THAT(last,
                ElementsAre(absl::StrCat("results 1 [0 passed, 1 failed (the process exited with status 9", kTornDown,
                                         "; none of its cases does that alone, so it may not be this "
                                         "one's doing. Its cases: A.a, A.b) <broken>] done")));
  }
}

// It may be running elsewhere by then, as a retry.
TEST_F(AgentCore, WhatHasFailedIsNotRunAgainToSeeWhoMadeTheProcessFail) {
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  RunCase(1, Outcome::kFailed);
  RunCase(2);
  EndsLate(9, "broken");
  Actions last;
  for (uint32_t index : {0u, 2u}) {
    EXPECT_THAT(Turn(), ElementsAre(absl::StrCat("run 0 in 0: ", index)));
    RunCase(index);
    last = EndsLate(0);
  }
  EXPECT_THAT(last,
              ElementsAre(absl::StrCat("results 1 [0 passed, 1 failed (the process exited with status 9", kTornDown,
                                       "; none of the cases that passed does that alone) <broken>, 2 passed] "
                                       "done")));
}

// As races are.
TEST_F(AgentCore, WhatASanitizerRemarkedOnDidItIfNobodyRepeatsIt) {
  Join(1);
  GetLease(1, {0, 1});
  Begin(0);
  CaseFinished finished;
  finished.result.index = 0;
  finished.result.warning = "WARNING: ThreadSanitizer: data race";
  Do(std::move(finished));
  RunCase(1);
  EndsLate(66);
  Turn();
  RunCase(0);
  EndsLate(0);
  Turn();
  RunCase(1);
  EXPECT_THAT(EndsLate(0),
              ElementsAre(absl::StrCat("results 1 [0 failed (WARNING: ThreadSanitizer: data race\nand the process "
                                       "exited with status 66",
                                       kTornDown,
                                       "; not so when the case ran alone) warning "
                                       "WARNING: ThreadSanitizer: data race, 1 passed] done")));
}

TEST_F(AgentCore, InquestThatAnInterruptCutsTellsWhatItWasAbout) {
  Join(1);
  GetLease(1, {0, 1});
  RunCase(0);
  RunCase(1);
  EndsLate(9);
  Turn();
  Begin(0);
  EXPECT_THAT(Get(Interrupt{absl::Seconds(1)}),
              ElementsAre(HasSubstr("1 failed (the process exited with status 9"), "kill 0 with 2"));
  EXPECT_THAT(Finish(0), IsEmpty());
  EXPECT_THAT(Ends(0, SIGINT), ElementsAre("results 1 [] done", "idle"));
}

TEST_F(AgentCore, CaseThatHangsInAnInquestIsTimedOut) {
  Join(1);
  GetLease(1, {0, 1});
  RunCase(0);
  RunCase(1);
  EndsLate(9);
  Turn();
  Begin(0);
  After(absl::Seconds(60));
  EXPECT_THAT(Turn(), ElementsAre("kill 0 with 15", "results 1 [0 passed]"));
  EXPECT_THAT(Ends(0, SIGTERM), IsEmpty());
  Turn();
  RunCase(1);
  EXPECT_THAT(EndsLate(0), ElementsAre(HasSubstr("not passed: 0 timed out (exceeded its time limit of 60 s) done")));
}

TEST_F(AgentCore, CasesThatAProcessDoesNotKnowAreNobodyElsesFault) {
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(1);
  EXPECT_THAT(EndsWrong("it forgot A.a"),
              ElementsAre("listing of 0 wrong: it forgot A.a",
                          "results 1 [1 passed, 0 infra error (not run: what is listed is not what runs: it forgot "
                          "A.a), 2 infra error (not run: what is listed is not what runs: it forgot A.a)] done"));
}

TEST_F(AgentCore, CaseThatNobodyListedMakesTheListingWrong) {
  Join(1);
  GetLease(1, {0, 1});
  RunCase(0);
  RunCase(1);
  ProcessEnded ended;
  ended.exit_code = 1;  // the strange one failed
  ended.listing_wrong = "it listed 2 and runs 3";
  EXPECT_THAT(Do(std::move(ended)),
              ElementsAre("listing of 0 wrong: it listed 2 and runs 3", "results 1 [0 passed, 1 passed] done"));
}

TEST_F(AgentCore, SignalAfterTheLastCase) {
  Join(1);
  GetLease(1, {0});
  RunCase(0, Outcome::kSkipped);
  EXPECT_THAT(Ends(0, SIGSEGV), ElementsAre(absl::StrCat("results 1 [0 failed (the process was killed by signal 11 "
                                                         "(Segmentation fault)",
                                                         kTornDown, ")] done")));
}

TEST_F(AgentCore, NonZeroExitIsExplainedByAFailedCase) {
  Join(1);
  GetLease(1, {0, 1});
  RunCase(0, Outcome::kFailed);
  RunCase(1);
  EXPECT_THAT(Ends(1), ElementsAre("results 1 [0 failed, 1 passed] done"));
  // But a signal is not, nor is what a sanitizer calls an error.
  GetLease(2, {0, 1});
  RunCase(0, Outcome::kFailed);
  RunCase(1);
  EXPECT_THAT(Ends(0, SIGBUS), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 0"));
  Get(Cancel{LeaseId(2)});
  Ends(0, SIGKILL);
  GetLease(3, {0, 1});
  RunCase(0, Outcome::kFailed);
  RunCase(1);
  EXPECT_THAT(EndsLate(1, "text", "ERROR: AddressSanitizer"), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 0"));
}

TEST_F(AgentCore, OtherExitStatusThanOneIsNeverExplained) {
  Join(1);
  GetLease(1, {0, 1});
  RunCase(0, Outcome::kFailed);
  RunCase(1);
  EXPECT_THAT(Ends(23), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 0"));
}

TEST_F(AgentCore, DoubtfulResultWaitsForTheEndOfTheProcess) {
  Join(1);
  GetLease(1, {0, 1});
  RunDoubtful(0);
  After(absl::Seconds(1));
  EXPECT_THAT(Turn(), IsEmpty());
  RunCase(1);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed, 1 passed] done"));
  GetLease(2, {0, 1, 2});
  RunDoubtful(0, Outcome::kSkipped);
  RunCase(1, Outcome::kFailed);
  RunCase(2);
  EXPECT_THAT(EndsWith(1, {{0, "set-up failed"}}),
              ElementsAre("results 2 [1 failed, 0 failed (set-up failed), 2 passed] done"));
}

TEST_F(AgentCore, CorrectionOfAResultThatHasLeftFollowsIt) {
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  After(absl::Seconds(1));
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed]"));
  RunCase(1, Outcome::kFailed);
  RunCase(2);
  EXPECT_THAT(EndsWith(1, {{0, "A.B failed"}}),
              ElementsAre("results 1 [1 failed, 2 passed] not passed: 0 failed (A.B failed) done"));
}

TEST_F(AgentCore, CorrectionFollowsBesideADoubt) {
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  After(absl::Seconds(1));
  Turn();
  Begin(1);
  ProcessEnded ended;
  ended.signal = SIGSEGV;
  ended.corrections = {{0, "a listener failed"}};
  EXPECT_THAT(Do(std::move(ended)), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1"));
  Begin(1);
  EXPECT_THAT(Ends(0, SIGSEGV), IsEmpty());
  Turn();
  RunCase(2);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [1 crashed (killed by signal 11 (Segmentation fault)), 2 passed] not "
                                   "passed: 0 failed (a listener failed) done"));
}

TEST_F(AgentCore, SetUpThatCrashesIsBlamedOnTheFirstCaseListed) {
  Join(1);
  EXPECT_THAT(GetLease(1, {7, 2, 9}), ElementsAre("run 0 in 0: 2 7 9"));
  EXPECT_THAT(Ends(0, SIGSEGV), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 7 9"));
  RunCase(7);
  RunCase(9);
  EXPECT_THAT(Ends(0), ElementsAre(AllOf(HasSubstr("[2 crashed ("), HasSubstr("7 passed, 9 passed]"))));
}

TEST_F(AgentCore, SetUpThatCrashesAloneIsBlamedOnTheCaseInDoubt) {
  Join(1);
  GetLease(1, {0, 1, 2});
  // As a framework would that runs them in an order of its own: 0 remains the first of the lease.
  Begin(1);
  EXPECT_THAT(Ends(0, SIGABRT), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1"));
  EXPECT_THAT(Ends(0, SIGSEGV), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 0 2"));
  RunCase(0);
  RunCase(2);
  EXPECT_THAT(Ends(0), ElementsAre(AllOf(HasSubstr("[1 crashed ("), HasSubstr("0 passed, 2 passed]"))));
}

TEST_F(AgentCore, SilentCaseIsSeenAloneBeforeItIsBlamed) {
  Join(1);
  GetLease(1, {0, 1, 2});
  Begin(0);
  EXPECT_THAT(Ends(0, SIGABRT), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 0"));
  Begin(0);
  EXPECT_THAT(Ends(0, SIGSEGV), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1 2"));
  RunCase(1);
  RunCase(2);
  EXPECT_THAT(Ends(0),
              ElementsAre("results 1 [0 crashed (killed by signal 11 (Segmentation fault)), 1 passed, 2 passed]"
                          " done"));
}

TEST_F(AgentCore, CrashIsNotHiddenByAPassThatCouldBeHeard) {
  Join(1);
  GetLease(1, {0, 1});
  Begin(0);
  Ends(0, SIGABRT);
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 0"));
  RunCase(0);
  Ends(0);
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1"));
  RunCase(1);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 crashed (killed by signal 6 (Aborted)), 1 passed] done"));
}

TEST_F(AgentCore, CaseThatRedirectsItsOutputIsNotBlamedForALaterCrash) {
  Join(1);
  GetLease(1, {0, 1, 2});
  Begin(0);
  Ends(0, SIGABRT);
  Turn();
  RunUnheard(0);
  EXPECT_THAT(Ends(0), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1"));
  Begin(1);
  EXPECT_THAT(Ends(0, SIGABRT), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 2"));
  RunCase(2);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed, 1 crashed (killed by signal 6 (Aborted)), 2 passed] done"));
}

TEST_F(AgentCore, CrashThatNobodyRepeatsStaysWithTheSilentCase) {
  Join(1);
  GetLease(1, {0, 1});
  Begin(0);
  Ends(0, SIGABRT);
  Turn();
  RunUnheard(0);
  Ends(0);
  Turn();
  RunCase(1);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [1 passed, 0 crashed (killed by signal 6 (Aborted))] done"));
}

TEST_F(AgentCore, DoubtEndsWhereTheLeaseDoes) {
  Join(1);
  GetLease(1, {0, 1});
  Begin(0);
  Ends(0, SIGABRT);
  Turn();
  Begin(0);
  EXPECT_THAT(Get(Interrupt{absl::Seconds(1)}), ElementsAre(HasSubstr("results 1 [0 crashed"), "kill 0 with 2"));
  EXPECT_THAT(Finish(0, Outcome::kFailed), IsEmpty());
  EXPECT_THAT(Ends(0, SIGKILL), ElementsAre("results 1 [] done", "idle"));
}

TEST_F(AgentCore, AFailureOfAnEarlierProcessExplainsNothing) {
  Join(1);
  GetLease(1, {0, 1});
  RunCase(0, Outcome::kFailed);
  Ends(1);
  Turn();
  RunCase(1);
  EXPECT_THAT(Ends(1), ElementsAre(HasSubstr("1 failed (the process exited with status 1 after its last test")));
}

TEST_F(AgentCore, PrematureSuccess) {
  Join(1);
  GetLease(1, {0});
  RunCase(0);
  ProcessEnded ended;
  ended.premature = true;
  EXPECT_THAT(Do(ended), ElementsAre(HasSubstr("0 failed (the process exited with status 0 after its last test")));
}

TEST_F(AgentCore, LeakMarksTheCaseThatTheEndDecides) {
  Join(1);
  GetLease(1, {0, 1});
  RunCase(0);
  RunCase(1);
  ProcessEnded ended;
  ended.leaky = true;
  EXPECT_THAT(Do(ended), ElementsAre("results 1 [0 passed, 1 passed leaky] done"));
}

TEST_F(AgentCore, PropertiesComeWithResultsAndAfterThoseThatHaveLeft) {
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  After(options_.result_delay);
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed]"));
  RunCase(1);
  RunCase(2);
  ProcessEnded ended;
  ended.properties = {{0, "late", "1"}, {0, "later", "2"}, {1, "answer", "42"}, {2, "k", "v"}, {2, "k2", "v2"}};
  EXPECT_THAT(Do(ended), ElementsAre("results 1 [1 passed answer=42, 2 passed k=v k2=v2] late 0 late=1 later=2 done"));
  // Results of the next process wait no longer for that.
  GetLease(2, {0, 1});
  RunCase(0);
  After(options_.result_delay);
  EXPECT_THAT(Turn(), ElementsAre("results 2 [0 passed]"));
  RunCase(1);
  ended.properties = {{0, "late", "1"}};
  EXPECT_THAT(Do(ended), ElementsAre("results 2 [1 passed] late 0 late=1 done"));
}

TEST_F(AgentCore, LatePropertiesNameTheAttempt) {
  Join(1);
  Get(Lease{LeaseId(1), kMath, {{0, 3}, {1, 1}}});
  RunCase(0);
  After(options_.result_delay);
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed attempt 3]"));
  RunCase(1);
  ProcessEnded ended;
  ended.properties = {{0, "k", "v"}};
  EXPECT_THAT(Do(ended), ElementsAre("results 1 [1 passed] late 0 attempt 3 k=v done"));
}

TEST_F(AgentCore, PropertiesOfCasesWithoutResultMeanNothing) {
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  RunCase(1, Outcome::kFailed);
  After(options_.result_delay);
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed, 1 failed]"));
  ProcessEnded ended;
  ended.exit_code = 3;
  ended.after_failure = true;
  ended.properties = {{0, "k", "v"}, {2, "not", "run"}, {7, "un", "known"}};
  EXPECT_THAT(Do(ended), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 2"));
  // What is late of one process does not wait for the next.
  After(options_.result_delay);
  EXPECT_THAT(Turn(), ElementsAre("results 1 [] late 0 k=v"));
  RunCase(2);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [2 passed] done"));
}

TEST_F(AgentCore, LatePropertiesGoWhenThereAreMany) {
  options_.results_per_message = 2;
  Join(1);
  GetLease(1, {0, 1, 2, 3});
  RunCase(0);
  EXPECT_THAT(RunCase(1), ElementsAre("results 1 [0 passed, 1 passed]"));
  RunCase(2);
  RunCase(3);
  ProcessEnded ended;
  ended.properties = {{0, "k", "v"}, {1, "k", "v"}, {3, "k", "v"}};
  EXPECT_THAT(Do(ended), ElementsAre("results 1 [2 passed] late 0 k=v late 1 k=v", "results 1 [3 passed k=v] done"));
}

TEST_F(AgentCore, PropertiesGoWhenTheyAreLarge) {
  options_.bytes_per_message = 10;
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  After(options_.result_delay);
  Turn();
  RunCase(1);
  RunCase(2);
  ProcessEnded ended;
  ended.properties = {{0, "k", "01234"}, {0, "l", "0123"}, {0, "m", "01234"}, {1, "n", "0123"}, {1, "o", ""}};
  EXPECT_THAT(Do(ended),
              ElementsAre("results 1 [1 passed] late 0 k=01234 l=0123", "results 1 [] late 0 m=01234 late 1 n=0123",
                          "results 1 [2 passed] late 1 o= done"));
}

TEST_F(AgentCore, PropertiesOfACancelledLeaseMeanNothing) {
  Join(1);
  GetLease(1, {0, 1});
  RunCase(0);
  Get(Cancel{LeaseId(1)});
  ProcessEnded ended;
  ended.properties = {{0, "k", "v"}, {1, "k", "v"}};
  EXPECT_THAT(Do(ended), ElementsAre("released 1"));
}

TEST_F(AgentCore, PropertiesOfASecondLookAreThoseOfItsResult) {
  Join(1);
  GetLease(1, {0, 1});
  Begin(0);
  Ends(0, 11);
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 0"));
  RunUnheard(0);
  ProcessEnded ended;
  ended.properties = {{0, "k", "v"}};
  EXPECT_THAT(Do(ended), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1"));
  Begin(1);
  EXPECT_THAT(Ends(0, 11), ElementsAre("results 1 [0 passed k=v, 1 crashed (killed by signal 11 (Segmentation fault))] "
                                       "done"));
}

// ---- Time limits

TEST_F(AgentCore, TimeoutThenRest) {
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  After(absl::Seconds(1));
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed]"));
  Begin(1);
  After(absl::Seconds(60) - kMs);
  EXPECT_THAT(Tick(), IsEmpty());
  After(kMs);
  EXPECT_THAT(Turn(), ElementsAre("kill 0 with 15"));
  // What it says after its time does not count, but what it printed is kept.
  CaseResult late;
  late.index = 1;
  late.output = "slow";
  EXPECT_THAT(Do(CaseFinished{SlotId(0), late}), IsEmpty());
  EXPECT_THAT(RunCase(2), IsEmpty());
  After(absl::Seconds(5) - kMs);
  EXPECT_THAT(Tick(), IsEmpty());
  After(kMs);
  EXPECT_THAT(Turn(), ElementsAre("kill 0 with 9"));
  EXPECT_THAT(Ends(0, SIGKILL), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 2"));
  RunCase(2);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [1 timed out (exceeded its time limit of 60 s) <slow>, 2 passed] done"));
}

TEST_F(AgentCore, ProcessThatHasExitedIsNotPastItsLimitWhateverItLeftBehind) {
  Join(1);
  GetLease(1, {0, 1});
  RunCase(0);
  Begin(1);
  After(absl::Seconds(59));
  EXPECT_THAT(Do(ProcessExited{SlotId(0)}), IsEmpty());
  Finish(1);  // was still in the pipe
  After(absl::Seconds(120));
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed]"));
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [1 passed] done"));
}

TEST_F(AgentCore, EachCaseHasItsOwnTime) {
  Join(1);
  GetLease(1, {0, 1});
  Begin(0);
  After(absl::Seconds(59));
  Finish(0);
  Begin(1);
  After(absl::Seconds(59));
  EXPECT_THAT(Tick(), ElementsAre("results 1 [0 passed]"));
  Finish(1);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [1 passed] done"));
}

TEST_F(AgentCore, HangBeforeTheFirstCaseIsLimitedToo) {
  Join(1);
  GetLease(1, {0, 1});
  After(absl::Seconds(60));
  EXPECT_THAT(Turn(), ElementsAre("kill 0 with 15"));
  EXPECT_THAT(Ends(0, SIGTERM), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1"));
  Begin(1);
  Finish(1);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 timed out (exceeded its time limit of 60 s before the first test, in "
                                   "set-up), 1 passed] done"));
}

TEST_F(AgentCore, ACaseMayHaveALimitOfItsOwn) {
  Join(1);
  Get(Lease{LeaseId(1), kMath, {{0, 1, absl::Seconds(100)}, {1, 1, absl::Seconds(60)}, {2, 1, absl::Seconds(7)}}});
  After(absl::Seconds(100) - kMs);
  EXPECT_THAT(Tick(), IsEmpty()) << "set-up counts as the first case";
  RunCase(0);
  Begin(1);
  After(absl::Seconds(60) - kMs);
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed]"));
  Finish(1);
  After(absl::Seconds(7) - kMs);
  EXPECT_THAT(Turn(), ElementsAre("results 1 [1 passed]"));
  Begin(2);
  After(absl::Seconds(7) - kMs);
  EXPECT_THAT(Tick(), IsEmpty());
  After(kMs);
  EXPECT_THAT(Turn(), ElementsAre("kill 0 with 15"));
  EXPECT_THAT(Ends(0, SIGTERM), ElementsAre("results 1 [2 timed out (exceeded its time limit of 7 s)] done"));
}

TEST_F(AgentCore, HangAfterTheLastCaseIsLimitedToo) {
  welcome_.settings.kill_grace = absl::ZeroDuration();
  Join(1);
  GetLease(1, {0});
  RunCase(0);
  After(absl::Seconds(60));
  EXPECT_THAT(Turn(), ElementsAre("kill 0 with 9"));
  EXPECT_THAT(Ends(0, SIGKILL),
              ElementsAre(absl::StrCat("results 1 [0 timed out (the process exceeded its time limit of 60 s", kTornDown,
                                       ")] done")));
}

TEST_F(AgentCore, NoLimitWhereNoneIsSet) {
  limit_ = absl::InfiniteDuration();
  Join(1);
  GetLease(1, {0});
  Begin(0);
  After(absl::Minutes(59));
  EXPECT_THAT(Turn(), IsEmpty());
}

// ---- Recall and Cancel

TEST_F(AgentCore, CaseThatSignalsTheAgentHasFailedAndTheRestGoesOn) {
  Join(1);
  GetLease(1, {0, 1});
  Begin(0);
  EXPECT_THAT(Do(AgentSignalled{SlotId(0), SIGTERM}), ElementsAre("kill 0 with 15"));
  EXPECT_THAT(Finish(0), IsEmpty());
  EXPECT_THAT(Ends(0, SIGTERM), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1"));
  RunCase(1);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 failed (sent signal 15 (Terminated) to dtest-agent, which runs all "
                                   "tests of this host), 1 passed] done"));
  EXPECT_THAT(Do(AgentSignalled{SlotId(0), SIGTERM}), IsEmpty());
}

TEST_F(AgentCore, RecallWhileQueued) {
  Join(1);
  GetLease(1, {0});
  GetLease(2, {1});
  EXPECT_THAT(Get(Recall{LeaseId(2)}), ElementsAre("released 2"));
  EXPECT_THAT(Get(Recall{LeaseId(2)}), ElementsAre("refused 2"));
  EXPECT_THAT(GetLease(2, {1}), IsEmpty());  // released is released: an id is used once
  RunCase(0);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed] done"));
}

TEST_F(AgentCore, RecallWhileRunningIsRefused) {
  Join(1);
  GetLease(1, {0, 1});
  EXPECT_THAT(Get(Recall{LeaseId(1)}), ElementsAre("refused 1"));
  Begin(0);
  EXPECT_THAT(Get(Recall{LeaseId(1)}), ElementsAre("refused 1"));
  EXPECT_THAT(Get(Recall{LeaseId(99)}), ElementsAre("refused 99"));
}

TEST_F(AgentCore, RemainderOfACrashCanBeRecalled) {
  Join(1);
  GetLease(1, {0, 1, 2});
  Begin(0);
  EXPECT_THAT(Ends(0, SIGSEGV), IsEmpty());
  EXPECT_EQ(core_->NextDeadline(), now_);
  EXPECT_THAT(Get(Recall{LeaseId(1)}), ElementsAre(HasSubstr("results 1 [0 crashed"), "released 1"));
  EXPECT_THAT(Turn(), IsEmpty());
  EXPECT_THAT(GetLease(2, {5}), ElementsAre("run 0 in 0: 5"));
}

// ---- Units that print all

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

TEST_F(AgentCore, CancelKillsAndIsAnsweredWhenTheProcessHasEnded) {
  Join(1);
  GetLease(1, {0, 1});
  GetLease(2, {2});
  RunCase(0);
  EXPECT_THAT(Get(Cancel{LeaseId(1)}), ElementsAre("results 1 [0 passed]", "kill 0 with 9"));
  EXPECT_THAT(RunCase(1), IsEmpty());
  EXPECT_THAT(Get(Cancel{LeaseId(1)}), IsEmpty());
  After(absl::Hours(1));
  EXPECT_THAT(Turn(), ElementsAre("heartbeat 1 2"));  // it still occupies the slot
  EXPECT_THAT(Ends(0, SIGKILL), ElementsAre("released 1", "run 0 in 0: 2"));
  EXPECT_THAT(Get(Cancel{LeaseId(1)}), IsEmpty());
}

TEST_F(AgentCore, CancelDropsAResultThatWaitsForTheProcess) {
  Join(1);
  GetLease(1, {0});
  RunCase(0);  // the last case of its process: the end of the process may still change it
  EXPECT_THAT(Get(Cancel{LeaseId(1)}), ElementsAre("kill 0 with 9"));
  EXPECT_THAT(Ends(0, SIGKILL), ElementsAre("released 1"));
}

TEST_F(AgentCore, CancelledAndThenInterrupted) {
  Join(1);
  GetLease(1, {0});
  Begin(0);
  Get(Cancel{LeaseId(1)});
  Get(Interrupt{absl::Seconds(10)});
  EXPECT_THAT(Ends(0, SIGKILL), ElementsAre("released 1", "idle"));
}

TEST_F(AgentCore, CancelOfAQueuedLease) {
  Join(1);
  GetLease(1, {0});
  GetLease(2, {1});
  EXPECT_THAT(Get(Cancel{LeaseId(2)}), ElementsAre("released 2"));
  RunCase(0);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed] done"));
}

TEST_F(AgentCore, CancelBetweenProcesses) {
  Join(1);
  GetLease(1, {0, 1});
  GetLease(2, {2});
  Begin(0);
  Ends(0, SIGSEGV);
  EXPECT_THAT(Get(Cancel{LeaseId(1)}), ElementsAre("released 1", "run 0 in 0: 2"));
}

// ---- Interrupt and the end

TEST_F(AgentCore, InterruptDropsTheQueueAndSignalsWhatRuns) {
  Join(2);
  GetLease(1, {0, 1});
  Get(List{kText});
  GetLease(2, {2});
  RunCase(0);
  Begin(1);
  EXPECT_THAT(Get(Interrupt{absl::Seconds(10)}), ElementsAre("results 1 [0 passed]", "kill 0 with 2", "kill 1 with 2"));
  EXPECT_THAT(Finish(1), IsEmpty());  // a pass under our signal is none
  After(absl::Seconds(10) - kMs);
  EXPECT_THAT(Tick(), IsEmpty());
  After(kMs);
  EXPECT_THAT(Turn(), ElementsAre("kill 0 with 9", "kill 1 with 9"));
  EXPECT_THAT(Ends(0, SIGKILL), ElementsAre("results 1 [] done"));
  EXPECT_THAT(Do(ListingEnded{SlotId(1), {"A.B"}, "", "", kMs, ""}), ElementsAre("idle"));
}

TEST_F(AgentCore, FailureWithinTheGraceOfAnInterruptCounts) {
  Join(1);
  GetLease(1, {0, 1, 2});
  Begin(0);
  EXPECT_THAT(Get(Interrupt{absl::Seconds(10)}), ElementsAre("kill 0 with 2"));
  CaseResult result;
  result.outcome = Outcome::kFailed;
  result.message = "deadlock found";
  Do(CaseFinished{SlotId(0), result});
  RunCase(1);
  After(options_.result_delay);
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 failed (deadlock found)]"));
  EXPECT_THAT(Ends(1), ElementsAre("results 1 [] done", "idle"));
}

TEST_F(AgentCore, CaseCutOffByAnInterruptSaysSo) {
  Join(1);
  GetLease(1, {0, 1});
  At(absl::Seconds(2));
  Begin(0);
  After(absl::Milliseconds(400));
  Get(Interrupt{absl::Seconds(10)});
  After(absl::Milliseconds(600));
  ProcessEnded ended;
  ended.signal = SIGINT;
  ended.output = "waiting for the server\n";
  EXPECT_THAT(Do(ended),
              ElementsAre("results 1 [0 not run (interrupted after 1.0 s) <waiting for the server\n>] done", "idle"));
  const CaseResult& result = std::get<Results>(std::get<Reply>(raw_[0]).message).results.at(0);
  EXPECT_EQ(result.start, absl::Seconds(2));
  EXPECT_EQ(result.duration, absl::Seconds(1));
  GetLease(2, {0});
  Begin(0);
  Get(Interrupt{absl::Seconds(10)});
  EXPECT_THAT(Ends(0, SIGABRT), ElementsAre(HasSubstr("interrupted after 0.0 s, killed by signal 6"), "idle"));
}

TEST_F(AgentCore, InterruptWithNothingRunningIsIdleAtOnce) {
  Join(1);
  EXPECT_THAT(Get(Interrupt{absl::Seconds(10)}), ElementsAre("idle"));
  EXPECT_THAT(Get(Interrupt{absl::ZeroDuration()}), ElementsAre("idle"));
}

TEST_F(AgentCore, SecondInterruptWithoutGraceKills) {
  Join(1);
  GetLease(1, {0});
  EXPECT_THAT(Get(Interrupt{absl::Seconds(10)}), ElementsAre("kill 0 with 2"));
  EXPECT_THAT(Get(Interrupt{absl::ZeroDuration()}), ElementsAre("kill 0 with 9"));
  EXPECT_THAT(Ends(0, SIGKILL), ElementsAre("results 1 [] done", "idle"));
}

TEST_F(AgentCore, InterruptedProcessNeverPassesItsHeldCase) {
  Join(1);
  GetLease(1, {0});
  RunCase(0);
  EXPECT_THAT(Get(Interrupt{absl::Seconds(1)}), ElementsAre("kill 0 with 2"));
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [] done", "idle"));
  GetLease(2, {0});
  RunCase(0, Outcome::kFailed);
  EXPECT_THAT(Get(Interrupt{absl::Seconds(1)}), ElementsAre("results 2 [0 failed]", "kill 0 with 2"));
}

TEST_F(AgentCore, Shutdown) {
  Join(1);
  EXPECT_THAT(Get(Shutdown{}), ElementsAre("exit"));
  EXPECT_THAT(GetLease(1, {0}), IsEmpty());
  EXPECT_EQ(core_->NextDeadline(), absl::InfiniteFuture());
}

// ---- Liveness

TEST_F(AgentCore, SilentCoordinator) {
  welcome_.lease_timeout = absl::Seconds(30);
  Join(1);
  After(absl::Seconds(20));
  EXPECT_THAT(Do(CoordinatorHeard{}), IsEmpty());
  GetLease(1, {0});
  After(absl::Seconds(30) - kMs);
  // A message alone may be an old one.
  EXPECT_THAT(GetLease(2, {1}), IsEmpty());
  EXPECT_THAT(Turn(), IsEmpty());
  After(kMs);
  EXPECT_THAT(Turn(), ElementsAre("exit: heard nothing from the coordinator for 30s"));
}

TEST_F(AgentCore, NoWelcome) {
  Tick();
  After(options_.welcome_timeout - kMs);
  EXPECT_THAT(Turn(), IsEmpty());
  After(kMs);
  EXPECT_THAT(Turn(), ElementsAre("exit: heard nothing from the coordinator for 1m"));
}

TEST_F(AgentCore, HeartbeatsComeWhateverRuns) {
  welcome_.heartbeat_interval = absl::Seconds(2);
  Join(1);
  EXPECT_EQ(core_->NextDeadline(), now_ + absl::Seconds(2));
  GetLease(1, {4, 5});
  GetLease(2, {6});
  After(absl::Seconds(1));
  Begin(4);
  After(absl::Seconds(1) - kMs);
  EXPECT_THAT(Turn(), IsEmpty());
  After(kMs);
  EXPECT_THAT(Turn(), ElementsAre("heartbeat 1 2 slot 0: 1/4 of 0 for 1s"));
  // A loop that was held up sends one, not all it missed.
  After(absl::Seconds(7));
  EXPECT_THAT(Turn(), ElementsAre("heartbeat 1 2 slot 0: 1/4 of 0 for 8s"));
  EXPECT_THAT(Turn(), IsEmpty());
  Get(Cancel{LeaseId(1)});
  After(absl::Seconds(2));
  EXPECT_THAT(Turn(), ElementsAre("heartbeat 1 2"));
  Ends(0, SIGKILL);
  After(absl::Seconds(2));
  EXPECT_THAT(Turn(), ElementsAre("heartbeat 2"));
}

TEST_F(AgentCore, SlotsDefaultToCores) {
  options_.cores = 3;
  Join(0);
  for (uint64_t i = 0; i < 3; ++i) EXPECT_THAT(GetLease(i, {0}), ElementsAre(absl::StrCat("run 0 in ", i, ": 0")));
  EXPECT_THAT(GetLease(4, {0}), IsEmpty());
}

// The hot path is far from being the bottleneck (about a microsecond a case), however many cases there are.
TEST_F(AgentCore, ManyCases) {
  Join(1);
  constexpr uint32_t kCases = 200000;
  Lease lease{LeaseId(1), kMath, {}};
  for (uint32_t i = 0; i < kCases; ++i) lease.cases.push_back({i, 1});
  Get(std::move(lease));
  const std::clock_t begin = std::clock();  // processor time: how busy the machine is must not matter
  size_t results = 0;
  raw_.clear();
  for (uint32_t i = 0; i < kCases; ++i) {
    core_->Handle(now_, CaseBegan{SlotId(0), i}, &raw_);
    CaseFinished finished;
    finished.result.index = i;
    core_->Handle(now_, std::move(finished), &raw_);
    if (!raw_.empty()) results += std::get<Results>(std::get<Reply>(raw_[0]).message).results.size();
    raw_.clear();
  }
  core_->Handle(now_, ProcessEnded{}, &raw_);
  results += std::get<Results>(std::get<Reply>(raw_.at(0)).message).results.size();
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  EXPECT_EQ(results, kCases);
  RecordProperty("ns_per_case", static_cast<int>(seconds * 1e9 / kCases));
  EXPECT_LT(seconds / kCases, 10e-6) << "it grows with what it holds";
}

}  // namespace
}  // namespace dtest
