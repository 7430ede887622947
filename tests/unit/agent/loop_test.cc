// Runs of an agent's loop, in virtual time.

#include "agent/loop/loop.h"

#include <signal.h>

#include "unit/agent/dotted_cases.h"
#include "unit/agent/loop_fixture.h"

namespace dtest {
namespace {

using testing::AllOf;
using testing::Contains;

using LoopTest = AgentLoopTest;

TEST_F(LoopTest, UnitIsFetchedListedAndRun) {
  Start();
  AddUnit add;
  add.spec.id = kUnit;
  add.spec.name = "unit";
  add.spec.framework = "googletest";
  Say(add);
  Say(List{kUnit});
  Turn();
  ASSERT_EQ(files_.wanted.size(), 1u);
  EXPECT_EQ(files_.wanted[0]->name, "unit");
  loop_->UnitIsPrepared({{kUnit, "", false}, "/tree/unit", "/tree", {"/tree/lib"}});
  Turn();
  EXPECT_THAT(Heard(), ElementsAre("prepared 3"));
  EXPECT_EQ(Process()->spec().program, "/tree/unit");
  EXPECT_EQ(Process()->spec().working_directory, "/tree");
  EXPECT_THAT(Process()->spec().arguments, Contains("--gtest_list_tests"));
  EXPECT_THAT(Process()->spec().environment, Contains("LD_LIBRARY_PATH=/tree/lib"));
  Process()->Prints("A.\n  a\n  b\n");
  Process()->Ends(0);
  Turn();
  EXPECT_THAT(Heard(), ElementsAre("listed 3 A.a A.b"));

  RunCases(LeaseId(1), {0});
  EXPECT_THAT(Process()->spec().arguments, Contains("--gtest_filter=A.a"));
  Process()->Prints(Began("A.a") + Passed("A.a") + SuiteEnds("A"));
  Process()->Ends(0);
  Turn();
  Pass(absl::Milliseconds(20));
  EXPECT_THAT(Heard(), ElementsAre("results 1 [0 passed] done"));
  EXPECT_THAT(launcher_.alive(), IsEmpty());
}

// A unit of pytest, whose processes tell records.
class PytestLoopTest : public AgentLoopTest {
 protected:
  PytestLoopTest() { framework_ = "pytest"; }
  void Tells(const std::vector<std::vector<std::string>>& records) {
    for (const std::vector<std::string>& fields : records) {
      std::string body;
      for (const std::string& field : fields) absl::StrAppend(&body, field.size(), ":", field, ",");
      Process()->Prints(absl::StrCat(body.size(), ":", body, "\n"), Pipe::kReport);
    }
  }
  static std::vector<std::string> Began() { return {"began", "0"}; }
  static std::vector<std::string> Passed() { return {"finished", "0", "passed", "0", "0", "0", "", "", ""}; }
  void LeaseWhatMayFollow(uint64_t id, uint32_t index) {
    Lease lease{LeaseId(id), kUnit, {{index, 1, limit_}}};
    lease.may_follow = true;
    Say(std::move(lease));
    Turn();
  }
};

TEST_F(PytestLoopTest, AProcessGoesOnWithWhatWaits) {
  welcome_.settings.slots = 1;
  StartWith({"a.py::a", "a.py::b"});
  LeaseWhatMayFollow(1, 1);
  LeaseWhatMayFollow(2, 0);
  const std::string cases = "/slot-0/control/cases";
  EXPECT_EQ(directories_.files[cases], std::string("a.py::b\0", 8));
  Tells({Began(), {"wants more"}});
  Turn();
  EXPECT_THAT(Process()->answers(), ElementsAre(absl::StrCat("48:27:--run=", cases, ",13:--goes-on=yes,\n")));
  EXPECT_EQ(directories_.files[cases], std::string("a.py::a\0", 8));
  Tells({Passed(), {"goes on"}, Began(), {"wants more"}});
  Turn();
  EXPECT_THAT(Heard(), ElementsAre("results 1 [1 passed] done"));
  EXPECT_THAT(Process()->answers(), testing::SizeIs(2));
  EXPECT_EQ(Process()->answers()[1], "0:\n");
  Tells({Passed(), {"end"}});
  Process()->Ends(0);
  Turn();
  EXPECT_THAT(Heard(), ElementsAre("results 2 [0 passed] done"));
  EXPECT_EQ(launcher_.started(), 1u);
}

TEST_F(PytestLoopTest, OneThatDoesNotGetThereLeavesItToAnother) {
  welcome_.settings.slots = 1;
  StartWith({"a.py::a", "a.py::b"});
  LeaseWhatMayFollow(1, 1);
  LeaseWhatMayFollow(2, 0);
  Tells({Began(), {"wants more"}});
  Turn();
  Process()->Ends(0, SIGSEGV);
  Turn();
  EXPECT_THAT(Heard(), ElementsAre(testing::StartsWith("results 1 [1 crashed")));
  Tells({Began(), Passed(), {"end"}});
  Process()->Ends(0);
  Turn();
  EXPECT_THAT(Heard(), ElementsAre("results 2 [0 passed] done"));
  EXPECT_EQ(launcher_.started(), 2u);
}

TEST_F(PytestLoopTest, WhatAProcessCoversIsToldBeforeItsLeaseIsDone) {
  StartWith({"a.py::a"});
  RunCases(LeaseId(1), {0});
  Tells({{"runner", "pytest 8"}, {"measuring"}, Began(), Passed(), {"coverage", "{}", "z"}, {"end"}});
  Process()->Ends(0);
  Turn();
  Pass(absl::Milliseconds(20));
  EXPECT_THAT(Heard(), ElementsAre("run by pytest 8", "covered 2:{},1:z,", "results 1 [0 passed] done"));

  RunCases(LeaseId(2), {0});
  Tells({{"runner", "pytest 8"}, {"measuring"}, Began()});  // which has been told
  Process()->Ends(3);
  Turn();
  Pass(absl::Milliseconds(20));
  EXPECT_THAT(Heard(), ElementsAre(testing::HasSubstr("\"lost\""), testing::StartsWith("results 2 [0 crashed")));
}

TEST_F(PytestLoopTest, WhatAProcessReportsIsToldBeforeItsLeaseIsDone) {
  welcome_.settings.slots = 1;
  StartWith({"a.py::a", "a.py::b"});
  LeaseWhatMayFollow(1, 0);
  LeaseWhatMayFollow(2, 1);
  Tells({{"reports", "node"}, Began(), Passed(), {"wants more"}});
  Turn();
  Tells({{"goes on"}, {"reports", "more"}, Began(), Passed(), {"end"}});
  Process()->Ends(0);
  Turn();
  Pass(absl::Milliseconds(20));
  EXPECT_THAT(Heard(), ElementsAre("reported node\n", "reported more\n", testing::HasSubstr("[0 passed] done"),
                                   testing::HasSubstr("[1 passed] done")));
}

TEST_F(LoopTest, EachSlotRunsItsOwn) {
  StartWith({"A.a", "A.b"});
  RunCases(LeaseId(1), {0});
  RunCases(LeaseId(2), {1});
  Process(1)->Prints(Began("A.b") + Failed("A.b"));
  Process(1)->Ends(1);
  Turn();
  EXPECT_THAT(Heard(), ElementsAre("results 2 [1 failed (failed without naming a reason)] done"));
  EXPECT_NE(Process(0), nullptr);
}

TEST_F(LoopTest, ProcessThatCannotBeStartedGivesItsCasesBack) {
  StartWith({"A.a"});
  launcher_.FailNext(absl::PermissionDeniedError("cannot start /unit in /: execve"));
  RunCases(LeaseId(1), {0});
  EXPECT_THAT(Heard(), ElementsAre("prepared 3: cannot start /unit in /: execve", "results 1 [] done"));
}

TEST_F(LoopTest, DirectoryThatCannotBeRestoredIsToldAsSuch) {
  StartWith({"A.a"});
  directories_.restoring = absl::ResourceExhaustedError("cannot restore the directory /slot-0/temporary");
  RunCases(LeaseId(1), {0});
  EXPECT_THAT(Heard(), ElementsAre(HasSubstr("cannot restore the directory"), "results 1 [] done"));
  EXPECT_EQ(launcher_.started(), 0u);
}

TEST_F(LoopTest, DirectoriesThatCannotBeMadeEndIt) {
  directories_.making = absl::ResourceExhaustedError("cannot make /slot-0: no space left on device");
  Start();
  EXPECT_TRUE(loop_->ended());
  EXPECT_EQ(loop_->end().message(), "cannot make /slot-0: no space left on device");
}

// ---- Ends

TEST_F(LoopTest, CancelledProcessIsKilledAndItsEndAnswered) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  Process()->Prints(Began("A.a"));
  Say(Cancel{LeaseId(1)});
  Turn();
  EXPECT_THAT(Process()->signals(), ElementsAre(SIGKILL));
  EXPECT_THAT(Heard(), IsEmpty());
  Process()->Ends(0, SIGKILL);
  Turn();
  EXPECT_THAT(Heard(), ElementsAre("released 1"));
}

TEST_F(LoopTest, InterruptEndsInIdleOnceNothingRuns) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  Process()->Prints(Began("A.a"));
  Say(Interrupt{absl::Seconds(5)});
  Turn();
  EXPECT_THAT(Process()->signals(), ElementsAre(SIGINT));
  Pass(absl::Seconds(5));
  EXPECT_THAT(Process()->signals(), ElementsAre(SIGINT, SIGKILL));
  Process()->Ends(0, SIGKILL);
  Turn();
  EXPECT_THAT(Heard(), Contains("idle"));
  EXPECT_FALSE(loop_->ended());
  Say(Shutdown());
  Turn();
  EXPECT_TRUE(loop_->ended());
  EXPECT_TRUE(loop_->end().ok());
}

