// The cases that no host holds. Each is in exactly one place:
//
//   short    in listing order, per unit: taken as batches, so suites stay together. Before them those that are to be
//            first, long or short
//   long     per unit, longest first: each is leased alone, the longest of all units first
//   grouped  per group, iteration behind iteration: its unit offers it, the longest first, while no lease has any of it
//   retry    cases that run alone and before others: failed attempts, suspects of a lost host (retry_queue.h)
//   delayed  cases that will be retries at their time: nobody can have them now
//   needy    cases that need more than a slot of any host, retries too (needy_cases.h)
//
// Two ordered indices say which unit has the longest case, and which has most to do.
//
// One thread. Borrows the cases, the cost model, the policies and the groups.

#ifndef DTEST_COORDINATOR_SCHEDULE_PENDING_H_
#define DTEST_COORDINATOR_SCHEDULE_PENDING_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "coordinator/schedule/case_array.h"
#include "coordinator/schedule/cost_model.h"
#include "coordinator/schedule/groups.h"
#include "coordinator/schedule/needy_cases.h"
#include "coordinator/schedule/policy_table.h"
#include "coordinator/schedule/retry_queue.h"

namespace dtest::schedule {

class Pending {
 public:
  // `listing_order`: long cases stay where they are in the list.
  Pending(CaseArray* cases, CostModel* costs, PolicyTable* policies, Groups* groups, bool listing_order);

  void AddUnit(UnitId unit);

  // The case, in no list now, becomes pending: needy, or short or long as its estimate says.
  void AddBack(CaseNumber i) { Add(i, false); }
  void AddFront(CaseNumber i) { Add(i, true); }
  // It runs alone and before others (but for needs), on a host other than CaseRecord::avoid if possible.
  void AddRetry(CaseNumber i, absl::Time now);
  // The same from `due` on. Until then it counts as delayed and in nothing else that is told here.
  void AddRetryAt(CaseNumber i, absl::Time due);
  // Those that are due become retries; whether there were any.
  bool ReleaseDelayed(absl::Time now);

  // Takes a case out; it is in no list then. The list or heap must not be empty.
  CaseNumber TakeShort(UnitId unit);
  CaseNumber TakeLong(UnitId unit);
  void TakeRetry(CaseNumber i);
  void TakeNeedy(CaseNumber i);
  // Takes all cases of the unit out.
  std::vector<CaseNumber> TakeAll(UnitId unit);

  CaseNumber FirstShort(UnitId unit) const { return units_[unit].list.head; }
  // In their order. `visit` changes nothing here.
  void ForEachShort(UnitId unit, absl::FunctionRef<void(CaseNumber)> visit) const;
  // Those of the short ones that have become grouped.
  void MoveToGroups(UnitId unit);
  // A group that may be handed out: nothing of it is leased.
  struct Offer {
    bool first = false;  // some of its cases are to be first
    float seconds = 0;   // all that is pending of it, about
    float rank = 0;      // the lower the sooner, among those that are as much first
    GroupId group;
    friend bool operator<(const Offer& a, const Offer& b) {
      return std::tuple(!a.first, a.rank, a.group) < std::tuple(!b.first, b.rank, b.group);
    }
  };
  // In the order in which they are to be handed out.
  const std::set<Offer>& offers(UnitId unit) const { return units_[unit].offers; }
  // The group must have pending cases.
  CaseNumber FirstOf(GroupId g) const { return in_groups_[g].list.head; }
  CaseNumber TakeGrouped(GroupId g);
  uint32_t count(GroupId g) const { return in_groups_[g].list.count; }
  // A lease has some of it from now on, or has no more.
  void GroupIsTaken(GroupId g) { Withdraw(g); }
  void GroupIsBack(GroupId g) { MakeOffer(g); }
  // What its longest long case or its first offer is expected to take: it must have either.
  float Longest(UnitId unit) const { return units_[unit].indexed_longest; }
  // That it is the offer's.
  bool LongestIsAGroup(UnitId unit) const {
    const Unit& e = units_[unit];
    return !e.offers.empty() && (e.heap.empty() || e.offers.begin()->seconds >= e.heap.front().seconds);
  }
  const RetryQueue& retries() const { return retries_; }
  NeedyCases& needy() { return needy_; }
  const NeedyCases& needy() const { return needy_; }
  // (-Longest, unit), the longest first: units with long cases or offers.
  const std::set<std::pair<float, UnitId>>& by_longest() const { return by_longest_; }
  // (-expected nanoseconds, unit), most work first: units with short cases. Follows the true sums only
  // roughly, to be cheap.
  const std::set<std::pair<int64_t, UnitId>>& by_work() const { return by_work_; }

