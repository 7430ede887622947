// The core: inquests, where it cannot be told from one process whose fault it was; and listings that prove wrong.

#include <csignal>

#include "core_fixture.h"

namespace dtest {
namespace {

using AgentCore = AgentCoreTest;

constexpr char kTornDown[] = " after its last test (global tear-down, leak check or atexit)";

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

// As races are. What a framework warns of is nothing of the kind.
TEST_F(AgentCore, WhatASanitizerRemarkedOnDidItIfNobodyRepeatsIt) {
  Join(1);
  for (const std::string warning : {"WARNING: ThreadSanitizer: data race", "a.cc:3: the server is slow"}) {
    const bool sanitizer = warning[0] == 'W';
    GetLease(sanitizer ? 1 : 2, {0, 1});
    Begin(0);
    CaseFinished finished;
    finished.result.index = 0;
    finished.result.warning = warning;
    Do(std::move(finished));
    RunCase(1);
    EndsLate(66);
    Turn();
    RunCase(0);
    EndsLate(0);
    Turn();
    RunCase(1);
    const std::string how = absl::StrCat("the process exited with status 66", kTornDown);
    EXPECT_THAT(
        EndsLate(0),
        ElementsAre(sanitizer ? absl::StrCat("results 1 [0 failed (", warning, "\nand ", how,
                                             "; not so when the case ran alone) warning ", warning, ", 1 passed] done")
                              : absl::StrCat("results 2 [0 passed warning ", warning, ", 1 failed (", how,
                                             "; none of its cases does that alone, so it may not be this one's doing. "
                                             "Its cases: A.a, A.b)] done")));
  }
}

// 0 and 1 are a suite. The process says that its tear-down failed, and goes on.
ProcessEnded FailedTearDown(const std::string& message, std::vector<uint32_t> cases) {
  ProcessEnded ended;
  ended.exit_code = 1;
  ended.outside = {{message, std::move(cases), "printed by " + message, 0}};
  return ended;
}

TEST_F(AgentCore, FailureOfASuitesTearDownIsWhoseSuiteFailsAlone) {
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  RunCase(1);
  RunCase(2);
  EXPECT_THAT(Do(FailedTearDown("left a mess", {0, 1})), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 0"));
  RunCase(0);
  EXPECT_THAT(Do(FailedTearDown("left a mess again", {0})), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1")) << "and not 2, of another suite";
  RunCase(1);
  EXPECT_THAT(EndsLate(0), ElementsAre("results 1 [0 failed (left a mess again), 1 passed, 2 passed] done"));
}

TEST_F(AgentCore, FailureOfASuitesTearDownThatNoCaseBringsAboutAloneIsToldOfItsLast) {
  Join(1);
  GetLease(1, {0, 1, 2});
  for (uint32_t index : {0u, 1u, 2u}) RunCase(index);
  After(options_.result_delay);
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed, 1 passed]"));
  Do(FailedTearDown("left a mess", {0, 1}));
  for (uint32_t index : {0u, 1u}) {
    EXPECT_THAT(Turn(), ElementsAre(absl::StrCat("run 0 in 0: ", index)));
    RunCase(index);
    const Actions last = EndsLate(0);
    if (index == 0) continue;
    EXPECT_THAT(last, ElementsAre("results 1 [2 passed] not passed: 1 failed (left a mess; none of its cases does that "
                                  "alone, so it may not be this one's doing) <printed by left a mess> done"));
  }
}

TEST_F(AgentCore, FailureOfASuitesTearDownMayBeOfTheCaseThatFailedInIt) {
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0, Outcome::kFailed);
  RunCase(1);
  RunCase(2);
  Do(FailedTearDown("left a mess", {0, 1}));
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1"));
  RunCase(1);
  EXPECT_THAT(EndsLate(0), ElementsAre("results 1 [0 failed (left a mess; none of the cases that passed does that "
                                       "alone) <printed by left a mess>, 1 passed, 2 passed] done"));
  // Of no other: there is nothing to find out.
  GetLease(2, {0, 1, 2});
  RunCase(0, Outcome::kFailed);
  RunCase(1, Outcome::kFailed);
  RunCase(2);
  EXPECT_THAT(Do(FailedTearDown("left a mess", {0, 1})),
              ElementsAre("results 2 [0 failed, 1 failed (left a mess; none of the cases that passed does that alone) "
                          "<printed by left a mess>, 2 passed] done"));
}

// The tear-down of one suite fails, and then a case of another one dies: two that are to blame.
TEST_F(AgentCore, FailureOfASuitesTearDownIsLookedIntoBesideACrash) {
  Join(1);
  GetLease(1, {0, 1, 2, 3});
  RunCase(0);
  RunCase(1);
  Begin(2);
  ProcessEnded ended = FailedTearDown("left a mess", {0, 1});
  ended.exit_code = 0;
  ended.signal = SIGSEGV;
  ended.output = "last words";
  EXPECT_THAT(Do(std::move(ended)), IsEmpty());
  for (uint32_t index : {0u, 1u}) {
    EXPECT_THAT(Turn(), ElementsAre(absl::StrCat("run 0 in 0: ", index)));
    RunCase(index);
    EXPECT_THAT(index == 1 ? Do(FailedTearDown("mess", {1})) : EndsLate(0), IsEmpty());
  }
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 3"));
  RunCase(3);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed, 1 failed (mess), 2 crashed (killed by signal 11 (Segmentation "
                                   "fault)) <last words>, 3 passed] done"));
}

TEST_F(AgentCore, DeathInASuitesTearDownIsWhoseSuiteDiesAlone) {
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  RunCase(1);
  ProcessEnded dies;
  dies.signal = SIGSEGV;
  dies.torn_down = {0, 1};
  EXPECT_THAT(Do(dies), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 0"));
  RunCase(0);
  dies.torn_down = {0};
  EXPECT_THAT(Do(dies), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1"));
  RunCase(1);
  EXPECT_THAT(Ends(0), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 2")) << "it was not the one to blame, and has not run";
  RunCase(2);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 crashed (killed by signal 11 (Segmentation fault) after the test, in "
                                   "the tear-down of its suite), 1 passed, 2 passed] done"));
}

// Static destructors, say. One whose process hangs alone is enough: each look takes as long as its limit.
TEST_F(AgentCore, ProcessThatDoesNotEndIsWhoseProcessDoesNotEndAlone) {
  Join(1);
  GetLease(1, {0, 1, 2});
  for (uint32_t index : {0u, 1u, 2u}) RunCase(index);
  const auto hang = [&] {
    After(absl::Seconds(60));
    EXPECT_THAT(Turn().front(), "kill 0 with 15");
    return Ends(0, SIGTERM);
  };
  EXPECT_THAT(hang(), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 0"));
  RunCase(0);
  EXPECT_THAT(Ends(0), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1"));
  RunCase(1);
  EXPECT_THAT(hang(), ElementsAre(absl::StrCat("results 1 [2 passed] not passed: 1 timed out (the process exceeded its "
                                               "time limit of 60 s",
                                               kTornDown, ") done")));
}

TEST_F(AgentCore, ProcessThatDoesNotEndAndNobodyRepeatsNamesThemAll) {
  Join(1);
  GetLease(1, {0, 1});
  RunCase(0);
  RunCase(1);
  After(absl::Seconds(60));
  Turn();
  EXPECT_THAT(EndsLate(143), IsEmpty()) << "it had a handler";
  for (uint32_t index : {0u, 1u}) {
    EXPECT_THAT(Turn(), ElementsAre(absl::StrCat("run 0 in 0: ", index)));
    RunCase(index);
    const Actions last = EndsLate(0);
    if (index == 0) continue;
    EXPECT_THAT(last,
                ElementsAre(absl::StrCat(
                    "results 1 [1 timed out (the process exceeded its time limit of 60 s", kTornDown,
                    "; none of its cases does that alone, so it may not be this one's doing. Its cases: A.a, A.b)] "
                    "done")));
  }
}

TEST_F(AgentCore, ProcessThatDoesNotEndIsToldAsTheRunEnds) {
  Join(1);
  GetLease(1, {0, 1});
  RunCase(0);
  RunCase(1);
  After(absl::Seconds(60));
  EXPECT_THAT(Turn().front(), "kill 0 with 15");
  EXPECT_THAT(
      Get(Interrupt{absl::Seconds(1)}),
      ElementsAre(absl::StrCat("results 1 [1 timed out (the process exceeded its time limit of 60 s", kTornDown, ")]"),
                  "kill 0 with 2"));
  EXPECT_THAT(Ends(0, SIGTERM), ElementsAre("results 1 [] done", "idle"));
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

// The unit fails here in the middle: the case that was to come next remains, and goes elsewhere.
TEST_F(AgentCore, InquestThatCannotGoOnTellsWhatItWasAbout) {
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  EXPECT_THAT(Ends(0, SIGSEGV), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 0"));
  ProcessEnded gone;
  gone.spawn_error = "its file is gone";
  EXPECT_THAT(Do(std::move(gone)),
              ElementsAre("prepared 0: its file is gone",
                          "results 1 [0 crashed (when the next test was to begin: killed by signal 11 (Segmentation "
                          "fault) between tests: one had ended, and this one had not begun; its cases could not all be "
                          "run alone, so it may not be this one's doing)] done"));
}

// A copy of its next case has won elsewhere.
TEST_F(AgentCore, InquestThatIsCancelledTellsWhatItWasAbout) {
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  RunCase(1);
  After(absl::Seconds(1));
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed, 1 passed]"));
  EXPECT_THAT(Ends(0, SIGSEGV), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 0"));
  EXPECT_THAT(
      Get(Cancel{LeaseId(1)}),
      ElementsAre(testing::AllOf(HasSubstr("results 1 [] not passed: 1 crashed (when the next test was to begin"),
                                 HasSubstr("could not all be run alone")),
                  "kill 0 with 9"));
  EXPECT_THAT(Ends(0, SIGKILL), ElementsAre("released 1"));
}

// Of one case there is one verdict, whatever went wrong beside it.
TEST_F(AgentCore, TwoQuestionsThatEndWithOneCaseMakeOneFailure) {
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  RunCase(1);
  After(absl::Seconds(1));
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed, 1 passed]"));
  RunCase(2);
  ProcessEnded end;
  end.exit_code = 1;
  end.outside = {{"in the tear-down of a suite", {0, 1}, "", 0}, {"in global tear-down", {0, 1}, "", 0}};
  EXPECT_THAT(Do(std::move(end)), IsEmpty());
  for (uint32_t index : {0u, 1u}) {
    EXPECT_THAT(Turn(), ElementsAre(absl::StrCat("run 0 in 0: ", index)));
    RunCase(index);
    if (index == 0) Ends(0);
  }
  EXPECT_THAT(Ends(0), ElementsAre(testing::AllOf(
                           HasSubstr("results 1 [2 passed] not passed: 1 failed (in the tear-down of a suite;"),
                           HasSubstr("\nin global tear-down; none"))));
}

// What a later failure of the same case replaces is what was told of it.
TEST_F(AgentCore, FailureOfATearDownThatFollowsACorrectionIsARemark) {
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  RunDoubtful(1, Outcome::kSkipped);
  RunCase(2);
  ProcessEnded end;
  end.exit_code = 1;
  end.corrections = {{1, "the set-up of its suite failed"}};
  end.outside = {{"the tear-down of its suite failed", {0, 1}, "", 0}};
  EXPECT_THAT(Do(std::move(end)), IsEmpty());
  After(absl::Seconds(1));
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 0", HasSubstr("1 failed (the set-up of its suite failed)")));
  RunCase(0);
  EXPECT_THAT(Ends(0),
              ElementsAre(HasSubstr("not failed: 1 failed (the tear-down of its suite failed; none of the cases "
                                    "that passed does that alone)")));
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

}  // namespace
}  // namespace dtest
