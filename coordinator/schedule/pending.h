// The cases that no host holds. Each is in exactly one place:
//
//   short    in listing order, per unit: taken as batches, so suites stay together
//   long     per unit, longest first: each is leased alone, the longest of all units first
//   retry    cases that run alone and before others: failed attempts, suspects of a lost host (retry_queue.h)
//
// Two ordered indices say which unit has the longest case, and which has most to do.
//
// One thread. Borrows the cases and the cost model.

#ifndef DTEST_COORDINATOR_SCHEDULE_PENDING_H_
#define DTEST_COORDINATOR_SCHEDULE_PENDING_H_

#include <cstdint>
#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/schedule/case_array.h"
#include "coordinator/schedule/cost_model.h"
#include "coordinator/schedule/retry_queue.h"

namespace dtest::schedule {

class Pending {
 public:
  // `listing_order`: long cases stay where they are in the list (shuffled runs).
  Pending(CaseArray* cases, CostModel* costs, bool listing_order);

  void AddUnit(uint32_t unit);

  // The case, in no list now, becomes pending: short or long as its estimate says.
  void AddBack(uint32_t i) { Add(i, false); }
  void AddFront(uint32_t i) { Add(i, true); }
  // It runs alone and before others, on a host other than CaseRecord::avoid if possible.
  void AddRetry(uint32_t i, absl::Time now);

  // Takes a case out; it is in no list then. The list or heap must not be empty.
  uint32_t TakeShort(uint32_t unit);
  uint32_t TakeLong(uint32_t unit);
  void TakeRetry(uint32_t i);
  // Takes all cases of the unit out.
  std::vector<uint32_t> TakeAll(uint32_t unit);

  uint32_t FirstShort(uint32_t unit) const { return units_[unit].list.head; }
  uint32_t FirstLong(uint32_t unit) const { return units_[unit].heap.front().i; }
  const RetryQueue& retries() const { return retries_; }
  // (-seconds of its longest case, unit), the longest first: units with long cases.
  const std::set<std::pair<float, uint32_t>>& by_longest() const { return by_longest_; }
  // (-expected nanoseconds, unit), most work first: units with short cases. Follows the true sums only
  // roughly, to be cheap.
  const std::set<std::pair<int64_t, uint32_t>>& by_work() const { return by_work_; }

  uint64_t count() const { return count_; }
  uint32_t count(uint32_t unit) const { return units_[unit].count; }
  uint32_t short_count(uint32_t unit) const { return units_[unit].list.count; }
  // Expected run time of all that is pending, on hosts of speed 1.
  int64_t nanos() const { return nanos_; }
  int64_t nanos(uint32_t unit) const { return units_[unit].nanos; }
  double Estimate(uint32_t i) const;
  // The cost model has learnt about this unit: brings its sum up to date.
  void EstimatesChanged(uint32_t unit);

  // Calls `visit` for every pending case, in the order of units. `check` aborts when a sum does not hold.
  void ForEach(const std::function<void(uint32_t)>& visit) const;
  void CheckInvariants() const;

 private:
  struct Long {
    float seconds;  // a copy: to compare must not mean to fetch two records from all over the memory
    uint32_t i;
  };
  struct Unit {
    CaseList list;
    std::vector<Long> heap;     // of long cases: the longest in front, see Shorter
    uint32_t count = 0;         // pending in any way
    uint32_t unknown = 0;       // of them, without history
    int64_t known_nanos = 0;    // of the others
    int64_t nanos = 0;          // known_nanos and what the unknown ones are expected to take
    int64_t indexed_nanos = 0;  // key in by_work_; 0: not there
    float indexed_longest = 0;  // key in by_longest_; 0: not there
  };
  void Add(uint32_t i, bool front);
  void Account(uint32_t i, int sign);
  void Reindex(uint32_t unit);
  static bool Shorter(const Long& a, const Long& b);

  CaseArray& cases_;
  CostModel& costs_;
  const bool listing_order_;
  std::vector<Unit> units_;
  RetryQueue retries_;
  std::set<std::pair<float, uint32_t>> by_longest_;
  std::set<std::pair<int64_t, uint32_t>> by_work_;
  uint64_t count_ = 0;
  int64_t nanos_ = 0;
};

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_PENDING_H_
