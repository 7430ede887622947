// The core: whom the end of a process is blamed on.

#include <csignal>

#include "core_fixture.h"

namespace dtest {
namespace {

using AgentCore = AgentCoreTest;

constexpr char kTornDown[] = " after its last test (global tear-down, leak check or atexit)";

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

TEST_F(AgentCore, ExecutableThatDiesBeforeAnyTestIsNotRunForEachOfThem) {
  Join(1);
  EXPECT_THAT(GetLease(1, {0, 1, 2, 3}), ElementsAre("run 0 in 0: 0 1 2 3"));
  EXPECT_THAT(Ends(0, SIGABRT), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1 2 3"));
  const std::string rest =
      "crashed (not run, since two processes in a row did not get to a test: exited with status 1 before the first "
      "test, in global set-up)";
  EXPECT_THAT(Ends(1),
              ElementsAre(absl::StrCat(
                  "results 1 [0 crashed (killed by signal 6 (Aborted) before the first test, in global set-up), "
                  "1 crashed (exited with status 1 before the first test, in global set-up), 2 ",
                  rest, ", 3 ", rest, "] done")));
  // Each lease may find it mended, but not for ever.
  for (uint64_t lease = 2; lease < 10; ++lease) {
    EXPECT_THAT(GetLease(lease, {0, 1}), ElementsAre("run 0 in 0: 0 1"));
    EXPECT_THAT(Ends(1), ElementsAre(HasSubstr("1 crashed (not run, since two")));
  }
  EXPECT_THAT(GetLease(10, {0, 1}),
              ElementsAre(HasSubstr("[0 crashed (not run, since the last 10 processes of this executable here did not "
                                    "get to a test: exited with status 1 before")));
  EXPECT_THAT(GetLease(11, {0}, kText), ElementsAre("run 1 in 0: 0"));
}

TEST_F(AgentCore, ExecutableThatGetsToATestAfterAllHasItsTestsRun) {
  Join(1);
  GetLease(1, {0, 1, 2, 3});
  Ends(1);
  Turn();
  RunCase(1);
  Begin(2);
  ProcessEnded dies;
  dies.signal = SIGSEGV;
  dies.output = "words";
  EXPECT_THAT(Do(dies), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 3"));
  Ends(1);
  EXPECT_THAT(GetLease(2, {0, 1}), ElementsAre("run 0 in 0: 0 1"));
  Ends(1);
  Get(Cancel{LeaseId(2)});
}

TEST_F(AgentCore, SuiteWhoseSetUpDiesIsNotRunForEachOfItsTests) {
  Join(1);
  GetLease(1, {0, 1, 2, 3});
  ProcessEnded dies;
  dies.signal = SIGSEGV;
  dies.in_suite = true;
  dies.setting_up = {0, 1, 2};
  EXPECT_THAT(Do(dies), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1 2 3"));
  dies.setting_up = {1, 2};
  EXPECT_THAT(Do(dies), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 3"));
  RunCase(3);
  EXPECT_THAT(Ends(0),
              ElementsAre(HasSubstr(
                  "2 crashed (not run, since two processes in a row did not get to a test: killed by signal 11 "
                  "(Segmentation fault) before the first test, in the set-up of its suite), 3 passed] done")));
}

// They have a result before the process has even started.
TEST_F(AgentCore, DisabledCaseIsNoneThatTheProcessGotTo) {
  Join(1);
  GetLease(1, {0, 1});
  CaseFinished disabled;
  disabled.result.outcome = Outcome::kSkipped;
  disabled.never_runs = true;
  EXPECT_THAT(Do(CaseFinished(disabled)), IsEmpty());
  EXPECT_THAT(Ends(0, SIGSEGV),
              ElementsAre("results 1 [0 skipped, 1 crashed (killed by signal 11 (Segmentation fault) before the first "
                          "test, in global set-up)] done"));
  // There is no process at all, which ends well.
  GetLease(2, {0});
  Do(std::move(disabled));
  EXPECT_THAT(Ends(0), ElementsAre("results 2 [0 skipped] done"));
}

TEST_F(AgentCore, DeathInASuitesTearDownIsNotTheNextOnes) {
  Join(1);
  for (const auto outcome : {Outcome::kPassed, Outcome::kFailed}) {
    GetLease(1 + static_cast<uint64_t>(outcome), {0, 1});
    RunCase(0, outcome);
    ProcessEnded ended;
    ended.signal = SIGSEGV;
    ended.torn_down = {0};
    EXPECT_THAT(Do(std::move(ended)), IsEmpty());
    EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1"));
    RunCase(1);
    EXPECT_THAT(Ends(0), ElementsAre(HasSubstr(absl::StrCat(
                             "[0 ", outcome == Outcome::kPassed ? "crashed" : "failed",
                             " (killed by signal 11 (Segmentation fault) after the test, in the tear-down of its "
                             "suite), 1 passed] done"))));
  }
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
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1"));
  Get(Cancel{LeaseId(2)});
  Ends(0, SIGKILL);
  GetLease(3, {0, 1});
  RunCase(0, Outcome::kFailed);
  RunCase(1);
  EXPECT_THAT(EndsLate(1, "text", "ERROR: AddressSanitizer"), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1"));
}

TEST_F(AgentCore, OtherExitStatusThanOneIsNeverExplained) {
  Join(1);
  GetLease(1, {0, 1});
  RunCase(0, Outcome::kFailed);
  RunCase(1);
  EXPECT_THAT(Ends(23), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1"));
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
  EXPECT_THAT(GetLease(1, {2, 7, 9}), ElementsAre("run 0 in 0: 2 7 9"));
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

}  // namespace
}  // namespace dtest
