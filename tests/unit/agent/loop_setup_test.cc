// Runs of an agent's loop whose host and slots are set up and torn down, in virtual time.

#include <signal.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "unit/agent/loop_fixture.h"
#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Not;

class LoopSetupTest : public AgentLoopTest {
 protected:
  LoopSetupTest() {
    welcome_.settings.run_id = "r1";
    welcome_.settings.host_name = "h1";
    welcome_.settings.host_setup = {"start", "stop", absl::Minutes(1)};
    welcome_.settings.slot_setup = {"create", "drop", absl::Minutes(1)};
    welcome_.worker_base = 6;
  }
  // Set-ups have slots of their own, beyond the two of tests.
  FakeProcess* Host() { return Process(2); }
  FakeProcess* Slot(uint32_t slot) { return Process(3 + slot); }
  // The tear-down, where what was set up is still there.
  FakeProcess* Latest(uint32_t slot) {
    FakeProcess* latest = nullptr;
    for (FakeProcess* process : launcher_.alive()) {
      if (process->slot() == SlotId(slot)) latest = process;
    }
    return latest;
  }
  FakeProcess* HostsTearDown() { return Latest(2); }
  FakeProcess* SlotsTearDown(uint32_t slot) { return Latest(3 + slot); }
  static std::string CommandOf(const FakeProcess* process) { return process->spec().arguments.at(2); }
  void Ends(FakeProcess* process, int status, const std::string& printed = "", const std::string& errors = "") {
    if (!printed.empty()) process->Prints(printed);
    if (!errors.empty()) process->Prints(errors, Pipe::kErrors);
    process->Ends(status);
    Turn();
  }
  void SetUpBoth() {
    StartWith({"A.a", "A.b"});
    RunCases(LeaseId(1), {0});
    Ends(Host(), 0, "PGHOST=/run/pg\n");
    Ends(Slot(0), 0, "DB=t0\n");
  }
  void RunsToItsEnd() {
    Process()->Prints(Began("A.a") + Passed("A.a") + SuiteEnds("A"));
    Ends(Process(), 0);
  }
};

TEST_F(LoopSetupTest, CommandsOfTheShellInTheTestsDirectoryWithVariables) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  EXPECT_EQ(launcher_.of(SlotId(0)), nullptr);
  const StartSpec host = Host()->spec();
  EXPECT_EQ(host.program, "/bin/sh");
  EXPECT_THAT(host.arguments, ElementsAre("/bin/sh", "-c", "start"));
  EXPECT_EQ(host.working_directory, "/");
  EXPECT_THAT(host.environment, AllOf(Contains("DTEST_HOST=h1"), Contains("DTEST_RUN_ID=r1"),
                                      Contains("DTEST_SETUP=host"), Contains("DTEST_HOST_SLOTS=2"),
                                      Contains("TMPDIR=/slot-2/temporary"), Not(Contains(HasSubstr("DTEST_SLOT=")))));
  Ends(Host(), 0, "waiting for the server... done\nPGHOST=/run/pg\n1A=no name\n=\nA=b=c\n");
  EXPECT_THAT(Slot(0)->spec().arguments, Contains("create"));
  EXPECT_THAT(Slot(0)->spec().environment,
              AllOf(Contains("PGHOST=/run/pg"), Contains("A=b=c"), Contains("DTEST_SLOT=0"), Contains("DTEST_WORKER=6"),
                    Contains("DTEST_SETUP=slot"), Contains("PYTEST_XDIST_WORKER=gw6")));
  Ends(Slot(0), 0, "DB=t0");
  EXPECT_THAT(Process()->spec().environment,
              AllOf(Contains("PGHOST=/run/pg"), Contains("DB=t0"), Contains("DTEST_SLOT_VARIABLES=DB"),
                    Not(Contains(HasSubstr("1A="))), Not(Contains("DTEST_SETUP=slot"))));
  EXPECT_EQ(launcher_.of(SlotId(4)), nullptr);  // an idle slot
}

TEST_F(LoopSetupTest, NamesOfASlotsVariablesAreToldAlsoWhereThereAreNone) {
  StartWith({"A.a", "A.b"});
  RunCases(LeaseId(1), {0});
  RunCases(LeaseId(2), {1});
  Ends(Host(), 0, "PGHOST=/run/pg\n");
  Ends(Slot(0), 0);
  Ends(Slot(1), 0, "USER=b\nDB=t0\nDB=t1\n");
  EXPECT_THAT(Process(0)->spec().environment, Contains("DTEST_SLOT_VARIABLES="));
  EXPECT_THAT(Process(1)->spec().environment, AllOf(Contains("DTEST_SLOT_VARIABLES=DB USER"), Contains("DB=t1")));
}

