#include "coordinator/schedule/needy_cases.h"

#include <algorithm>

#include "coordinator/schedule/check.h"

namespace dtest::schedule {

namespace {

constexpr uint32_t kMostVainLooks = 16;

}  // namespace

void NeedyCases::Add(NeedsId n, const RetryQueue::Kind& kind, CaseNumber i, int64_t nanos, absl::Time now) {
  groups_.GrowTo(n);
  Group& group = groups_[n];
  group.waiting.Add(kind, i, now);
  group.nanos += nanos;
  ++group.count;
  ++count_;
  stirred_ = came_ = true;
  if (group.state == State::kAsleep) SetReady(n);
}

void NeedyCases::Remove(NeedsId n, const RetryQueue::Kind& kind, CaseNumber i, int64_t nanos) {
  Group& group = groups_[n];
  group.waiting.Remove(kind, i);
  group.nanos -= nanos;
  --group.count;
  --count_;
  if (group.count > 0) return;
  if (group.state == State::kReady) ready_.erase({group.turn, n});
  if (group.state == State::kParked) {
    for (std::vector<NeedsId>& there : parked_) std::erase(there, n);
  }
  group.state = State::kAsleep;
  group.vain_looks = 0;
  if (claimant_ == n) DropClaim();
}

std::vector<CaseNumber> NeedyCases::All() const {
  std::vector<CaseNumber> all;
  for (const Group& group : groups_) {
    const std::vector<CaseNumber> some = group.waiting.All();
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

std::vector<CaseNumber> NeedyCases::CasesOf(UnitId unit) const {
  std::vector<CaseNumber> all;
  for (const Group& group : groups_) {
    const std::vector<CaseNumber> some = group.waiting.CasesOf(unit);
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

LockId NeedyCases::Obstacle(NeedsId n) const {
  if (const LockId held = table_.FirstHeld(n); held != kNoLock) return held;
  if (claimant_ == kNoNeeds || claimant_ == n) return kNoLock;
  const std::vector<LockId>& claimed = table_[claimant_].farm_locks;
  for (const LockId id : table_[n].farm_locks) {
    if (std::find(claimed.begin(), claimed.end(), id) != claimed.end()) return id;
  }
  return kNoLock;
}

void NeedyCases::SetReady(NeedsId n) {
  Group& group = groups_[n];
  group.state = State::kReady;
  if (group.turn == 0) group.turn = ++turns_;
  ready_.emplace(group.turn, n);
}

void NeedyCases::Wake(LockId lock) {
  if (!parked_.contains(lock) || parked_[lock].empty()) return;
  stirred_ = true;
  for (const NeedsId n : std::exchange(parked_[lock], {})) SetReady(n);
}

void NeedyCases::DropClaim() {
  const NeedsId n = std::exchange(claimant_, kNoNeeds);
  for (const LockId lock : table_[n].farm_locks) Wake(lock);
}

std::vector<NeedsId> NeedyCases::Ready() {
  for (const LockId lock : table_.TakeFreed()) Wake(lock);
  std::vector<NeedsId> ready;
  for (auto it = ready_.begin(); it != ready_.end();) {
    const NeedsId n = it->second;
    const LockId obstacle = Obstacle(n);
    if (obstacle == kNoLock) {
      ready.push_back(n);
      ++it;
      continue;
    }
    it = ready_.erase(it);
    Group& group = groups_[n];
    group.state = State::kParked;
    parked_.GrowTo(obstacle);
    parked_[obstacle].push_back(n);
    if (++group.vain_looks >= kMostVainLooks && claimant_ == kNoNeeds && table_[n].farm_locks.size() > 1) claimant_ = n;
  }
  return ready;
}

void NeedyCases::Served(NeedsId n) {
  Group& group = groups_[n];
  group.vain_looks = 0;
  if (group.state == State::kReady) ready_.erase({group.turn, n});
  group.turn = ++turns_;
  if (group.state == State::kReady) ready_.emplace(group.turn, n);
  if (claimant_ == n) DropClaim();
}

bool NeedyCases::TakeStirred() {
  const bool given_back = table_.any_freed() &&
                          std::any_of(parked_.begin(), parked_.end(), [](const auto& there) { return !there.empty(); });
  return std::exchange(stirred_, false) || given_back;
}

void NeedyCases::CheckInvariants() const {
  uint32_t count = 0;
  IdVector<NeedsId, uint32_t> parked(groups_.size());
  for (LockId lock : parked_.ids()) {
    for (const NeedsId n : parked_[lock]) {
      ++parked[n];
      const std::vector<LockId>& locks = table_[n].farm_locks;
      Check(std::find(locks.begin(), locks.end(), lock) != locks.end(), "a group is parked at a lock that it needs");
    }
  }
  for (NeedsId n : groups_.ids()) {
    const Group& group = groups_[n];
    Check(group.count == group.waiting.All().size(), "cases with the same needs are counted");
    Check((group.count == 0) == (group.state == State::kAsleep), "a group sleeps where none of its cases waits");
    Check(parked[n] == (group.state == State::kParked ? 1u : 0u), "a parked group waits for one lock");
    Check((ready_.count({group.turn, n}) > 0) == (group.state == State::kReady), "ready groups have a turn");
    count += group.count;
  }
  Check(count == count_, "cases with needs are counted");
  if (table_.any_freed()) return;  // who waits for those is woken when it is asked who is ready
  for (LockId lock : parked_.ids()) {
    for (const NeedsId n : parked_[lock]) {
      Check(!table_.IsFree(lock) || (claimant_ != kNoNeeds && claimant_ != n),
            "nobody waits for a lock that it can have");
    }
  }
}

}  // namespace dtest::schedule