  // Units that have short cases or groups which are to be first.
  const std::set<UnitId>& with_first() const { return with_first_; }

  uint64_t count() const { return count_; }
  uint64_t delayed() const { return retries_.delayed().size(); }
  uint32_t count(UnitId unit) const { return units_[unit].count; }
  uint32_t short_count(UnitId unit) const { return units_[unit].list.count; }
  // Expected run time of all that is pending, on hosts of speed 1.
  absl::Duration expected() const { return absl::Nanoseconds(nanos_); }
  absl::Duration expected(UnitId unit) const { return absl::Nanoseconds(units_[unit].nanos); }
  absl::Duration Estimate(CaseNumber i) const;
  // CaseRecord::seconds becomes what the case is expected to take by now.
  void FixEstimate(CaseNumber i);
  // The cost model has learnt about this unit: brings its sum up to date.
  void EstimatesChanged(UnitId unit);

  // Calls `visit` for every pending case, in the order of units. `check` aborts when a sum does not hold.
  void ForEach(const std::function<void(CaseNumber)>& visit) const;
  absl::Time next_due() const { return retries_.next_due(); }  // when the next of the delayed is
  void CheckInvariants() const;

 private:
  struct Long {
    float seconds;  // a copy: to compare must not mean to fetch two records from all over the memory
    CaseNumber i;
  };
  struct Unit {
    CaseList list;
    std::vector<Long> heap;      // of long cases: the longest in front, see Shorter
    uint32_t count = 0;          // pending in any way
    uint32_t first = 0;          // of those in `list`, to be first
    uint32_t unknown = 0;        // of them, without history
    int64_t known_nanos = 0;     // of the others
    int64_t nanos = 0;           // known_nanos and what the unknown ones are expected to take
    int64_t indexed_nanos = 0;   // key in by_work_; 0: not there
    float indexed_longest = 0;   // key in by_longest_; 0: not there
    bool indexed_first = false;  // in with_first_
    std::set<Offer> offers;
    std::vector<GroupId> groups;  // that it has had cases of
  };
  struct Group {
    UnitId unit = kNoUnit;
    CaseList list;
    int64_t known_nanos = 0;  // of those with history
    uint32_t unknown = 0;     // without
    uint32_t first = 0;       // that are to be first
    std::optional<Offer> offer;
  };
  void AddGrouped(CaseNumber i, bool front);
  // If it has pending cases and none is leased.
  void MakeOffer(GroupId g);
  void Withdraw(GroupId g);
  void ForEachNow(const std::function<void(CaseNumber)>& visit) const;  // but those that are delayed
  void Add(CaseNumber i, bool front);
  void AddNeedy(CaseNumber i, absl::Time now);
  RetryQueue::Kind KindOf(const CaseRecord& c) const { return {c.unit, c.avoid, RunsApart(c), groups_.Of(c)}; }
  void Account(CaseNumber i, int sign);
  void Reindex(UnitId unit);
  static bool Shorter(const Long& a, const Long& b);

  CaseArray& cases_;
  CostModel& costs_;
  const PolicyTable& policies_;
  const Groups& groups_;
  const bool listing_order_;
  IdVector<UnitId, Unit> units_;
  IdVector<GroupId, Group> in_groups_;
  RetryQueue retries_;
  NeedyCases needy_;
  std::set<std::pair<float, UnitId>> by_longest_;
  std::set<std::pair<int64_t, UnitId>> by_work_;
  std::set<UnitId> with_first_;
  uint64_t count_ = 0;
  uint64_t offered_ = 0;  // groups, where they keep their order
  int64_t nanos_ = 0;
};

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_PENDING_H_
