// Which host gets what next. See scheduler_impl.h for how a turn goes.

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "coordinator/schedule/scheduler_impl.h"

namespace dtest {

namespace {

// Work that a host must have in reserve per slot, as expected: more than a round trip and the delay with which agents
// bundle results. Long cases reach it with one lease; tiny ones need several.
constexpr absl::Duration kReserve = absl::Milliseconds(100);
// How far ahead slots are looked after, as expected: a part of what is left of the run, so that waiting in a queue
// costs the order of cases little; more than a round trip, even if estimates are off.
constexpr double kAheadShare = 0.02;
constexpr absl::Duration kLeastAhead = absl::Milliseconds(300), kMostAhead = absl::Seconds(2);
constexpr uint32_t kMostQueuedPerSlot = 32;  // leases, however short they are expected to be
constexpr uint32_t kCandidates = 8;          // units that are weighed against each other
constexpr uint32_t kMostCasesPerLease = 20000;
constexpr double kSuiteSlack = 0.25;  // of a batch, to end it where a suite ends; more, where beginning one costs more
// A retry waits this long for a host other than the one it failed on.
constexpr absl::Duration kRetryPatience = absl::Seconds(1);
// That a unit may take to get there for a retry's sake.
constexpr absl::Duration kMostRetryShipping = absl::Seconds(5);
constexpr absl::Duration kRebalance = absl::Seconds(1);

}  // namespace

bool Scheduler::Impl::HasSlotFree(const HostRecord& host) const {
  return host.usable() && host.reserved == kNoNeeds && now_ >= host.free_from &&
         host.occupied() + host.arriving < host.slots;
}

// A host wants a lease in its queue for each slot that will be free soon, and more where leases are so short that this
// is not much; and one for each that will be free at once, a little later: cases that started together and take equally
// long would all wait for a round trip when they end. What is queued behind long cases would only wait there: in the
// right order of things it is the longest of what is left, and should start on the first slot of any host. Nothing is
// queued where the agent would start it in a slot that is not free (HostRecord::extra), nor, while cases with needs
// wait, where the next of these should have the slot of the last.
bool Scheduler::Impl::Wants(HostId h) const {
  const HostRecord& host = hosts_[h];
  if (!host.usable() || host.reserved != kNoNeeds || now_ < host.free_from) return false;
  if (HasSlotFree(host)) return true;
  if (host.extra > 0 || (host.needy > 0 && pending_.needy().count() > 0)) return false;
  const uint32_t queued = host.queued.count + host.arriving;
  if (queued >= kMostQueuedPerSlot * host.slots) return false;
  const uint32_t soon = hosts_.EndingWithin(h, ahead_, now_) + host.listings;
  if (queued < (soon + 1) / 2 || queued < hosts_.EndingNext(h, kMostAhead, kReserve, now_)) return true;
  return !host.probing && absl::Nanoseconds(host.queued.nanos + host.arriving_nanos) < kReserve * (host.speed * soon);
}

void Scheduler::Impl::Distribute() {
  ahead_ = std::clamp(kAheadShare * EvenShare(), kLeastAhead, kMostAhead);
  if (pending_.needy().count() > 0 || !reserved_.empty()) ServeNeeds();
  if (attention_.first() != kNoHost) Feed({attention_.first()});
  if (attention_.work_came_up() && (pending_.count() > 0 || listings_.any_unlisted())) {
    std::vector<HostId> everyone = attention_.TakeEveryone();
    // The least busy first: one thing that comes alone, such as a unit to list, goes there.
    std::sort(everyone.begin(), everyone.end(), [this](HostId a, HostId b) {
      const uint64_t busy_a = uint64_t{hosts_[a].busy()} * hosts_[b].slots;
      const uint64_t busy_b = uint64_t{hosts_[b].busy()} * hosts_[a].slots;
      return busy_a != busy_b ? busy_a < busy_b : a < b;
    });
    Feed(everyone);
    for (HostId h : everyone) {
      if (Wants(h)) attention_.MarkHungry(h);
    }
  } else {
    Feed(attention_.touched());
  }
  for (HostId h : attention_.touched()) {
    if (!Wants(h)) continue;
    attention_.MarkHungry(h);
    Steal(h);
    if (Wants(h)) GivePrefetch(h);
  }
  if (options_.speculate) Speculate();
  patient_ = true;
  const bool something_to_move = pending_.count() > 0 || hosts_.HasBacklog(hosts_.Victim());
  const bool somebody_waits = attention_.any_hungry() || pending_.needy().count() > 0;
  if (!somebody_waits || !something_to_move) {
    rebalance_ = absl::InfiniteFuture();
  } else if (rebalance_ == absl::InfiniteFuture()) {
    rebalance_ = now_ + kRebalance;
  }
}

// One thing to each in turn, so that what there is spreads; first to those with free slots, then to fill queues.
void Scheduler::Impl::Feed(const std::vector<HostId>& hosts) {
  for (const bool queue : {false, true}) {
    std::vector<HostId> active = hosts;
    while (!active.empty() && (pending_.count() > 0 || listings_.any_unlisted())) {
      size_t kept = 0;
      for (size_t k = 0; k < active.size() && (pending_.count() > 0 || listings_.any_unlisted()); ++k) {
        const HostRecord& host = hosts_[active[k]];
        if ((queue ? Wants(active[k]) : HasSlotFree(host)) && GiveOne(active[k])) active[kept++] = active[k];
      }
      active.resize(kept);
    }
  }
}

bool Scheduler::Impl::GiveOne(HostId h) {
  if (GiveListing(h)) return true;
  if (pending_.count() == 0) return false;
  return GiveRetry(h) || GiveFirst(h) || GiveLong(h) || GiveShort(h);
}

bool Scheduler::Impl::GiveListing(HostId h) {
  if (!listings_.any_unlisted()) return false;
  HostRecord& host = hosts_[h];
  // Agents put listings before queued leases: as long as there are cases to run, half of the slots must run them, or
  // the first result would wait for the last listing.
  const uint32_t most = pending_.count() > 0 ? std::max(host.open() / 2, 1u) : host.open() + 1;
  if (host.listings >= most) return false;
  const UnitId e = listings_.Give(h, [&](UnitId unit) {
    if (placement_.hold(h, unit) == Hold::kUnfit) return false;
    // A host that failed to list it before comes back into question only when nobody else is there.
    return !listings_.HasTried(unit, h) || hosts_.usable() <= placement_.unfit(unit) + 1;
  });
  if (e == kNoUnit) return false;
  ++host.listings;
  placement_.Request(h, e, host.slots);
  Send(h, List{e});
  return true;
}

// Shipping must pay: the hosts that have the unit would need longer for the rest of it than the files need to
// get here. Where nobody has it, somebody must start.
bool Scheduler::Impl::MayPlace(HostId h, UnitId e) const {
  if (placement_.hold(h, e) == Hold::kUnfit) return false;
  if (placement_.Has(h, e) || placement_.holder_slots(e) == 0 || !patient_) return true;
  return pending_.expected(e) / placement_.holder_slots(e) > placement_.ShipTime(e);
}

// Not on the host that it failed on while another may take it, now or once it has joined: for kRetryPatience at most.
bool Scheduler::Impl::Avoids(HostId h, const RetryQueue::Kind& kind, absl::Time since) const {
  if (groups_.IsBusy(kind.group) || (kind.apart && HasSuspect(h))) return true;
  return kind.avoid == h && now_ < since + kRetryPatience && hosts_.possible() > placement_.unfit(kind.unit) + 1;
}

bool Scheduler::Impl::MayRetry(HostId h, const RetryQueue::Kind& kind, absl::Time since) const {
  const UnitId e = kind.unit;
  if (Avoids(h, kind, since)) return false;
  if (MayPlace(h, e)) return true;
  // Shipping does not pay; but the only host that need not be shipped to is the one that it failed on.
  return kind.avoid != h && placement_.hold(h, e) != Hold::kUnfit && placement_.IsOnlyHolder(kind.avoid, e) &&
         placement_.ShipTime(e) <= kMostRetryShipping;
}

bool Scheduler::Impl::HasSuspect(HostId h) const {
  for (const LeaseSlab first : {hosts_[h].running.head, hosts_[h].queued.head}) {
    for (LeaseSlab slab = first; slab != kNoLease; slab = hosts_.lease(slab).next) {
      const CaseNumber head = hosts_.lease(slab).cases.head;
      if (head != kNoCase && RunsApart(cases_[head])) return true;
    }
  }
  return false;
}

bool Scheduler::Impl::GiveRetry(HostId h) {
  const CaseNumber i = pending_.retries().FindFirst(
      [&](const RetryQueue::Kind& kind, absl::Time since) { return MayRetry(h, kind, since); });
  if (i == kNoCase) return false;
  pending_.FixEstimate(i);
  pending_.TakeRetry(i);
  CaseList list;
  list.PushBack(cases_, i);
  SendLease(h, cases_[i].unit, list);
  return true;
}

// How long everything that is left takes if all slots share it evenly.
absl::Duration Scheduler::Impl::EvenShare() const {
  const absl::Duration left = pending_.expected() + hosts_.leased() - hosts_.elapsed(now_);
  return std::max(left, absl::ZeroDuration()) / std::max(hosts_.capacity(), 1.0);
}

bool Scheduler::Impl::GiveLong(HostId h) {
  if (pending_.by_longest().empty()) return false;
  const HostRecord& host = hosts_[h];
  // A slow host must not take what would outlast everything else, as long as it has anything smaller to do.
  const bool slow = host.speed < 0.8 * hosts_.best_speed();
  const double share = slow ? absl::ToDoubleSeconds(EvenShare()) : 0;
  UnitId chosen = kNoUnit, too_long = kNoUnit;
  uint32_t weighed = 0;
  float longest = 0;
  for (const auto& [key, e] : pending_.by_longest()) {
    const float seconds = -key;
    if (chosen != kNoUnit && (seconds < longest / 2 || weighed >= kCandidates)) break;
    if (!MayPlace(h, e)) continue;
    if (slow && seconds / host.speed > share) {
      too_long = e;  // the shortest of these so far
      continue;
    }
    ++weighed;
    if (chosen == kNoUnit) {
      chosen = e;
      longest = seconds;
    }
    // The host knows it, down to the names of its cases: worth one that is nearly as long; half as long, if it would
    // have to fetch the other.
    if (placement_.hold(h, e) != Hold::kNone &&
        seconds >= (placement_.ShipTime(e) > absl::ZeroDuration() ? 0.5 : 0.9) * longest) {
      chosen = e;
      break;
    }
  }
  if (chosen == kNoUnit && too_long != kNoUnit) {
    if (GiveShort(h)) return true;
    // Nothing smaller: still better than to let it wait for a fast host, if that takes longer.
    const double seconds = pending_.Longest(too_long);
    const bool sooner_here = seconds / host.speed <= share + seconds / hosts_.best_speed();
    if (HasSlotFree(host) && (sooner_here || placement_.unfit(too_long) > 0)) chosen = too_long;
  }
  if (chosen == kNoUnit) return false;
  CaseList list;
  if (pending_.LongestIsAGroup(chosen)) {
    list = CutGroups(chosen, host.speed, &hosts_[h].probing);
  } else {
    list.PushBack(cases_, pending_.TakeLong(chosen));
  }
  SendLease(h, chosen, list);
  return true;
}

UnitId Scheduler::Impl::ChooseShort(HostId h, bool first) const {
  const std::set<UnitId>& with_first = pending_.with_first();
  const auto may_have = [&](UnitId e) {
    return (first ? with_first.contains(e) : pending_.short_count(e) > 0) && MayPlace(h, e);
  };
  const UnitId current = hosts_[h].current;
  if (current != kNoUnit && may_have(current)) return current;
  UnitId best = kNoUnit;
  uint32_t weighed = 0;
  double best_score = 0;
  // What is left of a unit per lease that works on it, so that hosts spread over units.
  const auto weigh = [&](UnitId e) {
    if (!may_have(e)) return false;
    double score = (absl::ToDoubleNanoseconds(pending_.expected(e)) + 1.0) / (1.0 + hosts_.live_leases(e));
    if (placement_.Has(h, e) && placement_.ShipTime(e) > absl::ZeroDuration()) score *= 4;
    if (best == kNoUnit || score > best_score) {
      best = e;
      best_score = score;
    }
    return true;
  };
  if (first) {
    for (const UnitId e : with_first) {
      if (weigh(e) && ++weighed >= kCandidates) break;
    }
    return best;
  }
  for (const auto& [key, e] : pending_.by_work()) {
    if (weigh(e) && ++weighed >= kCandidates) break;
  }
  weighed = 0;
  for (UnitId e : placement_.held(h)) {
    if (weigh(e) && ++weighed >= kCandidates) break;
  }
  return best;
}

void Scheduler::Impl::GiveBatch(HostId h, UnitId e) {
  hosts_[h].current = e;
  SendLease(h, e, CutBatch(e, hosts_[h].speed, &hosts_[h].probing));
}

bool Scheduler::Impl::GiveFirst(HostId h) {
  if (pending_.with_first().empty()) return false;
  const UnitId e = ChooseShort(h, /*first=*/true);
  if (e == kNoUnit) return false;
  if (const auto& offers = pending_.offers(e); !offers.empty() && offers.begin()->first) {
    SendLease(h, e, CutGroups(e, hosts_[h].speed, &hosts_[h].probing));
  } else {
    GiveBatch(h, e);
  }
  return true;
}

bool Scheduler::Impl::GiveShort(HostId h) {
  const UnitId e = ChooseShort(h, /*first=*/false);
  if (e != kNoUnit) GiveBatch(h, e);
  return e != kNoUnit;
}

double Scheduler::Impl::BatchSeconds(UnitId e, double speed) {
  costs_.Refresh(e);
  pending_.EstimatesChanged(e);
  const absl::Duration pending = pending_.expected();
  const absl::Duration length = costs_.BatchLength(e, pending, pending + hosts_.leased(), hosts_.capacity());
  return std::min(speed, 1.0) * absl::ToDoubleSeconds(length);
}

CaseList Scheduler::Impl::CutBatch(UnitId e, double speed, bool* probing) {
  *probing = false;
  const double target = BatchSeconds(e, speed);
  const double long_case = absl::ToDoubleSeconds(costs_.long_case(e));
  const double slack = std::max(kSuiteSlack * target, absl::ToDoubleSeconds(costs_.SuiteSetup(e)));
  const uint32_t most_unknown = costs_.BatchUnknownCases(e);
  CaseList list;
  double sum = 0;
  uint32_t unknown = 0;
  while (pending_.short_count(e) > 0 && (list.count < kMostCasesPerLease || options_.together)) {
    const CaseNumber i = pending_.FirstShort(e);
    CaseRecord& c = cases_[i];
    pending_.FixEstimate(i);
    const double seconds = c.seconds;
    if (list.count > 0 && !options_.together) {
      const CaseRecord& last = cases_[list.tail];
      // One iteration a lease: an index must not be in it twice.
      if (c.iteration != last.iteration || c.first != last.first || seconds > long_case || HasOwnProcess(c)) break;
      if (!ShareEnvironment(c, last)) break;
      if (!c.known && unknown >= most_unknown) {
        *probing = true;
        break;
      }
      const bool same_suite = c.suite == last.suite;
      if (sum >= (same_suite ? 1 : 1 - kSuiteSlack) * target && !(same_suite && sum + seconds <= target + slack)) break;
    }
    pending_.TakeShort(e);
    list.PushBack(cases_, i);
    sum += seconds;
    unknown += !c.known;
    if ((seconds > long_case || HasOwnProcess(c)) && !options_.together) break;
  }
  return list;
}

CaseList Scheduler::Impl::CutGroups(UnitId e, double speed, bool* probing) {
  *probing = false;
  const double target = BatchSeconds(e, speed);
  const double begins = absl::ToDoubleSeconds(costs_.SuiteSetup(e));  // with each group
  const uint32_t most_unknown = costs_.BatchUnknownCases(e);
  CaseList list;
  double sum = 0;
  uint32_t unknown = 0;
  bool first = false;
  const auto goes_with = [&](CaseNumber i) {
    const CaseRecord& c = cases_[i];
    const CaseRecord& last = cases_[list.tail];
    return c.iteration == last.iteration && ShareEnvironment(c, last) && !HasOwnProcess(c) && !HasOwnProcess(last);
  };
  while (!pending_.offers(e).empty()) {
    const Pending::Offer offer = *pending_.offers(e).begin();
    if (list.count == 0) {
      first = offer.first;
    } else if (offer.first != first || sum + begins + offer.seconds > target || unknown >= most_unknown ||
               list.count >= kMostCasesPerLease || !goes_with(pending_.FirstOf(offer.group))) {
      break;
    }
    const uint32_t before = list.count;
    sum += begins;
    while (pending_.count(offer.group) > 0) {
      const CaseNumber i = pending_.FirstOf(offer.group);
      if (list.count > before && !goes_with(i)) break;  // it waits until these are done
      // Nobody asked for it to be one: more of it than what was seen warrants may be much longer than expected.
      *probing = !cases_[i].known && unknown >= most_unknown && !groups_.IsApart(offer.group);
      if (*probing) break;
      pending_.TakeGrouped(offer.group);
      pending_.FixEstimate(i);
      list.PushBack(cases_, i);
      sum += cases_[i].seconds;
      unknown += !cases_[i].known;
    }
    if (pending_.count(offer.group) > 0) break;
  }
  return list;
}

void Scheduler::Impl::SendLease(HostId h, UnitId e, const CaseList& list, NeedsId needs) {
  placement_.Request(h, e, hosts_[h].slots);
  if (options_.stress.has_value()) stress_.until = std::min(stress_.until, now_ + options_.stress->time);
  Lease message;
  LeaseRecord& lease = hosts_.NewLease(h, e, list, now_, needs);
  message.id = lease.id;
  lease.groups = groups_.In(cases_, list);
  groups_.Begin(lease.groups);
  for (const GroupId g : lease.groups) pending_.GroupIsTaken(g);
  message.iteration = cases_[list.head].iteration;
  message.unit = e;
  const std::optional<uint32_t> first = first_of_unit_[e];
  message.env = policies_[cases_[list.head].policy].env;
  if (needs != kNoNeeds) {
    message.env.emplace_back("DTEST_SLOTS", absl::StrCat(needs_.SlotsOf(needs, hosts_[h].slots)));
  }
  message.may_follow = needs == kNoNeeds;
  message.cases.reserve(list.count);
  for (CaseNumber i = list.head; i != kNoCase; i = cases_[i].next) {
    cut_.Forget(i);
    message.cases.push_back(Leased(h, cases_[i]));
    // Where all of a unit are one lease, the strictest counts.
    message.sandbox = std::max(message.sandbox, policies_[cases_[i].policy].sandbox);
    message.unlisted_too |= first == cases_[i].index && cases_[i].iteration == 1 && cases_[i].attempt == 1;
    message.may_follow &= cases_[i].attempt == 1 && !HasOwnProcess(cases_[i]) && !RunsApart(cases_[i]);
  }
  // As frameworks run them, but for one that is to run as it ran before, and where any order is wanted but that.
  if (!options_.together && !options_.shuffle)
    absl::c_sort(message.cases, [](const auto& a, const auto& b) { return a.index < b.index; });
  Send(h, std::move(message));
}

// A host that has nothing to do while units are being listed elsewhere fetches the one that fewest have: when its
// cases are known, they can start here at once.
bool Scheduler::Impl::GivePrefetch(HostId h) {
  HostRecord& host = hosts_[h];
  if (listings_.open() == 0 || listings_.any_unlisted() || host.busy() > 0 || host.prefetches > 0) return false;
  UnitId chosen = kNoUnit;
  for (UnitId e : listings_.ids()) {
    if (!listings_.IsBeingListed(e) || placement_.ShipTime(e) == absl::ZeroDuration()) continue;
    if (placement_.hold(h, e) != Hold::kNone) continue;
    if (chosen == kNoUnit || placement_.holder_slots(e) < placement_.holder_slots(chosen)) chosen = e;
  }
  if (chosen == kNoUnit) return false;
  placement_.Request(h, chosen, host.slots);
  ++host.prefetches;
  Send(h, Prefetch{chosen});
  return true;
}

}  // namespace dtest
