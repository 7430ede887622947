// The real dtest-agent: how it is started, how it ends, and what it does besides.

#include <signal.h>
#include <sys/wait.h>

#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "unit/agent/end_to_end.h"

namespace dtest {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

// With a report at the end of processes and without: what is not properties comes to the same.
INSTANTIATE_TEST_SUITE_P(Reports, GoogleTest, testing::Bool(),
                         [](const testing::TestParamInfo<bool>& info) { return info.param ? "PrintsAll" : "Report"; });

TEST_P(GoogleTest, InterruptEndsInIdle) {
  const std::string pid_file = scratch_.path() + "/hangs";
  Set("DTEST_FIXTURE_PID", pid_file);
  StartAndList();
  SendLease({"Good.Passes", "Bad.HangsDeaf"});
  EXPECT_EQ(agent_->Expect<Results>().results.size(), 1u);
  agent_->Until([&] { return absl::StrContains(ReadWhole(pid_file), "\n"); });
  agent_->Send(Interrupt{absl::Milliseconds(100)});
  const Results results = agent_->Expect<Results>();
  EXPECT_TRUE(results.done);
  ASSERT_EQ(results.results.size(), 1u);
  EXPECT_EQ(results.results[0].outcome, Outcome::kNotRun);
  EXPECT_THAT(results.results[0].message, HasSubstr("interrupted after"));
  agent_->Expect<Idle>();
}

TEST_P(GoogleTest, StreamEndsAndNothingIsLeft) {
  const std::string pid_file = scratch_.path() + "/leaked";
  Set("DTEST_FIXTURE_PID", pid_file);
  StartAndList();
  SendLease({"Leaks.Session", "Leaks.ThenHangs"});
  agent_->Until([&] { return absl::StrContains(ReadWhole(pid_file), "\n"); });
  pid_t leaked = 0;
  ASSERT_TRUE(absl::SimpleAtoi(ReadWhole(pid_file), &leaked));
  agent_->CloseStream();
  agent_->WaitForEnd();
  EXPECT_EQ(kill(leaked, 0), -1);
  EXPECT_TRUE(std::filesystem::is_empty(agent_->temporary_parent()));
}

TEST_P(GoogleTest, SilentCoordinatorEndsIt) {
  welcome_.lease_timeout = absl::Milliseconds(400);
  Start();
  const int status = agent_->WaitForEnd();
  EXPECT_TRUE(WIFEXITED(status));
}

TEST_P(GoogleTest, SignalEndsIt) {
  StartAndList();
  kill(agent_->pid(), SIGTERM);
  const int status = agent_->WaitForEnd();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_TRUE(std::filesystem::is_empty(agent_->temporary_parent()));
}

// Whether the agent still finds the sender or not: its tests go on, each run of them.
TEST_P(GoogleTest, SignalOfAProcessThatATestStartedEndsNeitherAgentNorOtherTests) {
  StartAndList();
  for (int i = 0; i < 20; ++i) RunOne("Signals.TheAgentByAnotherProcess");
  EXPECT_EQ(RunOne("Good.Passes").outcome, Outcome::kPassed);
}

TEST_P(GoogleTest, LeftoversOfAKilledAgentAreRemovedByTheNext) {
  const std::string pid_file = scratch_.path() + "/leaked";
  Set("DTEST_FIXTURE_PID", pid_file);
  StartAndList();
  SendLease({"Leaks.Session", "Leaks.ThenHangs"});
  agent_->Until([&] { return absl::StrContains(ReadWhole(pid_file), "\n"); });
  pid_t leaked = 0;
  ASSERT_TRUE(absl::SimpleAtoi(ReadWhole(pid_file), &leaked));
  kill(agent_->pid(), SIGKILL);
  agent_->WaitForEnd();
  EXPECT_EQ(kill(leaked, 0), 0) << "died by itself";
  EXPECT_FALSE(std::filesystem::is_empty(agent_->temporary_parent()));
  agent_ = nullptr;
  std::filesystem::remove(scratch_.path() + "/router");
  agent_ = std::make_unique<AgentProcess>(options_);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(agent_->temporary_parent()), {}), 1);
  // Who reaps it is no matter of ours.
  EXPECT_THAT(ReadWhole(absl::StrCat("/proc/", leaked, "/environ")), IsEmpty());
  agent_->Send(Shutdown{});
  agent_->WaitForEnd();
}

TEST_P(GoogleTest, HeartbeatsWhileATestRuns) {
  welcome_.heartbeat_interval = absl::Milliseconds(50);
  StartAndList();
  SendLease({"Bad.Hangs"});
  const int before = agent_->heartbeats();
  agent_->Until([&] { return agent_->heartbeats() >= before + 5; });
}

// ---- Other ways to start it

TEST_P(GoogleTest, DirectSocket) {
  options_.link = AgentStart::kUnix;
  StartAndList();
  EXPECT_EQ(RunOne("Good.Passes").outcome, Outcome::kPassed);
  agent_->CloseStream();
  EXPECT_TRUE(WIFEXITED(agent_->WaitForEnd()));
}

TEST_P(GoogleTest, StartedThroughItsLoader) {
  options_.command = {DTEST_LOADER, "--argv0", "dtest-agent", DTEST_AGENT};
  StartAndList();
  EXPECT_EQ(RunOne("Good.Passes").outcome, Outcome::kPassed);
}

}  // namespace
}  // namespace dtest
