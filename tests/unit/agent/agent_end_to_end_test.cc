// The real dtest-agent: what becomes of the cases it runs.

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "unit/agent/end_to_end.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_P(GoogleTest, HelloDescribesTheHost) {
  Start();
  EXPECT_EQ(agent_->hello().token, std::string(kTokenBytes, 't'));
  EXPECT_GE(agent_->hello().cores, 1u);
  EXPECT_THAT(agent_->hello().system, HasSubstr("Linux"));
  EXPECT_GT(agent_->hello().memory, 0u);
  EXPECT_GT(agent_->hello().free_disk, 0u);
  EXPECT_EQ(agent_->hello().store, scratch_.path() + "/store");
}

TEST_P(GoogleTest, NamesEqualTheListing) {
  StartAndList();
  EXPECT_EQ(names_.front(), "Good.Passes");
  EXPECT_EQ(IndexOf("Good.DISABLED_Never"), 4u);
}

TEST_P(GoogleTest, EveryOutcomeInOneBatch) {
  StartAndList();
  auto results = Run({"Good.Passes", "Good.Prints", "Good.NoNewlineBeforeOk", "Good.PrintsNestedOutput",
                      "Good.DISABLED_Never", "Good.Skips", "Bad.Fails", "Bad.Crashes", "Bad.Exits", "Bad.After"});
  ASSERT_EQ(results.size(), 10u);
  for (const char* name :
       {"Good.Passes", "Good.Prints", "Good.NoNewlineBeforeOk", "Good.PrintsNestedOutput", "Bad.After"}) {
    EXPECT_EQ(results[name].outcome, Outcome::kPassed) << name << ": " << results[name].message;
    EXPECT_EQ(results[name].output, "") << name;
  }
  EXPECT_EQ(results["Good.DISABLED_Never"].outcome, Outcome::kSkipped);
  EXPECT_EQ(results["Good.DISABLED_Never"].message, "disabled");
  EXPECT_EQ(results["Good.Skips"].outcome, Outcome::kSkipped);
  EXPECT_THAT(results["Good.Skips"].message, HasSubstr("Skipped\nnot today"));
  const CaseResult& failed = results["Bad.Fails"];
  EXPECT_EQ(failed.outcome, Outcome::kFailed);
  EXPECT_THAT(failed.message, HasSubstr("fixture_suite.cc:"));
  EXPECT_THAT(failed.message, HasSubstr("sums"));
  EXPECT_THAT(failed.message, HasSubstr("second"));
  EXPECT_THAT(failed.output, testing::StartsWith("before\n"));
  EXPECT_THAT(failed.output, HasSubstr("second"));
  const CaseResult& crashed = results["Bad.Crashes"];
  EXPECT_EQ(crashed.outcome, Outcome::kCrashed);
  EXPECT_EQ(crashed.message, "killed by signal 11 (Segmentation fault)");
  EXPECT_EQ(crashed.output, "about to crash\n");
  EXPECT_EQ(results["Bad.Exits"].outcome, Outcome::kCrashed);
  EXPECT_EQ(results["Bad.Exits"].message, "exited with status 0 before the test had ended");
}

TEST_P(GoogleTest, AllOutputIsKeptOnDemand) {
  welcome_.settings.keep_all_output = true;
  StartAndList();
  auto results = Run({"Good.Prints", "Good.NoNewlineBeforeOk"});
  EXPECT_EQ(results["Good.Prints"].output, "to stdout\nto stderr\n");
  EXPECT_EQ(results["Good.NoNewlineBeforeOk"].output, "no newline");
}

TEST_P(GoogleTest, DisabledRunsOnDemand) {
  welcome_.settings.run_disabled = true;
  StartAndList();
  EXPECT_EQ(RunOne("Good.DISABLED_Never").outcome, Outcome::kFailed);
}

TEST_P(GoogleTest, HugeOutputIsCutInTheMiddle) {
  StartAndList();
  const CaseResult result = RunOne("Huge.Output");
  EXPECT_EQ(result.output.size(), welcome_.settings.output_cap);
  EXPECT_GT(result.output_cut, 9u << 20);
  EXPECT_THAT(result.output, testing::StartsWith("the head\n"));
  EXPECT_THAT(result.output, HasSubstr("the tail\n"));
}

