// Logging in as ssh does, over a real sshd on loopback: by libssh where it can, by the ssh program where it cannot.

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "coordinator/launch/fleet.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "unit/launch/fixtures.h"

namespace dtest {
namespace {

using Kind = FleetEvent::Kind;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class SshAuth : public ::testing::Test {
 protected:
  void Serve(const std::string& config = "") {
    std::string why_not;
    sshd_ = Sshd::Start(config, &why_not);
    if (sshd_ == nullptr) GTEST_SKIP() << why_not;
    sshd_->Trust();
    router_ = std::make_unique<FakeRouterSocket>(sshd_->dir() / "router");
    user_ = getpwuid(getuid())->pw_name;
    where_ = absl::StrCat("[127.0.0.1]:", sshd_->port());
  }
  // The host comes up and carries bytes both ways. `why`: of the ssh program as transport; "": it is libssh.
  void ExpectWorks(const std::string& why) {
    FleetOptions options = sshd_->Options();
    options.connect_timeout = absl::Seconds(60);
    FleetDriver driver(std::move(options), {sshd_->Host()});
    driver.Start();
    ASSERT_EQ(driver.Await(Kind::kConnected).kind, Kind::kConnected);
    EXPECT_EQ(router_->Exchange("hello"), "hello");
    driver.fleet().Close(HostId(0));
    EXPECT_TRUE(driver.Await(Kind::kEnded).status.ok());
    EXPECT_EQ(driver.notices(), why.empty() ? "" : absl::StrCat("by the ssh program, since ", why, "\n"));
  }
  // The step that a server does not answer would take longer than a test waits.
  absl::Status Failure() {
    FleetOptions options = sshd_->Options();
    options.connect_timeout = absl::Minutes(5);
    FleetDriver driver(std::move(options), {sshd_->Host()});
    driver.Start();
    absl::Status status = driver.Await(Kind::kFailed).status;
    notices_ = driver.notices();
    return status;
  }
  std::string MakeKey(const std::string& name) {
    MustRun({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", sshd_->dir() / name});
    return sshd_->dir() / name;
  }
  // What the client knows of the host, but for how to log in.
  void WriteConfig(const std::string& log_in) {
    WriteFile(sshd_->client_config(),
              absl::StrCat("Host farm\n  HostName 127.0.0.1\n  Port ", sshd_->port(), "\n  UserKnownHostsFile ",
                           sshd_->known_hosts(), "\n  GlobalKnownHostsFile none\n", log_in));
  }

  std::unique_ptr<Sshd> sshd_;
  std::unique_ptr<FakeRouterSocket> router_;
  std::string user_, where_, notices_;
};

#define SERVE(...)                             \
  ASSERT_NO_FATAL_FAILURE(Serve(__VA_ARGS__)); \
  if (IsSkipped()) return

#define AGENT(agent)                                                           \
  SshAgent agent;                                                              \
  if (!agent.ok()) GTEST_SKIP() << "ssh-agent is not installed";               \
  for (const char* name : {"1", "2", "3", "4", "5"}) agent.Add(MakeKey(name)); \
  agent.Add(sshd_->identity());                                                \
  rename(sshd_->identity().c_str(), (sshd_->dir() / "hidden").c_str())

// ---- Keys of an agent ----

TEST_F(SshAuth, APublicKeyFileNamesAKeyOfTheAgent) {
  SERVE("MaxAuthTries 3\n");
  AGENT(agent);
  const std::string file = absl::StrCat(sshd_->identity(), ".pub");
  WriteConfig(absl::StrCat("  IdentityAgent ", agent.socket(), "\n  IdentitiesOnly yes\n  IdentityFile ", file, "\n"));
  ExpectWorks(absl::StrCat("of ", file, " only the public half is here, the private one is the agent's"));
}

TEST_F(SshAuth, SoDoesAPrivateKeyFileOfWhichOnlyThePublicHalfIsThere) {
  SERVE("MaxAuthTries 3\n");
  AGENT(agent);
  setenv("DTEST_TEST_AGENT", agent.socket().c_str(), 1);
  WriteConfig(absl::StrCat("  IdentityAgent $DTEST_TEST_AGENT\n  IdentityFile ", sshd_->identity(), "\n"));
  ExpectWorks(absl::StrCat("of ", sshd_->identity(), " only the public half is here, the private one is the agent's"));
}

TEST_F(SshAuth, SoDoesAKeyWithAPassphrase) {
  SERVE("MaxAuthTries 3\n");
  AGENT(agent);
  rename((sshd_->dir() / "hidden").c_str(), sshd_->identity().c_str());
  MustRun({"ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", sshd_->identity()});
  const std::string config =
      absl::StrCat("  IdentityAgent ", agent.socket(), "\n  IdentityFile ", sshd_->identity(), "\n");
  WriteConfig(config);
  ExpectWorks("the agent has more keys than the server tries, and libssh cannot choose");
  WriteConfig(absl::StrCat(config, "  IdentitiesOnly yes\n"));
  ExpectWorks(absl::StrCat(sshd_->identity(), " has a passphrase, and only its key of the agent is to be used"));
}

TEST_F(SshAuth, MoreKeysThanTheServerTriesIsSaidAtOnceByTheServer) {
  SERVE("MaxAuthTries 3\n");
  AGENT(agent);
  WriteConfig(absl::StrCat("  IdentityAgent ", agent.socket(), "\n  IdentityFile none\n"));
  const absl::Status status = Failure();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("Too many authentication failures"), HasSubstr("keys of the agent were tried"),
                    HasSubstr("IdentityFile with `IdentitiesOnly yes`")));
}

TEST_F(SshAuth, APublicKeyWithoutAnAgentIsNamed) {
  SERVE();
  const std::string file = absl::StrCat(sshd_->identity(), ".pub");
  WriteConfig(absl::StrCat("  IdentityAgent none\n  IdentityFile ", file, "\n"));
  EXPECT_THAT(std::string(Failure().message()),
              HasSubstr(absl::StrCat(file, " (only the public half is here, and there is no agent that")));
  EXPECT_EQ(notices_, "");
}

// ---- Certificates of users ----

class UserCertificate : public SshAuth {
 protected:
  // The server knows the authority alone. The certificate is not where it would be found without being named.
  void ServeAuthority() {
    MustRun({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", authority_ / "ca"});
    Serve(absl::StrCat("TrustedUserCAKeys ", authority_ / "ca.pub", "\n"));
    if (IsSkipped()) return;
    WriteFile(sshd_->dir() / "authorized_keys", "");
    MustRun({"ssh-keygen", "-q", "-s", authority_ / "ca", "-I", "me", "-n", user_, sshd_->identity() + ".pub"});
    rename((sshd_->identity() + "-cert.pub").c_str(), certificate().c_str());
  }
  std::string certificate() const { return sshd_->dir() / "certificate.pub"; }
  ScratchDirectory authority_;
};

TEST_F(UserCertificate, OfAKeyFileIsShown) {
  ASSERT_NO_FATAL_FAILURE(ServeAuthority());
  if (IsSkipped()) return;
  WriteConfig(absl::StrCat("  IdentityAgent none\n  IdentityFile ", sshd_->identity(), "\n  CertificateFile ",
                           certificate(), "\n"));
  ExpectWorks("");
  // One beside its key needs no name.
  rename(certificate().c_str(), (sshd_->identity() + "-cert.pub").c_str());
  WriteConfig(absl::StrCat("  IdentityAgent none\n  IdentityFile ", sshd_->identity(), "\n"));
  ExpectWorks("");
}

TEST_F(UserCertificate, OfAKeyInTheAgentIsShown) {
  ASSERT_NO_FATAL_FAILURE(ServeAuthority());
  if (IsSkipped()) return;
  AGENT(agent);
  WriteConfig(absl::StrCat("  IdentityAgent ", agent.socket(), "\n  IdentityFile none\n  CertificateFile ",
                           certificate(), "\n"));
  ExpectWorks(absl::StrCat("the private key of ", certificate(), " is the agent's"));
}

TEST_F(UserCertificate, OfNoKeyThatIsHereIsNamed) {
  ASSERT_NO_FATAL_FAILURE(ServeAuthority());
  if (IsSkipped()) return;
  WriteConfig(absl::StrCat("  IdentityAgent none\n  IdentityFile ", MakeKey("other"), "\n  CertificateFile ",
                           certificate(), "\n"));
  EXPECT_THAT(std::string(Failure().message()),
              HasSubstr(absl::StrCat(certificate(), " (a certificate, and none of the keys here is the one that")));
}

// ---- What libssh cannot do ----

TEST_F(SshAuth, ACertificateAuthorityForHosts) {
  ScratchDirectory authority;
  MustRun({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", authority / "ca"});
  SERVE(absl::StrCat("HostCertificate ", authority / "host-cert.pub", "\n"));
  WriteFile(authority / "host.pub", ReadFile(sshd_->dir() / "host_key.pub"));
  MustRun({"ssh-keygen", "-q", "-s", authority / "ca", "-I", "farm", "-h", "-n", "127.0.0.1", authority / "host.pub"});
  WriteFile(sshd_->known_hosts(), absl::StrCat("@cert-authority *,", where_, " ", ReadFile(authority / "ca.pub")));
  // sshd reads the certificate as it starts; this one was made after that.
  sshd_->Restart();
  ExpectWorks("known_hosts has a certificate authority");
  // A host that shows another certificate is refused, in ssh's words.
  MustRun({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", authority / "other"});
  WriteFile(sshd_->known_hosts(), absl::StrCat("@cert-authority *,", where_, " ", ReadFile(authority / "other.pub")));
  const absl::Status status = Failure();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(std::string(status.message()), AllOf(StartsWith(absl::StrCat("ssh cannot reach ", user_, "@farm port ")),
                                                   HasSubstr("Host key verification failed")));
}

TEST_F(SshAuth, KnownHostsCommand) {
  SERVE();
  unlink(sshd_->known_hosts().c_str());
  sshd_->WriteClientConfig(absl::StrCat("  KnownHostsCommand /bin/echo ", where_, " ", sshd_->host_public_key(), "\n"));
  ExpectWorks("KnownHostsCommand is set");
}

TEST_F(SshAuth, AKeyExchangeThatOnlySshKnows) {
  SERVE("KexAlgorithms sntrup761x25519-sha512@openssh.com\n");
  FleetDriver driver(sshd_->Options(), {sshd_->Host()});
  driver.Start();
  driver.Await(Kind::kConnected);
  EXPECT_THAT(driver.notices(),
              StartsWith("by the ssh program, since libssh has none of the algorithms that both ends"));
}

TEST_F(SshAuth, AnAlgorithmOfTheConfigurationThatOnlySshKnows) {
  SERVE();
  sshd_->WriteClientConfig("  KexAlgorithms sntrup761x25519-sha512@openssh.com");
  ExpectWorks("libssh has none of the KexAlgorithms that are configured");
}

TEST_F(SshAuth, TheSshProgramGoesThroughJumpHostsThatAreVerified) {
  SERVE();
  const std::string common = absl::StrCat("  HostName 127.0.0.1\n  Port ", sshd_->port(), "\n  IdentityFile ",
                                          sshd_->identity(), "\n  IdentityAgent none\n  GlobalKnownHostsFile none\n");
  WriteFile(sshd_->dir() / "empty", "");
  const auto write = [&](const std::string& gate_knows) {
    WriteFile(sshd_->client_config(),
              absl::StrCat("Host gate\n  StrictHostKeyChecking no\n  UserKnownHostsFile ", gate_knows, "\n", common,
                           "Host farm\n  ProxyJump gate\n  UserKnownHostsFile ", sshd_->known_hosts(),
                           "\n  KnownHostsCommand /bin/true\n", common));
  };
  write(sshd_->known_hosts());
  ExpectWorks("KnownHostsCommand is set");
  write(sshd_->dir() / "empty");
  EXPECT_THAT(std::string(Failure().message()), HasSubstr("Host key verification failed"));
}

TEST_F(SshAuth, WhatSshSaysOfAFailureIsTold) {
  SERVE();
  WriteFile(sshd_->dir() / "authorized_keys", "");
  sshd_->WriteClientConfig("  KnownHostsCommand /bin/true");
  const absl::Status status = Failure();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("Permission denied (publickey)"));
}

// ---- Host keys that are kept nowhere ----

TEST_F(SshAuth, NothingAdvisesToWriteToDevNull) {
  SERVE();
  for (const char* file : {"/dev/null", "none"}) {
    sshd_->WriteClientConfig(absl::StrCat("  StrictHostKeyChecking no\n  UserKnownHostsFile ", file));
    const absl::Status status = Failure();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr(sshd_->host_fingerprint()), HasSubstr("dtest takes no key on trust"),
                      HasSubstr("`UserKnownHostsFile ~/.ssh/known_hosts_farm`"), Not(HasSubstr(">> /dev/null"))));
  }
}

}  // namespace
}  // namespace dtest
