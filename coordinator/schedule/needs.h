// What cases need beyond a slot of any host (CasePolicy: locks, several slots, a host to themselves, tags), each
// different combination once; and who holds the locks. Leases hold them, from HostTable::NewLease to HostTable::End,
// and no list of holders is kept beside: so a lock is held exactly as long as its case may run. A case whose host was
// lost may run on, in an agent that has not noticed yet: what it needs *lingers* until its time is over.
//
// Asking, taking and giving back cost as much as the case has locks. One thread.

#ifndef DTEST_COORDINATOR_SCHEDULE_NEEDS_H_
#define DTEST_COORDINATOR_SCHEDULE_NEEDS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/schedule/case_policy.h"
#include "coordinator/schedule/ids.h"

namespace dtest::schedule {

using LockId = StrongId<struct LockIdTag, uint32_t>;
using PinId = StrongId<struct PinIdTag, uint32_t>;
using NeedsId = StrongId<struct NeedsIdTag, uint32_t>;
inline constexpr NeedsId kNoNeeds(UINT32_MAX);
inline constexpr LockId kNoLock(UINT32_MAX);
inline constexpr PinId kNoPin(UINT32_MAX);

struct Needs {
  std::vector<LockId> farm_locks, host_locks;
  bool exclusive = false;
  bool fewer_slots_will_do = false;
  uint32_t slots = 1;
  std::vector<std::string> tags;  // sorted
  PinId pin = kNoPin;             // CasePolicy::same_host
  friend bool operator==(const Needs&, const Needs&) = default;
};

class NeedsTable {
 public:
  // The tags of each host, sorted, by HostId; hosts beyond have none.
  explicit NeedsTable(std::vector<std::vector<std::string>> host_tags) : host_tags_(std::move(host_tags)) {}

  // kNoNeeds where the policy has none. O(different needs).
  NeedsId IdOf(const CasePolicy& policy);
  IdRange<NeedsId> ids() const { return needs_.ids(); }
  const Needs& operator[](NeedsId n) const { return needs_[n].needs; }
  bool HasTags(HostId h, NeedsId n) const;
  // Sorted.
  const std::vector<std::string>& TagsOf(HostId h) const;
  // How many slots the case takes on a host that has `host_slots`.
  uint32_t SlotsOf(NeedsId n, uint32_t host_slots) const {
    const Needs& needs = needs_[n].needs;
    return needs.exclusive || (needs.fewer_slots_will_do && needs.slots > host_slots) ? host_slots : needs.slots;
  }
  // Whether a host with that many has enough for it.
  bool SlotsSuffice(NeedsId n, uint32_t host_slots) const {
    return needs_[n].needs.fewer_slots_will_do || needs_[n].needs.slots <= host_slots;
  }
  // Where all cases with its CasePolicy::same_host run, once the first has been handed out; kNoHost: anywhere.
  HostId PinnedTo(NeedsId n) const {
    const PinId pin = needs_[n].needs.pin;
    return pin == kNoPin ? kNoHost : pins_[pin].host;
  }
  bool MayRunOn(NeedsId n, HostId h) const { return PinnedTo(n) == kNoHost || PinnedTo(n) == h; }
  // "4 slots and the tag gpu": what a host must have, for people.
  std::string Describe(NeedsId n) const;

  // ---- Locks
  const CaseLock& lock(LockId id) const { return locks_[id].lock; }
  bool IsFree(LockId id) const { return locks_[id].held < locks_[id].lock.max; }
  // The first of its farm-wide locks that is not free; kNoLock if all are.
  LockId FirstHeld(NeedsId n) const;
  bool HostLocksFree(NeedsId n, HostId h) const;
  // How many more cases with these needs its farm-wide locks allow.
  uint32_t Room(NeedsId n) const;
  // Leases with these needs, and cases that linger.
  uint32_t running(NeedsId n) const { return needs_[n].running; }

  void Take(NeedsId n, HostId h) {
    if (const PinId pin = needs_[n].needs.pin; pin != kNoPin && pins_[pin].host == kNoHost) pins_[pin].host = h;
    Count(n, h, 1);
  }
  void Give(NeedsId n, HostId h);
  // A lease with these needs is about to end here, but its case may live on until `until`, and counts as one more
  // until then.
  void Linger(NeedsId n, HostId h, absl::Time until);
  // Ends what has lingered long enough: returns the hosts.
  std::vector<HostId> EndLingering(absl::Time now);
  absl::Time next_lingering_end() const;
  // Farm-wide locks that were given back since it was last asked.
  std::vector<LockId> TakeFreed() { return std::exchange(freed_, {}); }
  bool any_freed() const { return !freed_.empty(); }

  // Aborts unless locks are held as these leases, of (needs, host), say, and by no more than may hold them.
  void CheckInvariants(std::vector<std::pair<NeedsId, HostId>> leases) const;

 private:
  struct Lock {
    CaseLock lock;
    uint32_t held = 0;                   // farm-wide
    IdVector<HostId, uint32_t> held_on;  // of scope host; short if the rest is 0
  };
  struct Pin {
    std::string name;
    HostId host = kNoHost;
  };
  struct Entry {
    Needs needs;
    uint32_t running = 0;
  };
  void Count(NeedsId n, HostId h, int sign);

  const std::vector<std::vector<std::string>> host_tags_;
  IdVector<LockId, Lock> locks_;
  IdVector<PinId, Pin> pins_;
  IdVector<NeedsId, Entry> needs_;
  std::vector<LockId> freed_;
  struct Lingering {
    NeedsId needs;
    HostId host;
    absl::Time until;
  };
  std::vector<Lingering> lingering_;  // seldom any
};

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_NEEDS_H_
