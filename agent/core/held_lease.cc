#include "agent/core/held_lease.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"

namespace dtest {

HeldLease::HeldLease(Lease lease)
    : id_(lease.id),
      unit_(lease.unit),
      iteration_(lease.iteration),
      unlisted_too_(lease.unlisted_too),
      env_(std::move(lease.env)),
      cases_(std::move(lease.cases)) {
  absl::c_stable_sort(cases_, [](const LeasedCase& a, const LeasedCase& b) { return a.index < b.index; });
  const auto same = [](const LeasedCase& a, const LeasedCase& b) { return a.index == b.index; };
  cases_.erase(std::unique(cases_.begin(), cases_.end(), same), cases_.end());
  finished_.assign(cases_.size(), 0);
  remaining_ = cases_.size();
}

size_t HeldLease::PositionOf(uint32_t index) const {
  const auto found = std::lower_bound(cases_.begin(), cases_.end(), index,
                                      [](const LeasedCase& leased, uint32_t i) { return leased.index < i; });
  return found == cases_.end() || found->index != index ? kNone : static_cast<size_t>(found - cases_.begin());
}

size_t HeldLease::Find(uint32_t index) {
  if (cursor_ >= cases_.size() || cases_[cursor_].index != index) {
    const size_t position = PositionOf(index);
    if (position == kNone) return kNone;
    cursor_ = position;
  }
  return finished_[cursor_] ? kNone : cursor_;
}

const LeasedCase* HeldLease::Finished(uint32_t index) const {
  const size_t position = PositionOf(index);
  return position == kNone || !finished_[position] ? nullptr : &cases_[position];
}

size_t HeldLease::First() {
  while (first_ < cases_.size() && finished_[first_]) ++first_;
  return first_ < cases_.size() ? first_ : kNone;
}

void HeldLease::Finish(size_t position) {
  finished_[position] = 1;
  --remaining_;
  cursor_ = position + 1;
}

std::vector<LeasedCase> HeldLease::Remaining(size_t limit) const {
  std::vector<LeasedCase> cases;
  cases.reserve(std::min(limit, remaining_));
  for (size_t i = first_; i < cases_.size() && cases.size() < limit; ++i) {
    if (!finished_[i]) cases.push_back(cases_[i]);
  }
  return cases;
}

}  // namespace dtest
