// Environments made and checked by real commands.

#include "agent/loop/environment_stage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/execute/direct_launcher.h"
#include "agent/loop/poller.h"
#include "dtest/base/clock.h"
#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class EnvironmentStageTest : public testing::Test {
 protected:
  EnvironmentStageTest() {
    wanted_.command = "echo made >> log; mkdir $DTEST_ENVIRONMENT/bin; echo tool > $DTEST_ENVIRONMENT/bin/tool";
    wanted_.time_limit = absl::Minutes(1);
  }
  std::unique_ptr<EnvironmentStage> NewStage(std::vector<std::string>* notes) {
    EnvironmentStage::Options options;
    options.wanted = &wanted_;
    options.store = store_;
    options.machine = "x86_64";
    options.working_directory = working_directory_;
    options.environment = Environment(environ);
    options.owner = SlotId(next_owner_++);
    options.grace = absl::ZeroDuration();
    options.clock = MonotonicNow;
    options.poller = &poller_;
    options.launcher = &launcher_;
    options.note = [this, notes](std::string text) {
      const bool of_making = absl::StartsWith(text, "makes the environment: ") || absl::StartsWith(text, "made the ");
      (of_making ? of_making_ : *notes).push_back(std::move(text));
    };
    return std::make_unique<EnvironmentStage>(std::move(options));
  }
  std::unique_ptr<EnvironmentStage> NewStage() { return NewStage(&notes_); }
  // As the loop does.
  void Turn(EnvironmentStage* stage) {
    stage->Tick(MonotonicNow());
    const absl::Duration left = stage->NextDeadline() - MonotonicNow();
    if (stage->over()) return;
    ASSERT_TRUE(poller_.Wait(std::clamp(left, absl::ZeroDuration(), absl::Seconds(1))).ok());
    stage->CheckEnded();
  }
  template <typename Condition>
  void TurnUntil(EnvironmentStage* stage, Condition condition) {
    const absl::Time give_up = MonotonicNow() + absl::Minutes(1);
    while (!condition()) {
      Turn(stage);
      ASSERT_LT(MonotonicNow(), give_up);
    }
  }
  // Returns it when it is over.
  std::unique_ptr<EnvironmentStage> Run() {
    std::unique_ptr<EnvironmentStage> stage = NewStage();
    stage->Start();
    TurnUntil(stage.get(), [&] { return stage->over(); });
    return stage;
  }
  std::vector<std::string> Log() const {
    std::ifstream file(scratch_.path() + "/log");
    return absl::StrSplit(std::string(std::istreambuf_iterator<char>(file), {}), '\n', absl::SkipEmpty());
  }
  // Directories of environments, finished or not.
  size_t Directories() const {
    size_t count = 0;
    for (const auto& place : std::filesystem::directory_iterator(scratch_.path() + "/store/environments")) {
      for (const auto& entry : std::filesystem::directory_iterator(place)) {
        count += entry.is_directory() && !entry.is_symlink();
      }
    }
    return count;
  }

  ScratchDirectory scratch_;
  std::string working_directory_ = scratch_.path(), store_ = scratch_.path() + "/store";
  HostEnvironment wanted_;
  EpollPoller poller_;
  uint32_t next_owner_ = 7;
  DirectLauncher launcher_{[](const std::string&) {}};
  std::vector<std::string> notes_, of_making_;
};

TEST_F(EnvironmentStageTest, MadeOnceForEachKey) {
  const std::string first = Run()->directory();
  EXPECT_TRUE(std::filesystem::exists(first + "/bin/tool"));
  EXPECT_THAT(first, StartsWith(scratch_.path() + "/store/environments/"));
  EXPECT_EQ(Run()->directory(), first);
  EXPECT_THAT(Log(), ElementsAre("made"));
  std::string bytes(Digest::kSize, '\1');
  wanted_.key = *Digest::FromBytes(bytes);
  EXPECT_NE(Run()->directory(), first);
  EXPECT_THAT(Log(), ElementsAre("made", "made"));
  EXPECT_THAT(notes_, IsEmpty());
}

