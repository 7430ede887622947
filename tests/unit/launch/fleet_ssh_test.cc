// Hosts that work, over a real sshd on loopback.

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "coordinator/launch/fleet.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "unit/launch/fixtures.h"

namespace dtest {
namespace {

using Kind = FleetEvent::Kind;
using ::testing::HasSubstr;
using ::testing::Not;

class FleetSsh : public ::testing::Test {
 protected:
  // Before anything else in a test. `config` is the server's.
  void Serve(const std::string& config = "") {
    std::string why_not;
    sshd_ = Sshd::Start(config, &why_not);
    if (sshd_ == nullptr) GTEST_SKIP() << why_not;
    sshd_->Trust();
    router_ = std::make_unique<FakeRouterSocket>(sshd_->dir() / "router");
  }
  // The host comes up, carries bytes both ways, and goes when it is told to.
  void ExpectWorks(FleetOptions options, HostSpec host, bool shipped) {
    FleetDriver driver(std::move(options), {std::move(host)});
    driver.Start();
    ASSERT_EQ(driver.Await(Kind::kConnected).kind, Kind::kConnected);
    EXPECT_EQ(router_->Exchange("hello"), "hello");
    EXPECT_EQ(driver.fleet().stats(HostId(0)).agent_shipped, shipped);
    driver.fleet().Close(HostId(0));
    EXPECT_TRUE(driver.Await(Kind::kEnded).status.ok());
    log_ = driver.log();
  }

