#include "agent/execute/fork_launcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/execute/process.h"
#include "unit/agent/fork_server.h"
#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Of a fork server: what it forks runs the Python code that it is asked for.
constexpr char kServer[] = R"(
import threading, time

control = forking.Control()
origin = forking.Origin("/", "/none", None)
exec(sys.argv[2])
try:
    request = serve(control, origin)
except forking.Refused as refused:
    control.refuse(str(refused))
    sys.exit(0)
sys.stdout = os.fdopen(1, "w", closefd=False)
exec(request.arguments[0], {"os": os, "report": request.report, "time": time})
forking.leave(0, origin)
)";

class ForkLauncherTest : public testing::Test {
 protected:
  ForkLauncherTest() {
    EXPECT_TRUE(BecomeSupervisor().ok());
    std::ofstream(server_) << kForkServerBegins << kServer;
  }
  // `first` is run in the server before it serves, `code` in what it forks, `fresh` by a shell where it does not.
  std::unique_ptr<TestProcess> Launch(const std::string& first, const std::string& code,
                                      const std::string& fresh = "") {
    StartSpec spec;
    spec.program = "/bin/sh";
    spec.arguments = {"sh", "-c", fresh};
    spec.fork_server = {"sh",
                        "-c",
                        "exec /usr/bin/python3 -B \"$@\"",
                        "sh",
                        server_,
                        DTEST_PYTEST_PLUGIN,
                        first,
                        scratch_.path() + "/begun",
                        scratch_.path() + "/go"};
    spec.fork_request = {code};
    spec.fork_key = key_;
    spec.environment = {"PATH=/usr/bin:/bin", absl::StrCat("NUMBER=", ++number_)};
    spec.working_directory = "/";
    spec.report = true;
    absl::StatusOr<std::unique_ptr<TestProcess>> process = launcher_.Launch(SlotId(7), std::move(spec));
    EXPECT_TRUE(process.ok()) << process.status();
    return *std::move(process);
  }
  // All that it says, until its end.
  static std::string ReadAll(TestProcess* process, Pipe pipe) {
    std::string all;
    char buffer[4096];
    for (;;) {
      const bool ended = process->HasEnded();  // what it said is there then
      std::optional<size_t> got;
      while ((got = process->Read(pipe, absl::MakeSpan(buffer))).value_or(0) > 0) all.append(buffer, *got);
      if (!got.has_value() || ended) break;
      pollfd polled[] = {{process->fd(pipe), POLLIN, 0}, {process->end_fd(), POLLIN, 0}};
      poll(polled, 2, -1);
    }
    while (!process->HasEnded()) {
      pollfd end = {process->end_fd(), POLLIN, 0};
      poll(&end, 1, -1);
    }
    return all;
  }

  ScratchDirectory scratch_;
  const std::string server_ = scratch_.path() + "/server.py";
  int number_ = 0;
  std::string key_;
  std::vector<std::string> notes_;
  DirectLauncher direct_{[](const std::string&) {}};
  ForkLauncher launcher_{&direct_, [this](std::string note) { notes_.push_back(std::move(note)); }};
};

TEST_F(ForkLauncherTest, OneServerForksProcessesWithPipesEnvironmentAndStatusOfTheirOwn) {
  std::string servers;
  for (const char* number : {"1", "2"}) {
    const std::unique_ptr<TestProcess> process =
        Launch("loaded = os.getpid()\nos.environ['LOADED'] = str(loaded)",
               "import sys; print(os.environ['NUMBER'], os.getppid()); sys.stdout.flush(); os.write(report, b'told'); "
               "os.setpgid(0, 0); os._exit(3)");
    EXPECT_EQ(ReadAll(process.get(), Pipe::kOutput), absl::StrCat(number, " ", getpid(), "\n"));
    char buffer[16];
    EXPECT_EQ(process->Read(Pipe::kReport, absl::MakeSpan(buffer)), 4u);
    EXPECT_EQ(process->Reap().exit_code, 3);
  }
  EXPECT_THAT(notes_, IsEmpty());
}

TEST_F(ForkLauncherTest, AProcessReadsAnswersWhereItReports) {
  const std::unique_ptr<TestProcess> process = Launch("",
                                                      "os.write(report, b'asks'); os.write(report, os.read(report, "
                                                      "100)); os.write(report, b'.' + os.read(report, 100))");
  std::string told;
  char buffer[16];
  while (told != "asks") {
    ASSERT_FALSE(process->HasEnded());  // it begins as this is asked
    pollfd polled[] = {{process->fd(Pipe::kReport), POLLIN, 0}, {process->end_fd(), POLLIN, 0}};
    poll(polled, 2, -1);
    told.append(buffer, process->Read(Pipe::kReport, absl::MakeSpan(buffer)).value());
  }
  EXPECT_TRUE(process->Answer("an answer"));
  process->EndAnswers();
  EXPECT_EQ(ReadAll(process.get(), Pipe::kReport), "an answer.");
  EXPECT_FALSE(process->Answer("too late"));
}

// More than a pipe holds, from what the server has started, once no process waits for the server any more.
TEST_F(ForkLauncherTest, WhatTheServerPrintsIsReadAsLongAsAProcessRuns) {
  const std::unique_ptr<TestProcess> process =
      Launch(R"(
asked, os.ask = os.pipe()
os.answer, answered = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:  # a child of its own would be shared by all that are forked
        os.read(asked, 1)
        for _ in range(50): os.write(1, b"x" * 20000)
        os.write(answered, b".")
    os._exit(0)
os.wait()
)",
             "os.write(os.ask, b'.'); os.write(report, os.read(os.answer, 1))");
  ReadAll(process.get(), Pipe::kOutput);
  char buffer[16];
  EXPECT_EQ(process->Read(Pipe::kReport, absl::MakeSpan(buffer)), 1u);
  EXPECT_EQ(process->Reap().exit_code, 0);
}