TEST_P(GoogleTest, TimeLimitIsPerCaseAndTheRestGoesOn) {
  limit_ = absl::Seconds(5);
  StartAndList();
  auto results = Run({"Bad.Hangs", "Bad.HangsDeaf", "Bad.After"});
  EXPECT_EQ(results["Bad.Hangs"].outcome, Outcome::kTimedOut);
  EXPECT_EQ(results["Bad.Hangs"].message, "exceeded its time limit of 5 s");
  EXPECT_EQ(results["Bad.Hangs"].output, "hanging\n");
  EXPECT_GE(results["Bad.Hangs"].duration, absl::Seconds(5));
  EXPECT_EQ(results["Bad.HangsDeaf"].outcome, Outcome::kTimedOut);
  EXPECT_EQ(results["Bad.After"].outcome, Outcome::kPassed);
}

TEST_P(GoogleTest, LeftoversAreFoundAndKilled) {
  const std::string pid_file = scratch_.path() + "/leaked";
  Set("DTEST_FIXTURE_PID", pid_file);
  StartAndList();
  for (const char* name : {"Leaks.Child", "Leaks.Session"}) {
    std::filesystem::remove(pid_file);
    const CaseResult result = RunOne(name);
    EXPECT_EQ(result.outcome, Outcome::kPassed) << name;
    EXPECT_TRUE(result.leaky) << name;
    pid_t leaked = 0;
    ASSERT_TRUE(absl::SimpleAtoi(ReadWhole(pid_file), &leaked));
    EXPECT_EQ(kill(leaked, 0), -1) << name << " left process " << leaked;
  }
  EXPECT_FALSE(RunOne("Good.Passes").leaky);
}

TEST_P(GoogleTest, DaemonThatTookEverythingOffIsFoundWhileAnotherSlotIsBusy) {
  const std::string pid_file = scratch_.path() + "/leaked", fifo = scratch_.path() + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  Set("DTEST_FIXTURE_PID", pid_file);
  Set("DTEST_FIXTURE_FIFO", fifo);
  welcome_.settings.slots = 2;
  StartAndList();
  const LeaseId busy = SendLease({"Waits.ForAWriter"});
  const int writer = open(fifo.c_str(), O_WRONLY | O_CLOEXEC);  // returns once the test is there
  const CaseResult result = RunOne("Leaks.Daemon");
  EXPECT_EQ(result.outcome, Outcome::kPassed) << result.output;
  EXPECT_TRUE(result.leaky);
  pid_t leaked = 0;
  ASSERT_TRUE(absl::SimpleAtoi(ReadWhole(pid_file), &leaked));
  EXPECT_EQ(kill(leaked, 0), -1) << "left process " << leaked;
  close(writer);
  EXPECT_EQ(agent_->ResultsOf(busy).front().outcome, Outcome::kPassed);
}

TEST_P(GoogleTest, TestsSeeACleanProcess) {
  Set("FROM_THE_USER", "yes");
  StartAndList();
  auto results = Run({"Environment.IsClean", "Environment.Variables"});
  EXPECT_EQ(results["Environment.IsClean"].outcome, Outcome::kPassed) << results["Environment.IsClean"].output;
  EXPECT_EQ(results["Environment.Variables"].outcome, Outcome::kPassed) << results["Environment.Variables"].output;
}

TEST_P(GoogleTest, VariablesSayWhereItRuns) {
  Set("FROM_THE_USER", "yes");
  welcome_.settings.keep_all_output = true;
  StartAndList();
  const std::string output = RunOne("Environment.Variables").output;
  for (const char* line :
       {"DTEST_RUN_ID=run-1\n", "DTEST_HOST=build01\n", "DTEST_SLOT=0\n", "DTEST_WORKER=10\n", "DTEST_ATTEMPT=1\n",
        "DTEST_ITERATION=1\n", "PYTEST_XDIST_WORKER=gw10\n", "FROM_THE_USER=yes\n"}) {
    EXPECT_THAT(output, HasSubstr(line));
  }
}

TEST_P(GoogleTest, TemporaryDirectoryIsEmptiedBetweenProcessesAndRemovedAtTheEnd) {
  StartAndList();
  for (int i = 0; i < 2; ++i) {
    const CaseResult result = RunOne("Environment.TemporaryDirectory");
    EXPECT_EQ(result.outcome, Outcome::kPassed) << result.output;
  }
  EXPECT_FALSE(std::filesystem::is_empty(agent_->temporary_parent()));
  agent_->Send(Shutdown{});
  const int status = agent_->WaitForEnd();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(std::filesystem::is_empty(agent_->temporary_parent()));
}