TEST_F(EnvironmentStageTest, CheckedBeforeEachUseWithItsProgramsFirst) {
  wanted_.command +=
      "; echo 'echo checked with $1 >> log' > $DTEST_ENVIRONMENT/bin/tool; chmod +x $DTEST_ENVIRONMENT/bin/tool";
  wanted_.check = "tool \"$(basename \"$VIRTUAL_ENV\")\"; test -n \"$DTEST_ENVIRONMENT\"";
  const std::string name = std::filesystem::path(Run()->directory()).filename();
  EXPECT_EQ(Run()->error(), "");
  EXPECT_THAT(Log(), ElementsAre("made", "checked with " + name, "checked with " + name));
}

TEST_F(EnvironmentStageTest, FailureHasItsOutputAndLeavesNothing) {
  wanted_.command = "echo out; echo error >&2; touch $DTEST_ENVIRONMENT/half; exit 3";
  const std::unique_ptr<EnvironmentStage> stage = Run();
  EXPECT_EQ(stage->error(), "its command exited with status 3");
  EXPECT_THAT(stage->output(), testing::AllOf(HasSubstr("out\n"), HasSubstr("error\n")));
  EXPECT_EQ(stage->directory(), "");
  EXPECT_EQ(Directories(), 0u);
}

TEST_F(EnvironmentStageTest, LimitEndsTheCommand) {
  wanted_.command = "touch $DTEST_ENVIRONMENT/half; sleep 1000";
  wanted_.time_limit = absl::Milliseconds(50);
  EXPECT_THAT(Run()->error(), HasSubstr("its command exceeded its time limit"));
  EXPECT_EQ(Directories(), 0u);
}

TEST_F(EnvironmentStageTest, OneThatItsCheckRefusesIsMadeAnew) {
  wanted_.check = "echo the check says so; test -e $DTEST_ENVIRONMENT/bin/tool";
  const std::string first = Run()->directory();
  std::filesystem::remove(first + "/bin/tool");
  const std::string second = Run()->directory();
  EXPECT_NE(second, first);
  EXPECT_TRUE(std::filesystem::exists(second + "/bin/tool"));
  EXPECT_THAT(Log(), ElementsAre("made", "made"));
  EXPECT_THAT(notes_,
              ElementsAre("makes the environment anew, since its check exited with status 1\nthe check says so\n"));
  EXPECT_EQ(Run()->directory(), second);
}

TEST_F(EnvironmentStageTest, OneThatIsNewAndFailsItsCheckIsNotUsed) {
  wanted_.check = "echo no; exit 4";
  for (int i = 1; i <= 2; ++i) {
    const std::unique_ptr<EnvironmentStage> stage = Run();
    EXPECT_EQ(stage->error(), "it was made, and its check exited with status 4");
    EXPECT_EQ(stage->output(), "no\n");
    EXPECT_EQ(Log().size(), static_cast<size_t>(i));  // once, not again and again
    EXPECT_EQ(Directories(), 0u);
  }
  EXPECT_THAT(notes_, IsEmpty());
}

TEST_F(EnvironmentStageTest, OneThatWasCutShortIsNeverUsed) {
  wanted_.command = "echo begun >> log; touch $DTEST_ENVIRONMENT/half; test -e go || sleep 1000";
  std::unique_ptr<EnvironmentStage> stage = NewStage();
  stage->Start();
  TurnUntil(stage.get(), [&] { return !Log().empty(); });
  stage.reset();  // as at the end of the run
  std::ofstream(scratch_.path() + "/go").flush();
  const std::unique_ptr<EnvironmentStage> second = Run();
  EXPECT_EQ(second->error(), "");
  EXPECT_THAT(Log(), ElementsAre("begun", "begun"));
  EXPECT_EQ(Directories(), 1u);
}