TEST_F(ForkLauncherTest, EachKeyHasAServer) {
  std::vector<std::string> servers;
  for (const char* key : {"", "DATABASE", ""}) {
    key_ = key;
    servers.push_back(ReadAll(Launch("LOADED = os.getpid()\nos.environ['LOADED'] = str(LOADED)",
                                     "print(os.environ.get('LOADED'), os.getppid())")
                                  .get(),
                              Pipe::kOutput));
  }
  EXPECT_EQ(servers[0], servers[2]);
  EXPECT_NE(servers[0], servers[1]);
}

TEST_F(ForkLauncherTest, ItsDeathAndWhatItLeftBehindAreKnown) {
  const std::unique_ptr<TestProcess> process =
      Launch("", "pid = os.fork()\nif pid == 0:\n os.setsid()\n time.sleep(1000)\nos.kill(os.getpid(), 11)");
  while (!process->HasEnded()) {
    pollfd end = {process->end_fd(), POLLIN, 0};
    poll(&end, 1, -1);
  }
  EXPECT_TRUE(process->HasLeftovers());
  process->KillAll();
  EXPECT_FALSE(process->HasLeftovers());
  EXPECT_EQ(process->Reap().signal, SIGSEGV);
}

TEST_F(ForkLauncherTest, OneThatRefusesIsToldOnceAndAllIsStartedAfresh) {
  for (int i = 0; i < 2; ++i) {
    const std::unique_ptr<TestProcess> process =
        Launch("threading.Thread(target=time.sleep, args=(1000,), daemon=True, name='poller').start()", "",
               "echo asks >&3; read answer <&3; echo fresh: $answer; exit 4");
    char buffer[16];
    pollfd polled = {process->fd(Pipe::kReport), POLLIN, 0};
    while (process->Read(Pipe::kReport, absl::MakeSpan(buffer)).value() == 0) {
      ASSERT_FALSE(process->HasEnded());  // it begins as this is asked
      poll(&polled, 1, 1);
    }
    EXPECT_TRUE(process->Answer("answered\n"));
    EXPECT_EQ(ReadAll(process.get(), Pipe::kOutput), "fresh: answered\n");
    EXPECT_EQ(process->Reap().exit_code, 4);
  }
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("1 threads run after collection (poller)")));
}

TEST_F(ForkLauncherTest, OneThatDiesCostsNothing) {
  const std::unique_ptr<TestProcess> process = Launch("os._exit(0)", "", "echo fresh");
  EXPECT_EQ(ReadAll(process.get(), Pipe::kOutput), "fresh\n");
  EXPECT_EQ(process->Reap().exit_code, 0);
  EXPECT_THAT(notes_, IsEmpty());
}

TEST_F(ForkLauncherTest, WhatIsStoppedBeforeItBeganSaysWhatTheServerDid) {
  const std::string first =
      "import faulthandler, signal\nfaulthandler.register(signal.SIGTERM, chain=True)\n"
      "for i in range(1 << 14): print('x' * 64)\n"
      "def collects():\n  open(sys.argv[3], 'w').close()\n  print('begun', flush=True)\n  while True: pass\ncollects()";
  const std::unique_ptr<TestProcess> process = Launch(first, "", "echo fresh");
  while (access((scratch_.path() + "/begun").c_str(), F_OK) != 0) {
    pollfd end = {process->end_fd(), POLLIN, 0};
    poll(&end, 1, -1);
    ASSERT_FALSE(process->HasEnded());
  }
  process->Signal(SIGTERM);
  EXPECT_THAT(ReadAll(process.get(), Pipe::kOutput), HasSubstr("in collects"));
  EXPECT_EQ(process->Reap().signal, SIGTERM);
  // Another is started for who comes later.
  std::ofstream(server_) << "import os\nos._exit(0)\n";
  EXPECT_EQ(ReadAll(Launch(first, "", "echo fresh").get(), Pipe::kOutput), "fresh\n");
}

TEST_F(ForkLauncherTest, WhatIsStoppedBeforeItBeganLeavesTheServerToOthers) {
  const std::string first = "open(sys.argv[4]).close()";
  ASSERT_EQ(mkfifo((scratch_.path() + "/go").c_str(), 0600), 0);
  const std::unique_ptr<TestProcess> stopped = Launch(first, "print('never')");
  const std::unique_ptr<TestProcess> other = Launch(first, "print('forked')");
  stopped->Signal(SIGTERM);
  EXPECT_TRUE(stopped->HasEnded());
  EXPECT_EQ(stopped->Reap().signal, SIGTERM);
  std::ofstream(scratch_.path() + "/go").flush();
  EXPECT_EQ(ReadAll(other.get(), Pipe::kOutput), "forked\n");
}

TEST_F(ForkLauncherTest, WhatIsKilledBeforeItBeganIsOver) {
  const std::unique_ptr<TestProcess> process = Launch("time.sleep(1000)", "", "echo fresh");
  EXPECT_FALSE(process->HasEnded());
  process->Signal(SIGKILL);
  pollfd end = {process->end_fd(), POLLIN, 0};
  EXPECT_EQ(poll(&end, 1, -1), 1);
  EXPECT_TRUE(process->HasEnded());
  EXPECT_EQ(process->Reap().signal, SIGKILL);
}

}  // namespace
}  // namespace dtest
