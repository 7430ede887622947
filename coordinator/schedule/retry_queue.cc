#include "coordinator/schedule/retry_queue.h"

#include <algorithm>

#include "coordinator/schedule/check.h"

namespace dtest::schedule {

void RetryQueue::Add(const Kind& kind, CaseNumber i, absl::Time now) {
  std::deque<Waiting>& queue = waiting_[kind];
  if (queue.empty()) by_first_.emplace(serial_, kind);
  queue.push_back({serial_++, i, now});
}

void RetryQueue::Remove(const Kind& kind, CaseNumber i) {
  const auto found = waiting_.find(kind);
  Check(found != waiting_.end(), "a retry is queued under its kind");
  std::deque<Waiting>& queue = found->second;
  const auto at = std::find_if(queue.begin(), queue.end(), [i](const Waiting& one) { return one.i == i; });
  Check(at != queue.end(), "a retry is queued under its kind");
  const bool first = at == queue.begin();
  if (first) by_first_.erase(at->serial);
  queue.erase(at);
  if (queue.empty()) {
    waiting_.erase(found);
  } else if (first) {
    by_first_.emplace(queue.front().serial, kind);
  }
}

CaseNumber RetryQueue::TakeDelayed() {
  Check(!delayed_.empty(), "a retry waits for its time");
  return delayed_.extract(delayed_.begin()).value().second;
}

std::vector<CaseNumber> RetryQueue::All() const {
  std::vector<CaseNumber> all;
  for (const auto& [kind, queue] : waiting_) {
    for (const Waiting& one : queue) all.push_back(one.i);
  }
  return all;
}

std::vector<CaseNumber> RetryQueue::CasesOf(UnitId unit) const {
  std::vector<CaseNumber> all;
  for (auto it = waiting_.lower_bound(Kind{unit, HostId(), false, GroupId()});
       it != waiting_.end() && it->first.unit == unit; ++it) {
    for (const Waiting& one : it->second) all.push_back(one.i);
  }
  return all;
}

}  // namespace dtest::schedule