TEST_F(EnvironmentStageTest, TwoAgentsMakeItOnce) {
  wanted_.command = "echo made >> log; until test -e go; do sleep 0.01; done; touch $DTEST_ENVIRONMENT/done";
  std::unique_ptr<EnvironmentStage> first = NewStage();
  first->Start();
  std::vector<std::string> notes;
  std::unique_ptr<EnvironmentStage> second = NewStage(&notes);
  second->Start();
  EXPECT_THAT(notes, ElementsAre("waits for the environment, which another agent is making"));
  TurnUntil(first.get(), [&] { return !Log().empty(); });
  Turn(second.get());
  EXPECT_FALSE(second->over());
  std::ofstream(scratch_.path() + "/go").flush();
  TurnUntil(first.get(), [&] { return first->over(); });
  TurnUntil(second.get(), [&] { return second->over(); });
  EXPECT_EQ(second->directory(), first->directory());
  EXPECT_NE(second->directory(), "");
  EXPECT_THAT(Log(), ElementsAre("made"));
  EXPECT_EQ(notes.size(), 1u);
}

TEST_F(EnvironmentStageTest, OneThatWaitedForAnotherThatFailsMakesItItself) {
  wanted_.command =
      "echo made >> log; until test -e go; do sleep 0.01; done; rm go; test $(wc -l < log) -eq 2; touch "
      "$DTEST_ENVIRONMENT/done";
  std::unique_ptr<EnvironmentStage> first = NewStage(), second = NewStage();
  first->Start();
  second->Start();
  TurnUntil(first.get(), [&] { return !Log().empty(); });
  std::ofstream(scratch_.path() + "/go").flush();
  TurnUntil(first.get(), [&] { return first->over(); });
  EXPECT_EQ(first->error(), "its command exited with status 1");
  TurnUntil(second.get(), [&] { return Log().size() == 2; });
  std::ofstream(scratch_.path() + "/go").flush();
  TurnUntil(second.get(), [&] { return second->over(); });
  EXPECT_EQ(second->error(), "");
  EXPECT_EQ(Directories(), 1u);
}

TEST_F(EnvironmentStageTest, SignalEndsWhatRunsAndWhatWaits) {
  wanted_.command = "echo begun >> log; exec sleep 1000";
  std::unique_ptr<EnvironmentStage> first = NewStage(), second = NewStage();
  first->Start();
  second->Start();
  second->Signal(SIGINT);
  EXPECT_TRUE(second->over());
  EXPECT_EQ(second->error(), "the run ended while another agent was making it");
  TurnUntil(first.get(), [&] { return !Log().empty(); });
  first->Signal(SIGINT);
  TurnUntil(first.get(), [&] { return first->over(); });
  EXPECT_EQ(first->error(), "the run ended while it was made");
  EXPECT_EQ(Directories(), 0u);
}

TEST_F(EnvironmentStageTest, NothingIsMadeAnewAfterASignal) {
  const std::string made = Run()->directory();
  wanted_.check = "echo checked >> log; exec sleep 1000";
  std::unique_ptr<EnvironmentStage> stage = NewStage();
  stage->Start();
  TurnUntil(stage.get(), [&] { return Log().size() == 2; });
  stage->Signal(SIGINT);
  TurnUntil(stage.get(), [&] { return stage->over(); });
  EXPECT_EQ(stage->error(), "the run ended while it was checked");
  EXPECT_THAT(Log(), ElementsAre("made", "checked"));
  EXPECT_THAT(notes_, IsEmpty());
  EXPECT_TRUE(std::filesystem::exists(made));
}

TEST_F(EnvironmentStageTest, CommandThatIsKilledIsToldAsSuch) {
  wanted_.command = "kill -9 $$";
  EXPECT_THAT(Run()->error(), HasSubstr("its command was killed by signal 9"));
}

