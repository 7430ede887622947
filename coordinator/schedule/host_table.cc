#include "coordinator/schedule/host_table.h"

#include <algorithm>

namespace dtest::schedule {

namespace {

constexpr uint32_t kSlabBits = 24;
constexpr uint64_t kSlabMask = (1u << kSlabBits) - 1;

}  // namespace

HostTable::HostTable(CaseArray* cases, NeedsTable* needs, uint32_t hosts) : cases_(*cases), needs_(*needs) {
  GrowTo(HostId(std::max(hosts, 1u) - 1));
}

void HostTable::GrowTo(HostId h) {
  if (hosts_.contains(h)) return;
  hosts_.GrowTo(h);
  backlog_.Grow(h.value() + 1);
  Recount();
}

void HostTable::Recount() {
  usable_ = possible_ = slots_ = 0;
  capacity_ = 0;
  best_speed_ = 0;
  uint64_t usable_slots = 0;
  for (const HostRecord& host : hosts_) {
    if (host.state == HostRecord::State::kUp) slots_ += host.slots;
    if (host.usable()) {
      ++usable_;
      usable_slots += host.slots;
      capacity_ += host.capacity();
      best_speed_ = std::max(best_speed_, host.speed);
    }
    if (host.usable() || host.state == HostRecord::State::kExpected) ++possible_;
  }
  if (possible_ > usable_) {
    const double average = usable_ > 0 ? double(usable_slots) / usable_ : 1;
    capacity_ += average * (possible_ - usable_);
    best_speed_ = std::max(best_speed_, 1.0);
  }
}

void HostTable::Join(HostId h, uint32_t slots, double speed) {
  HostRecord& host = hosts_[h];
  const bool hungry = host.hungry, touched = host.touched;
  const absl::Time alone_from = host.alone_from, free_from = host.free_from;
  host = HostRecord();
  host.alone_from = alone_from;
  host.free_from = free_from;
  host.hungry = hungry;
  host.touched = touched;
  host.state = HostRecord::State::kUp;
  host.slots = std::max(slots, 1u);
  host.speed = speed > 0.01 && speed < 100 ? speed : 1;
  Recount();
}

void HostTable::Leave(HostId h, bool may_return) {
  HostRecord& host = hosts_[h];
  host.state = may_return ? HostRecord::State::kExpected : HostRecord::State::kGone;
  host.draining = false;
  host.listings = host.arriving = host.prefetches = 0;
  host.arriving_nanos = 0;
  Recount();
}

void HostTable::Drain(HostId h) {
  hosts_[h].draining = true;
  Recount();
}

bool HostTable::SetOpen(HostId h, uint32_t open, absl::Time now) {
  HostRecord& host = hosts_[h];
  const uint32_t closed = host.slots - std::clamp(open, 1u, host.slots);
  if (closed == host.closed) return false;
  host.closed = closed;
  for (LeaseSlab slab = host.running.tail; slab != kNoLease && host.running.count + host.listings > host.open();) {
    LeaseRecord& lease = leases_[slab];
    slab = lease.previous;
    const bool alone = lease.needs == kNoNeeds && lease.twin == kNoLease;
    if (alone && !lease.reported && !lease.shown.has_value()) MarkQueued(lease);
  }
  StartQueued(h, now);
  Recount();
  UpdateBacklog(h);
  return true;
}

void HostTable::StartQueued(HostId h, absl::Time now) {
  HostRecord& host = hosts_[h];
  while (host.queued.head != kNoLease && host.running.count + host.listings < host.open()) {
    MarkRunning(leases_[host.queued.head], now);
  }
}

void HostTable::Account(const LeaseRecord& lease, int sign) {
  HostRecord& host = hosts_[lease.host];
  (lease.running ? host.running : host.queued).nanos += sign * lease.nanos;
  if (lease.copy_of != kNoCase) return;  // counted with its original, and not worth stealing
  leased_nanos_ += sign * lease.nanos;
  if (lease.running) {
    running_leases_ += sign;
    started_ += sign * (lease.started - base_);
  }
  if (lease.running || lease.recalled || lease.needs != kNoNeeds) return;
  host.stealable += sign;
  host.stealable_nanos += sign * lease.nanos;
  UpdateBacklog(lease.host);
}

void HostTable::UpdateBacklog(HostId h) {
  const HostRecord& host = hosts_[h];
  // A nanosecond a lease on top: a queue of leases that are expected to take nothing is a backlog too.
  backlog_.Set(h.value(), host.stealable == 0 ? 0 : (host.stealable_nanos + host.stealable) * 1e-9 / host.capacity());
}

void HostTable::Link(LeaseRecord& lease) {
  LeaseList& list = lease.running ? hosts_[lease.host].running : hosts_[lease.host].queued;
  const LeaseSlab slab = SlabOf(lease);
  lease.previous = list.tail;
  lease.next = kNoLease;
  (list.tail == kNoLease ? list.head : leases_[list.tail].next) = slab;
  list.tail = slab;
  ++list.count;
  Account(lease, 1);
  if (lease.running) SetEnd(lease);
}

void HostTable::SetEnd(LeaseRecord& lease) {
  HostRecord& host = hosts_[lease.host];
  if (!lease.ender.has_value()) {
    lease.ender = static_cast<uint32_t>(host.ends.size());
    host.ends.emplace_back();
    host.enders.push_back(SlabOf(lease));
  }
  host.ends[*lease.ender] = absl::ToDoubleSeconds(lease.started - base_) + lease.nanos * 1e-9 / host.speed;
}

void HostTable::RemoveEnd(LeaseRecord& lease) {
  HostRecord& host = hosts_[lease.host];
  const uint32_t at = *lease.ender;
  host.ends[at] = host.ends.back();
  host.enders[at] = host.enders.back();
  leases_[host.enders[at]].ender = at;
  host.ends.pop_back();
  host.enders.pop_back();
  lease.ender.reset();
}

uint32_t HostTable::EndingWithin(HostId h, absl::Duration span, absl::Time now) const {
  const double until = absl::ToDoubleSeconds(now - base_ + span);
  uint32_t count = 0;
  for (double end : hosts_[h].ends) count += end <= until;
  return count;
}

uint32_t HostTable::EndingNext(HostId h, absl::Duration most, absl::Duration span, absl::Time now) const {
  const std::vector<double>& ends = hosts_[h].ends;
  if (ends.empty()) return 0;
  const double at = absl::ToDoubleSeconds(now - base_);
  const double first = std::max(at, *std::min_element(ends.begin(), ends.end()));
  if (first > at + absl::ToDoubleSeconds(most)) return 0;
  const double until = first + absl::ToDoubleSeconds(span);
  return static_cast<uint32_t>(std::count_if(ends.begin(), ends.end(), [&](double end) { return end <= until; }));
}

absl::Duration HostTable::FreeIn(HostId h, uint32_t slots, absl::Time now) const {
  const HostRecord& host = hosts_[h];
  if (host.occupied() + slots <= host.slots) return absl::ZeroDuration();
  const uint32_t missing = host.occupied() + slots - host.slots;
  const absl::Duration queue = absl::Nanoseconds(host.queued.nanos) / host.capacity();
  std::vector<double> ends = host.ends;
  if (ends.empty()) return queue;
  const auto last = ends.begin() + std::min<size_t>(missing, ends.size()) - 1;
  std::nth_element(ends.begin(), last, ends.end());
  return queue + std::max(absl::ZeroDuration(), base_ + absl::Seconds(*last) - now);
}

HostTable::Outlook HostTable::outlook(absl::Time now) const {
  double work = 0, longest = 0, capacity = 0;
  for (const HostRecord& host : hosts_) {
    if (host.state != HostRecord::State::kUp) continue;
    if (host.usable()) capacity += host.capacity();
    work += host.queued.nanos * 1e-9;
    for (double end : host.ends) {
      const double left = std::max(0.0, end - absl::ToDoubleSeconds(now - base_));
      work += left * host.speed;
      longest = std::max(longest, left);
    }
  }
  return {absl::Seconds(work), absl::Seconds(longest), capacity};
}

void HostTable::Unlink(LeaseRecord& lease) {
  LeaseList& list = lease.running ? hosts_[lease.host].running : hosts_[lease.host].queued;
  (lease.previous == kNoLease ? list.head : leases_[lease.previous].next) = lease.next;
  (lease.next == kNoLease ? list.tail : leases_[lease.next].previous) = lease.previous;
  --list.count;
  Account(lease, -1);
  if (lease.running) RemoveEnd(lease);
}

LeaseRecord& HostTable::NewRecord(HostId h, UnitId unit, absl::Time now) {
  if (base_ == absl::InfinitePast()) base_ = now;
  if (free_.empty()) {
    free_.push_back(leases_.Add());
  }
  const LeaseSlab slab = free_.back();
  free_.pop_back();
  LeaseRecord& lease = leases_[slab];
  lease = LeaseRecord();
  lease.id = LeaseId(++serial_ << kSlabBits | slab.value());
  lease.host = h;
  lease.unit = unit;
  lease.sent = lease.started = now;
  return lease;
}

void HostTable::Begin(LeaseRecord& lease) {
  const HostRecord& host = hosts_[lease.host];
  lease.running = host.running.count + host.listings < host.open();
  Link(lease);
  if (lease.needs != kNoNeeds) Occupy(lease, 1);
  ++live_leases_;
  per_unit_.GrowTo(lease.unit);
  ++per_unit_[lease.unit];
}

void HostTable::Occupy(const LeaseRecord& lease, int sign) {
  HostRecord& host = hosts_[lease.host];
  host.needy += sign;
  host.extra += sign * (needs_.SlotsOf(lease.needs, host.slots) - 1);
  sign > 0 ? needs_.Take(lease.needs, lease.host) : needs_.Give(lease.needs, lease.host);
}

LeaseRecord& HostTable::NewLease(HostId h, UnitId unit, const CaseList& list, absl::Time now, NeedsId needs) {
  LeaseRecord& lease = NewRecord(h, unit, now);
  lease.needs = needs;
  lease.cases = list;
  lease.iteration = cases_[list.head].iteration;
  for (CaseNumber i = list.head; i != kNoCase; i = cases_[i].next) {
    cases_[i].state = CaseState::kLeased;
    cases_[i].holder = SlabOf(lease);
    lease.nanos += Nanos(cases_[i].seconds);
  }
  leased_cases_ += list.count;
  Begin(lease);
  return lease;
}

LeaseRecord& HostTable::NewCopy(LeaseSlab original, CaseNumber i, HostId h, absl::Time now) {
  LeaseRecord& copy = NewRecord(h, cases_[i].unit, now);
  copy.copy_of = i;
  copy.iteration = cases_[i].iteration;
  copy.nanos = Nanos(cases_[i].seconds);
  copy.twin = original;
  leases_[original].twin = SlabOf(copy);
  Begin(copy);
  return copy;
}

void HostTable::Adopt(LeaseRecord& copy) {
  Account(copy, -1);
  leases_[copy.twin].twin = kNoLease;
  copy.twin = kNoLease;
  cases_[copy.copy_of].holder = SlabOf(copy);
  copy.cases.PushBack(cases_, copy.copy_of);
  copy.copy_of = kNoCase;
  ++leased_cases_;
  Account(copy, 1);
}

void HostTable::Disown(LeaseRecord& copy) {
  Account(copy, -1);
  leases_[copy.twin].twin = kNoLease;
  copy.twin = kNoLease;
  copy.copy_of = kNoCase;
  copy.nanos = 0;
  Account(copy, 1);
  if (copy.running) SetEnd(copy);
}

LeaseRecord* HostTable::Find(LeaseId id, HostId h) {
  const LeaseSlab slab(static_cast<uint32_t>(id.value() & kSlabMask));
  if (id.value() == 0 || !leases_.contains(slab)) return nullptr;
  LeaseRecord& lease = leases_[slab];
  return lease.id == id && lease.host == h ? &lease : nullptr;
}

CaseNumber HostTable::TakeCase(LeaseRecord& lease, CaseNumber previous, absl::Time now) {
  Account(lease, -1);
  lease.started = now;
  const CaseNumber i = lease.cases.RemoveAfter(cases_, previous);
  lease.nanos -= Nanos(cases_[i].seconds);
  cases_[i].holder = kNoLease;
  Account(lease, 1);
  if (lease.running) SetEnd(lease);
  --leased_cases_;
  return i;
}

void HostTable::RemoveCase(LeaseRecord& lease, CaseNumber i, absl::Time now) {
  CaseNumber previous = kNoCase;
  for (CaseNumber k = lease.cases.head; k != i; k = cases_[k].next) previous = k;
  TakeCase(lease, previous, now);
}

CaseList HostTable::End(LeaseRecord& lease, absl::Time now) {
  if (lease.recalled) MarkNotRecalled(lease);
  Unlink(lease);
  if (lease.needs != kNoNeeds) Occupy(lease, -1);
  const CaseList left = lease.cases;
  for (CaseNumber i = left.head; i != kNoCase; i = cases_[i].next) cases_[i].holder = kNoLease;
  const HostId host_of = lease.host;
  --live_leases_;
  --per_unit_[lease.unit];
  leased_cases_ -= left.count;
  lease.id = LeaseId();
  lease.told = {};
  free_.push_back(SlabOf(lease));
  StartQueued(host_of, now);
  return left;
}

void HostTable::MarkRunning(LeaseRecord& lease, absl::Time now) {
  if (lease.running) return;
  Unlink(lease);
  lease.running = true;
  lease.started = now;
  Link(lease);
}

void HostTable::MarkQueued(LeaseRecord& lease) {
  if (!lease.running) return;
  Unlink(lease);
  lease.running = false;
  Link(lease);
}

void HostTable::MarkRecalled(LeaseRecord& lease, HostId thief) {
  Account(lease, -1);
  lease.recalled = true;
  lease.thief = thief;
  Account(lease, 1);
  if (thief == kNoHost) return;
  ++hosts_[thief].arriving;
  hosts_[thief].arriving_nanos += lease.nanos;
}

void HostTable::MarkNotRecalled(LeaseRecord& lease) {
  Account(lease, -1);
  lease.recalled = false;
  Account(lease, 1);
  // The thief may have gone and come back since: then it waits for nothing.
  if (lease.thief != kNoHost && hosts_[lease.thief].arriving > 0) {
    HostRecord& thief = hosts_[lease.thief];
    const bool last = --thief.arriving == 0;  // and what results took off its estimate since does not add up
    thief.arriving_nanos = last ? 0 : std::max<int64_t>(0, thief.arriving_nanos - lease.nanos);
  }
  lease.thief = kNoHost;
}

}  // namespace dtest::schedule
