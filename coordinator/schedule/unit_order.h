// Which units wait for others (CasesKnown::after), and when those have ended: that is, when each of their cases has its
// last verdict, or when they come to nothing. A unit that waits is not admitted to the scheduler: it has no cases yet.
//
// Counting an end costs the same however many wait. One thread.

#ifndef DTEST_COORDINATOR_SCHEDULE_UNIT_ORDER_H_
#define DTEST_COORDINATOR_SCHEDULE_UNIT_ORDER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "coordinator/schedule/ids.h"
#include "coordinator/schedule/scheduler.h"

namespace dtest::schedule {

class UnitOrder {
 public:
  // The unit is admitted, and has so many cases, of all iterations.
  void Begin(UnitId unit, uint64_t cases);
  void CaseEnded(UnitId unit, bool failed);
  // A case whose end was counted runs once more.
  void CaseIsBack(UnitId unit);
  // Its cases never become known. It has failed.
  void CameToNothing(UnitId unit);

  // Whether all that it is to come after has ended.
  bool MayBegin(const CasesKnown& event) const;
  // The first of these that had to pass and has not, or of which nothing was selected; null: there is none.
  const UnitBefore* Obstacle(const std::vector<UnitBefore>& after) const;

  bool HasCases(UnitId unit) const { return units_.contains(unit) && units_[unit].any; }

  void Wait(CasesKnown event) {
    waiting_.push_back(std::move(event));
    stirred_ = true;
  }
  size_t waiting() const { return waiting_.size(); }
  // Of those that wait and may begin, the one that came first.
  std::optional<CasesKnown> TakeReady();
  std::vector<CasesKnown> TakeAll();

 private:
  struct Unit {
    bool begun = false, any = false, failed = false;
    uint64_t left = 0;  // cases without their last verdict
  };
  bool HasEnded(UnitId unit) const {
    return unit == kNoUnit || (units_.contains(unit) && units_[unit].begun && units_[unit].left == 0);
  }

  IdVector<UnitId, Unit> units_;
  std::vector<CasesKnown> waiting_;
  bool stirred_ = false;  // since TakeReady found nothing
};

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_UNIT_ORDER_H_
