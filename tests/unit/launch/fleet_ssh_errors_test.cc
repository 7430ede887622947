// Hosts that do not come up, over a real sshd on loopback (or none): each says why in one line, and what to do.

#include <arpa/inet.h>
#include <pwd.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

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
using ::testing::MatchesRegex;
using ::testing::StartsWith;

class FleetSshErrors : public ::testing::Test {
 protected:
  void Serve(const std::string& config = "") {
    std::string why_not;
    sshd_ = Sshd::Start(config, &why_not);
    if (sshd_ == nullptr) GTEST_SKIP() << why_not;
    sshd_->Trust();
    target_ = absl::StrCat(getpwuid(getuid())->pw_name, "@farm (127.0.0.1) port ", sshd_->port());
    user_ = getpwuid(getuid())->pw_name;
    port_ = absl::StrCat(sshd_->port());
  }
  absl::Status Fail(FleetOptions options, HostSpec host) {
    FleetDriver driver(std::move(options), {std::move(host)});
    driver.Start();
    absl::Status status = driver.Await(Kind::kFailed).status;
    log_ = driver.log();
    return status;
  }
  std::string Failure(absl::StatusCode code) { return Failure(code, sshd_->Options()); }
  std::string Failure(absl::StatusCode code, FleetOptions options) {
    const absl::Status status = Fail(std::move(options), sshd_->Host());
    EXPECT_EQ(status.code(), code) << status;
    return std::string(status.message());
  }

  std::unique_ptr<Sshd> sshd_;
  std::string target_, user_, port_, log_;
};

#define SERVE(...)                             \
  ASSERT_NO_FATAL_FAILURE(Serve(__VA_ARGS__)); \
  if (IsSkipped()) return

// ---- Host keys ----

TEST_F(FleetSshErrors, AnUnknownHostKeyIsShownAndNotTaken) {
  SERVE();
  unlink(sshd_->known_hosts().c_str());
  sshd_->WriteClientConfig("  StrictHostKeyChecking no");  // does not weaken us
  EXPECT_EQ(Failure(absl::StatusCode::kFailedPrecondition),
            absl::StrCat("the host key of ", target_, " is not known: it shows ssh-ed25519 ", sshd_->host_fingerprint(),
                         ", and ", sshd_->known_hosts(),
                         " does not have it. If this is the host's fingerprint: ssh-keyscan -p ", port_,
                         " 127.0.0.1 >> ", sshd_->known_hosts()));
  EXPECT_NE(access(sshd_->known_hosts().c_str(), F_OK), 0);
}

