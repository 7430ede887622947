// All hosts of a run: launching them, saying hello, hearing from them, losing them, and letting them go. What the
// agents are told and what their messages mean is the delegate's business: a run (run_loop.h) or a check (`dtest
// hosts`).
//
// One thread calls everything; the delegate is called back on it from within Turn only. Owns the ROUTER, the fleet of
// launchers and the run's private directory.

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
#include "protocol/zmq_transport.h"

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
  };

  // `delegate` outlives the pool.
  static absl::StatusOr<std::unique_ptr<HostPool>> Create(Options options, std::vector<HostSpec> hosts,
                                                          Delegate* delegate);
  ~HostPool() override;

  void Start(absl::Time now) override;
  void WatchFd(int fd) override { router_.WatchFd(fd); }
  absl::Status Turn(const std::function<absl::Time()>& clock, absl::Time deadline) override;
  void Send(absl::Time now, HostId host, ToAgent message) override;
  void ShutDown(absl::Time now) override;
  bool AllGone() const override;

  // Gives a host up: HostIsDown follows at once, from within this call.
  void GiveUp(HostId host, const absl::Status& reason);

  size_t size() const { return hosts_.size(); }
  const HostSpec& spec(HostId host) const { return hosts_[host.value()].spec; }
  const Fleet& fleet() const { return *fleet_; }

 private:
  enum class State : uint8_t { kStarting, kConnected, kUp, kLeaving, kGone };
  struct Host {
    HostSpec spec;
    State state = State::kStarting;
    std::unique_ptr<HostLink> link;
    absl::Time connected = absl::InfiniteFuture();
  };

  HostPool(Options options, std::vector<HostSpec> hosts, Delegate* delegate);
  absl::Status Bind();
  void HandleFleetEvent(absl::Time now, const FleetEvent& event);
  void HandleFrame(absl::Time now, const RouterTransport::Received& received);
  void CheckLiveness(absl::Time now);

  Options options_;
  Delegate* const delegate_;
  std::optional<PrivateDirectory> directory_;
  RouterTransport router_;
  std::unique_ptr<Fleet> fleet_;
  std::vector<Host> hosts_;
  absl::flat_hash_map<std::string, HostId> by_token_;
  std::vector<FdEvent> ready_;  // reused by each turn
  absl::Time next_liveness_check_ = absl::InfinitePast();
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_HOST_POOL_H_
