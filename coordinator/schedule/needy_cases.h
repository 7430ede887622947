// The pending cases that need more than a slot of any host. Those with the same needs are a group, in the order in
// which they came, but for retries that no host may take now (retry_queue.h). A group is
//
//   asleep   none of its cases waits
//   parked   at a farm-wide lock that it cannot have: nothing looks at it until that lock is given back
//   ready    it could take all of its farm-wide locks; all are taken at once, so groups cannot wait for each other
//
// Ready groups are served in turn, the one that was served longest ago first. A group of several locks might find one
// of them held whenever another is given back, by cases that need only that one. When it has looked kMostVainLooks
// times it *claims* its locks: nobody else takes one of them until it was served. Only one group has a claim at a time.
//
// One thread. Borrows the table.

#ifndef DTEST_COORDINATOR_SCHEDULE_NEEDY_CASES_H_
#define DTEST_COORDINATOR_SCHEDULE_NEEDY_CASES_H_

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/schedule/needs.h"
#include "coordinator/schedule/retry_queue.h"

namespace dtest::schedule {

class NeedyCases {
 public:
  explicit NeedyCases(NeedsTable* table) : table_(*table) {}

  void Add(NeedsId n, const RetryQueue::Kind& kind, CaseNumber i, int64_t nanos, absl::Time now);
  // The case must be there, and was added so.
  void Remove(NeedsId n, const RetryQueue::Kind& kind, CaseNumber i, int64_t nanos);

  uint32_t count() const { return count_; }
  uint32_t count(NeedsId n) const { return groups_.contains(n) ? groups_[n].count : 0; }
  // What the group's cases are expected to take.
  absl::Duration expected(NeedsId n) const { return absl::Nanoseconds(groups_[n].nanos); }
  const RetryQueue& waiting(NeedsId n) const { return groups_[n].waiting; }
  std::vector<CaseNumber> All() const;
  std::vector<CaseNumber> CasesOf(UnitId unit) const;

  // The groups that are ready, the one whose turn it is first.
  std::vector<NeedsId> Ready();
  // Whether it is: only Ready notices that a lock was taken.
  bool IsReady(NeedsId n) const { return groups_.contains(n) && groups_[n].state == State::kReady && MayTake(n); }
  // A case of it was handed out.
  void Served(NeedsId n);
  // Whether cases came since it was last asked.
  bool TakeCame() { return std::exchange(came_, false); }
  // Whether cases came or locks were given back since it was last asked: then hosts that had nothing for them may have.
  bool TakeStirred();

  void CheckInvariants() const;

 private:
  enum class State : uint8_t { kAsleep, kParked, kReady };
  struct Group {
    RetryQueue waiting;
    uint32_t count = 0;
    int64_t nanos = 0;
    State state = State::kAsleep;
    uint64_t turn = 0;        // key in ready_
    uint32_t vain_looks = 0;  // at its locks since it was last served
  };
  // A farm-wide lock that keeps the group from being ready: held, or claimed by another; kNoLock if there is none.
  LockId Obstacle(NeedsId n) const;
  bool MayTake(NeedsId n) const { return Obstacle(n) == kNoLock; }
  void SetReady(NeedsId n);
  void Wake(LockId lock);
  void DropClaim();

  NeedsTable& table_;
  IdVector<NeedsId, Group> groups_;
  std::set<std::pair<uint64_t, NeedsId>> ready_;
  IdVector<LockId, std::vector<NeedsId>> parked_;
  NeedsId claimant_ = kNoNeeds;
  uint64_t turns_ = 0;
  uint32_t count_ = 0;
  bool stirred_ = false;
  bool came_ = false;
};

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_NEEDY_CASES_H_