TEST_F(FleetSshErrors, AChangedHostKeyIsAnAlarm) {
  SERVE();
  MustRun({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", sshd_->dir() / "other"});
  WriteFile(sshd_->known_hosts(),
            absl::StrCat("# the farm\n[127.0.0.1]:", port_, " ", ReadFile(sshd_->dir() / "other.pub")));
  sshd_->WriteClientConfig("  StrictHostKeyChecking no");
  EXPECT_EQ(Failure(absl::StatusCode::kFailedPrecondition),
            absl::StrCat("the host key of ", target_, " HAS CHANGED: it shows ssh-ed25519 ", sshd_->host_fingerprint(),
                         ", but ", sshd_->known_hosts(),
                         ":2 has another ssh-ed25519 key. Somebody may be in between. If you know that the host got a "
                         "new key, and this is its fingerprint: ssh-keygen -f ",
                         sshd_->known_hosts(), " -R '[127.0.0.1]:", port_, "' && ssh-keyscan -p ", port_,
                         " 127.0.0.1 >> ", sshd_->known_hosts()));
}

TEST_F(FleetSshErrors, AKeyOfAnotherTypeIsNotTakenForTheKnownOne) {
  SERVE();
  MustRun({"ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", sshd_->dir() / "other"});
  WriteFile(sshd_->known_hosts(), absl::StrCat("[127.0.0.1]:", port_, " ", ReadFile(sshd_->dir() / "other.pub")));
  EXPECT_THAT(Failure(absl::StatusCode::kFailedPrecondition),
              AllOf(HasSubstr("is of another type than the one known: it shows ssh-ed25519 SHA256:"),
                    HasSubstr(absl::StrCat(sshd_->known_hosts(), ":1 has only its ecdsa-sha2-nistp256 key"))));
}

TEST_F(FleetSshErrors, ARevokedKeyIsRefusedThoughItIsKnown) {
  SERVE();
  WriteFile(sshd_->known_hosts(),
            absl::StrCat(ReadFile(sshd_->known_hosts()), "@revoked * ", sshd_->host_public_key(), "\n"));
  EXPECT_THAT(Failure(absl::StatusCode::kFailedPrecondition),
              HasSubstr(absl::StrCat(sshd_->known_hosts(), ":2 marks as @revoked: do not connect to it")));
}

// ---- Logging in ----

TEST_F(FleetSshErrors, AKeyThatIsNotAuthorised) {
  SERVE();
  WriteFile(sshd_->dir() / "authorized_keys", "");
  EXPECT_EQ(
      Failure(absl::StatusCode::kPermissionDenied),
      absl::StrCat("cannot log in to ", target_, ": the server offers publickey, and accepted no key; tried ",
                   sshd_->identity(), " (refused); authorise one there: ssh-copy-id -p ", port_, " ", user_, "@farm"));
}

TEST_F(FleetSshErrors, AKeyWithAPassphraseIsNamedAndNothingAsks) {
  SERVE();
  MustRun({"ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", sshd_->identity()});
  EXPECT_THAT(
      Failure(absl::StatusCode::kPermissionDenied),
      HasSubstr(absl::StrCat(sshd_->identity(), " (is passphrase-protected, and dtest never asks; run: ssh-add ",
                             sshd_->identity(), ")")));
}

TEST_F(FleetSshErrors, AKeyFileThatIsMissing) {
  SERVE();
  unlink(sshd_->identity().c_str());
  unlink((sshd_->identity() + ".pub").c_str());
  EXPECT_THAT(Failure(absl::StatusCode::kPermissionDenied),
              HasSubstr(absl::StrCat("tried ", sshd_->identity(), " (No such file or directory)")));
}

TEST_F(FleetSshErrors, AKeyFileThatIsNone) {
  SERVE();
  WriteFile(sshd_->identity(), "-----BEGIN OPENSSH PRIVATE KEY-----\nrubbish\n");
  EXPECT_THAT(Failure(absl::StatusCode::kPermissionDenied),
              HasSubstr(absl::StrCat(sshd_->identity(), " (not a private key that libssh can read)")));
}

TEST_F(FleetSshErrors, AServerThatWantsAPassword) {
  SERVE("PubkeyAuthentication no\nPasswordAuthentication yes\n");
  EXPECT_EQ(
      Failure(absl::StatusCode::kPermissionDenied),
      absl::StrCat("cannot log in to ", target_, ": the server offers only password; dtest uses keys: ssh-copy-id -p ",
                   port_, " ", user_, "@farm, and allow PubkeyAuthentication there"));
}

TEST_F(FleetSshErrors, AServerThatWantsMoreThanAKey) {
  SERVE("PasswordAuthentication yes\nAuthenticationMethods publickey,password\n");
  EXPECT_THAT(Failure(absl::StatusCode::kPermissionDenied),
              HasSubstr("after the key the server wants more (password); dtest logs in by key only"));
}

// ---- Reaching it ----

TEST_F(FleetSshErrors, NothingListens) {
  SERVE();
  FleetOptions options = sshd_->Options();
  HostSpec host = sshd_->Host();
  host.port = 1;
  const absl::Status status = Fail(options, host);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(),
            "cannot connect to 127.0.0.1 port 1: Connection refused; is the host up, and does sshd listen there?");
}

TEST_F(FleetSshErrors, ANameThatDoesNotResolve) {
  SERVE();
  HostSpec host;
  host.name = host.address = "no-such-host.invalid";
  const absl::Status status = Fail(sshd_->Options(), host);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()),
              AllOf(StartsWith("the name no-such-host.invalid does not resolve: "),
                    HasSubstr("is it spelled right, or does it need a Host entry in ~/.ssh/config?")));
}

// A listener that never says a word, or says the wrong thing.
class Listener {
 public:
  Listener() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    bind(fd_, reinterpret_cast<sockaddr*>(&address), length);
    listen(fd_, 4);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
  }
  ~Listener() { close(fd_); }
  uint16_t port() const { return port_; }
  int Accept() { return accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC); }

 private:
  int fd_;
  uint16_t port_;
};