TEST_F(LoopSetupTest, VariablesOfTheRunAreWeakerAndThoseOfALeaseStronger) {
  welcome_.settings.env = {{"DB", "of all"}, {"MODE", "of all"}};
  StartWith({"A.a"});
  Lease lease{LeaseId(1), kUnit, {{0, 1, limit_}}};
  lease.env = {{"MODE", "of some"}};
  Say(lease);
  Turn();
  EXPECT_THAT(Host()->spec().environment, Contains("DB=of all"));
  Ends(Host(), 0);
  Ends(Slot(0), 0, "DB=t0\nMODE=t0\n");
  EXPECT_THAT(Process()->spec().environment, AllOf(Contains("DB=t0"), Contains("MODE=of some")));
}

TEST_F(LoopSetupTest, HeartbeatsGoOutWhileItRunsAndSlotsAreSetUpSideBySide) {
  StartWith({"A.a", "A.b"});
  RunCases(LeaseId(1), {0});
  RunCases(LeaseId(2), {1});
  Pass(absl::Seconds(50));
  EXPECT_GE(heartbeats_, 49);
  Ends(Host(), 0);
  EXPECT_NE(Slot(0), nullptr);
  EXPECT_NE(Slot(1), nullptr);
}

TEST_F(LoopSetupTest, FailureIsToldWithWhatItPrintedAndTheHostIsDrained) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  Ends(Host(), 2, "PGHOST=/run/pg\n", "no space for initdb\n");
  EXPECT_THAT(Heard(), ElementsAre(AllOf(HasSubstr("note: the set-up of the host failed: exited with status 2\n"),
                                         HasSubstr("PGHOST=/run/pg\n"), HasSubstr("no space for initdb\n")),
                                   "prepared 3: the set-up of the host failed: exited with status 2 drain",
                                   "results 1 [] done"));
  // It may have come half-way.
  Say(Shutdown());
  Turn();
  EXPECT_FALSE(loop_->ended());
  ASSERT_NE(HostsTearDown(), nullptr);
  EXPECT_EQ(CommandOf(HostsTearDown()), "stop");
  EXPECT_THAT(HostsTearDown()->spec().environment, Contains("PGHOST=/run/pg"));
  Ends(HostsTearDown(), 0);
  EXPECT_TRUE(loop_->ended());
}

TEST_F(LoopSetupTest, WhatItPrintsIsCapped) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  Ends(Host(), 1, std::string(1 << 19, 'x'), "the last words\n");
  const std::vector<std::string> heard = Heard();
  ASSERT_FALSE(heard.empty());
  EXPECT_THAT(heard[0], AllOf(HasSubstr("bytes are left out here"), HasSubstr("the last words")));
  EXPECT_LT(heard[0].size(), 20u << 10);
}

TEST_F(LoopSetupTest, LimitEndsItAndThenKillsIt) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  Pass(absl::Seconds(59));
  EXPECT_THAT(Host()->signals(), IsEmpty());
  Pass(absl::Seconds(1));
  EXPECT_THAT(Host()->signals(), ElementsAre(SIGTERM));
  Pass(absl::Seconds(5));
  EXPECT_THAT(Host()->signals(), ElementsAre(SIGTERM, SIGKILL));
  Host()->Ends(0, SIGKILL);
  Turn();
  EXPECT_THAT(Heard(), Contains("note: the set-up of the host failed: exceeded its time limit of 60 s"));
}

TEST_F(LoopSetupTest, SetupThatEndedInTimeIsPastNoLimitHoweverLateTheLoopIs) {
  welcome_.lease_timeout = absl::InfiniteDuration();
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  Host()->Ends(0);
  clock_.Advance(absl::Minutes(10));
  loop_->Turn();  // before the poller has told of anything
  EXPECT_NE(Slot(0), nullptr);
}

TEST_F(LoopSetupTest, WhatIsDtestsOwnToTellIsNotExported) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  Ends(Host(), 0, "DTEST_HOST=me\n");
  EXPECT_THAT(Heard(), Contains(HasSubstr("note: the set-up of the host failed: it prints a value of DTEST_HOST, which "
                                          "is dtest's own to tell\nDTEST_HOST=me")));
}

class LoopSetupLineTest : public LoopSetupTest, public testing::WithParamInterface<std::string> {};

