// How a run ends, by itself or before its time.

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/schedule/scheduler_impl.h"

namespace dtest {

namespace {

// After the grace agents kill; so much later they must have said so.
constexpr absl::Duration kKillTakes = absl::Seconds(5);

}  // namespace

const char* Scheduler::Impl::WhyNotRun(RunEnd end) {
  switch (end) {
    case RunEnd::kFailFast:
      return "as many failures as -x or --max-fail allows";
    case RunEnd::kInterrupted:
      return "interrupted";
    case RunEnd::kTimedOut:
      return "--run-timeout passed";
    case RunEnd::kNoHosts:
      return "no host is left";
    default:
      return "dtest had to stop";
  }
}

void Scheduler::Impl::On(const StopRun& event) {
  if (!event.force) {
    if (!stopping()) BeginStop(event.end, options_.kill_grace);
    return;
  }
  const RunEnd end = stopping() ? stop_->end : event.end;
  BeginStop(end, absl::ZeroDuration());
  EndRun(end);
}

void Scheduler::Impl::BeginStop(RunEnd end, absl::Duration grace) {
  stop_ = Stop{end, now_ + grace + kKillTakes};
  CancelCopies();
  for (HostId h : hosts_.ids()) {
    if (hosts_[h].state != HostRecord::State::kUp) continue;
    hosts_[h].stopped = false;
    Send(h, Interrupt{grace});
  }
}

bool Scheduler::Impl::OwesLastWords() const {
  if (!options_.speculate || hosts_.live_leases() == 0) return false;
  for (HostId h : hosts_.ids()) {
    for (const LeaseSlab first : {hosts_[h].running.head, hosts_[h].queued.head}) {
      for (LeaseSlab slab = first; slab != kNoLease; slab = hosts_.lease(slab).next) {
        if (hosts_.lease(slab).cancelled && hosts_.lease(slab).reported) return true;
      }
    }
  }
  return false;
}

void Scheduler::Impl::CheckEnd() {
  if (listings_.complete() && finished_ == cases_.size() && !MoreIterations() && !OwesLastWords()) {
    EndRun(stopping() ? stop_->end : RunEnd::kCompleted);
    return;
  }
  if (stopping()) {
    bool idle = true;
    for (HostId h : hosts_.ids()) {
      idle &= hosts_[h].state != HostRecord::State::kUp || hosts_[h].stopped;
    }
    if (idle || now_ >= stop_->deadline) EndRun(stop_->end);
    return;
  }
  if (hosts_.possible() > 0 || hosts_.live_leases() > 0) return;
  for (HostId h : hosts_.ids()) {
    if (hosts_[h].listings > 0) return;  // a host that drains still answers
  }
  EndRun(RunEnd::kNoHosts);
}

void Scheduler::Impl::EndRun(RunEnd end) {
  for (const CasesKnown& event : order_.TakeAll()) Admit(event);  // they are told of with the others
  std::vector<CaseNumber> left;
  pending_.ForEach([&left](CaseNumber i) { left.push_back(i); });
  for (UnitId e : listings_.ids()) pending_.TakeAll(e);
  for (HostId h : hosts_.ids()) {
    const HostRecord& host = hosts_[h];
    while (host.running.count + host.queued.count > 0) {
      const LeaseSlab slab = host.running.count > 0 ? host.running.head : host.queued.head;
      absl::Time began;
      if (const CaseNumber i = RunningIn(hosts_.lease(slab), &began); i != kNoCase) {
        cut_.Note(i, {h, began, now_, "", /*stopping=*/true, std::nullopt});
      }
      ReleaseGroups(hosts_.lease(slab));
      const CaseList list = hosts_.End(hosts_.lease(slab), now_);
      for (CaseNumber i = list.head; i != kNoCase; i = cases_[i].next) left.push_back(i);
    }
  }
  std::sort(left.begin(), left.end());
  for (CaseNumber i : left) {
    // A case whose host was lost earlier, and that waits for another, does not run now.
    if (const Cut* cut = cut_.Find(i); cut != nullptr && (cut->stopping || end == RunEnd::kNoHosts)) {
      FinalCut(i, Cut(*cut), end);
    } else {
      FinalWithoutRun(i, Outcome::kNotRun, WhyNotRun(end));
    }
  }
  over_ = true;
  actions_->push_back(Finish{end});
}

}  // namespace dtest