TEST_F(FleetSshErrors, AServerThatAcceptsAndSaysNothing) {
  SERVE();
  Listener silent;
  FleetOptions options = sshd_->Options();
  options.connect_timeout = absl::Seconds(3);
  HostSpec host = sshd_->Host();
  host.port = silent.port();
  const absl::Status status = Fail(options, host);
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(status.message(), absl::StrCat("connected to ", user_, "@farm (127.0.0.1) port ", silent.port(),
                                           ", but no SSH greeting came within 3s; is it overloaded, or is that "
                                           "port not sshd's?"));
}

TEST_F(FleetSshErrors, AServerThatIsNotSsh) {
  SERVE();
  Listener web;
  FleetOptions options = sshd_->Options();
  options.connect_timeout = absl::Seconds(20);
  HostSpec host = sshd_->Host();
  host.port = web.port();
  FleetDriver driver(options, {host});
  driver.Start();
  for (int i = 0; i < 4; ++i) {  // it is asked again, as sshd is when it turns us away
    const int peer = web.Accept();
    EXPECT_GT(send(peer, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, MSG_NOSIGNAL), 0);
    close(peer);
  }
  const absl::Status status = driver.Await(Kind::kFailed).status;
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the server hung up before its greeting"));
}

TEST_F(FleetSshErrors, ClosingAHostThatHangsEndsItAtOnce) {
  SERVE();
  Listener silent;
  FleetOptions options = sshd_->Options();
  options.connect_timeout = absl::Minutes(10);
  HostSpec host = sshd_->Host();
  host.port = silent.port();
  FleetDriver driver(options, {host});
  driver.Start();
  const int peer = silent.Accept();
  EXPECT_GE(peer, 0);  // it is in the handshake
  driver.fleet().Close(HostId(0));
  driver.fleet().Close(HostId(0));
  EXPECT_EQ(driver.Await(Kind::kFailed).status.code(), absl::StatusCode::kCancelled);
  close(peer);
}

TEST_F(FleetSshErrors, AHostWaitingForItsTurnCanBeClosed) {
  SERVE();
  Listener silent;
  FleetOptions options = sshd_->Options();
  options.connect_timeout = absl::Minutes(10);
  options.parallel_connects = 1;
  HostSpec host = sshd_->Host();
  host.port = silent.port();
  FleetDriver driver(options, {host, host});
  driver.Start(0);
  driver.Start(1);
  driver.fleet().Close(HostId(1));
  EXPECT_EQ(driver.Await(Kind::kFailed, 1).status.code(), absl::StatusCode::kCancelled);
}

TEST_F(FleetSshErrors, AJumpHostThatFailsIsQuoted) {
  SERVE();
  WriteFile(sshd_->client_config(),
            absl::StrCat("Host farm\n  HostName 127.0.0.1\n  ProxyJump no-such-gate.invalid\n  UserKnownHostsFile ",
                         sshd_->known_hosts(), "\n"));
  EXPECT_THAT(Failure(absl::StatusCode::kUnavailable),
              AllOf(HasSubstr("ssh -T -o BatchMode=yes"), HasSubstr("no-such-gate.invalid"),
                    HasSubstr("Could not resolve hostname")));
}

TEST_F(FleetSshErrors, AConfigurationThatSshRejectsIsQuoted) {
  SERVE();
  WriteFile(sshd_->client_config(), "Host farm\n  NoSuchKeyword yes\n");
  EXPECT_THAT(Failure(absl::StatusCode::kFailedPrecondition),
              AllOf(StartsWith("ssh cannot read its configuration for farm: "), HasSubstr("line 2"),
                    HasSubstr("nosuchkeyword")));
}

// ---- On the host ----

TEST_F(FleetSshErrors, AForcedCommandRunsInsteadOfOurs) {
  SERVE("ForceCommand echo this host is for backups\n");
  EXPECT_EQ(Failure(absl::StatusCode::kUnavailable),
            "the host ran something else than our command and exited with status 0; it printed: this host is for "
            "backups; is there a ForceCommand in its sshd_config, a command= in authorized_keys, or no shell for this "
            "user?");
}