TEST_P(LoopSetupLineTest, FailsIt) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  Host()->Prints(GetParam());
  Turn();
  Ends(Host(), 0);
  EXPECT_THAT(Heard(), Contains(HasSubstr("the set-up of the host failed: it prints ")));
}

INSTANTIATE_TEST_SUITE_P(WhatNoVariableHolds, LoopSetupLineTest,
                         testing::Values("DTEST_X=1\n", "GTEST_FILTER=a\n", "PYTEST_XDIST_WORKER=gw7\n",
                                         "TEST_TOTAL_SHARDS=2\n", "PWD=/\n", "A=" + std::string(1, '\0') + "\n",
                                         "A=" + std::string(100 << 10, 'x') + "\n", std::string(2 << 20, 'x') + "\n"));

TEST_F(LoopSetupTest, ShellThatCannotBeStartedIsAFailure) {
  StartWith({"A.a"});
  launcher_.FailNext(absl::NotFoundError("cannot start /bin/sh in /: execve"));
  RunCases(LeaseId(1), {0});
  EXPECT_THAT(Heard(), Contains("note: the set-up of the host failed: cannot start /bin/sh in /: execve"));
}

TEST_F(LoopSetupTest, MistakesOfShellsAreToldWithAHint) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  Ends(Host(), 0, "A=1\nexport DATABASE=t\n");
  EXPECT_THAT(Heard(), Contains(HasSubstr("failed: it prints 'export DATABASE=...', which makes no variable: "
                                          "'DATABASE=...' does\n")));
}

TEST_F(LoopSetupTest, LinesOfAnotherSystemAreToldWithAHint) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  Ends(Host(), 0, "no variable\r\nDATABASE=t\r\n");
  EXPECT_THAT(Heard(), Contains(HasSubstr("failed: it prints a value of DATABASE that ends with a carriage return")));
}

TEST_F(LoopSetupTest, NamesThatAreOnlyAlikeAreNobodyElses) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  Ends(Host(), 0, "TEST_DATABASE_URL=u\nPWD_OF=x\nthe export of=all\n");
  ASSERT_NE(Slot(0), nullptr);
  EXPECT_THAT(Slot(0)->spec().environment, AllOf(Contains("TEST_DATABASE_URL=u"), Contains("PWD_OF=x")));
}

// ---- What it has started lives on

TEST_F(LoopSetupTest, ServersLiveUntilTheTearDownHasEnded) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  FakeProcess* const setup = Host();
  setup->LeavesSomethingBehind();
  Ends(setup, 0, "PORT=1\n");
  setup->Prints("log of the server\n");
  Turn();
  Ends(Slot(0), 0);
  RunsToItsEnd();
  EXPECT_THAT(setup->signals(), IsEmpty());
  EXPECT_THAT(launcher_.alive(), Contains(setup));
  Say(Shutdown());
  Turn();
  Ends(SlotsTearDown(0), 0);
  EXPECT_THAT(launcher_.alive(), Contains(setup));
  Ends(HostsTearDown(), 0);
  EXPECT_TRUE(loop_->ended());
  EXPECT_THAT(launcher_.alive(), IsEmpty());
}

// ---- Tear-downs

TEST_F(LoopSetupTest, SlotsFirstThenTheHostWithTheVariablesOfTheirSetups) {
  StartWith({"A.a", "A.b"});
  RunCases(LeaseId(1), {0});
  RunCases(LeaseId(2), {1});
  Ends(Host(), 0, "PGHOST=/run/pg\n");
  Ends(Slot(0), 0, "DB=t0\n");
  Ends(Slot(1), 0, "DB=t1\n");
  Say(Shutdown());
  Turn();
  EXPECT_EQ(launcher_.of(SlotId(0)), nullptr);  // the test is killed first
  EXPECT_EQ(CommandOf(SlotsTearDown(0)), "drop");
  EXPECT_EQ(CommandOf(SlotsTearDown(1)), "drop");
  EXPECT_THAT(SlotsTearDown(1)->spec().environment,
              AllOf(Contains("PGHOST=/run/pg"), Contains("DB=t1"), Contains("DTEST_SLOT=1")));
  EXPECT_EQ(CommandOf(HostsTearDown()), "start");
  Ends(SlotsTearDown(1), 0);
  EXPECT_EQ(CommandOf(HostsTearDown()), "start");
  Ends(SlotsTearDown(0), 0);
  EXPECT_EQ(CommandOf(HostsTearDown()), "stop");
  EXPECT_FALSE(loop_->ended());
  Ends(HostsTearDown(), 0);
  EXPECT_TRUE(loop_->ended());
  EXPECT_TRUE(loop_->end().ok());
  EXPECT_EQ(poller_.watched(), 0u);
}

