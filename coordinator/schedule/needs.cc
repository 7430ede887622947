#include "coordinator/schedule/needs.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/schedule/check.h"

namespace dtest::schedule {

NeedsId NeedsTable::IdOf(const CasePolicy& policy) {
  if (!policy.HasNeeds()) return kNoNeeds;
  Needs needs;
  needs.exclusive = policy.exclusive;
  needs.slots = std::max(policy.slots, 1u);
  needs.fewer_slots_will_do = policy.fewer_slots_will_do;
  needs.tags = policy.tags;
  for (const CaseLock& lock : policy.locks) {
    const auto known =
        std::find_if(locks_.begin(), locks_.end(), [&](const Lock& other) { return other.lock.name == lock.name; });
    const LockId id =
        known == locks_.end() ? locks_.Add({lock, 0, IdVector<HostId, uint32_t>()}) : LockId(known - locks_.begin());
    (lock.scope == LockScope::kFarm ? needs.farm_locks : needs.host_locks).push_back(id);
  }
  if (!policy.same_host.empty()) {
    const auto known =
        std::find_if(pins_.begin(), pins_.end(), [&](const Pin& other) { return other.name == policy.same_host; });
    needs.pin = known == pins_.end() ? pins_.Add({policy.same_host}) : PinId(known - pins_.begin());
  }
  for (NeedsId n : needs_.ids()) {
    if (needs_[n].needs == needs) return n;
  }
  return needs_.Add({std::move(needs), 0});
}

const std::vector<std::string>& NeedsTable::TagsOf(HostId h) const {
  static const std::vector<std::string>& none = *new std::vector<std::string>();
  return h.value() < host_tags_.size() ? host_tags_[h.value()] : none;
}

bool NeedsTable::HasTags(HostId h, NeedsId n) const {
  const std::vector<std::string>& wanted = needs_[n].needs.tags;
  const std::vector<std::string>& has = TagsOf(h);
  return std::includes(has.begin(), has.end(), wanted.begin(), wanted.end());
}

std::string NeedsTable::Describe(NeedsId n) const {
  const Needs& needs = needs_[n].needs;
  std::vector<std::string> parts;
  if (needs.slots > 1) parts.push_back(absl::StrCat(needs.slots, " slots"));
  if (!needs.tags.empty()) {
    parts.push_back(absl::StrCat(needs.tags.size() == 1 ? "the tag " : "the tags ", absl::StrJoin(needs.tags, ",")));
  }
  return absl::StrJoin(parts, " and ");
}

LockId NeedsTable::FirstHeld(NeedsId n) const {
  for (const LockId id : needs_[n].needs.farm_locks) {
    if (!IsFree(id)) return id;
  }
  return kNoLock;
}

bool NeedsTable::HostLocksFree(NeedsId n, HostId h) const {
  for (const LockId id : needs_[n].needs.host_locks) {
    const Lock& lock = locks_[id];
    if (lock.held_on.contains(h) && lock.held_on[h] >= lock.lock.max) return false;
  }
  return true;
}

uint32_t NeedsTable::Room(NeedsId n) const {
  uint32_t room = UINT32_MAX;
  for (const LockId id : needs_[n].needs.farm_locks) {
    room = std::min(room, locks_[id].lock.max - std::min(locks_[id].held, locks_[id].lock.max));
  }
  return room;
}

void NeedsTable::Count(NeedsId n, HostId h, int sign) {
  Entry& entry = needs_[n];
  entry.running += sign;
  for (const LockId id : entry.needs.farm_locks) locks_[id].held += sign;
  for (const LockId id : entry.needs.host_locks) {
    locks_[id].held_on.GrowTo(h);
    locks_[id].held_on[h] += sign;
  }
}

void NeedsTable::Give(NeedsId n, HostId h) {
  Count(n, h, -1);
  const std::vector<LockId>& locks = needs_[n].needs.farm_locks;
  freed_.insert(freed_.end(), locks.begin(), locks.end());
}

void NeedsTable::Linger(NeedsId n, HostId h, absl::Time until) {
  lingering_.push_back({n, h, until});
  Count(n, h, 1);
}

std::vector<HostId> NeedsTable::EndLingering(absl::Time now) {
  std::vector<HostId> hosts;
  std::erase_if(lingering_, [&](const Lingering& one) {
    if (one.until > now) return false;
    Give(one.needs, one.host);
    hosts.push_back(one.host);
    return true;
  });
  return hosts;
}

absl::Time NeedsTable::next_lingering_end() const {
  absl::Time next = absl::InfiniteFuture();
  for (const Lingering& one : lingering_) next = std::min(next, one.until);
  return next;
}

void NeedsTable::CheckInvariants(std::vector<std::pair<NeedsId, HostId>> leases) const {
  for (const Lingering& one : lingering_) leases.emplace_back(one.needs, one.host);
  IdVector<NeedsId, uint32_t> running(needs_.size());
  IdVector<LockId, uint32_t> farm(locks_.size());
  IdVector<LockId, IdVector<HostId, uint32_t>> on(locks_.size());
  for (const auto& [n, h] : leases) {
    ++running[n];
    for (const LockId id : needs_[n].needs.farm_locks) ++farm[id];
    for (const LockId id : needs_[n].needs.host_locks) {
      on[id].GrowTo(h);
      ++on[id][h];
    }
  }
  for (NeedsId n : needs_.ids()) Check(running[n] == needs_[n].running, "leases with the same needs are counted");
  for (LockId id : locks_.ids()) {
    const Lock& lock = locks_[id];
    Check(farm[id] == lock.held && farm[id] <= lock.lock.max, "a lock is held by its leases, and by no more than may");
    for (HostId h : lock.held_on.ids()) {
      const uint32_t held = on[id].contains(h) ? on[id][h] : 0;
      Check(held == lock.held_on[h] && held <= lock.lock.max, "a host's lock is held by its leases, as many as may");
    }
  }
}

}  // namespace dtest::schedule
