// All hosts of a run: launching them, saying hello, hearing from them, losing them, and letting them go. What the
// agents are told and what their messages mean is the delegate's business: a run (run_loop.h) or a check (`dtest
// hosts`).
//
// A host whose agent is lost while the run goes on is started again, a few times: the agent may have died while its
// host lives, the connection may have broken while this machine was suspended. Each start is a fresh agent with a token
// of its own, that knows nothing of the one before.
//
// One thread calls everything; the delegate is called back on it from within Turn only (and from within GiveUp). Owns
// the ROUTER, the fleet of launchers and the run's private directory.

#ifndef DTEST_COORDINATOR_RUN_HOST_POOL_H_
#define DTEST_COORDINATOR_RUN_HOST_POOL_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/inventory/inventory.h"
#include "coordinator/launch/fleet.h"
#include "coordinator/run/host_link.h"
#include "coordinator/run/hosts.h"
#include "dtest/base/private_directory.h"
#include "dtest/messages.h"
#include "protocol/router.h"

namespace dtest {

class HostPool : public Hosts {
 public:
  struct Options {
    FleetOptions fleet;  // router_socket, tcp_port and server_public_key are filled in here
    bool tcp = false;
    // An agent that was not heard for so long is lost. Longer than its own lease timeout, so that its tests have been
    // stopped before their cases are given to another host.
    absl::Duration silence = absl::Seconds(50);
    // From the start of an agent to its Hello.
    absl::Duration hello_timeout = absl::Seconds(30);
    // How often a host that had come up is started again in a run, and how long it is left alone before the first time;
    // before each further one twice as long as before the last.
    int restarts = 3;
    absl::Duration restart_delay = absl::Seconds(1);
  };
  // What it reaches hosts by.
  struct Reach {
    std::unique_ptr<Router> router;
    std::unique_ptr<Launcher> launcher;
  };

  // With a ROUTER that listens, and a fleet. `delegate` outlives the pool.
  static absl::StatusOr<std::unique_ptr<HostPool>> Create(Options options, std::vector<HostSpec> hosts,
                                                          Delegate* delegate);
  HostPool(Options options, std::vector<HostSpec> hosts, Delegate* delegate, Reach reach);
  ~HostPool() override;

  void Start(absl::Time now) override;
  void WatchFd(int fd) override { reach_.router->WatchFd(fd); }
  absl::Status Turn(const std::function<absl::Time()>& clock, absl::Time deadline) override;
  void Send(absl::Time now, HostId host, ToAgent message) override;
  void ShutDown(absl::Time now) override;
  bool AllGone() const override;
  bool AllAcknowledged() const override;

  // Gives a host up for good: HostIsDown follows at once, from within this call.
  void GiveUp(HostId host, const absl::Status& reason);

  size_t size() const { return hosts_.size(); }
  const HostSpec& spec(HostId host) const { return hosts_[host.value()].spec; }
  LaunchStats stats(HostId host) const { return reach_.launcher->stats(host); }

 private:
  enum class State : uint8_t {
    kStarting,
    kConnected,  // its agent runs, and has not said Hello
    kUp,
    kLeaving,  // told to
    kWaiting,  // lost; to be started again
    kGone,
  };
  struct Host {
    HostSpec spec;
    State state = State::kStarting;
    bool launched = false;  // the launcher has it: its kFailed or kEnded is still to come
    std::unique_ptr<HostLink> link;
    absl::Time connected = absl::InfiniteFuture();
    int restarts = 0;
    absl::Time restart_at;  // of kWaiting
  };

  void Launch(HostId id);
  void HandleFleetEvent(absl::Time now, const FleetEvent& event);
  void HandleFrame(absl::Time now, const Router::Received& received);
  void CheckLiveness(absl::Time now);
  // It is gone by itself, for this time or for good.
  void Lost(absl::Time now, HostId id, const absl::Status& reason, bool agent_ended);
  // `agent_ended`: it is known to have, not only not heard.
  void Down(HostId id, const absl::Status& reason, State next, bool agent_ended);

  const Options options_;
  Delegate* const delegate_;
  std::optional<PrivateDirectory> directory_;  // of the ROUTER's socket
  Reach reach_;
  std::vector<Host> hosts_;
  absl::flat_hash_map<std::string, HostId> by_token_;
  absl::Time next_liveness_check_ = absl::InfinitePast();
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_HOST_POOL_H_