TEST_F(EnvironmentStageTest, SaysWhatItDoesAndHowLongThatTook) {
  wanted_.command = "\n  # comment\nset -x\ntouch $DTEST_ENVIRONMENT/a\ntrue";
  Run();
  EXPECT_THAT(of_making_, ElementsAre("makes the environment: touch $DTEST_ENVIRONMENT/a",
                                      testing::MatchesRegex("made the environment in [0-9.]+ s")));
  of_making_.clear();
  Run();
  EXPECT_THAT(of_making_, IsEmpty());
}

TEST_F(EnvironmentStageTest, ColonInItsPlaceIsRefused) {
  store_ = scratch_.path() + "/a:b";
  EXPECT_THAT(Run()->error(), HasSubstr("there is a colon in " + store_));
  wanted_ = HostEnvironment();
  wanted_.path = store_;
  EXPECT_THAT(Run()->error(), HasSubstr("there is a colon in " + store_));
}

TEST_F(EnvironmentStageTest, CommandEndsWithTheFirstThatFails) {
  wanted_.command = "false; touch $DTEST_ENVIRONMENT/last";
  EXPECT_EQ(Run()->error(), "its command exited with status 1");
  EXPECT_EQ(Directories(), 0u);
}

TEST_F(EnvironmentStageTest, CommandThatLeavesNothingIsRefused) {
  wanted_.command = "echo nothing to do";
  const std::unique_ptr<EnvironmentStage> stage = Run();
  EXPECT_EQ(stage->error(), "its command has put nothing into the directory DTEST_ENVIRONMENT");
  EXPECT_EQ(stage->output(), "nothing to do\n");
  EXPECT_EQ(Directories(), 0u);
}

TEST_F(EnvironmentStageTest, OneThatIsGoneIsMadeAnew) {
  const std::string first = Run()->directory();
  std::filesystem::remove_all(first);
  const std::string second = Run()->directory();
  EXPECT_TRUE(std::filesystem::exists(second + "/bin/tool"));
  EXPECT_THAT(Log(), ElementsAre("made", "made"));
}

TEST_F(EnvironmentStageTest, CommandSeesNoPythonOfTheShell) {
  ASSERT_EQ(setenv("PYTHONPATH", "/shells", 1), 0);
  ASSERT_EQ(setenv("VIRTUAL_ENV", "/shells", 1), 0);
  wanted_.command =
      "test -z \"${PYTHONPATH+set}\"; test \"$VIRTUAL_ENV\" = \"$DTEST_ENVIRONMENT\"; touch $VIRTUAL_ENV/a";
  EXPECT_EQ(Run()->error(), "");
  unsetenv("PYTHONPATH");
  unsetenv("VIRTUAL_ENV");
}

TEST_F(EnvironmentStageTest, DirectoryOfTheCommandsIsThereWithoutFiles) {
  working_directory_ = scratch_.path() + "/tree/.dtest/environment";
  wanted_.command = "test -z \"$(ls -A)\"; pwd > $DTEST_ENVIRONMENT/where";
  EXPECT_EQ(Run()->error(), "");
}

TEST_F(EnvironmentStageTest, PathThatIsThereAndOneThatIsNot) {
  wanted_ = HostEnvironment();
  wanted_.path = scratch_.path() + "/opt";
  EXPECT_EQ(Run()->error(), absl::StrCat("[environment] names ", wanted_.path, ", and this host has no ", wanted_.path,
                                         "/bin (No such file or directory)"));
  std::filesystem::create_directories(wanted_.path + "/bin");
  EXPECT_EQ(Run()->directory(), wanted_.path);
}

TEST_F(EnvironmentStageTest, StoreThatCannotBeWrittenIsAnError) {
  std::ofstream(scratch_.path() + "/store").flush();  // a file
  EXPECT_THAT(Run()->error(), HasSubstr(scratch_.path() + "/store"));
}

}  // namespace
}  // namespace dtest
