// Cases that want to be in one process, one after the other (CaseInfo::group): they are handed out together, in one
// lease with whole groups beside, and while a lease has any of a group, nothing else of it is handed out: a further
// attempt, a further iteration, what a lost host has left. Groups are of one unit. Those of a group that differ in
// their environment, want a process of their own or have needs are in leases of their own, one after the other.
//
// With --stress, which runs a case beside itself, and where all cases of a unit are one lease anyway, nothing is in
// any.
//
// One thread. Nothing is kept for units without groups.

#ifndef DTEST_COORDINATOR_SCHEDULE_GROUPS_H_
#define DTEST_COORDINATOR_SCHEDULE_GROUPS_H_

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "coordinator/schedule/case_array.h"
#include "coordinator/schedule/ids.h"

namespace dtest::schedule {

class Groups {
 public:
  // The group of a new case of the unit: that which has this number there. Not `apart`: its cases are offered as one,
  // the longest groups first, and that is all: it is never busy, and a lease has nothing of it.
  void Put(UnitId unit, uint32_t index, uint32_t number, bool apart = true) {
    units_.GrowTo(unit);
    Unit& u = units_[unit];
    if (u.of_index.size() <= index) u.of_index.resize(index + 1, kNoGroup);
    if (u.of_number.size() <= number) u.of_number.resize(number + 1, kNoGroup);
    if (u.of_number[number] == kNoGroup) {
      u.of_number[number] = leases_.Add(0);
      apart_.Add(apart);
    }
    u.of_index[index] = u.of_number[number];
  }
  // The lowest number, from 1 on, behind those that groups of the unit have.
  uint32_t NextNumber(UnitId unit) const {
    return units_.contains(unit) ? std::max<uint32_t>(1, static_cast<uint32_t>(units_[unit].of_number.size())) : 1;
  }
  // Whether nothing else of it runs beside some of it.
  bool IsApart(GroupId g) const { return apart_[g] != 0; }
  GroupId Of(const CaseRecord& c) const { return c.grouped ? units_[c.unit].of_index[c.index] : kNoGroup; }

  // Of the cases of a new lease, each once; they follow one another.
  std::vector<GroupId> In(const CaseArray& cases, const CaseList& list) const {
    std::vector<GroupId> groups;
    for (CaseNumber i = list.head; i != kNoCase; i = cases[i].next) {
      const GroupId g = Of(cases[i]);
      if (g != kNoGroup && apart_[g] && (groups.empty() || groups.back() != g)) groups.push_back(g);
    }
    return groups;
  }
  void Begin(const std::vector<GroupId>& groups) {
    for (const GroupId g : groups) ++leases_[g];
  }
  void End(const std::vector<GroupId>& groups) {
    for (const GroupId g : groups) --leases_[g];
  }
  // A lease has some of it.
  bool IsBusy(GroupId g) const { return g != kNoGroup && leases_[g] > 0; }
  IdRange<GroupId> ids() const { return leases_.ids(); }
  uint32_t leases(GroupId g) const { return leases_[g]; }

 private:
  struct Unit {
    std::vector<GroupId> of_index;   // by position in the listing
    std::vector<GroupId> of_number;  // by number in the unit
  };
  IdVector<UnitId, Unit> units_;
  IdVector<GroupId, uint32_t> leases_;  // that have some of it
  IdVector<GroupId, uint8_t> apart_;
};

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_GROUPS_H_
