// What the launch tests share: a scratch directory, a small agent archive, a ROUTER's end of the link, a driver for
// Fleet, and a real sshd on loopback with keys of its own.

#ifndef DTEST_TESTS_UNIT_LAUNCH_FIXTURES_H_
#define DTEST_TESTS_UNIT_LAUNCH_FIXTURES_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/launch/fleet.h"
#include "coordinator/launch/spawn.h"

namespace dtest {

class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

void WriteFile(const std::string& path, const std::string& text, int mode = 0600);
std::string ReadFile(const std::string& path);
// Runs a program that must succeed; its stdout.
std::string MustRun(const std::vector<std::string>& argv);
bool HaveProgram(const std::string& name);
std::string ThisMachine();  // uname -m

std::string EchoAgentPath();
// An archive that holds echo_agent.cc, static. `salt` makes another digest of it.
std::shared_ptr<const AgentArchive> EchoArchive(const std::string& salt = "");

// A listening UNIX socket where a ROUTER would be.
class FakeRouterSocket {
 public:
  explicit FakeRouterSocket(const std::string& path);
  ~FakeRouterSocket();
  // Takes one connection, sends `bytes` and reads as many back, at the same time.
  std::string Exchange(const std::string& bytes);
  // Closes the connection taken by Exchange.
  void Hangup();

 private:
  int listener_ = -1;
  int peer_ = -1;
};

class FleetDriver {
 public:
  FleetDriver(FleetOptions options, std::vector<HostSpec> hosts);
  Fleet& fleet() { return *fleet_; }
  void Start(uint32_t host = 0);
  // Polls until an event of this kind comes from this host (or kFailed / kEnded, which end everything); 60 s at most.
  FleetEvent Await(FleetEvent::Kind kind, uint32_t host = 0);
  // All kLog lines so far; all kNotice lines.
  std::string log() const { return log_; }
  std::string notices() const { return notices_; }

 private:
  std::vector<FleetEvent> seen_;
  std::string log_;
  std::string notices_;
  std::unique_ptr<Fleet> fleet_;
};

// A running ssh-agent without keys.
class SshAgent {
 public:
  SshAgent();
  ~SshAgent();
  // False where ssh-agent is not installed or does not start.
  bool ok() const { return running_; }
  std::string socket() const { return dir_ / "agent"; }
  void Add(const std::string& private_key);

 private:
  ScratchDirectory dir_;
  std::optional<Child> process_;
  bool running_ = false;
};

// A running sshd of this user: its own host keys, sshd_config, port on 127.0.0.1. Client side: an ssh_config that knows
// the host as "farm" with a key of its own and nothing of this machine's.
class Sshd {
 public:
  // nullptr, with the reason in `why_not`, where sshd is not installed or cannot run.
  static std::unique_ptr<Sshd> Start(const std::string& extra_config, std::string* why_not);
  ~Sshd();

  int port() const { return port_; }
  const ScratchDirectory& dir() const { return dir_; }
  std::string client_config() const { return dir_ / "ssh_config"; }
  std::string known_hosts() const { return dir_ / "known_hosts"; }
  std::string identity() const { return dir_ / "id"; }
  std::string store() const { return dir_ / "store"; }
  std::string host_public_key() const;   // "ssh-ed25519 AAAA..."
  std::string host_fingerprint() const;  // "SHA256:..."
  // Writes ssh_config: what every test needs, then `extra` in the block of the host.
  void WriteClientConfig(const std::string& extra = "");
  void Trust();    // the host key goes into known_hosts
  void Restart();  // reads its configuration, and what that names, again
  FleetOptions Options() const;
  HostSpec Host() const;

 private:
  Sshd() = default;
  // False, with what it said in `why_not`, if it does not listen.
  bool Run(std::string* why_not);
  void Stop();
  ScratchDirectory dir_;
  int port_ = 0;
  std::optional<Child> process_;
};

}  // namespace dtest

#endif  // DTEST_TESTS_UNIT_LAUNCH_FIXTURES_H_