TEST_F(LoopTest, EndOfTheStreamIsAnOrderlyEndAndKillsWhatRuns) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  loop_->StreamEnded();
  EXPECT_TRUE(loop_->ended());
  EXPECT_TRUE(loop_->end().ok());
  loop_->StopAll();
  EXPECT_THAT(launcher_.alive(), IsEmpty());
  EXPECT_EQ(poller_.watched(), 0u);
}

TEST_F(LoopTest, SilentCoordinatorEndsItAtTheLimitAndNotBefore) {
  Start();
  answers_ = false;
  Pass(absl::Seconds(29));
  EXPECT_FALSE(loop_->ended());
  Pass(absl::Seconds(2));
  EXPECT_TRUE(loop_->ended());
  EXPECT_THAT(std::string(loop_->end().message()), HasSubstr("30s"));
}

TEST_F(LoopTest, CoordinatorThatGoesToSleepAnnouncesIt) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  welcome_.lease_timeout = absl::InfiniteDuration();
  Say(welcome_);
  Turn();
  answers_ = false;
  Process()->Prints(Began("A.a"));
  Pass(absl::Seconds(50));
  Process()->Prints(Passed("A.a") + SuiteEnds("A"));
  Process()->Ends(0);
  Pass(absl::Minutes(10));
  EXPECT_FALSE(loop_->ended());
  EXPECT_THAT(Heard(), Contains("results 1 [0 passed] done"));
  // Back again, with the usual limit.
  answers_ = true;
  Acknowledge();
  welcome_.lease_timeout = absl::Seconds(30);
  Say(welcome_);
  Turn();
  Pass(absl::Minutes(2));
  EXPECT_FALSE(loop_->ended());
  answers_ = false;
  Pass(absl::Seconds(31));
  EXPECT_TRUE(loop_->ended());
}