TEST_F(LoopSetupTest, NothingIsTornDownThatWasNotSetUp) {
  StartWith({"A.a"});
  Say(Shutdown());
  Turn();
  EXPECT_TRUE(loop_->ended());
  EXPECT_EQ(launcher_.started(), 0u);
}

TEST_F(LoopSetupTest, AfterAnInterrupt) {
  SetUpBoth();
  Say(Interrupt{absl::Seconds(5)});
  Turn();
  EXPECT_THAT(Process()->signals(), ElementsAre(SIGINT));
  EXPECT_THAT(Slot(0)->signals(), IsEmpty());
  Process()->Ends(0, SIGINT);
  Turn();
  EXPECT_THAT(Heard(), Contains("idle"));
  Say(Shutdown());
  Turn();
  EXPECT_EQ(CommandOf(SlotsTearDown(0)), "drop");
}

TEST_F(LoopSetupTest, AfterAnInterruptOfTheSetupItself) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  Host()->Prints("PGDATA=/tmp/x\nPGHO");
  Say(Interrupt{absl::Seconds(5)});
  Turn();
  EXPECT_THAT(Host()->signals(), ElementsAre(SIGINT));
  Host()->Ends(0, SIGINT);
  Turn();
  EXPECT_THAT(Heard(), ElementsAre("idle"));
  Say(Shutdown());
  Turn();
  EXPECT_EQ(CommandOf(HostsTearDown()), "stop");
  EXPECT_THAT(HostsTearDown()->spec().environment, AllOf(Contains("PGDATA=/tmp/x"), Not(Contains(HasSubstr("PGHO=")))));
}

TEST_F(LoopSetupTest, AfterACrashOfATest) {
  SetUpBoth();
  Process()->Prints(Began("A.a"));
  Process()->Ends(0, SIGSEGV);
  Turn();
  Say(Shutdown());
  Turn();
  EXPECT_EQ(CommandOf(SlotsTearDown(0)), "drop");
}

TEST_F(LoopSetupTest, WhenTheStreamEnds) {
  SetUpBoth();
  loop_->StreamEnded();
  EXPECT_FALSE(loop_->ended());
  Turn();
  EXPECT_EQ(launcher_.of(SlotId(0)), nullptr);
  Ends(SlotsTearDown(0), 0);
  loop_->StreamEnded();  // again and again
  loop_->Signalled({SIGTERM, AgentSignal::From::kSystem, 1});
  EXPECT_FALSE(loop_->ended());
  Ends(HostsTearDown(), 0);
  EXPECT_TRUE(loop_->ended());
  EXPECT_TRUE(loop_->end().ok());
}

TEST_F(LoopSetupTest, WhenTheCoordinatorIsSilent) {
  SetUpBoth();
  answers_ = false;
  Pass(absl::Seconds(31));
  EXPECT_FALSE(loop_->ended());
  EXPECT_EQ(launcher_.of(SlotId(0)), nullptr);
  Ends(SlotsTearDown(0), 0);
  Ends(HostsTearDown(), 0);
  EXPECT_TRUE(loop_->ended());
  EXPECT_THAT(std::string(loop_->end().message()), HasSubstr("30s"));
}

TEST_F(LoopSetupTest, SetupThatStillRunsAtTheEndIsEndedFirst) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  FakeProcess* const setup = Host();
  loop_->StreamEnded();
  Turn();
  EXPECT_THAT(setup->signals(), ElementsAre(SIGTERM));
  EXPECT_FALSE(loop_->ended());
  EXPECT_EQ(HostsTearDown(), setup);
  // What its trap prints counts, but for a line that is cut short.
  setup->Prints("PGDATA=/tmp/x\nPGHO");
  setup->Ends(0, SIGTERM);
  Turn();
  EXPECT_EQ(CommandOf(HostsTearDown()), "stop");
  EXPECT_THAT(HostsTearDown()->spec().environment, AllOf(Contains("PGDATA=/tmp/x"), Not(Contains(HasSubstr("PGHO=")))));
  Heard();
  Ends(HostsTearDown(), 1);
  EXPECT_THAT(Heard(), ElementsAre("note: the tear-down of the host, whose set-up had been cut short by the end of the "
                                   "run, failed: exited with status 1"));
  EXPECT_TRUE(loop_->ended());
}

