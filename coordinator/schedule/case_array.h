// Every case of the run as a flat record, once per iteration. Records never move and are never freed; everything else
// in the scheduler refers to one by its CaseNumber. Lists of cases are threaded through the records themselves, so that
// moving a case between pending, leased and finished allocates nothing.
//
// One thread. No invariants beyond those of Scheduler::CheckInvariants.

#ifndef DTEST_COORDINATOR_SCHEDULE_CASE_ARRAY_H_
#define DTEST_COORDINATOR_SCHEDULE_CASE_ARRAY_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "coordinator/schedule/ids.h"

namespace dtest::schedule {

enum class CaseState : uint8_t {
  kShort,    // pending, in its unit's list
  kLong,     // pending, in its unit's heap of long cases
  kRetry,    // pending, in the queue of cases that run alone and before others
  kDelayed,  // will be kRetry at its time: until then nobody can have it
  kNeedy,    // pending, among those that need more than a slot of any host
  kGrouped,  // pending, in the list of its group
  kLeased,   // in the list of the lease `holder`
  kFinished  // has its final verdict
};

struct CaseRecord {
  UnitId unit;
  uint32_t index = 0;           // position in the listing
  uint32_t suite = 0;           // dense number within the unit
  uint32_t iteration = 1;       // of --repeat
  CaseNumber next = kNoCase;    // in the list that the case is in
  LeaseSlab holder = kNoLease;  // while leased
  HostId avoid = kNoHost;       // host where it last failed, or that was lost with it
  float seconds = 0;            // expected; if not `known`, what was assumed when it was last leased
  float high = 0;               // what it takes on a bad day, as history has it; 0: unknown
  uint16_t attempt = 1;         // the next one to run or to report, 1-based within the iteration
  uint16_t failures = 0;        // attempts that failed by the test's own fault
  uint8_t infra = 0;            // attempts that ended as infra error
  uint8_t lost_hosts = 0;       // hosts lost while this case ran there
  uint8_t returns = 0;          // times it came back as the first of a lease that had yielded nothing
  uint8_t steals = 0;           // times it was moved between hosts unstarted
  PolicyId policy;              // in the scheduler's PolicyTable
  CaseState state : 3 = CaseState::kShort;
  bool needy : 1 = false;   // its policy has needs
  bool known : 1 = false;   // `seconds` is from history
  bool behind : 1 = false;  // it last failed in a process that others had begun in before it
  bool uncounted : 1 = false;
  bool told_slow : 1 = false;  // of this attempt
  bool first : 1 = false;      // it is handed out before those that are not; of the first iteration only
  bool grouped : 1 = false;    // it is in one of Groups
};
// It ran on two hosts as these were lost: no other such case runs on its host, so that the next loss tells them apart.
inline bool RunsApart(const CaseRecord& c) { return c.lost_hosts > 1; }
static_assert(sizeof(CaseRecord) <= 48, "a million cases must stay cheap");

class CaseArray {
 public:
  uint32_t size() const { return size_; }
  IdRange<CaseNumber> ids() const { return IdRange<CaseNumber>(size_); }
  CaseRecord& operator[](CaseNumber i) { return blocks_[i.value() >> kShift][i.value() & kMask]; }
  const CaseRecord& operator[](CaseNumber i) const { return blocks_[i.value() >> kShift][i.value() & kMask]; }
  // The number of a new, default record.
  CaseNumber Add() {
    if ((size_ & kMask) == 0) blocks_.push_back(std::make_unique<CaseRecord[]>(kMask + 1));
    return CaseNumber(size_++);
  }

 private:
  // Blocks rather than one vector: growing neither copies nor doubles.
  static constexpr uint32_t kShift = 12;
  static constexpr uint32_t kMask = (1u << kShift) - 1;
  std::vector<std::unique_ptr<CaseRecord[]>> blocks_;
  uint32_t size_ = 0;
};

// A list of cases, linked through CaseRecord::next.
struct CaseList {
  CaseNumber head = kNoCase;
  CaseNumber tail = kNoCase;
  uint32_t count = 0;

  void PushBack(CaseArray& cases, CaseNumber i) {
    cases[i].next = kNoCase;
    (tail == kNoCase ? head : cases[tail].next) = i;
    tail = i;
    ++count;
  }
  void PushFront(CaseArray& cases, CaseNumber i) {
    cases[i].next = head;
    head = i;
    if (tail == kNoCase) tail = i;
    ++count;
  }
  // Removes the case after `previous` (kNoCase: the head) and returns it.
  CaseNumber RemoveAfter(CaseArray& cases, CaseNumber previous) {
    const CaseNumber i = previous == kNoCase ? head : cases[previous].next;
    (previous == kNoCase ? head : cases[previous].next) = cases[i].next;
    if (tail == i) tail = previous;
    cases[i].next = kNoCase;
    --count;
    return i;
  }
};

// Sums of estimates are kept in integer nanoseconds: adding and taking away again gives exactly what was before.
inline int64_t Nanos(double seconds) { return static_cast<int64_t>(seconds * 1e9); }

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_CASE_ARRAY_H_
