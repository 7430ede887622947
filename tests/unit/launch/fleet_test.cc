// Hosts that need no sshd: local ones, and those behind a command.

#include "coordinator/launch/fleet.h"

#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "unit/launch/fixtures.h"

namespace dtest {
namespace {

using Kind = FleetEvent::Kind;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class FleetTest : public ::testing::Test {
 protected:
  FleetTest() : router_(dir_ / "router") {
    options_.router_socket = dir_ / "router";
    options_.run_id = "echo";
    options_.local_agent = EchoAgentPath();
    options_.agent = EchoArchive();
    options_.remote_store = dir_ / "store";
    local_.kind = HostSpec::Kind::kLocal;
    local_.name = local_.address = "local";
  }
  static HostSpec Command(const std::string& command) {
    HostSpec host;
    host.kind = HostSpec::Kind::kCommand;
    host.name = host.address = "pod-7";
    host.command = command;
    return host;
  }
  absl::Status Fail(const HostSpec& host) {
    FleetDriver driver(options_, {host});
    driver.Start();
    return driver.Await(Kind::kFailed).status;
  }

  ScratchDirectory dir_;
  FakeRouterSocket router_;
  FleetOptions options_;
  HostSpec local_;
};

TEST_F(FleetTest, ALocalAgentGetsTheRoutersPath) {
  FleetDriver driver(options_, {local_});
  EXPECT_EQ(driver.fleet().stats(HostId(0)).bytes_sent, 0u);
  driver.fleet().Close(HostId(0));  // not started: nothing to close
  driver.Start();
  driver.Await(Kind::kConnected);
  driver.fleet().Close(HostId(0));
  EXPECT_TRUE(driver.Await(Kind::kEnded).status.ok());
  EXPECT_THAT(driver.log(), HasSubstr(absl::StrCat("start line: DTEST-START 1 unix:", dir_ / "router", " echo -")));
  EXPECT_FALSE(driver.fleet().stats(HostId(0)).agent_shipped);
}

TEST_F(FleetTest, AHostCanBeStartedAgain) {
  FleetDriver driver(options_, {local_});
  for (int i = 0; i < 3; ++i) {
    driver.Start();
    driver.Await(Kind::kConnected);
    driver.fleet().Close(HostId(0));
    driver.Await(Kind::kEnded);
  }
}

TEST_F(FleetTest, ALocalAgentThatIsMissing) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer makes a fork of vfork: the child cannot say why it did not start";
#endif
  options_.local_agent = "/nonexistent/dtest-agent";
  EXPECT_EQ(Fail(local_).message(), "cannot run /nonexistent/dtest-agent: No such file or directory");
}

TEST_F(FleetTest, ALocalAgentThatDies) {
  options_.run_id = "die";
  EXPECT_THAT(std::string(Fail(local_).message()),
              AllOf(StartsWith("the agent exited with status 3 before it was ready"), HasSubstr("cannot go on")));
}

TEST_F(FleetTest, ALocalAgentThatQuitsLater) {
  options_.run_id = "quit";
  FleetDriver driver(options_, {local_});
  driver.Start();
  driver.Await(Kind::kConnected);
  const FleetEvent end = driver.Await(Kind::kEnded);
  EXPECT_EQ(end.status.message(), "the agent exited with status 4");
  EXPECT_THAT(end.text, HasSubstr("leaving at once"));
}

TEST_F(FleetTest, DestroyingTheFleetEndsItsAgents) {
  {
    FleetDriver driver(options_, {local_, Command("exec sh")});
    driver.Start(0);
    driver.Start(1);
    driver.Await(Kind::kConnected, 0);
  }
  // Threads are joined and children reaped: the sanitizers see to that.
}

TEST_F(FleetTest, ACommandsShellIsBootstrappedOverItsStdin) {
  for (const bool shipped : {true, false}) {
    FleetDriver driver(options_, {Command("exec sh")});
    driver.Start();
    driver.Await(Kind::kConnected);
    EXPECT_EQ(router_.Exchange(std::string(3 << 20, 'x')), std::string(3 << 20, 'x'));
    EXPECT_EQ(driver.fleet().stats(HostId(0)).agent_shipped, shipped);
    driver.fleet().Close(HostId(0));
    EXPECT_TRUE(driver.Await(Kind::kEnded).status.ok());
  }
}

TEST_F(FleetTest, ACommandKnowsItsHostAndMayBeNoisy) {
  FleetDriver driver(options_, {Command("echo connecting to $DTEST_HOST >&2; echo motd; exec bash -l")});
  driver.Start();
  driver.Await(Kind::kConnected);
  EXPECT_THAT(driver.log(), HasSubstr("connecting to pod-7\n"));
}

TEST_F(FleetTest, ACommandThatFails) {
  EXPECT_THAT(
      std::string(Fail(Command("echo 'Error from server (NotFound): pods \"pod-7\" not found' >&2; exit 1")).message()),
      AllOf(StartsWith("the host's command= exited with status 1 and started no shell"),
            HasSubstr("it said: Error from server (NotFound): pods"), HasSubstr("; try it by hand")));
}

TEST_F(FleetTest, ACommandThatIsNotThere) {
  EXPECT_THAT(std::string(Fail(Command("no-such-kubectl exec -i pod-7 -- sh")).message()),
              HasSubstr("no-such-kubectl: not found"));
}

TEST_F(FleetTest, ACommandThatGivesATerminal) {
  if (!HaveProgram("script")) GTEST_SKIP() << "script is not installed";
  EXPECT_EQ(Fail(Command("exec script -qc sh /dev/null")).message(),
            "the stream to the host is a terminal, which changes bytes: leave -t (or --tty) out of command=");
}

TEST_F(FleetTest, ACommandThatSaysNothingTimesOut) {
  options_.connect_timeout = absl::Milliseconds(100);
  EXPECT_EQ(Fail(Command("exec sleep 1000")).message(),
            "the host's command= gave no sign of life for 100ms and started no shell that answers; try it by hand: it "
            "must run the lines that come on its stdin, as `sh` does");
  options_.connect_timeout = absl::Seconds(6);  // time for it to print
  EXPECT_THAT(std::string(Fail(Command("exec cat")).message()),
              AllOf(HasSubstr("gave no sign of life for 6s"), HasSubstr("; it printed: ")));
}

TEST_F(FleetTest, AHostThatNoDescriptorIsLeftForFails) {
  FleetDriver driver(options_, {local_});
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int lowest_free = dup(0);
  close(lowest_free);
  const rlimit none_left = {static_cast<rlim_t>(lowest_free), before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none_left), 0);
  driver.Start();
  EXPECT_EQ(driver.Await(Kind::kFailed).status.message(),
            "cannot start the host's thread here: no eventfd; raise `ulimit -Hn` and -n: Too many open files");
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST_F(FleetTest, ARouterThatIsNotThereEndsTheHost) {
  options_.router_socket = dir_ / "nowhere";
  FleetDriver driver(options_, {Command("exec sh")});
  driver.Start();
  driver.Await(Kind::kConnected);
  EXPECT_EQ(driver.Await(Kind::kEnded).status.message(),
            absl::StrCat("cannot connect to the ROUTER at ", dir_ / "nowhere", ": No such file or directory"));
}

TEST_F(FleetTest, TheEventDescriptorIsQuietAfterPoll) {
  FleetDriver driver(options_, {local_});
  pollfd fd = {driver.fleet().event_fd(), POLLIN, 0};
  EXPECT_EQ(poll(&fd, 1, 0), 0);
  driver.Start();
  EXPECT_EQ(poll(&fd, 1, 30000), 1);
  driver.Await(Kind::kConnected);
  driver.fleet().Close(HostId(0));
  driver.Await(Kind::kEnded);
  driver.fleet().Poll();
  EXPECT_EQ(poll(&fd, 1, 0), 0);
}

}  // namespace
}  // namespace dtest
