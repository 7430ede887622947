// Which host has the files of which unit, which host cannot run which, and what bringing files to a host costs.
//
// One thread.

#ifndef DTEST_COORDINATOR_SCHEDULE_PLACEMENT_H_
#define DTEST_COORDINATOR_SCHEDULE_PLACEMENT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/schedule/case_array.h"

namespace dtest::schedule {

enum class Hold : uint8_t {
  kNone,
  kRequested,  // told to fetch it, by a List, a Lease or a Prefetch
  kReady,      // said Prepared
  kUnfit,      // said it cannot
};

class Placement {
 public:
  void AddUnit(uint32_t unit, uint64_t bytes);

  Hold hold(uint32_t h, uint32_t unit) const;
  // Nothing has to be shipped to this host before it can run this unit, or it is on its way.
  bool Has(uint32_t h, uint32_t unit) const;
  // Of the hosts that may be given work it is the only one that has it, or will.
  bool IsOnlyHolder(uint32_t h, uint32_t unit) const;
  // The host can start it at once, as far as is known.
  bool Ready(uint32_t h, uint32_t unit) const;

  // `slots` of the host: how much it can take off the others once it has the unit.
  void Request(uint32_t h, uint32_t unit, uint32_t slots);
  void SetReady(uint32_t h, uint32_t unit);
  void SetUnfit(uint32_t h, uint32_t unit, const std::string& host_name, const std::string& reason);
  // The host takes no more work; what it said about units counts no longer.
  void Retire(uint32_t h);
  // The host is gone; if it comes back it has nothing.
  void Forget(uint32_t h);

  // Units that the host has, in the order it got them.
  const std::vector<uint32_t>& held(uint32_t h) const;
  // Slots of the hosts that have it.
  uint32_t holder_slots(uint32_t unit) const { return units_[unit].holder_slots; }
  // Usable hosts that cannot run it.
  uint32_t unfit(uint32_t unit) const { return units_[unit].unfit; }
  // "build01: host is aarch64, executable is x86_64; build02: ...": every host that ever said so, at most ten.
  std::string Reasons(uint32_t unit) const;

  // Expected seconds to bring it to a host that has nothing of it.
  double ShipSeconds(uint32_t unit) const;

 private:
  struct Unit {
    uint64_t bytes = 0;
    uint32_t holder_slots = 0;
    uint32_t unfit = 0;
    std::vector<std::pair<std::string, std::string>> reasons;  // (host, reason)
  };
  struct Host {
    std::vector<Hold> holds;     // by unit; short if the rest is kNone
    std::vector<uint32_t> held;  // units with kRequested or kReady
    uint32_t slots = 0;
    bool retired = false;
  };
  Host& At(uint32_t h);

  std::vector<Unit> units_;
  std::vector<Host> hosts_;
};

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_PLACEMENT_H_
