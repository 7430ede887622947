#include "fixtures.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gtest/gtest.h"

namespace dtest {
namespace {

// POSIX ustar, one regular file after the other.
void AppendTarFile(const std::string& name, const std::string& content, int mode, std::string* tar) {
  char header[512] = {};
  std::strcpy(header, name.c_str());
  std::strcpy(header + 100, absl::StrFormat("%07o", mode).c_str());
  std::strcpy(header + 108, "0000000");
  std::strcpy(header + 116, "0000000");
  std::strcpy(header + 124, absl::StrFormat("%011o", content.size()).c_str());
  std::strcpy(header + 136, "00000000000");
  header[156] = '0';
  std::memcpy(header + 257, "ustar\00000", 8);
  std::memset(header + 148, ' ', 8);
  unsigned sum = 0;
  for (unsigned char c : header) sum += c;
  std::strcpy(header + 148, absl::StrFormat("%06o", sum).c_str());
  tar->append(header, sizeof(header));
  tar->append(content);
  tar->append((512 - content.size() % 512) % 512, '\0');
}

}  // namespace

ScratchDirectory::ScratchDirectory() {
  char path[] = "/tmp/dtest-launch-XXXXXX";
  path_ = mkdtemp(path);
}
ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void WriteFile(const std::string& path, const std::string& text, int mode) {
  std::ofstream(path, std::ios::binary) << text;
  chmod(path.c_str(), mode);
}
std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}
std::string MustRun(const std::vector<std::string>& argv) {
  absl::StatusOr<Captured> captured = RunAndCapture(argv, absl::Seconds(60));
  EXPECT_TRUE(captured.ok()) << captured.status();
  if (!captured.ok()) return "";
  EXPECT_EQ(captured->wait_status, 0) << argv[0] << ": " << captured->err;
  return captured->out;
}
bool HaveProgram(const std::string& name) {
  for (absl::string_view dir : absl::StrSplit("/usr/sbin:/sbin:/usr/bin:/bin", ':')) {
    if (access(absl::StrCat(dir, "/", name).c_str(), X_OK) == 0) return true;
  }
  return false;
}
std::string ThisMachine() {
  utsname name;
  uname(&name);
  return name.machine;
}

std::string EchoAgentPath() { return ECHO_AGENT; }

std::shared_ptr<const AgentArchive> EchoArchive(const std::string& salt) {
  auto archive = std::make_shared<AgentArchive>();
  archive->digest_hex = absl::StrCat("00112233445566778899aabbccddeeff", salt);
  archive->machine = ThisMachine();
  AppendTarFile("dtest-agent", ReadFile(ECHO_AGENT), 0755, &archive->tar);
  AppendTarFile("lib/salt.so", salt, 0644, &archive->tar);
  archive->tar.append(1024, '\0');
  return archive;
}