TEST_P(GoogleTest, TemporaryDirectoryIsRestoredWhateverTestsDoToIt) {
  StartAndList();
  for (const char* name : {"Vandal.RemovesItsTemporaryDirectory", "Vandal.ReplacesItsTemporaryDirectory",
                           "Vandal.DigsDeep", "Vandal.PutsAFifoInPlaceOfAFile"}) {
    const Outcome expected = absl::StrContains(name, "Fifo") ? Outcome::kCrashed : Outcome::kPassed;
    EXPECT_EQ(RunOne(name).outcome, expected) << name;
    const CaseResult next = RunOne("Environment.TemporaryDirectory");
    EXPECT_EQ(next.outcome, Outcome::kPassed) << "after " << name << ": " << next.message << next.output;
  }
  agent_->Send(Shutdown{});
  agent_->WaitForEnd();
  EXPECT_TRUE(std::filesystem::is_empty(agent_->temporary_parent()));
}

TEST_F(EndToEnd, PropertiesAreReported) {
  StartAndList();
  EXPECT_THAT(RunOne("Good.HasProperty").properties, ElementsAre(testing::Pair("colour", "<blue> & \"green\"")));
}

TEST_F(EndToEnd, PropertiesComeAfterAResultThatHasLeft) {
  const std::string fifo = scratch_.path() + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  Set("DTEST_FIXTURE_FIFO", fifo);
  StartAndList();
  SendLease({"Good.HasProperty", "Waits.ForAWriter"});
  const Results first = agent_->Expect<Results>();
  ASSERT_EQ(first.results.size(), 1u);
  EXPECT_THAT(first.results[0].properties, IsEmpty());
  std::ofstream(fifo) << "go";
  const Results last = agent_->Expect<Results>();
  EXPECT_TRUE(last.done);
  ASSERT_EQ(last.late_properties.size(), 1u);
  EXPECT_EQ(last.late_properties[0].index, IndexOf("Good.HasProperty"));
  EXPECT_EQ(last.late_properties[0].attempt, 1u);
  EXPECT_THAT(last.late_properties[0].properties, ElementsAre(testing::Pair("colour", "<blue> & \"green\"")));
}

// With a report at the end of processes and without: what is not properties comes to the same.
INSTANTIATE_TEST_SUITE_P(Reports, GoogleTest, testing::Bool(),
                         [](const testing::TestParamInfo<bool>& info) { return info.param ? "PrintsAll" : "Report"; });