TEST_F(FleetSshErrors, AForcedCommandThatWaitsTimesOut) {
  SERVE("ForceCommand cat\n");
  FleetOptions options = sshd_->Options();
  options.connect_timeout = absl::Seconds(4);
  EXPECT_EQ(Failure(absl::StatusCode::kUnavailable, options),
            "the host's shell gave no sign of life for 4s without running our command; does its start-up file wait?");
}

TEST_F(FleetSshErrors, AServerThatRunsNoCommands) {
  SERVE("MaxSessions 0\n");
  EXPECT_THAT(Failure(absl::StatusCode::kPermissionDenied),
              StartsWith(absl::StrCat("logged in to ", target_, ", but the server does not run commands for us: ")));
}

TEST_F(FleetSshErrors, AnotherMachineType) {
  SERVE();
  FleetOptions options = sshd_->Options();
  auto archive = std::make_shared<AgentArchive>(*options.agent);
  archive->machine = "vax";
  options.agent = archive;
  EXPECT_EQ(Failure(absl::StatusCode::kUnimplemented, options),
            absl::StrCat("host is ", ThisMachine(), "; this dtest has an agent for vax only"));
}

TEST_F(FleetSshErrors, AStoreThatCannotBeMade) {
  SERVE();
  FleetOptions options = sshd_->Options();
  options.remote_store = "/proc/dtest-store";
  EXPECT_THAT(Failure(absl::StatusCode::kPermissionDenied, options),
              AllOf(StartsWith("cannot install the agent in /proc/dtest-store on the host: mkdir: "),
                    HasSubstr("make /proc/dtest-store writable for this user, or set another store directory")));
}

TEST_F(FleetSshErrors, AReadOnlyOrFullFileSystem) {
  SERVE();
  const std::string mount_point = sshd_->dir() / "mount";
  mkdir(mount_point.c_str(), 0700);
  if (mount("dtest", mount_point.c_str(), "tmpfs", 0, "size=64k") != 0) GTEST_SKIP() << "may not mount a file system";
  FleetOptions options = sshd_->Options();
  options.remote_store = mount_point;
  EXPECT_THAT(
      Failure(absl::StatusCode::kResourceExhausted, options),
      AllOf(StartsWith(absl::StrCat("cannot install the agent in ", mount_point, " on the host: ")),
            HasSubstr("No space left on device; free "), HasSubstr(" MiB there, or set another store directory")));
  EXPECT_EQ(MustRun({"ls", "-A", mount_point + "/agents"}), "");  // nothing half-done is left
  mount("dtest", mount_point.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, "");
  options.remote_store = mount_point + "/store";
  EXPECT_THAT(Failure(absl::StatusCode::kPermissionDenied, options),
              AllOf(HasSubstr("Read-only file system"),
                    HasSubstr(absl::StrCat("make ", mount_point, "/store writable for this user"))));
  umount(mount_point.c_str());
}

TEST_F(FleetSshErrors, AStoreNameThatNeedsQuotingIsRefused) {
  SERVE();
  FleetOptions options = sshd_->Options();
  options.remote_store = "/tmp/it's";
  EXPECT_EQ(Failure(absl::StatusCode::kInvalidArgument, options),
            "the store directory '/tmp/it's' holds ''': use letters, digits and /._-+=,@:~% only");
}

TEST_F(FleetSshErrors, AnAgentThatDiesBeforeItIsReady) {
  SERVE();
  FleetOptions options = sshd_->Options();
  options.run_id = "die";
  EXPECT_THAT(Failure(absl::StatusCode::kUnavailable, options),
              AllOf(StartsWith("the agent exited with status 3 before it was ready; it said: start line: "),
                    HasSubstr("cannot go on")));
  EXPECT_THAT(log_, HasSubstr("cannot go on\n"));
}

TEST_F(FleetSshErrors, AnAgentThatNeverGetsReady) {
  SERVE();
  FleetOptions options = sshd_->Options();
  options.run_id = "mute";
  options.connect_timeout = absl::Seconds(4);
  EXPECT_THAT(Failure(absl::StatusCode::kUnavailable, options),
              StartsWith("the agent gave no sign of life for 12s before it was ready"));
}

}  // namespace
}  // namespace dtest
