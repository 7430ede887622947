// The real dtest-agent, packed with its libraries and loader, brought up by each launcher and heard by a real ROUTER.

#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "coordinator/bundle/agent_package.h"
#include "coordinator/bundle/gzip.h"
#include "coordinator/launch/bootstrap_script.h"
#include "coordinator/launch/fleet.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "protocol/codec.h"
#include "protocol/zmq_transport.h"
#include "unit/launch/fixtures.h"

namespace dtest {
namespace {

using Kind = FleetEvent::Kind;

std::shared_ptr<const AgentArchive> RealArchive() {
  LibraryResolver resolver((LibraryResolver::Options()));
  absl::StatusOr<AgentPackage> package = MakeAgentPackage(DTEST_AGENT, resolver);
  EXPECT_TRUE(package.ok()) << package.status();
  auto archive = std::make_shared<AgentArchive>();
  if (!package.ok()) return archive;
  archive->digest_hex = package->digest.Hex();
  archive->machine = package->machine;
  archive->loader_name = package->loader_name;
  archive->tar = package->tar;
  std::promise<AgentArchive::Zipped> gzip;
  const std::string bytes = Gzip(archive->tar);
  gzip.set_value({bytes, PosixChecksum(bytes)});
  archive->gzip = gzip.get_future().share();
  return archive;
}

class FleetAgent : public ::testing::Test {
 protected:
  FleetAgent() {
    EXPECT_TRUE(router_.BindUnix(dir_ / "router").ok());
    options_.router_socket = dir_ / "router";
    options_.run_id = "run-1";
    options_.local_agent = DTEST_AGENT;
    options_.agent = RealArchive();
    options_.remote_store = dir_ / "store";
  }

  // Comes up, says Hello with the token it was given, and goes when its stream is closed.
  void ExpectHello(const HostSpec& host) {
    FleetDriver driver(options_, {host});
    driver.Start();
    ASSERT_EQ(driver.Await(Kind::kConnected).kind, Kind::kConnected);
    std::optional<RouterTransport::Received> received;
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (!received.has_value() && absl::Now() < deadline) {
      std::vector<FdEvent> ready;
      ASSERT_TRUE(router_.Wait(absl::Seconds(1), &ready).ok());
      received = router_.Receive();
    }
    ASSERT_TRUE(received.has_value()) << driver.log();
    EXPECT_EQ(received->identity, std::string(16, '\x42'));
    absl::StatusOr<Envelope<FromAgent>> envelope = DecodeFromAgent(received->frame);
    ASSERT_TRUE(envelope.ok()) << envelope.status();
    ASSERT_TRUE(envelope->body.has_value() && std::holds_alternative<Hello>(*envelope->body));
    EXPECT_EQ(std::get<Hello>(*envelope->body).token, std::string(16, '\x42'));
    EXPECT_EQ(std::get<Hello>(*envelope->body).machine, ThisMachine());
    driver.fleet().Close(HostId(0));
    EXPECT_TRUE(driver.Await(Kind::kEnded).status.ok());
  }

  ScratchDirectory dir_;
  RouterTransport router_;
  FleetOptions options_;
};

TEST_F(FleetAgent, OnThisMachine) {
  HostSpec host;
  host.kind = HostSpec::Kind::kLocal;
  host.name = host.address = "local";
  setenv("XDG_CACHE_HOME", (dir_ / "cache").c_str(), 1);
  ExpectHello(host);
  unsetenv("XDG_CACHE_HOME");
}

TEST_F(FleetAgent, OverSsh) {
  std::string why_not;
  const std::unique_ptr<Sshd> sshd = Sshd::Start("", &why_not);
  if (sshd == nullptr) GTEST_SKIP() << why_not;
  sshd->Trust();
  options_.ssh_config = sshd->client_config();
  ExpectHello(sshd->Host());
  ExpectHello(sshd->Host());  // from the cache
}

TEST_F(FleetAgent, OverSshAndCurve) {
  std::string why_not;
  const std::unique_ptr<Sshd> sshd = Sshd::Start("AllowTcpForwarding no\n", &why_not);
  if (sshd == nullptr) GTEST_SKIP() << why_not;
  sshd->Trust();
  const absl::StatusOr<CurveKeyPair> keys = MakeCurveKeyPair();
  if (!keys.ok()) GTEST_SKIP() << keys.status();
  const absl::StatusOr<uint16_t> port = router_.BindTcp("127.0.0.1", *keys);
  ASSERT_TRUE(port.ok()) << port.status();
  options_.ssh_config = sshd->client_config();
  options_.tcp = true;
  options_.tcp_port = *port;
  options_.server_public_key = keys->public_key;
  ExpectHello(sshd->Host());
}

TEST_F(FleetAgent, BehindACommandWhereOnlyBusyboxIs) {
  if (!HaveProgram("busybox")) GTEST_SKIP() << "busybox is not installed";
  mkdir((dir_ / "bin").c_str(), 0755);
  for (const char* tool : {"uname", "mkdir", "head", "tar", "mv", "rm", "cat"}) {
    ASSERT_EQ(symlink("/bin/busybox", (dir_ / "bin/" + tool).c_str()), 0);
  }
  HostSpec host;
  host.kind = HostSpec::Kind::kCommand;
  host.name = host.address = "pod";
  host.command = absl::StrCat("PATH=", dir_ / "bin", " exec /bin/busybox sh");
  ExpectHello(host);
}

}  // namespace
}  // namespace dtest