struct Outside {
  // For the name of the case.
  friend std::ostream& operator<<(std::ostream& out, const Outside& outside) { return out << outside.what; }
  const char* what;
  const char* blamed;
  Outcome outcome;
  const char* message;
  const char* alone_too = nullptr;  // each case so named, alone, makes the process end like that, too
};
class OutsideOfCases : public EndToEnd, public testing::WithParamInterface<Outside> {
 protected:
  void IsBlamedOnWhoseProcessEndsSo();
};
TEST_P(OutsideOfCases, IsBlamedOnWhoseProcessEndsSo) { IsBlamedOnWhoseProcessEndsSo(); }
TEST_P(OutsideOfCases, IsBlamedOnWhoseProcessEndsSoWithoutReport) {
  prints_all_ = true;
  IsBlamedOnWhoseProcessEndsSo();
}
void OutsideOfCases::IsBlamedOnWhoseProcessEndsSo() {
  Set("DTEST_FIXTURE", GetParam().what);
  StartAndList();
  auto results = Run({"TearDown.First", "TearDown.Last", "SetUp.First", "SetUp.Second"});
  ASSERT_EQ(results.size(), 4u);
  for (const auto& [name, result] : results) {
    if (name == GetParam().blamed) {
      EXPECT_EQ(result.outcome, GetParam().outcome) << result.message;
      EXPECT_THAT(result.message, HasSubstr(GetParam().message));
    } else if (absl::StrContains(GetParam().what, "set-up")) {
      // Each fresh process dies the same way.
      EXPECT_TRUE(result.outcome == Outcome::kCrashed || absl::StartsWith(name, "TearDown")) << name;
    } else if (GetParam().alone_too != nullptr && absl::StartsWith(name, GetParam().alone_too)) {
      // So does that of each case alone, when they are looked into one by one.
      EXPECT_EQ(result.outcome, GetParam().outcome) << name << ": " << result.message;
      EXPECT_THAT(result.message, HasSubstr(GetParam().message));
    } else {
      EXPECT_EQ(result.outcome, Outcome::kPassed) << name << ": " << result.message;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(
    Kinds, OutsideOfCases,
    testing::Values(
        Outside{"crash in suite tear-down", "TearDown.Last", Outcome::kCrashed,
                "killed by signal 11 (Segmentation fault) after the test, in the tear-down of its suite", "TearDown."},
        Outside{"failure in suite tear-down", "TearDown.Last", Outcome::kFailed, "left a mess", "TearDown."},
        Outside{"failure in suite tear-down after the first", "TearDown.First", Outcome::kFailed, "left a mess"},
        Outside{"crash in suite set-up", "SetUp.Second", Outcome::kCrashed, "before the first test"},
        Outside{"crash in global set-up", "TearDown.First", Outcome::kCrashed,
                "before the first test, in global set-up"},
        Outside{"crash in global tear-down", "SetUp.Second", Outcome::kFailed, "was killed by signal 11", ""},
        Outside{"exit in global tear-down", "SetUp.Second", Outcome::kFailed,
                "exited with status 0 after its last test", ""},
        Outside{"failure in global tear-down", "SetUp.Second", Outcome::kFailed, "in global tear-down", ""},
        Outside{"exit status of a leak check", "SetUp.Second", Outcome::kFailed, "exited with status 23 after its last",
                ""}));

TEST_P(GoogleTest, SkipInGlobalSetUpSkipsAll) {
  Set("DTEST_FIXTURE", "skip in global set-up");
  StartAndList();
  for (const auto& [name, result] : Run({"Good.Passes", "Bad.Fails"})) {
    EXPECT_EQ(result.outcome, Outcome::kSkipped) << name;
    EXPECT_THAT(result.message, HasSubstr("no database"));
  }
}

TEST_P(GoogleTest, ProgramWithItsOwnPrinter) {
  Set("DTEST_FIXTURE", "own printer");
  StartAndList();
  auto results = Run({"Good.Passes", "Good.HasProperty", "Good.Skips", "Bad.Fails"});
  EXPECT_EQ(results["Good.Passes"].outcome, Outcome::kPassed);
  EXPECT_EQ(results["Good.HasProperty"].properties.size(), 1u);
  EXPECT_EQ(results["Good.Skips"].outcome, Outcome::kSkipped);
  EXPECT_EQ(results["Bad.Fails"].outcome, Outcome::kFailed);
  EXPECT_THAT(results["Bad.Fails"].message, HasSubstr("sums"));
}

TEST_P(GoogleTest, ProgramThatIgnoresTheFlagsRunsAsAWhole) {
  Set("DTEST_FIXTURE", "flags ignored");
  StartAndList();
  EXPECT_THAT(names_, ElementsAre("fixture"));
  EXPECT_EQ(RunOne("fixture").outcome, Outcome::kPassed);
}

// ---- Listing

TEST_P(GoogleTest, NoiseBeforeTheListing) {
  Set("DTEST_FIXTURE", "noise");
  StartAndList();
  EXPECT_EQ(names_.front(), "Good.Passes");
}

TEST_P(GoogleTest, ListingFailsWithAReason) {
  Set("DTEST_FIXTURE", "exit while listing");
  Start();
  agent_->Send(List{kUnit});
  agent_->Expect<Prepared>();
  EXPECT_EQ(agent_->Expect<Listed>().error, "listing the tests of fixture: exited with status 5");
}

TEST_P(GoogleTest, ListingCrashes) {
  Set("DTEST_FIXTURE", "crash while listing");
  Start();
  agent_->Send(List{kUnit});
  agent_->Expect<Prepared>();
  EXPECT_EQ(agent_->Expect<Listed>().error, "listing the tests of fixture: killed by signal 11 (Segmentation fault)");
}

TEST_P(GoogleTest, ListingForever) {
  Set("DTEST_FIXTURE", "list forever");
  welcome_.settings.list_timeout = absl::Seconds(3);
  Start();
  agent_->Send(List{kUnit});
  agent_->Expect<Prepared>();
  const Listed listed = agent_->Expect<Listed>();
  EXPECT_EQ(listed.error, "listing exceeded its time limit of 3 s");
  EXPECT_EQ(listed.output, "listing...\n");
}

TEST_P(GoogleTest, WhatCannotBeStartedIsGivenBack) {
  const std::string path = scratch_.path() + "/not_a_program";
  std::ofstream(path) << "no shebang\n";
  chmod(path.c_str(), 0755);
  agent_ = std::make_unique<AgentProcess>(options_);
  agent_->Send(welcome_);
  agent_->Send(AddUnit{InPlace(path, "googletest")});
  agent_->Send(List{kUnit});
  EXPECT_EQ(agent_->Expect<Prepared>().error, "");
  EXPECT_THAT(agent_->Expect<Prepared>().error, HasSubstr("a script without a #! line"));
}

TEST_P(GoogleTest, MissingProgramIsNotPrepared) {
  agent_ = std::make_unique<AgentProcess>(options_);
  agent_->Send(welcome_);
  agent_->Send(AddUnit{InPlace("/nonexistent/test", "googletest")});
  agent_->Send(Prefetch{kUnit});
  EXPECT_THAT(agent_->Expect<Prepared>().error, HasSubstr("cannot execute /nonexistent/test: No such file"));
}

// ---- Plain units

class Plain : public EndToEnd {
 protected:
  CaseResult RunScript(const std::string& body) {
    const std::string path = scratch_.path() + "/script";
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    chmod(path.c_str(), 0755);
    agent_ = std::make_unique<AgentProcess>(options_);
    agent_->Send(welcome_);
    agent_->Send(AddUnit{InPlace(path, "plain")});
    agent_->Send(List{kUnit});
    agent_->Expect<Prepared>();
    names_ = NamesOf(agent_->Expect<Listed>().cases);
    EXPECT_THAT(names_, ElementsAre("fixture"));
    return RunOne("fixture");
  }
};
TEST_F(Plain, Passes) { EXPECT_EQ(RunScript("echo hello").outcome, Outcome::kPassed); }
TEST_F(Plain, Skips) { EXPECT_EQ(RunScript("exit 77").outcome, Outcome::kSkipped); }
TEST_F(Plain, Fails) {
  const CaseResult result = RunScript("echo out; echo err >&2; exit 3");
  EXPECT_EQ(result.outcome, Outcome::kFailed);
  EXPECT_EQ(result.message, "exited with status 3");
  EXPECT_EQ(result.output, "out\nerr\n");
}
TEST_F(Plain, Crashes) {
  const CaseResult result = RunScript("echo out; kill -ABRT $$");
  EXPECT_EQ(result.outcome, Outcome::kCrashed);
  EXPECT_EQ(result.message, "killed by signal 6 (Aborted)");
  EXPECT_EQ(result.output, "out\n");
}

// ---- Selections that are long

// Stands in for a GoogleTest of another release: runs what its filter names, and leaves a mark for each process.
constexpr char kEveryRow[] = R"(#!/bin/sh
for argument; do
  case $argument in
    --gtest_list_tests)
      echo Rows.
      seq -f '  EachRowOfATableWithARatherLongNameIsAsItShouldBeHoweverManyRowsTheTableHas%.0f' 0 3999
      exit ;;
    --gtest_filter=*) filter=${argument#--gtest_filter=} ;;
  esac
done
echo process >>"$DTEST_FIXTURE_MARKS"
echo "$filter" | tr : '\n' | sed 's/.*/[ RUN      ] &\n[       OK ] & (0 ms)/'
echo '[----------] tests from Rows (0 ms total)'
)";

TEST_F(EndToEnd, EachCaseOfALongSelectionRunsOnce) {
  const std::string path = scratch_.path() + "/rows_test", marks = scratch_.path() + "/marks";
  std::ofstream(path) << kEveryRow;
  chmod(path.c_str(), 0755);
  Set("DTEST_FIXTURE_MARKS", marks);
  prints_all_ = true;
  agent_ = std::make_unique<AgentProcess>(options_);
  agent_->Send(welcome_);
  agent_->Send(AddUnit{InPlace(path, "googletest")});
  agent_->Send(List{kUnit});
  agent_->Expect<Prepared>();
  names_ = NamesOf(agent_->Expect<Listed>().cases);
  ASSERT_EQ(names_.size(), 4000u);
  std::vector<std::string> even;
  for (size_t i = 0; i < names_.size(); i += 2) even.push_back(names_[i]);
  const std::map<std::string, CaseResult> results = Run(even);
  EXPECT_EQ(results.size(), even.size());
  for (const auto& [name, result] : results) EXPECT_EQ(result.outcome, Outcome::kPassed) << name << result.message;
  EXPECT_EQ(ReadWhole(marks), "process\nprocess\n");
}

}  // namespace
}  // namespace dtest
