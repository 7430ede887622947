// What a run ships: tells hosts of the units they are to use, answers agents that ask for recipes and chunks or
// sends them to each other, and keeps the account that HostShipped events are made of. One thread.

#ifndef DTEST_COORDINATOR_RUN_SHIPPING_H_
#define DTEST_COORDINATOR_RUN_SHIPPING_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "coordinator/event/run_event.h"
#include "coordinator/inventory/inventory.h"
#include "coordinator/run/bundle.h"
#include "coordinator/run/chunk_sources.h"
#include "dtest/ids.h"
#include "dtest/messages.h"

namespace dtest {

class Shipping {
 public:
  struct Outlets {
    std::function<void(HostId, ToAgent)> send;
    std::function<void(const HostShipped&)> shipped;
    std::function<void(HostId, absl::string_view line)> log;
  };

  // `bundle` outlives it. Chunks that `bundle` was asked for are sent from its callbacks: none may come afterwards.
  Shipping(Bundle* bundle, const std::vector<HostSpec>& hosts, Outlets outlets);
  Shipping(const Shipping&) = delete;
  Shipping& operator=(const Shipping&) = delete;

  // The host is about to be told to list, run or fetch the unit: its specification is sent first, once, and from
  // then until Prepared the host waits for files.
  void Uses(HostId host, UnitId unit);

  // What agents say about it.
  void Handle(HostId host, const NeedRecipes& need);
  void Handle(HostId host, const NeedChunks& need);
  void Handle(HostId host, PeerPort port);
  void Handle(HostId host, const PeerLost& lost);
  void Handle(HostId host, const FromPeers& from);
  void Handle(HostId host, const Prepared& prepared);
  // Should it come back, it is a fresh agent that was told nothing.
  void HostIsGone(HostId host);

  // Tells, by Outlets::shipped, what was shipped to each host since it was last told of, where anything was. When a
  // host begins or ceases to wait for files that is told without this call.
  void Report();

 private:
  enum class Files : uint8_t { kUnknown, kWanted, kThere };  // of a unit on a host that is told to use it
  struct Host {
    std::string name;
    bool local = false;
    std::vector<bool> has_spec;  // by unit: AddUnit was sent
    std::vector<Files> files;    // by unit
    uint32_t fetching = 0;       // units of which files are kWanted
    uint64_t bytes = 0;          // since the last HostShipped event
    uint64_t chunks = 0;
    FromPeers from_peers;          // as well
    std::optional<PeerPort> peer;  // it answers peers
  };

  Host& At(HostId host) { return hosts_[host.value()]; }
  void IsSource(HostId host, UnitId unit);
  void Report(HostId host);

  Bundle& bundle_;
  const Outlets out_;
  std::vector<Host> hosts_;
  ChunkSources sources_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_SHIPPING_H_
