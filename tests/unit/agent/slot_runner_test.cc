#include "agent/loop/slot_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/execute/direct_launcher.h"
#include "dtest/base/clock.h"
#include "fakes/fake_directories.h"
#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

using testing::ElementsAre;

// A slot that runs scripts as real processes, whose poller nobody asks.
class SlotRunnerTest : public testing::Test {
 protected:
  SlotRunnerTest() : runner_(Options()) {
    welcome_.settings.leak_timeout = absl::Hours(1);
    welcome_.settings.output_cap = 64 << 10;
  }

  void RunScript(const std::string& body, const std::string& framework = kPlainFramework) {
    program_.spec.name = "script";
    program_.spec.framework = framework;
    program_.path = scratch_.path() + "/script";
    program_.working_directory = scratch_.path();
    program_.cases = CaseInfos();
    program_.cases.Add({.name = framework == kPlainFramework ? "script" : "a test", .file = "a.cc", .line = 1});
    std::ofstream(program_.path) << "#!/bin/sh\n" << body << "\n";
    chmod(program_.path.c_str(), 0755);
    runner_.Start(program_, StartBatch{SlotId(0), program_.spec.id, {{0, 1}}, false});
    ASSERT_TRUE(runner_.busy());
  }
  void WaitForEnd() {
    siginfo_t info;
    ASSERT_EQ(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT), 0);
  }

  ScratchDirectory scratch_;
  Welcome welcome_;
  EpollPoller poller_;
  FakeDirectories directories_;
  Program program_;
  std::vector<std::string> said_;  // events, by name
  DirectLauncher launcher_{[](const std::string&) {}};
  SlotRunner runner_;

 private:
  struct Namer {
    std::string operator()(const CaseBegan&) const { return "began"; }
    std::string operator()(const CaseFinished& event) const {
      return absl::StrCat("finished <", event.result.output, ">");
    }
    std::string operator()(const ProcessExited&) const { return "exited"; }
    std::string operator()(const ProcessEnded&) const { return "ended"; }
    template <typename Event>
    std::string operator()(const Event&) const {
      return "another event";
    }
  };
  SlotRunner::Options Options() {
    SlotRunner::Options options;
    options.slot = SlotId(0);
    options.welcome = &welcome_;
    options.poller = &poller_;
    options.clock = MonotonicNow;
    options.launcher = &launcher_;
    options.directories = *directories_.MakeSlot(SlotId(0));
    options.environment = Environment(environ);
    options.emit = [this](const AgentEvent& event) { said_.push_back(std::visit(Namer(), event)); };
    return options;
  }
};

TEST_F(SlotRunnerTest, CatchingUpSeesTheEndThatThePollerHasNotTold) {
  RunScript("echo last words; exit 3");
  WaitForEnd();
  runner_.CatchUp();
  EXPECT_THAT(said_, ElementsAre("began", "finished <last words\n>", "ended"));
  runner_.CatchUp();
  EXPECT_EQ(said_.size(), 3u);
}

TEST_F(SlotRunnerTest, TheEndIsToldBeforeThatOfWhatItLeftBehind) {
  RunScript("sleep 1000 & exit 0");
  WaitForEnd();
  runner_.CatchUp();
  EXPECT_THAT(said_, ElementsAre("began", "exited"));
}

TEST_F(SlotRunnerTest, WhatWasPrintedBeforeAReportIsOfTheCaseThatItEnds) {
  RunScript(
      "echo '<Catch><TestCase name=\"a test\" filename=\"a.cc\" line=\"1\">' > /proc/self/fd/3; echo words; echo "
      "'<OverallResult success=\"false\"/></TestCase></Catch>' > /proc/self/fd/3",
      "catch2");
  WaitForEnd();
  while (said_.empty() || said_.back() != "ended") ASSERT_TRUE(poller_.Wait(absl::Minutes(1)).ok());
  EXPECT_THAT(said_, ElementsAre("began", "finished <words\n>", "ended"));
}

}  // namespace
}  // namespace dtest