  std::unique_ptr<Sshd> sshd_;
  std::unique_ptr<FakeRouterSocket> router_;
  std::string log_;
};

#define SERVE(...)                             \
  ASSERT_NO_FATAL_FAILURE(Serve(__VA_ARGS__)); \
  if (IsSkipped()) return

TEST_F(FleetSsh, ShipsTheAgentOnceAndFindsItCachedThen) {
  SERVE();
  ExpectWorks(sshd_->Options(), sshd_->Host(), true);
  EXPECT_THAT(log_, HasSubstr("copied and ready"));
  EXPECT_THAT(log_, HasSubstr(absl::StrCat("start line: DTEST-START 1 stdio echo ", sshd_->store())));
  ExpectWorks(sshd_->Options(), sshd_->Host(), false);
  EXPECT_THAT(log_, Not(HasSubstr("copied")));
}

TEST_F(FleetSsh, CarriesMoreThanEveryBufferOnTheWay) {
  SERVE();
  FleetDriver driver(sshd_->Options(), {sshd_->Host()});
  driver.Start();
  driver.Await(Kind::kConnected);
  std::string bytes(20 << 20, '\0');
  uint32_t x = 1;
  for (char& c : bytes) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  EXPECT_TRUE(router_->Exchange(bytes) == bytes);
  const Fleet::Stats stats = driver.fleet().stats(HostId(0));
  EXPECT_GE(stats.bytes_sent, bytes.size());
  EXPECT_GE(stats.bytes_received, bytes.size());
  EXPECT_GT(stats.connect_duration, absl::ZeroDuration());
}

TEST_F(FleetSsh, ARouterThatHangsUpEndsTheHost) {
  SERVE();
  FleetDriver driver(sshd_->Options(), {sshd_->Host()});
  driver.Start();
  driver.Await(Kind::kConnected);
  EXPECT_EQ(router_->Exchange("x"), "x");
  router_->Hangup();
  EXPECT_EQ(driver.Await(Kind::kEnded).status.message(), "the ROUTER closed the link");
}

TEST_F(FleetSsh, WorksWithForwardingForbiddenAndNoTerminal) {
  SERVE("AllowTcpForwarding no\nAllowStreamLocalForwarding no\nPermitTTY no\nMaxSessions 1\n");
  ExpectWorks(sshd_->Options(), sshd_->Host(), true);
}

TEST_F(FleetSsh, ANoisyStartUpFileIsSkipped) {
  ScratchDirectory dir;
  // Which of the two files bash reads depends on how it was built and on the depth of shells it finds itself in.
  WriteFile(dir / ".bashrc", "echo Welcome to the farm; printf 'no newline DTEST-PROBE 0 cached '; echo oops >&2\n");
  SERVE(absl::StrCat("SetEnv BASH_ENV=", dir / ".bashrc", " HOME=", dir / "", "\n"));
  ExpectWorks(sshd_->Options(), sshd_->Host(), true);
  // The farm's noisy host (tests/integration) has a shell that surely makes the noise.
  if (!absl::StrContains(log_, "oops")) GTEST_SKIP() << "the login shell here reads no start-up file under sshd";
}

TEST_F(FleetSsh, ABannerIsNoNoise) {
  ScratchDirectory dir;
  WriteFile(dir / "banner", "AUTHORISED USE ONLY\n");
  SERVE(absl::StrCat("Banner ", dir / "banner", "\n"));
  ExpectWorks(sshd_->Options(), sshd_->Host(), true);
}

TEST_F(FleetSsh, KnownHostsMayBeHashedAndInASecondFile) {
  SERVE();
  const std::string second = sshd_->dir() / "second";
  WriteFile(second, absl::StrCat("[127.0.0.1]:", sshd_->port(), " ", sshd_->host_public_key(), "\n"));
  MustRun({"ssh-keygen", "-q", "-H", "-f", second});
  ASSERT_THAT(ReadFile(second), HasSubstr("|1|"));
  unlink(sshd_->known_hosts().c_str());
  // ssh takes the first value of each keyword, so this one wins over the fixture's.
  sshd_->WriteClientConfig(absl::StrCat("  UserKnownHostsFile ", sshd_->dir() / "none", " ", second));
  ExpectWorks(sshd_->Options(), sshd_->Host(), true);
}

TEST_F(FleetSsh, AHostKeyAliasIsLookedUpInsteadOfTheName) {
  SERVE();
  sshd_->WriteClientConfig("  HostKeyAlias golden");
  WriteFile(sshd_->known_hosts(), absl::StrCat("golden ", sshd_->host_public_key(), "\n"));
  ExpectWorks(sshd_->Options(), sshd_->Host(), true);
}

TEST_F(FleetSsh, LaterHostBlocksStillMatchTheAliasAfterAHostName) {
  SERVE();
  // libssh's own reader would look for a block of 127.0.0.1 here, and log in with no key.
  WriteFile(sshd_->client_config(),
            absl::StrCat("Host farm\n  HostName 127.0.0.1\nHost fa*\n  Port ", sshd_->port(), "\n  IdentityFile ",
                         sshd_->identity(), "\n  UserKnownHostsFile ", sshd_->known_hosts(), "\n"));
  ExpectWorks(sshd_->Options(), sshd_->Host(), true);
}

TEST_F(FleetSsh, UserAndPortOfTheHostsFileWin) {
  SERVE();
  sshd_->WriteClientConfig("  User nobody-of-that-name");
  HostSpec host = sshd_->Host();
  host.user = getpwuid(getuid())->pw_name;
  host.port = static_cast<uint16_t>(sshd_->port());
  sshd_->WriteClientConfig("  User nobody-of-that-name\n  Port 1");
  ExpectWorks(sshd_->Options(), host, true);
}

TEST_F(FleetSsh, AKeyInTheAgentDoes) {
  SERVE();
  SshAgent agent;
  if (!agent.ok()) GTEST_SKIP() << "ssh-agent is not installed";
  agent.Add(sshd_->identity());
  sshd_->WriteClientConfig(absl::StrCat("  IdentityAgent ", agent.socket(), "\n  IdentityFile none"));
  rename(sshd_->identity().c_str(), (sshd_->dir() / "hidden").c_str());
  ExpectWorks(sshd_->Options(), sshd_->Host(), true);
}

TEST_F(FleetSsh, GoesThroughAJumpHost) {
  SERVE();
  const std::string common =
      absl::StrCat("  HostName 127.0.0.1\n  Port ", sshd_->port(), "\n  IdentityFile ", sshd_->identity(),
                   "\n  IdentityAgent none\n  UserKnownHostsFile ", sshd_->known_hosts(), "\n");
  WriteFile(sshd_->client_config(), absl::StrCat("Host gate\n", common, "Host farm\n  ProxyJump gate\n", common));
  FleetOptions options = sshd_->Options();
  options.tcp = true;  // not possible through a jump: falls back to the stream, and says so
  options.tcp_port = 4000;
  options.server_public_key = std::string(40, 'k');
  ExpectWorks(options, sshd_->Host(), true);
  EXPECT_THAT(log_, HasSubstr("the SSH stream carries the link"));
}

TEST_F(FleetSsh, UnderTcpTheAgentIsToldOurAddressAndKey) {
  SERVE();
  FleetOptions options = sshd_->Options();
  options.tcp = true;
  options.tcp_port = 4711;
  options.server_public_key = std::string(40, 'k');
  FleetDriver driver(options, {sshd_->Host()});
  driver.Start();
  driver.Await(Kind::kConnected);
  driver.fleet().Close(HostId(0));
  driver.Await(Kind::kEnded);
  EXPECT_THAT(driver.log(), HasSubstr("tcp:127.0.0.1:4711:" + std::string(40, 'k')));
}

TEST_F(FleetSsh, AnAgentThatQuitsIsReportedWithItsLastWords) {
  SERVE();
  FleetOptions options = sshd_->Options();
  options.run_id = "quit";
  FleetDriver driver(options, {sshd_->Host()});
  driver.Start();
  driver.Await(Kind::kConnected);
  const FleetEvent end = driver.Await(Kind::kEnded);
  EXPECT_EQ(end.status.message(), "the agent exited with status 4");
  EXPECT_THAT(end.text, HasSubstr("leaving at once"));
}

TEST_F(FleetSsh, ManyHostsAtOnceThroughFewPlaces) {
  SERVE("MaxStartups 100\n");
  FleetOptions options = sshd_->Options();
  options.parallel_connects = 3;
  std::vector<HostSpec> hosts(10, sshd_->Host());
  FleetDriver driver(options, hosts);
  for (uint32_t i = 0; i < hosts.size(); ++i) driver.Start(i);
  for (uint32_t i = 0; i < hosts.size(); ++i) driver.Await(Kind::kConnected, i);
  // All raced to install the same agent; one copy is left, and nothing temporary.
  EXPECT_EQ(MustRun({"ls", "-A", sshd_->store() + "/agents"}), EchoArchive()->digest_hex + "\n");
}

TEST_F(FleetSsh, AServerThatTurnsAwayTooManyIsAskedAgain) {
  SERVE("MaxStartups 3\n");
  FleetOptions options = sshd_->Options();
  std::vector<HostSpec> hosts(8, sshd_->Host());
  FleetDriver driver(options, hosts);
  for (uint32_t i = 0; i < hosts.size(); ++i) driver.Start(i);
  for (uint32_t i = 0; i < hosts.size(); ++i) driver.Await(Kind::kConnected, i);
  EXPECT_THAT(driver.log(), HasSubstr("the server hung up before its greeting"));
}

TEST_F(FleetSsh, TheThreeAgentsUsedLastAreKept) {
  SERVE();
  for (const char* salt : {"a", "b", "c", "d", "e"}) {
    FleetOptions options = sshd_->Options();
    options.agent = EchoArchive(salt);
    ExpectWorks(options, sshd_->Host(), true);
    // Uses within one tick of the clock have no order: put this one in the past, each by a different amount.
    const std::string used = absl::StrCat(sshd_->store(), "/agents/", options.agent->digest_hex, "/.used");
    MustRun({"touch", "-d", absl::StrCat("2020-01-01 00:00:0", salt[0] - 'a'), used});
  }
  const std::string left = MustRun({"ls", "-A", sshd_->store() + "/agents"});
  const std::string digest = EchoArchive()->digest_hex;
  EXPECT_EQ(left, absl::StrCat(digest, "c\n", digest, "d\n", digest, "e\n"));
}

TEST_F(FleetSsh, AnIncompleteCopyIsReplaced) {
  SERVE();
  const std::string dir = absl::StrCat(sshd_->store(), "/agents/", EchoArchive()->digest_hex);
  MustRun({"mkdir", "-p", dir});
  WriteFile(dir + "/dtest-agent", "half of it", 0700);
  ExpectWorks(sshd_->Options(), sshd_->Host(), true);
}

}  // namespace
}  // namespace dtest
