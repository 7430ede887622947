// Where cases run that need more than a slot of any host. They go before all others, one a lease, to slots that are
// free: an agent never has one that waits, so a lock is held by what runs. Where a case could have its locks, and no
// host has room for it, one is *reserved*: it gets nothing more until there is room.
//
// How many hosts are reserved for cases with the same needs follows from the work: as many as it takes, with those that
// run already, to be done with them when the rest is done; at least one. A host that runs one gets no queue while such
// cases wait, so the room that it leaves is the next one's, and draining is paid for once.

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/schedule/scheduler_impl.h"

namespace dtest {

namespace {

constexpr size_t kMostHostsNamed = 10;

}  // namespace

bool Scheduler::Impl::Fits(HostId h, NeedsId n) const {
  const HostRecord& host = hosts_[h];
  if (now_ < (needs_[n].exclusive ? host.alone_from : host.free_from)) return false;
  // Alone it may have more slots than are open: else it might wait for ever where others keep the host busy.
  const bool idle = host.busy() == 0;
  return needs_.SlotsSuffice(n, host.slots) &&
         (idle || host.occupied() + needs_.SlotsOf(n, host.slots) <= host.slots) && needs_.HasTags(h, n) &&
         needs_.MayRunOn(n, h) && needs_.HostLocksFree(n, h);
}

bool Scheduler::Impl::MayEverFit(HostId h, NeedsId n) const {
  const HostRecord& host = hosts_[h];
  const bool possible = host.usable() || host.state == HostRecord::State::kExpected;
  // How many slots a host has that never joined is not known.
  return possible && (host.slots == 0 || needs_.SlotsSuffice(n, host.slots)) && needs_.HasTags(h, n) &&
         needs_.MayRunOn(n, h);
}

void Scheduler::Impl::ServeNeeds() {
  NeedyCases& needy = pending_.needy();
  std::vector<HostId> hosts = attention_.touched();
  const bool look_everywhere = needy.TakeStirred() || attention_.work_came_up();
  for (HostId h : std::vector<HostId>(reserved_)) {
    if (UnreserveInVain(h) || look_everywhere) hosts.push_back(h);
  }
  if (look_everywhere) hosts.insert(hosts.end(), attention_.hungry().begin(), attention_.hungry().end());
  // One to each in turn, so that they spread.
  while (!hosts.empty()) {
    std::erase_if(hosts, [this](HostId h) { return !GiveNeedy(h); });
  }
  if (look_everywhere) {
    for (NeedsId n : needy.Ready()) Reserve(n);
  }
  for (HostId h : std::vector<HostId>(reserved_)) UnreserveInVain(h);
}

bool Scheduler::Impl::UnreserveInVain(HostId h) {
  if (pending_.needy().IsReady(hosts_[h].reserved)) return false;
  Unreserve(h);
  return true;
}

bool Scheduler::Impl::GiveNeedy(HostId h) {
  const HostRecord& host = hosts_[h];
  if (!host.usable() || (host.busy() > 0 && host.occupied() >= host.slots)) return false;
  NeedyCases& needy = pending_.needy();
  for (NeedsId n : needy.Ready()) {
    const bool reserved = host.reserved == n;
    if ((host.reserved != kNoNeeds && !reserved) || !Fits(h, n)) continue;
    const CaseNumber i = needy.waiting(n).FindFirst([&](const RetryQueue::Kind& kind, absl::Time since) {
      if (!reserved) return MayRetry(h, kind, since);
      return placement_.hold(h, kind.unit) != Hold::kUnfit && !Avoids(h, kind, since);
    });
    if (reserved) Unreserve(h);
    if (i == kNoCase) continue;
    pending_.TakeNeedy(i);
    needy.Served(n);
    CaseList list;
    list.PushBack(cases_, i);
    SendLease(h, cases_[i].unit, list, n);
    return true;
  }
  return false;
}

void Scheduler::Impl::Reserve(NeedsId n) {
  const NeedyCases& needy = pending_.needy();
  const absl::Duration share = std::max(EvenShare(), absl::Milliseconds(1));
  const double lanes = std::clamp(std::ceil(absl::FDivDuration(needy.expected(n), share)), 1.0, double(needy.count(n)));
  const auto reserved = [&] {
    return static_cast<uint32_t>(
        std::count_if(reserved_.begin(), reserved_.end(), [&](HostId h) { return hosts_[h].reserved == n; }));
  };
  while (needy.IsReady(n) && reserved() + needs_.running(n) < lanes && reserved() < needs_.Room(n)) {
    const HostId h = HostToReserve(n);
    if (h == kNoHost) return;
    hosts_[h].reserved = n;
    reserved_.push_back(h);
    GiveNeedy(h);  // there may be room, where shipping did not seem to pay
  }
}

HostId Scheduler::Impl::HostToReserve(NeedsId n) const {
  const auto& needs = needs_[n];
  HostId best = kNoHost;
  absl::Duration soonest;
  for (HostId h : hosts_.ids()) {
    const HostRecord& host = hosts_[h];
    if (!host.usable() || host.reserved != kNoNeeds || !MayEverFit(h, n)) continue;
    if (now_ < (needs.exclusive ? host.alone_from : host.free_from)) continue;
    const uint32_t slots = needs_.SlotsOf(n, host.slots);
    // Who holds its lock there leaves a slot to the next one.
    if (slots == 1 && needs.host_locks.size() == 1 && !needs_.HostLocksFree(n, h)) continue;
    const CaseNumber i = pending_.needy().waiting(n).FindFirst([&](const RetryQueue::Kind& kind, absl::Time since) {
      return placement_.hold(h, kind.unit) != Hold::kUnfit && !Avoids(h, kind, since);
    });
    if (i == kNoCase) continue;
    const CaseRecord& c = cases_[i];
    const absl::Duration ship = placement_.Has(h, c.unit) ? absl::ZeroDuration() : placement_.ShipTime(c.unit);
    const absl::Duration ends = hosts_.FreeIn(h, slots, now_) + ship + absl::Seconds(c.seconds / host.speed);
    if (best != kNoHost && ends >= soonest) continue;
    best = h;
    soonest = ends;
  }
  return best;
}

void Scheduler::Impl::Unreserve(HostId h) {
  if (hosts_[h].reserved == kNoNeeds) return;
  hosts_[h].reserved = kNoNeeds;
  std::erase(reserved_, h);
  attention_.Touch(h);
}

void Scheduler::Impl::CheckNeeds() {
  if (stopping() || hosts_.possible() == 0) return;
  const NeedyCases& needy = pending_.needy();
  for (NeedsId n : needs_.ids()) {
    if (needy.count(n) == 0) continue;
    std::vector<HostId> hosts;
    for (HostId h : hosts_.ids()) {
      if (MayEverFit(h, n)) hosts.push_back(h);
    }
    const auto runs_nowhere = [&](UnitId unit) {
      return std::all_of(hosts.begin(), hosts.end(),
                         [&](HostId h) { return placement_.hold(h, unit) == Hold::kUnfit; });
    };
    const auto nowhere = [&](const RetryQueue::Kind& kind, absl::Time) { return runs_nowhere(kind.unit); };
    RepeatNoMore([&](const CaseRecord& c) { return policies_.NeedsOf(c.policy) == n && runs_nowhere(c.unit); });
    for (CaseNumber i; (i = needy.waiting(n).FindFirst(nowhere)) != kNoCase;) {
      pending_.TakeNeedy(i);
      const HostId pinned = needs_.PinnedTo(n);
      const std::string what =
          hosts.empty() && pinned != kNoHost
              ? absl::StrCat("it is to run where others of its kind ran, on ", HostName(pinned), ", which ",
                             hosts_[pinned].state == HostRecord::State::kGone
                                 ? absl::StrCat("is gone: ", hosts_[pinned].why_gone)
                                 : "takes no more work")
          : hosts.empty() ? absl::StrCat("no host has ", needs_.Describe(n), ", which it needs: ", WhatHostsHave(),
                                         ". Add a host that has, or change its override")
                          : absl::StrCat("no host that has what it needs can run this executable: ",
                                         placement_.Reasons(cases_[i].unit));
      FinalWithoutRun(i, Outcome::kInfraError, what);
    }
  }
}

std::string Scheduler::Impl::WhatHostsHave() const {
  std::vector<std::string> hosts;
  for (HostId h : hosts_.ids()) {
    if (hosts.size() == kMostHostsNamed) {
      hosts.push_back("...");
      break;
    }
    const HostRecord& host = hosts_[h];
    const std::vector<std::string>& tags = needs_.TagsOf(h);
    std::string what = HostName(h);
    if (host.state == HostRecord::State::kGone) {
      absl::StrAppend(&what, " is gone");
    } else {
      absl::StrAppend(&what, " has ", tags.empty() ? "no tags" : absl::StrCat("tags ", absl::StrJoin(tags, ",")));
      if (host.slots > 0) absl::StrAppend(&what, " and ", host.slots, host.slots == 1 ? " slot" : " slots");
      if (host.draining) absl::StrAppend(&what, ", but takes no more work");
    }
    hosts.push_back(std::move(what));
  }
  return absl::StrJoin(hosts, "; ");
}

}  // namespace dtest
