// Which units have been listed, which are being listed where, and which come to nothing. A unit is
//
//   unknown -> unlisted -> being listed -> listed -> resolved      (UnitAdded ... CasesKnown or CasesUnknown)
//                  ^____________/                                  its host was lost, or could not
//
// and may be resolved from any state but unknown. Hosts' own counts of listings are the caller's. One thread.

#ifndef DTEST_COORDINATOR_SCHEDULE_LISTINGS_H_
#define DTEST_COORDINATOR_SCHEDULE_LISTINGS_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/schedule/ids.h"

namespace dtest::schedule {

class Listings {
 public:
  // A unit of the bundle; `listed`: its cases become known without a host. False if the unit is known already.
  bool Add(UnitId unit, bool listed);
  void CompleteBundle() { bundle_complete_ = true; }

  IdRange<UnitId> ids() const { return units_.ids(); }
  bool contains(UnitId unit) const { return units_.contains(unit); }
  // Known, and its cases are still to come.
  bool IsOpen(UnitId unit) const;
  bool IsUnlisted(UnitId unit) const { return StateOf(unit) == State::kUnlisted; }
  bool IsBeingListed(UnitId unit) const { return StateOf(unit) == State::kBeingListed; }
  // The host that lists it; kNoHost if none does.
  HostId ListerOf(UnitId unit) const { return units_.contains(unit) ? units_[unit].lister : kNoHost; }
  // The host has failed to list it before.
  bool HasTried(UnitId unit, HostId host) const;

  // Units whose cases are not known yet.
  uint32_t open() const { return open_; }
  bool any_unlisted() const { return !unlisted_.empty(); }
  bool bundle_complete() const { return bundle_complete_; }
  // The cases of all units are known, and no unit will be added.
  bool complete() const { return bundle_complete_ && open_ == 0; }

  // The first unlisted unit that the host may list, which it does from now on; kNoUnit if there is none.
  template <typename MayList>
  UnitId Give(HostId host, MayList may_list) {
    const auto found = std::find_if(unlisted_.begin(), unlisted_.end(), may_list);
    if (found == unlisted_.end()) return kNoUnit;
    const UnitId unit = *found;
    unlisted_.erase(found);
    Begin(unit, host);
    return unit;
  }
  // Its lister has answered: its cases are told next.
  void SetListed(UnitId unit);
  // Its cases are known, or never will be.
  void Resolve(UnitId unit);
  // The host that lists it is lost or cannot; `why` begins with its name. Unlisted again, first of all; or, at the
  // third time, resolved: then all reasons are returned.
  std::optional<std::string> ComesToNothing(UnitId unit, const std::string& why);

  // Aborts unless counts hold; `listings` of each host by the hosts' own count.
  void CheckInvariants(const IdVector<HostId, uint32_t>& listings) const;

 private:
  enum class State : uint8_t { kUnknown, kUnlisted, kBeingListed, kListed, kResolved };
  struct Unit {
    State state = State::kUnknown;
    HostId lister = kNoHost;  // while it is being listed
    std::vector<std::string> failures;
    std::vector<HostId> tried;  // the hosts of the failures
  };
  State StateOf(UnitId unit) const { return units_.contains(unit) ? units_[unit].state : State::kUnknown; }
  void Begin(UnitId unit, HostId host);

  IdVector<UnitId, Unit> units_;
  std::deque<UnitId> unlisted_;
  uint32_t open_ = 0;
  bool bundle_complete_ = false;
};

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_LISTINGS_H_
