// Speculation (--speculate): where nothing is left to hand out, slots that would be idle run a second copy of what
// others seem to be stuck with. docs/scheduling.md says when, and why so and not otherwise.
//
// One copy of one case, the one that its lease runs now; both are the same attempt. The first result of the two counts,
// whatever it is, unless it is an infra error: that, and the loss of a host, only ends the one that it happened to. The
// other lease is cancelled and stays live until its agent has answered, so that neither the rest of its batch nor a
// retry of the case can run beside what is left of it.

#include <algorithm>
#include <utility>

#include "coordinator/schedule/scheduler_impl.h"

namespace dtest {

namespace {

constexpr absl::Duration kLook = absl::Milliseconds(100);  // it walks all running leases: no more often than this
// A case is over time if it takes half as long again as expected, and as long as on a bad day, and what starting a
// process and telling of a result may take.
constexpr double kOverrun = 1.5;
constexpr absl::Duration kSlack = absl::Milliseconds(100);
constexpr absl::Duration kUntilACopyStarts = absl::Milliseconds(50);  // until a copy starts, beside shipping

}  // namespace

std::optional<Scheduler::Impl::Straggler> Scheduler::Impl::RunningCaseOf(LeaseSlab slab) {
  const LeaseRecord& lease = hosts_.lease(slab);
  if (lease.recalled || lease.twin != kNoLease || lease.needs != kNoNeeds || !lease.groups.empty()) {
    return std::nullopt;
  }
  if (!placement_.Ready(lease.host, lease.unit)) return std::nullopt;  // it waits for its files
  CaseNumber i = lease.shown.has_value() ? lease.cases.head : kNoCase;
  while (i != kNoCase && cases_[i].index != *lease.shown) i = cases_[i].next;
  absl::Time began = lease.shown_since;
  if (i == kNoCase) {  // of a batch, only a heartbeat says which case runs and since when
    // After a result, what runs may be the tear-down of a suite, or one of its cases once more, to see which of them it
    // was that went wrong there: a copy that won would end that before it is told.
    if (lease.cases.count != 1 || lease.reported) return std::nullopt;
    i = lease.cases.head;
    began = lease.started;
  }
  const CaseRecord& c = cases_[i];
  // A case that may have taken a host down is not let loose on two.
  if (c.lost_hosts > 0 || (!c.known && !costs_.has_learnt())) return std::nullopt;
  costs_.Refresh(c.unit);
  pending_.EstimatesChanged(c.unit);
  Straggler straggler{slab, i, pending_.Estimate(i), {}, {}};
  const absl::Duration expected = straggler.expected / hosts_[lease.host].speed;
  const absl::Duration elapsed = now_ - began;
  const absl::Duration long_for_it = std::max(kOverrun * expected, absl::Seconds(c.high / hosts_[lease.host].speed));
  straggler.until_over = long_for_it + kSlack - elapsed;
  if (straggler.until_over < absl::Microseconds(1)) straggler.until_over = absl::ZeroDuration();  // but for rounding
  // What is over time may take as long again as it has.
  straggler.remaining = straggler.until_over > absl::ZeroDuration() ? expected - elapsed : elapsed;
  return straggler;
}

HostId Scheduler::Impl::PlaceForCopy(const Straggler& straggler, const std::vector<HostId>& idle) const {
  const CaseRecord& c = cases_[straggler.i];
  HostId best = kNoHost;
  absl::Duration soonest;
  for (HostId h : idle) {
    if (!HasSlotFree(hosts_[h]) || h == hosts_.lease(straggler.lease).host || h == c.avoid) continue;
    if (placement_.hold(h, c.unit) == Hold::kUnfit) continue;
    const absl::Duration ship = placement_.Has(h, c.unit) ? absl::ZeroDuration() : placement_.ShipTime(c.unit);
    const absl::Duration begins = kUntilACopyStarts + ship;
    const absl::Duration ends = begins + costs_.Startup(c.unit) + straggler.expected / hosts_[h].speed;
    if ((straggler.until_over > absl::ZeroDuration() ? ends : begins) >= straggler.remaining) continue;
    if (best == kNoHost || ends < soonest) {
      best = h;
      soonest = ends;
    }
  }
  return best;
}

void Scheduler::Impl::Speculate() {
  stragglers_.look_at_latest = absl::InfiniteFuture();
  if (pending_.count() > 0 || !listings_.complete()) return;
  if (now_ < stragglers_.look_not_before) {
    stragglers_.look_at_latest = stragglers_.look_not_before;
    return;
  }
  stragglers_.look_not_before = now_ + kLook;
  std::vector<HostId> idle;
  for (HostId h : hosts_.ids()) {
    if (HasSlotFree(hosts_[h])) idle.push_back(h);
  }
  if (idle.empty()) return;
  std::vector<Straggler> found;
  for (HostId h : hosts_.ids()) {
    for (LeaseSlab slab = hosts_[h].running.head; slab != kNoLease; slab = hosts_.lease(slab).next) {
      if (const std::optional<Straggler> straggler = RunningCaseOf(slab)) found.push_back(*straggler);
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Straggler& a, const Straggler& b) { return a.remaining > b.remaining; });
  for (const Straggler& straggler : found) {
    const HostId h = PlaceForCopy(straggler, idle);
    if (h != kNoHost) {
      SendCopy(straggler, h);
    } else if (straggler.until_over > absl::ZeroDuration()) {
      const absl::Time again = std::max(stragglers_.look_not_before, now_ + straggler.until_over);
      stragglers_.look_at_latest = std::min(stragglers_.look_at_latest, again);
    }
  }
}

void Scheduler::Impl::SendCopy(const Straggler& straggler, HostId h) {
  const CaseRecord& c = cases_[straggler.i];
  placement_.Request(h, c.unit, hosts_[h].slots);
  const LeaseRecord& copy = hosts_.NewCopy(straggler.lease, straggler.i, h, now_);
  TellCopy(copy, CopyStage::kStarted);
  Send(h, Lease{copy.id, c.unit, {Leased(h, c)}, c.iteration, false, policies_[c.policy].env});
}

void Scheduler::Impl::TellCopy(const LeaseRecord& copy, CopyStage stage) {
  const CaseRecord& c = cases_[copy.copy_of];
  actions_->push_back(
      AttemptCopied{CaseId{c.unit, c.index}, copy.host, hosts_.lease(copy.twin).host, c.iteration, c.attempt, stage});
}

void Scheduler::Impl::OnCopyResults(HostId h, LeaseRecord& copy, const Results& message) {
  for (const CaseResult& result : message.results) {
    const CaseNumber i = copy.copy_of;
    if (i == kNoCase || cases_[i].index != result.index || cases_[i].attempt != result.attempt) continue;
    copy.reported = copy.arrived = true;
    hosts_.MarkRunning(copy, now_);
    if (result.outcome == Outcome::kInfraError || result.outcome == Outcome::kNotRun) {
      CopyLost(copy);
      continue;
    }
    TellCopy(copy, CopyStage::kWon);
    LeaseRecord& original = hosts_.lease(copy.twin);
    hosts_.Disown(copy);
    if (!TriesAgain(cases_[i], result.outcome)) hosts_.RemoveCase(original, i, now_);
    CancelLease(original);
    OnResult(h, i, result);
    pending_.EstimatesChanged(copy.unit);
  }
  if (message.done) {
    if (message.startup > absl::ZeroDuration()) {
      costs_.LearnStartup(copy.unit, message.startup);
    }
    EndLease(copy);
  }
}

bool Scheduler::Impl::SettleCopy(LeaseRecord& original, const CaseResult& result) {
  LeaseRecord& copy = hosts_.lease(original.twin);
  const bool counts = result.outcome != Outcome::kInfraError;
  TellCopy(copy, counts ? CopyStage::kLost : CopyStage::kWon);
  if (!counts || TriesAgain(cases_[copy.copy_of], result.outcome)) {
    hosts_.Adopt(copy);
  } else {
    hosts_.Disown(copy);
  }
  if (counts) CancelLease(copy);
  return counts;
}

void Scheduler::Impl::CopyLost(LeaseRecord& copy) {
  TellCopy(copy, CopyStage::kLost);
  hosts_.Disown(copy);
}

void Scheduler::Impl::CancelLease(LeaseRecord& lease) {
  if (!lease.recalled) hosts_.MarkRecalled(lease, kNoHost);
  lease.cancelled = true;
  Send(lease.host, Cancel{lease.id});
}

void Scheduler::Impl::CancelCopies() {
  for (HostId h : hosts_.ids()) {
    for (const LeaseSlab first : {hosts_[h].running.head, hosts_[h].queued.head}) {
      for (LeaseSlab slab = first; slab != kNoLease; slab = hosts_.lease(slab).next) {
        LeaseRecord& lease = hosts_.lease(slab);
        if (lease.copy_of == kNoCase) continue;
        CopyLost(lease);
        CancelLease(lease);
      }
    }
  }
}

void Scheduler::Impl::ReleaseGroups(LeaseRecord& lease) {
  const std::vector<GroupId> groups = std::exchange(lease.groups, {});
  if (groups.empty()) return;
  groups_.End(groups);
  for (const GroupId g : groups) pending_.GroupIsBack(g);
  attention_.WorkCameUp();  // what else of them is pending may go on
}

CaseList Scheduler::Impl::EndLease(LeaseRecord& lease) {
  if (lease.copy_of != kNoCase) {
    CopyLost(lease);
  } else if (lease.twin != kNoLease) {
    LeaseRecord& copy = hosts_.lease(lease.twin);
    hosts_.RemoveCase(lease, copy.copy_of, now_);
    TellCopy(copy, CopyStage::kWon);
    hosts_.Adopt(copy);
  }
  ReleaseGroups(lease);
  return hosts_.End(lease, now_);
}

}  // namespace dtest
