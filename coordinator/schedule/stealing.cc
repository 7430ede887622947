// Stealing: moving leases that have not started from hosts with a backlog to hosts that would run dry. There is nothing
// pending that the thief may have when this runs. A thief recalls from the longest backlog, up to half of it and no
// more than makes both equal; as many thieves as there are steal at once.
//
// It steals as soon as its queue is shorter than it wants it, not when a slot is idle: a lease is two round trips away.
//
// Two rules keep leases from wandering: a thief without a free slot takes only from a victim that keeps a lease in its
// queue, and where its own queue is not empty only what leaves the victim the longer one; and a case moves at most
// kMostSteals times.

#include <algorithm>

#include "coordinator/schedule/scheduler_impl.h"

namespace dtest {

namespace {

constexpr uint32_t kMostSteals = 6;
constexpr uint32_t kMostVictims = 4;                           // asked in one turn
constexpr absl::Duration kRoundTrip = absl::Milliseconds(50);  // that a steal takes, assumed

}  // namespace

void Scheduler::Impl::Steal(HostId thief) {
  const HostRecord& host = hosts_[thief];
  HostId hidden[kMostVictims];
  uint32_t tried = 0;
  while (tried < kMostVictims && Wants(thief)) {
    const bool idle = HasSlotFree(host);
    if (!idle && !patient_) break;
    const HostId victim = hosts_.Victim();
    if (!hosts_.HasBacklog(victim)) break;
    if (victim != thief && (idle || hosts_[victim].stealable > 1) && RecallSome(victim, thief, idle)) continue;
    hosts_.HideVictim(victim);
    hidden[tried++] = victim;
  }
  for (uint32_t k = 0; k < tried; ++k) hosts_.RestoreVictim(hidden[k]);
}

// Is it done sooner there than here? Where it waits it starts when the backlog before it is worked off.
bool Scheduler::Impl::WorthMoving(const LeaseRecord& lease, HostId victim, HostId thief) const {
  const UnitId e = lease.unit;
  if (placement_.hold(thief, e) == Hold::kUnfit) return false;
  if (lease.cases.head != kNoCase) {
    const CaseRecord& first = cases_[lease.cases.head];
    // A retry that must not go there would come straight back.
    if (first.steals >= kMostSteals || first.avoid == thief) return false;
  }
  const absl::Duration ship = placement_.Has(thief, e) ? absl::ZeroDuration() : placement_.ShipTime(e);
  const absl::Duration slower = absl::Nanoseconds(lease.nanos) * (1 / hosts_[thief].speed - 1 / hosts_[victim].speed);
  if (ship == absl::ZeroDuration() && slower <= absl::ZeroDuration()) return true;
  // What its slots run now ends on average half through, if estimates are right; cases that are over time say more.
  absl::Duration running;
  for (LeaseSlab slab = hosts_[victim].running.head; slab != kNoLease; slab = hosts_.lease(slab).next) {
    const LeaseRecord& r = hosts_.lease(slab);
    const absl::Duration expected = absl::Nanoseconds(r.nanos) / hosts_[victim].speed;
    const absl::Duration elapsed = now_ - r.sent;
    running += r.reported ? expected : std::max(expected - elapsed, elapsed / 10);
  }
  const absl::Duration wait = hosts_.Backlog(victim) + running / std::max(hosts_[victim].running.count, 1u) / 2;
  return wait > kRoundTrip + ship + slower;
}

bool Scheduler::Impl::RecallSome(HostId victim, HostId thief, bool idle) {
  const HostRecord& from = hosts_[victim];
  const HostRecord& to = hosts_[thief];
  const double capacities = from.capacity() + to.capacity();
  const double held = static_cast<double>(to.queued.nanos + to.arriving_nanos);
  const double equal = (from.stealable_nanos * to.capacity() - held * from.capacity()) / capacities;
  const int64_t most = std::max<int64_t>(0, std::min<int64_t>(from.stealable_nanos / 2, static_cast<int64_t>(equal)));
  const bool starving = idle || to.queued.count + to.arriving == 0;
  int64_t taken = 0;
  uint32_t leases = 0;
  // The last in the queue would wait longest.
  for (LeaseSlab slab = from.queued.tail; slab != kNoLease && Wants(thief); slab = hosts_.lease(slab).previous) {
    LeaseRecord& lease = hosts_.lease(slab);
    if (lease.recalled || lease.copy_of != kNoCase || lease.needs != kNoNeeds || !WorthMoving(lease, victim, thief))
      continue;
    if ((leases > 0 || !starving) && taken + lease.nanos > most) break;
    taken += lease.nanos;
    ++leases;
    hosts_.MarkRecalled(lease, thief);
    Send(victim, Recall{lease.id});
  }
  return leases > 0;
}

void Scheduler::Impl::OnMessage(HostId h, const Released& message) {
  LeaseRecord* lease = hosts_.Find(message.lease, h);
  if (lease == nullptr) return;  // taken back in the meantime
  const HostId thief = lease->thief;
  for (CaseNumber i = lease->cancelled ? kNoCase : lease->cases.head; i != kNoCase; i = cases_[i].next) {
    if (cases_[i].steals < UINT8_MAX) ++cases_[i].steals;
  }
  TakeBack(EndLease(*lease));
  if (thief != kNoHost && hosts_[thief].usable()) {
    attention_.ServeFirst(thief);
    attention_.Touch(thief);
  }
  attention_.WorkCameUp();
}

void Scheduler::Impl::OnMessage(HostId h, const Refused& message) {
  LeaseRecord* lease = hosts_.Find(message.lease, h);
  if (lease == nullptr || !lease->recalled) return;
  const HostId thief = lease->thief;
  hosts_.MarkNotRecalled(*lease);
  lease->arrived = true;
  hosts_.MarkRunning(*lease, now_);
  if (lease->cancelled) hosts_.MarkRecalled(*lease, kNoHost);  // that answer is still to come
  if (thief != kNoHost && hosts_[thief].usable()) attention_.Touch(thief);
}

}  // namespace dtest
