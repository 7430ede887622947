#include "agent/core/held_lease.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"

namespace dtest {

HeldLease::HeldLease(Lease lease)
    : id_(lease.id),
      unit_(lease.unit),
      iteration_(lease.iteration),
      unlisted_too_(lease.unlisted_too),
      env_(std::move(lease.env)),
      may_follow_(lease.may_follow),
      sandbox_(lease.sandbox),
      cases_(std::move(lease.cases)) {
  const auto ascend = [](const LeasedCase& a, const LeasedCase& b) { return a.index < b.index; };
  const auto do_not = [&](const LeasedCase& a, const LeasedCase& b) { return !ascend(a, b); };
  if (absl::c_adjacent_find(cases_, do_not) != cases_.end()) {
    absl::flat_hash_set<uint32_t> seen;
    std::erase_if(cases_, [&](const LeasedCase& leased) { return !seen.insert(leased.index).second; });
  }
  by_index_.resize(cases_.size());
  absl::c_iota(by_index_, 0);
  if (!absl::c_is_sorted(cases_, ascend)) {
    absl::c_sort(by_index_, [&](uint32_t a, uint32_t b) { return ascend(cases_[a], cases_[b]); });
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