// ---- What keeps it busy

TEST_F(LoopTest, HeartbeatsGoOutWhileFilesAreFetched) {
  Start();
  Add({"A.a"});
  Say(Prefetch{kUnit});
  Turn();
  ASSERT_EQ(files_.wanted.size(), 1u);  // and never answered
  Pass(absl::Seconds(100));
  EXPECT_GE(heartbeats_, 99);
  EXPECT_FALSE(loop_->ended());
}

TEST_F(LoopTest, FloodOfOutputKeepsNobodyElseWaiting) {
  StartWith({"A.a", "A.b"});
  RunCases(LeaseId(1), {0});
  RunCases(LeaseId(2), {1});
  Process(0)->Prints(Began("A.a"));
  Turn();
  Process(0)->PrintsWithoutEnd();
  Process(1)->Prints(Began("A.b") + Failed("A.b"));
  Process(1)->Ends(1);
  poller_.Call();  // returns: what is read at once is bounded
  loop_->Turn();
  EXPECT_EQ(launcher_.of(SlotId(1)), nullptr);
}

TEST_F(LoopTest, FloodIsEndedAtItsTimeLimitAndKeptWithinItsCap) {
  welcome_.lease_timeout = absl::InfiniteDuration();
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  Process()->Prints(Began("A.a"));
  Turn();
  Process()->PrintsWithoutEnd();
  for (int i = 0; i < 61; ++i) {
    clock_.Advance(absl::Seconds(1));
    poller_.Call();
    loop_->Turn();
  }
  EXPECT_THAT(Process()->signals(), ElementsAre(SIGTERM));
  Process()->Ends(0, SIGTERM);
  Turn();
  const std::vector<std::string> heard = Heard();
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_THAT(heard[0], HasSubstr("0 timed out"));
  EXPECT_LE(heard[0].size(), welcome_.settings.output_cap + 1000);
}