TEST_F(LoopSetupTest, SetupThatDoesNotEndWithTheRunIsKilledAfterTheGrace) {
  SetUpBoth();
  RunCases(LeaseId(2), {1});
  FakeProcess* const setup = Slot(1);
  setup->Prints("DB=t1\n");
  Say(Shutdown());
  Turn();
  EXPECT_EQ(CommandOf(SlotsTearDown(0)), "drop");  // that of the other slot does not wait
  Ends(SlotsTearDown(0), 0);
  Pass(absl::Seconds(5));
  EXPECT_THAT(setup->signals(), ElementsAre(SIGTERM, SIGKILL));
  setup->Ends(0, SIGKILL);
  Turn();
  EXPECT_EQ(CommandOf(SlotsTearDown(1)), "drop");
  EXPECT_THAT(SlotsTearDown(1)->spec().environment, Contains("DB=t1"));
  EXPECT_EQ(CommandOf(HostsTearDown()), "start");
  Ends(SlotsTearDown(1), 0);
  Ends(HostsTearDown(), 0);
  EXPECT_TRUE(loop_->ended());
}

TEST_F(LoopSetupTest, FailureOfATearDownIsAWarningAndTheRestGoesOn) {
  SetUpBoth();
  RunsToItsEnd();
  Pass(absl::Milliseconds(20));
  Heard();
  Say(Shutdown());
  Turn();
  Ends(SlotsTearDown(0), 1, "", "database is being accessed by other users\n");
  EXPECT_THAT(Heard(), ElementsAre("note: the tear-down of slot 0 failed: exited with status 1\n"
                                   "database is being accessed by other users\n"));
  Ends(HostsTearDown(), 0);
  EXPECT_TRUE(loop_->ended());
}

TEST_F(LoopSetupTest, TearDownThatHangsIsEndedAtItsLimit) {
  SetUpBoth();
  Say(Shutdown());
  Turn();
  Pass(absl::Minutes(1));
  EXPECT_THAT(SlotsTearDown(0)->signals(), ElementsAre(SIGTERM));
  Pass(absl::Seconds(5));
  EXPECT_THAT(SlotsTearDown(0)->signals(), ElementsAre(SIGTERM, SIGKILL));
  SlotsTearDown(0)->Ends(0, SIGKILL);
  Turn();
  EXPECT_THAT(Heard(), Contains("note: the tear-down of slot 0 failed: exceeded its time limit of 60 s"));
  Ends(HostsTearDown(), 0);
  EXPECT_TRUE(loop_->ended());
}

TEST_F(LoopSetupTest, OnlyTearDownsAreRunWhereThereIsNothingElse) {
  welcome_.settings.host_setup.command.clear();
  welcome_.settings.slot_setup = {};
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  EXPECT_NE(Process(), nullptr);
  Say(Shutdown());
  Turn();
  EXPECT_EQ(CommandOf(HostsTearDown()), "stop");
}

// ---- Environments, in a store on this disk

class LoopEnvironmentTest : public LoopSetupTest {
 protected:
  LoopEnvironmentTest() {
    options_.store = scratch_.path() + "/store";
    welcome_.settings.environment.command = "make it";
    welcome_.settings.environment.time_limit = absl::Minutes(9);
    welcome_.settings.environment.working_directory = scratch_.path() + "/keys";
    welcome_.settings.slot_setup = {};
  }
  // Of the environment that is being made.
  std::string Directory() {
    for (const std::string& variable : Host()->spec().environment) {
      if (absl::StartsWith(variable, "DTEST_ENVIRONMENT=")) return variable.substr(variable.find('=') + 1);
    }
    ADD_FAILURE() << "no DTEST_ENVIRONMENT";
    return "";
  }
  // Its command has put something there, and ends well.
  void IsMade(const std::string& output = "") {
    std::filesystem::create_directories(Directory() + "/bin");
    Ends(Host(), 0, output);
  }
  ScratchDirectory scratch_;
};

