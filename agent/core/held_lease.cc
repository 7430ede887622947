#include "agent/core/held_lease.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/algorithm/container.h"

namespace dtest {

HeldLease::HeldLease(Lease lease, Order cases)
    : id_(lease.id), unit_(lease.unit), iteration_(lease.iteration), cases_(std::move(lease.cases)) {
  if (cases == Order::kListing) {
    absl::c_stable_sort(cases_, [](const LeasedCase& a, const LeasedCase& b) { return a.index < b.index; });
  }
  const auto order = [this](uint32_t a, uint32_t b) { return cases_[a].index < cases_[b].index; };
  const auto make_order = [&] {
    by_index_.resize(cases_.size());
    std::iota(by_index_.begin(), by_index_.end(), 0);
    std::stable_sort(by_index_.begin(), by_index_.end(), order);
  };
  make_order();
  std::vector<uint8_t> doubled(cases_.size(), 0);
  bool any = false;
  for (size_t i = 1; i < by_index_.size(); ++i) {
    if (cases_[by_index_[i]].index != cases_[by_index_[i - 1]].index) continue;
    doubled[by_index_[i]] = 1;
    any = true;
  }
  if (any) {
    std::vector<LeasedCase> once;
    for (size_t i = 0; i < cases_.size(); ++i) {
      if (!doubled[i]) once.push_back(cases_[i]);
    }
    cases_ = std::move(once);
    make_order();
  }
  finished_.assign(cases_.size(), 0);
  remaining_ = cases_.size();
}

size_t HeldLease::PositionOf(uint32_t index) const {
  const auto found = std::lower_bound(by_index_.begin(), by_index_.end(), index,
                                      [this](uint32_t position, uint32_t i) { return cases_[position].index < i; });
  return found == by_index_.end() || cases_[*found].index != index ? kNone : *found;
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