// The loop was kept from turning: by a slow machine, or a suspended one.
TEST_F(LoopTest, CaseThatEndedInTimeIsNotTimedOutHoweverLateTheLoopIs) {
  welcome_.lease_timeout = absl::InfiniteDuration();
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  Process()->Prints(Began("A.a"));
  Turn();
  Process()->Prints(Passed("A.a") + SuiteEnds("A"));
  Process()->Ends(0);
  clock_.Advance(absl::Minutes(10));
  loop_->Turn();  // before the poller has told of anything
  EXPECT_EQ(launcher_.of(SlotId(0)), nullptr);
  Turn();
  EXPECT_THAT(Heard(), ElementsAre("results 1 [0 passed] done"));
}

TEST_F(LoopTest, CaseThatHangsIsEndedAtItsLimit) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  Process()->Prints(Began("A.a"));
  Pass(absl::Seconds(59));
  EXPECT_THAT(Process()->signals(), IsEmpty());
  Pass(absl::Seconds(2));
  EXPECT_THAT(Process()->signals(), ElementsAre(SIGTERM));
  Pass(absl::Seconds(5));
  EXPECT_THAT(Process()->signals(), ElementsAre(SIGTERM, SIGKILL));
}

// The case had ended: it is not the one that timed out, and nor need its neighbour be.
TEST_F(LoopTest, SuitesTearDownThatHangsIsToldAsSuch) {
  StartWith(DottedCases({"A.a", "A.b", "B.a"}));
  RunCases(LeaseId(1), {0, 1, 2});
  const auto hang_in_tear_down = [&](const std::string& printed) {
    Process()->Prints(printed);
    Turn();
    Pass(absl::Seconds(59));
    EXPECT_THAT(Process()->signals(), IsEmpty());
    Pass(absl::Seconds(1));
    EXPECT_THAT(Process()->signals(), ElementsAre(SIGTERM));
    Process()->Ends(0, SIGTERM);
    Turn();
  };
  hang_in_tear_down(Began("A.a") + Passed("A.a") + Began("A.b") + Passed("A.b") + "waiting for the server\n");
  hang_in_tear_down(Began("A.a") + Passed("A.a"));
  Process()->Prints(Began("B.a") + Passed("B.a") + SuiteEnds("B"));
  Process()->Ends(0);
  Turn();
  EXPECT_THAT(Heard(), ElementsAre("results 1 [0 passed]", "results 1 [1 passed]",
                                   "results 1 [2 passed] not passed: 0 timed out (exceeded its time limit of 60 s "
                                   "after the test, in the tear-down of its suite) done"));
}

