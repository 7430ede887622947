#include "coordinator/schedule/unit_order.h"

#include <algorithm>
#include <utility>

namespace dtest::schedule {

void UnitOrder::Begin(UnitId unit, uint64_t cases) {
  units_.GrowTo(unit);
  units_[unit].begun = true;
  units_[unit].any |= cases > 0;
  units_[unit].left += cases;
  stirred_ |= units_[unit].left == 0;
}

void UnitOrder::CaseEnded(UnitId unit, bool failed) {
  Unit& u = units_[unit];
  u.failed |= failed;
  stirred_ |= --u.left == 0;
}

void UnitOrder::CaseIsBack(UnitId unit) { ++units_[unit].left; }

void UnitOrder::CameToNothing(UnitId unit) {
  Begin(unit, 0);
  units_[unit].failed = true;
}

bool UnitOrder::MayBegin(const CasesKnown& event) const {
  return std::all_of(event.after.begin(), event.after.end(), [this](const UnitBefore& b) { return HasEnded(b.unit); });
}

const UnitBefore* UnitOrder::Obstacle(const std::vector<UnitBefore>& after) const {
  for (const UnitBefore& before : after) {
    const bool passed = HasEnded(before.unit) && HasCases(before.unit) && !units_[before.unit].failed;
    if (before.must_pass && !passed) return &before;
  }
  return nullptr;
}

std::optional<CasesKnown> UnitOrder::TakeReady() {
  if (waiting_.empty() || !stirred_) return std::nullopt;
  const auto found =
      std::find_if(waiting_.begin(), waiting_.end(), [this](const CasesKnown& event) { return MayBegin(event); });
  if (found == waiting_.end()) {
    stirred_ = false;
    return std::nullopt;
  }
  CasesKnown event = std::move(*found);
  waiting_.erase(found);
  return event;
}

std::vector<CasesKnown> UnitOrder::TakeAll() { return std::exchange(waiting_, {}); }

}  // namespace dtest::schedule
