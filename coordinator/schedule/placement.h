// Which host has the files of which unit, which host cannot run which, and what bringing files to a host costs.
//
// One thread.

#ifndef DTEST_COORDINATOR_SCHEDULE_PLACEMENT_H_
#define DTEST_COORDINATOR_SCHEDULE_PLACEMENT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/schedule/ids.h"

namespace dtest::schedule {

enum class Hold : uint8_t {
  kNone,
  kRequested,  // told to fetch it, by a List, a Lease or a Prefetch
  kReady,      // said Prepared
  kUnfit,      // said it cannot
};

class Placement {
 public:
  void AddUnit(UnitId unit, uint64_t bytes);

  // It was added.
  bool Knows(UnitId unit) const { return units_.contains(unit) && units_[unit].known; }
  Hold hold(HostId h, UnitId unit) const;
  // Nothing has to be shipped to this host before it can run this unit, or it is on its way.
  bool Has(HostId h, UnitId unit) const;
  // Of the hosts that may be given work it is the only one that has it, or will.
  bool IsOnlyHolder(HostId h, UnitId unit) const;
  // The host can start it at once, as far as is known.
  bool Ready(HostId h, UnitId unit) const;

  // `slots` of the host: how much it can take off the others once it has the unit.
  void Request(HostId h, UnitId unit, uint32_t slots);
  void SetReady(HostId h, UnitId unit);
  void SetUnfit(HostId h, UnitId unit, const std::string& host_name, const std::string& reason);
  // The host takes no more work; what it said about units counts no longer.
  void Retire(HostId h);
  // The host is gone; if it comes back it has nothing.
  void Forget(HostId h);

  // Units that the host has, in the order it got them.
  const std::vector<UnitId>& held(HostId h) const;
  // Slots of the hosts that have it.
  uint32_t holder_slots(UnitId unit) const { return units_[unit].holder_slots; }
  // Usable hosts that cannot run it.
  uint32_t unfit(UnitId unit) const { return units_[unit].unfit; }
  // "build01: host is aarch64, executable is x86_64; build02: ...": every host that ever said so, at most ten.
  std::string Reasons(UnitId unit) const;

  // How long it is expected to take to bring it to a host that has nothing of it.
  absl::Duration ShipTime(UnitId unit) const;

 private:
  struct Unit {
    bool known = false;
    uint64_t bytes = 0;
    uint32_t holder_slots = 0;
    uint32_t unfit = 0;
    std::vector<std::pair<std::string, std::string>> reasons;  // (host, reason)
  };
  struct Host {
    IdVector<UnitId, Hold> holds;  // short if the rest is Hold::kNone
    std::vector<UnitId> held;      // units with kRequested or kReady
    uint32_t slots = 0;
    bool retired = false;
  };
  Host& At(HostId h);

  IdVector<UnitId, Unit> units_;
  IdVector<HostId, Host> hosts_;
};

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_PLACEMENT_H_