TEST_F(LoopTest, WhatAProcessLeavesBehindIsKilledAfterAWhile) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  Process()->LeavesSomethingBehind();
  Process()->Prints(Began("A.a") + Passed("A.a") + SuiteEnds("A"));
  Process()->Ends(0);
  Turn();
  Pass(absl::Milliseconds(900));
  EXPECT_THAT(Heard(), IsEmpty());
  Pass(absl::Milliseconds(200));
  EXPECT_THAT(Heard(), ElementsAre("results 1 [0 passed leaky] done"));
  EXPECT_THAT(launcher_.alive(), IsEmpty());
}

TEST_F(LoopTest, WhereNoDescriptorTellsOfAnEndTheSignalDoes) {
  launcher_.HideEnds();
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  Process()->Prints(Began("A.a") + Failed("A.a"));
  Process()->Ends(1);
  Turn();
  EXPECT_THAT(Heard(), IsEmpty());
  loop_->ChildEnded();
  Turn();
  EXPECT_THAT(Heard(), ElementsAre(HasSubstr("results 1 [0 failed")));
}

TEST_F(LoopTest, ManyFramesAreHeardInSeveralTurns) {
  Start();
  for (int i = 0; i < 1000; ++i) Say(Recipes());
  loop_->Turn();
  EXPECT_GT(dealer_.waiting(), 0u);
  EXPECT_EQ(loop_->NextTurn(), absl::InfinitePast());
  Turn();
  EXPECT_EQ(files_.delivered.size(), 1000u);
}

TEST_F(LoopTest, DamagedFramesAreDroppedAndTheRunGoesOn) {
  StartWith({"A.a"});
  dealer_.Arrives("no frame at all");
  dealer_.Arrives("");
  RunCases(LeaseId(1), {0});
  EXPECT_NE(Process(), nullptr);
}

// ---- Signals

TEST_F(LoopTest, SignalOfATestIsToldOfItsCaseAndTheOtherSlotsGoOn) {
  StartWith({"A.a", "A.b"});
  RunCases(LeaseId(1), {0});
  RunCases(LeaseId(2), {1});
  Process(0)->Prints(Began("A.a"));  // not read yet
  loop_->Signalled({SIGTERM, AgentSignal::From::kOther, Process(0)->pid()});
  Turn();
  EXPECT_FALSE(loop_->ended());
  EXPECT_THAT(Process(0)->signals(), ElementsAre(SIGTERM));
  EXPECT_THAT(Process(1)->signals(), IsEmpty());
  Process(0)->Ends(0, SIGTERM);
  Turn();
  EXPECT_THAT(Heard(), ElementsAre(HasSubstr("results 1 [0 failed")));
}

TEST_F(LoopTest, SignalThatMayBeAnyTestsEndsNone) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  loop_->Signalled({SIGTERM, AgentSignal::From::kPerhapsATest, 4711});
  Turn();
  EXPECT_FALSE(loop_->ended());
  EXPECT_THAT(Process()->signals(), IsEmpty());
  EXPECT_THAT(Heard(), ElementsAre(AllOf(HasSubstr("Terminated"), HasSubstr("process 4711"))));
}

TEST_F(LoopTest, SignalIsHeardAfterTheEndOfTheTestThatMayHaveSentIt) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  Process()->Prints(Began("A.a") + Passed("A.a") + SuiteEnds("A"));
  Process()->Ends(0);
  Turn();
  loop_->Signalled({SIGTERM, AgentSignal::From::kPerhapsATest, 4711});
  EXPECT_FALSE(loop_->ended());
}

TEST_F(LoopTest, SignalThatMayBeAnyTestsEndsALoopThatHasRunNone) {
  StartWith({"A.a"});
  loop_->Signalled({SIGTERM, AgentSignal::From::kPerhapsATest, 4711});
  EXPECT_TRUE(loop_->ended());
}

TEST_F(LoopTest, SignalOfTheSystemEndsIt) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  loop_->Signalled({SIGHUP, AgentSignal::From::kSystem, 1});
  EXPECT_TRUE(loop_->ended());
  EXPECT_EQ(loop_->end().message(), "received signal 1 (Hangup)");
}

TEST_F(LoopTest, SignalOfAPersonsShellEndsIt) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  loop_->Signalled({SIGTERM, AgentSignal::From::kOther, 4711});
  EXPECT_TRUE(loop_->ended());
}

}  // namespace
}  // namespace dtest
