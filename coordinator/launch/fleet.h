// The run's hosts: brings an agent to life on each and joins it to the ROUTER. The one interface of the event loop to
// everything about reaching machines; docs/launch.md tells how it works and what was rejected.
//
//   Fleet fleet(options, hosts);
//   fleet.Start(HostId(0), token);            // returns at once
//   poll(fleet.event_fd()); for (FleetEvent& event : fleet.Poll()) ...
//
// Life of a host: Start, any number of kLog and kNotice, then either one kFailed, or one kConnected and later one
// kEnded. A host may be started again, with a new token, after its kFailed or kEnded.
//
// Threads: all methods are called on the owner's thread. Inside, each host has a thread of its own (a libssh session
// belongs to one), at most `parallel_connects` of them connecting at a time; the rest wait their turn. A slow or dead
// host delays no other longer than that.

#ifndef DTEST_COORDINATOR_LAUNCH_FLEET_H_
#define DTEST_COORDINATOR_LAUNCH_FLEET_H_

#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/inventory/inventory.h"
#include "dtest/ids.h"

namespace dtest {

// What travels to a host that does not have it yet: `tar` (ustar, plain) holds "dtest-agent", and, unless that is
// static, "lib/" with its shared libraries and their loader.
struct AgentArchive {
  std::string digest_hex;   // names the archive on the host; another byte anywhere is another digest
  std::string machine;      // what `uname -m` must say there
  std::string loader_name;  // the loader's file name in lib/; empty: dtest-agent is static
  std::string tar;
  struct Zipped {
    std::string bytes;
    uint32_t checksum;  // as PosixChecksum: once, and not for every host
  };
  // `tar` in gzip's format, for hosts that have gzip; may be deferred until one asks. Not valid(): there is none.
  std::shared_future<Zipped> gzip;
};

struct FleetOptions {
  // Read instead of ~/.ssh/config and the system's; "": those; "none": no file at all.
  std::string ssh_config;
  // Limit of each step a host must answer in: TCP connect; SSH handshake and authentication; the first answer of the
  // login shell or command=; and, three times that, any stall while the agent is copied, the agent's own start.
  absl::Duration connect_timeout = absl::Seconds(10);
  size_t parallel_connects = 64;
  std::string router_socket;                  // path of the ROUTER's UNIX socket; there before Start
  std::string run_id;                         // no spaces
  std::string local_agent;                    // path of dtest-agent for `local` hosts
  std::shared_ptr<const AgentArchive> agent;  // for all other hosts
  // Directory on the hosts; "~/" begins the remote home. "": $XDG_CACHE_HOME/dtest or ~/.cache/dtest, or
  // /tmp/dtest-<uid> for an account without a home.
  std::string remote_store;
  // Agents dial the ROUTER at the local address of their SSH connection and `tcp_port`, under CURVE with this key.
  // Hosts that have no such address (command=, ProxyJump, ProxyCommand) and `local` keep to the stream.
  bool tcp = false;
  uint16_t tcp_port = 0;
  std::string server_public_key;
};

struct FleetEvent {
  enum class Kind {
    kConnected,  // the agent said it is ready; its Hello comes through the ROUTER
    kFailed,     // never came up: `status` says why, for a person, and what to do
    kEnded,      // the stream closed: `status` is OK after Close; `text` holds the last lines of the agent's stderr
    kLog,        // `text`: a line of the agent's or shell's stderr, or about how the host was reached
    kNotice,     // `text`: of how it is reached, for a person: "by the ssh program, since ..."
  };
  HostId host;
  Kind kind = Kind::kLog;
  absl::Status status;
  std::string text;
  bool agent_ended = false;  // of kEnded: its agent is known to have ended, not only the stream
};

struct LaunchStats {
  uint64_t bytes_sent = 0;  // over the host's stream, the agent's archive included; not what SSH adds
  uint64_t bytes_received = 0;
  absl::Duration connect_duration;  // from its thread's start to kConnected; zero before
  bool agent_shipped = false;       // false: it was cached, or runs on this machine
};

// What the host pool needs of a fleet; tests have a fake one.
class Launcher {
 public:
  virtual ~Launcher() = default;
  // `token`: 16 random bytes that the agent must show in its Hello. The host must not be running.
  virtual void Start(HostId host, std::string token) = 0;
  // Ends the host's stream; the agent takes that as its end. Idempotent, returns at once; kEnded (or kFailed, if it had
  // not come up) follows unless it came already.
  virtual void Close(HostId host) = 0;
  virtual int event_fd() const = 0;  // polls readable while Poll has something
  virtual std::vector<FleetEvent> Poll() = 0;
  virtual LaunchStats stats(HostId host) const = 0;
};

class Fleet final : public Launcher {
 public:
  using Stats = LaunchStats;
  // HostId i is hosts[i].
  Fleet(FleetOptions options, std::vector<HostSpec> hosts);
  ~Fleet() override;  // Close for all, then waits for the threads: a few seconds at most
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  void Start(HostId host, std::string token) override;
  void Close(HostId host) override;
  int event_fd() const override;
  std::vector<FleetEvent> Poll() override;
  Stats stats(HostId host) const override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_LAUNCH_FLEET_H_