TEST_F(LoopEnvironmentTest, IsMadeBeforeTheHostIsSetUpAndSeenByAllThatFollows) {
  welcome_.settings.env = {{"PATH", "/user"}, {"PYTHONHOME", "/elsewhere"}};
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  EXPECT_EQ(CommandOf(Host()), "make it");
  const std::string keys = scratch_.path() + "/keys";
  EXPECT_EQ(Host()->spec().working_directory, keys);
  EXPECT_THAT(Host()->spec().environment, AllOf(Contains("PWD=" + keys), Contains("PATH=/user"),
                                                Contains("DTEST_HOST=h1"), Not(Contains(HasSubstr("DTEST_SETUP=")))));
  const std::string directory = Directory();
  EXPECT_TRUE(std::filesystem::is_directory(directory));
  Pass(absl::Minutes(5));
  IsMade("DB=no set-up exports this\n");
  const auto has_it = AllOf(Contains("DTEST_ENVIRONMENT=" + directory), Contains("VIRTUAL_ENV=" + directory),
                            Contains("PATH=" + directory + "/bin:/user"), Not(Contains(HasSubstr("PYTHONHOME="))));
  EXPECT_EQ(CommandOf(Host()), "start");
  EXPECT_THAT(Host()->spec().environment, AllOf(has_it, Contains("DTEST_SETUP=host")));
  Ends(Host(), 0);
  EXPECT_THAT(Process()->spec().environment, AllOf(has_it, Not(Contains(HasSubstr("DB=")))));
  RunsToItsEnd();
  Say(Shutdown());
  Turn();
  EXPECT_EQ(CommandOf(HostsTearDown()), "stop");
  EXPECT_THAT(HostsTearDown()->spec().environment, has_it);
}

TEST_F(LoopEnvironmentTest, FailureIsToldAndNothingIsSetUpNorTornDown) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  Ends(Host(), 3, "", "no such package\n");
  EXPECT_THAT(Heard(),
              ElementsAre("note: makes the environment: make it",
                          "note: the environment of the host failed: its command exited with status 3\n"
                          "no such package\n",
                          "prepared 3: the environment of the host failed: its command exited with status 3 drain",
                          "results 1 [] done"));
  Say(Shutdown());
  Turn();
  EXPECT_TRUE(loop_->ended());
}

TEST_F(LoopEnvironmentTest, EndOfTheRunEndsItAtOnce) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  const std::string directory = Directory();
  loop_->StreamEnded();
  Turn();
  EXPECT_TRUE(loop_->ended());
  EXPECT_FALSE(std::filesystem::exists(directory));
}

TEST_F(LoopEnvironmentTest, InterruptSignalsItsCommand) {
  StartWith({"A.a"});
  RunCases(LeaseId(1), {0});
  Say(Interrupt{absl::Seconds(1)});
  Turn();
  EXPECT_THAT(Host()->signals(), ElementsAre(SIGINT));
  Host()->Ends(0, SIGINT);
  Turn();
  EXPECT_THAT(Heard(), ElementsAre("note: makes the environment: make it", "idle"));
}

TEST_F(LoopEnvironmentTest, InterpreterIsFoundInIt) {
  StartWith({"A.a"});
  Lease lease{LeaseId(1), kUnit, {{0, 1, limit_}}};
  loop_->UnitIsPrepared({{kUnit, "", false}, "python9", "/", {}});
  Say(lease);
  Turn();
  const std::string python = Directory() + "/bin/python9";
  std::filesystem::create_directory(Directory() + "/bin");
  std::filesystem::copy_file("/bin/true", python);
  Ends(Host(), 0);
  Ends(Host(), 0);
  EXPECT_EQ(Process()->spec().program, python);
  EXPECT_EQ(Process()->spec().arguments.at(0), python);
}

TEST_F(LoopEnvironmentTest, InterpreterThatIsNowhereIsAnError) {
  StartWith({"A.a"});
  loop_->UnitIsPrepared({{kUnit, "", false}, "python9", "/", {}});
  RunCases(LeaseId(1), {0});
  IsMade();
  Ends(Host(), 0);
  EXPECT_THAT(Heard(), Contains(AllOf(HasSubstr("unit needs python9, which is not in "), HasSubstr("/bin"))));
}

TEST_F(LoopEnvironmentTest, PackagesInTheTreeAreForUnitsThatBringThem) {
  welcome_.settings.environment = {};
  welcome_.settings.environment.packages = ".dtest/packages:src";
  welcome_.settings.env = {{"PYTHONPATH", "/user"}};
  welcome_.settings.host_setup = {};
  StartWith({"A.a"});
  PreparedUnit unit{{kUnit, "", false}, "/unit", "/", {}};
  unit.tree = "/tree";
  loop_->UnitIsPrepared(std::move(unit));
  RunCases(LeaseId(1), {0});
  EXPECT_THAT(Process()->spec().environment, Contains("PYTHONPATH=/user"));
}

}  // namespace
}  // namespace dtest