FakeRouterSocket::FakeRouterSocket(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path.c_str());
  listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0) << std::strerror(errno);
  EXPECT_EQ(listen(listener_, 16), 0);
}
FakeRouterSocket::~FakeRouterSocket() {
  Hangup();
  close(listener_);
}
void FakeRouterSocket::Hangup() {
  if (peer_ >= 0) close(peer_);
  peer_ = -1;
}
std::string FakeRouterSocket::Exchange(const std::string& bytes) {
  Hangup();
  peer_ = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  std::string got;
  size_t sent = 0;
  while (got.size() < bytes.size()) {
    pollfd fd = {peer_, static_cast<short>(POLLIN | (sent < bytes.size() ? POLLOUT : 0)), 0};
    if (poll(&fd, 1, 30000) <= 0) break;
    if (fd.revents & POLLOUT) {
      const ssize_t now = send(peer_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (now > 0) sent += now;
    }
    char buffer[65536];
    const ssize_t now = recv(peer_, buffer, sizeof(buffer), 0);
    if (now > 0) got.append(buffer, now);
    if (now == 0) break;
  }
  return got;
}

FleetDriver::FleetDriver(FleetOptions options, std::vector<HostSpec> hosts)
    : fleet_(std::make_unique<Fleet>(std::move(options), std::move(hosts))) {}

void FleetDriver::Start(uint32_t host) { fleet_->Start(HostId(host), std::string(16, '\x42')); }

FleetEvent FleetDriver::Await(FleetEvent::Kind kind, uint32_t host) {
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (absl::Now() < deadline) {
    for (auto it = seen_.begin(); it != seen_.end(); ++it) {
      if (it->host.value() != host) continue;
      const bool over = it->kind == FleetEvent::Kind::kFailed || it->kind == FleetEvent::Kind::kEnded;
      if (it->kind != kind && !over) continue;
      FleetEvent event = *std::move(it);
      seen_.erase(it);
      EXPECT_EQ(event.kind, kind) << event.status << " " << event.text << "\n" << log_;
      return event;
    }
    pollfd fd = {fleet_->event_fd(), POLLIN, 0};
    poll(&fd, 1, 1000);
    for (FleetEvent& event : fleet_->Poll()) {
      if (event.kind == FleetEvent::Kind::kLog) absl::StrAppend(&log_, event.text, "\n");
      if (event.kind == FleetEvent::Kind::kNotice) absl::StrAppend(&notices_, event.text, "\n");
      seen_.push_back(std::move(event));
    }
  }
  ADD_FAILURE() << "no such event came; log:\n" << log_;
  return {};
}

SshAgent::SshAgent() {
  if (!HaveProgram("ssh-agent")) return;
  SpawnOptions options;
  options.argv = {"ssh-agent", "-D", "-a", socket()};
  absl::StatusOr<Child> agent = Spawn(options);
  if (!agent.ok()) return;
  process_ = *std::move(agent);
  char buffer[512];
  pollfd fd = {process_->out.get(), POLLIN, 0};
  poll(&fd, 1, 10000);  // it prints its variables once it listens
  running_ = read(process_->out.get(), buffer, sizeof(buffer)) > 0;
}
SshAgent::~SshAgent() {
  if (!process_.has_value()) return;
  process_->Kill(SIGTERM);
  process_->EndAndReap(absl::Seconds(2));
}
void SshAgent::Add(const std::string& private_key) {
  MustRun({"env", "SSH_AUTH_SOCK=" + socket(), "ssh-add", "-q", private_key});
}

std::unique_ptr<Sshd> Sshd::Start(const std::string& extra_config, std::string* why_not) {
  if (!HaveProgram("sshd") || !HaveProgram("ssh-keygen") || !HaveProgram("ssh")) {
    *why_not = "sshd, ssh-keygen or ssh is not installed (openssh-server, openssh-client)";
    return nullptr;
  }
  if (geteuid() == 0) mkdir("/run/sshd", 0755);  // its privilege separation directory; a package's tmpfiles.d makes it
  std::unique_ptr<Sshd> sshd(new Sshd());
  const ScratchDirectory& dir = sshd->dir_;
  MustRun({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", dir / "host_key"});
  MustRun({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", dir / "id"});
  WriteFile(dir / "authorized_keys", ReadFile(dir / "id.pub"));

  const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  bind(probe, reinterpret_cast<sockaddr*>(&address), length);
  getsockname(probe, reinterpret_cast<sockaddr*>(&address), &length);
  sshd->port_ = ntohs(address.sin_port);
  close(probe);

  WriteFile(dir / "sshd_config",
            absl::StrCat(extra_config, "\nListenAddress 127.0.0.1\nPort ", sshd->port_, "\nHostKey ", dir / "host_key",
                         "\nAuthorizedKeysFile ", dir / "authorized_keys",
                         "\nUsePAM no\nStrictModes no\nPidFile none\nPasswordAuthentication no\n"
                         "KbdInteractiveAuthentication no\nPermitRootLogin yes\nPrintMotd no\nPrintLastLog no\n"));
  if (!sshd->Run(why_not)) return nullptr;
  sshd->WriteClientConfig();
  return sshd;
}

bool Sshd::Run(std::string* why_not) {
  SpawnOptions options;
  options.argv = {"/usr/sbin/sshd", "-D", "-e", "-f", dir_ / "sshd_config"};
  absl::StatusOr<Child> child = Spawn(options);
  if (!child.ok()) {
    *why_not = std::string(child.status().message());
    return false;
  }
  process_ = *std::move(child);
  std::string said;
  while (!absl::StrContains(said, "Server listening")) {
    pollfd fd = {process_->err.get(), POLLIN, 0};
    char buffer[1024];
    poll(&fd, 1, 10000);
    const ssize_t got = read(process_->err.get(), buffer, sizeof(buffer));
    if (got <= 0) {
      *why_not = absl::StrCat("sshd did not start: ", said);
      return false;
    }
    said.append(buffer, got);
  }
  return true;
}

void Sshd::Stop() {
  if (!process_.has_value()) return;
  process_->Kill(SIGTERM);
  process_->EndAndReap(absl::Seconds(2));
  process_.reset();
}

Sshd::~Sshd() { Stop(); }

void Sshd::Restart() {
  Stop();
  std::string why_not;
  EXPECT_TRUE(Run(&why_not)) << why_not;
}

std::string Sshd::host_public_key() const {
  const std::vector<std::string> fields = absl::StrSplit(ReadFile(dir_ / "host_key.pub"), ' ');
  return absl::StrCat(fields[0], " ", fields[1]);
}
std::string Sshd::host_fingerprint() const {
  return std::vector<std::string>(absl::StrSplit(MustRun({"ssh-keygen", "-lf", dir_ / "host_key.pub"}), ' '))[1];
}
void Sshd::WriteClientConfig(const std::string& extra) {
  WriteFile(
      client_config(),
      absl::StrCat("Host farm\n", extra, "\n  HostName 127.0.0.1\n  Port ", port_, "\n  IdentityFile ", identity(),
                   "\n  IdentityAgent none\n  UserKnownHostsFile ", known_hosts(), "\n  GlobalKnownHostsFile none\n"));
}
void Sshd::Trust() { WriteFile(known_hosts(), absl::StrCat("[127.0.0.1]:", port_, " ", host_public_key(), "\n")); }

FleetOptions Sshd::Options() const {
  FleetOptions options;
  options.ssh_config = client_config();
  options.router_socket = dir_ / "router";
  options.run_id = "echo";
  options.agent = EchoArchive();
  options.remote_store = store();
  return options;
}
HostSpec Sshd::Host() const {
  HostSpec host;
  host.name = host.address = "farm";
  return host;
}

}  // namespace dtest
