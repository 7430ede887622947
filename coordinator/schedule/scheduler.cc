#include "coordinator/schedule/scheduler.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "coordinator/schedule/check.h"
#include "coordinator/schedule/scheduler_impl.h"

namespace dtest {

namespace {

// A lease that the agent does not mention may be on its way: frames cross, and lost ones are sent again. After this
// time it is asked for by a Recall, which the agent can only answer after it has received the lease itself (messages
// are delivered in order). A lease that had arrived and is still not mentioned is lost.
constexpr absl::Duration kLeaseOnItsWay = absl::Seconds(5);
constexpr uint32_t kMissingHeartbeats = 2;

}  // namespace

Scheduler::Impl::Impl(const SchedulerOptions& options)
    : options_(options),
      needs_(options.host_tags),
      policies_(&needs_),
      costs_(options.default_case, options.longest_batch),
      pending_(&cases_, &costs_, &policies_, &groups_, options.shuffle.has_value() || options.listing_order),
      hosts_(&cases_, &needs_, options.hosts),
      attention_(&hosts_),
      random_(options.shuffle.value_or(0)) {}

void Scheduler::Impl::Handle(absl::Time now, SchedulerEvent event, std::vector<SchedulerAction>* actions) {
  if (over_) return;
  if (now_ == absl::InfinitePast()) run_deadline_ = now + options_.run_timeout;
  now_ = std::max(now_, now);
  actions_ = actions;
  std::visit([this](const auto& e) { On(e); }, event);
  if (!over_) EndTurn();
  actions_ = nullptr;
}

void Scheduler::Impl::EndTurn() {
  if (now_ >= needs_.next_lingering_end()) {
    for (HostId h : needs_.EndLingering(now_)) attention_.Touch(h);
    attention_.WorkCameUp();
  }
  if (!stopping() && now_ >= run_deadline_) BeginStop(RunEnd::kTimedOut, options_.kill_grace);
  if (!stopping() && pending_.ReleaseDelayed(now_)) {
    attention_.WorkCameUp();
    check_placeable_ = true;
  }
  if (check_placeable_ || pending_.needy().TakeCame()) CheckNeeds();
  if (check_placeable_) CheckPlaceable();
  if (!stopping() && options_.max_fail > 0 && failures_ >= options_.max_fail) {
    // Running cases get a second: the run's verdict stands, nobody waits for them.
    BeginStop(RunEnd::kFailFast, std::min(options_.kill_grace, absl::Seconds(1)));
  }
  AdmitInOrder();
  if (StressGoesOn()) AddIterations();
  CheckEnd();
  if (!over_ && !stopping()) Distribute();
  attention_.EndTurn();
}

void Scheduler::Impl::Send(HostId h, decltype(SendTo::message) message) {
  actions_->push_back(SendTo{h, std::move(message)});
}

std::string Scheduler::Impl::HostName(HostId h) const {
  return h.value() < options_.host_names.size() ? options_.host_names[h.value()] : absl::StrCat("host ", h.value());
}

// ---- Hosts -----------------------------------------------------------------------------------------------------

void Scheduler::Impl::On(const HostJoined& event) {
  const HostId h = event.host;
  hosts_.GrowTo(h);
  if (hosts_[h].state == HostRecord::State::kUp) On(HostGone{event.host, "its agent was started anew", true});
  hosts_.Join(h, event.slots, event.speed);
  hosts_[h].joined = now_;
  hosts_[h].stopped = stopping();  // it was given nothing: there is nothing to wait for
  check_placeable_ = true;
  attention_.Touch(h);
}

void Scheduler::Impl::On(const HostGone& event) {
  const HostId h = event.host;
  hosts_.GrowTo(h);
  HostRecord& host = hosts_[h];
  const bool was_up = host.state == HostRecord::State::kUp;
  host.why_gone = event.reason;
  if (was_up) {
    std::vector<std::pair<LeaseSlab, bool>> held;  // (lease, whether its first case was running), oldest first
    for (LeaseSlab slab = host.running.head; slab != kNoLease; slab = hosts_.lease(slab).next) {
      held.emplace_back(slab, placement_.Ready(h, hosts_.lease(slab).unit));
    }
    for (LeaseSlab slab = host.queued.head; slab != kNoLease; slab = hosts_.lease(slab).next) {
      held.emplace_back(slab, false);
    }
    const Suspects suspects = SuspectsOf(held);
    // From the last to the first, so that what is put in front ends up in the order it was in.
    for (auto it = held.rbegin(); it != held.rend(); ++it) {
      LeaseRecord& lease = hosts_.lease(it->first);
      if (lease.needs != kNoNeeds && event.tests_end > now_) {
        needs_.Linger(lease.needs, h, event.tests_end);
        if (needs_.SlotsOf(lease.needs, host.slots) > 1) host.free_from = event.tests_end;
      }
      bool suspect = it->second && !lease.cancelled;
      const CaseNumber shared = CopiedCase(lease);
      if (suspect && shared != kNoCase) {  // it is not over: it runs elsewhere, too
        NoteLoss(h, shared, event.reason);
        suspect = false;
      }
      std::optional<absl::Time> running_since;
      if (suspect) {
        NoteCut(lease, event.reason);
        absl::Time began;
        running_since = RunningIn(lease, &began) == lease.cases.head ? began : lease.started;
      }
      Lost(h, EndLease(lease), running_since, event.reason, suspects);
    }
    for (UnitId e : listings_.ids()) {
      if (listings_.ListerOf(e) != h) continue;
      ListingCameToNothing(e, absl::StrCat("the host was lost while it listed: ", event.reason));
    }
  }
  host.alone_from = std::max(host.alone_from, event.tests_end);
  Unreserve(h);
  hosts_.Leave(h, event.may_return);
  placement_.Forget(h);
  attention_.WorkCameUp();  // also what only it had the files of
  check_placeable_ = true;
}

void Scheduler::Impl::Drain(HostId h, const std::string& why) {
  if (hosts_[h].draining) return;
  actions_->push_back(Warn{absl::StrCat(HostName(h), " takes no more work: ", why)});
  Unreserve(h);
  hosts_.Drain(h);
  placement_.Retire(h);
  for (LeaseSlab slab = hosts_[h].queued.head; slab != kNoLease; slab = hosts_.lease(slab).next) {
    LeaseRecord& lease = hosts_.lease(slab);
    if (lease.recalled) continue;
    hosts_.MarkRecalled(lease, kNoHost);
    Send(h, Recall{lease.id});
  }
  attention_.WorkCameUp();
  check_placeable_ = true;
}

void Scheduler::Impl::On(const FromHost& event) {
  const HostId h = event.host;
  if (!hosts_.contains(h) || hosts_[h].state != HostRecord::State::kUp) return;
  std::visit([this, h](const auto& message) { OnMessage(h, message); }, event.message);
  if (!over_) attention_.Touch(h);
}

void Scheduler::Impl::OnMessage(HostId h, const Prepared& message) {
  const UnitId e = message.unit;
  if (!listings_.contains(e)) return;
  HostRecord& host = hosts_[h];
  if (host.prefetches > 0) --host.prefetches;
  if (message.drain) Drain(h, message.error);
  if (message.error.empty()) {
    placement_.SetReady(h, e);
    return;
  }
  placement_.SetUnfit(h, e, HostName(h), message.error);
  if (host.current == e) host.current = kNoUnit;
  if (listings_.ListerOf(e) == h) {
    --host.listings;
    ListingCameToNothing(e, message.error);
  }
  attention_.WorkCameUp();
  check_placeable_ = true;
}

void Scheduler::Impl::OnMessage(HostId h, const Heartbeat& message) {
  ++heartbeats_;
  for (LeaseId id : message.leases) {
    LeaseRecord* lease = hosts_.Find(id, h);
    if (lease == nullptr) {
      Send(h, Cancel{id});  // taken back earlier: it must not run there as well
    } else {
      lease->heartbeat = heartbeats_;
    }
  }
  HostRecord& host = hosts_[h];
  // Leases that wait for their files do not run, whatever their place in the order.
  for (LeaseSlab slab = host.running.head; slab != kNoLease;) {
    LeaseRecord& lease = hosts_.lease(slab);
    slab = lease.next;
    lease.shown.reset();
    if (!lease.reported && !placement_.Ready(h, lease.unit)) hosts_.MarkQueued(lease);
  }
  for (const RunningCase& running : message.running) {
    LeaseRecord* lease = hosts_.Find(running.lease, h);
    if (lease == nullptr) continue;
    hosts_.MarkRunning(*lease, now_);
    lease->shown = running.index;
    lease->shown_since = now_ - std::max(running.elapsed, absl::ZeroDuration());
    TellIfSlow(*lease, running.index, running.elapsed);
  }
  if (hosts_.SetOpen(h, message.open_slots == 0 ? host.slots : message.open_slots, heartbeats_, now_)) {
    attention_.TouchHungry();  // others may take what waits there now
    // But for what holds locks, which nobody takes: it is to hold none while it waits.
    for (LeaseSlab slab = host.queued.head; slab != kNoLease; slab = hosts_.lease(slab).next) {
      LeaseRecord& lease = hosts_.lease(slab);
      if (lease.needs == kNoNeeds || lease.recalled) continue;
      hosts_.MarkRecalled(lease, kNoHost);
      Send(h, Recall{lease.id});
    }
  }
  std::vector<LeaseSlab> missing;
  for (LeaseSlab slab : {host.running.head, host.queued.head}) {
    for (; slab != kNoLease; slab = hosts_.lease(slab).next) {
      LeaseRecord& lease = hosts_.lease(slab);
      if (lease.heartbeat == heartbeats_) {
        lease.missing = 0;
        lease.arrived = true;
      } else if (now_ - lease.sent > kLeaseOnItsWay && ++lease.missing >= kMissingHeartbeats) {
        missing.push_back(slab);
      }
    }
  }
  for (LeaseSlab slab : missing) {
    LeaseRecord& lease = hosts_.lease(slab);
    if (lease.arrived) {
      TakeBack(EndLease(lease));
      attention_.WorkCameUp();
    } else if (!lease.recalled) {
      hosts_.MarkRecalled(lease, kNoHost);
      Send(h, Recall{lease.id});
    }
  }
}

void Scheduler::Impl::OnMessage(HostId h, const Idle&) {
  if (stopping()) hosts_[h].stopped = true;
}

// ---- Units and cases -------------------------------------------------------------------------------------

void Scheduler::Impl::On(const UnitAdded& event) {
  const UnitId e = event.unit;
  if (!listings_.Add(e, event.listed)) return;
  pending_.AddUnit(e);
  placement_.AddUnit(e, event.bytes);
  if (!event.listed) attention_.WorkCameUp();
}

void Scheduler::Impl::OnMessage(HostId h, const Listed& message) {
  const UnitId e = message.unit;
  if (listings_.ListerOf(e) != h) return;
  listings_.SetListed(e);
  --hosts_[h].listings;
  placement_.SetReady(h, e);
}

void Scheduler::Impl::OnMessage(HostId, const ListingWrong& message) { wrongly_listed_.insert(message.unit); }

void Scheduler::Impl::ListingCameToNothing(UnitId unit, const std::string& why) {
  const std::string failure = absl::StrCat(HostName(listings_.ListerOf(unit)), ": ", why);
  if (std::optional<std::string> reasons = listings_.ComesToNothing(unit, failure)) {
    actions_->push_back(ListingFailed{unit, *std::move(reasons)});
  } else {
    attention_.WorkCameUp();
  }
}

void Scheduler::Impl::On(const CasesUnknown& event) {
  if (!listings_.IsOpen(event.unit)) return;
  Resolve(event.unit);
  order_.CameToNothing(event.unit);
}

void Scheduler::Impl::Resolve(UnitId e) {
  if (listings_.IsBeingListed(e)) --hosts_[listings_.ListerOf(e)].listings;
  listings_.Resolve(e);
}

// Those that the project asks for, and suites that cost much to begin with.
std::vector<uint32_t> Scheduler::Impl::GroupsOf(const CasesKnown& event, const std::vector<uint32_t>& suites) const {
  std::vector<uint32_t> group_of = event.group_of;
  if (event.suite_setup <= absl::ZeroDuration() || !GroupsSuites()) return group_of;
  std::vector<schedule::SuiteCase> cases;
  std::vector<size_t> position;  // of each of them in the event
  absl::Duration all;
  for (size_t k = 0; k < event.cases.size(); ++k) {
    const std::optional<absl::Duration>& expected = event.cases[k].expected;
    all += expected.value_or(absl::ZeroDuration());
    const CasePolicy& policy = event.policies[event.cases[k].policy];
    const bool is_grouped = k < group_of.size() && group_of[k] != 0;
    if (policy.processes != Processes::kBatch || policy.HasNeeds() || is_grouped) continue;
    cases.push_back({suites[k], expected});
    position.push_back(k);
  }
  const uint32_t groups = group_of.empty() ? 0 : *absl::c_max_element(group_of);
  const std::vector<uint32_t> made = GroupSuites(cases, event.unit, event.suite_setup, all, groups + 1);
  group_of.resize(event.cases.size());
  for (size_t j = 0; j < made.size(); ++j) {
    if (made[j] != 0) group_of[position[j]] = made[j];
  }
  return group_of;
}

// They are not divided as batches happen to end, and the longest come first. One that would take more than half of what
// there is to do for a slot is divided into parts of about that.
std::vector<uint32_t> Scheduler::Impl::GroupSuites(const std::vector<schedule::SuiteCase>& cases, UnitId e,
                                                   absl::Duration setup, absl::Duration all, uint32_t first) const {
  const absl::Duration half_of_a_slot = all / (2 * std::max<double>(hosts_.capacity(), options_.hosts));
  const auto keeps_together = [&](absl::Duration whole) { return costs_.KeepsTogether(e, whole); };
  return schedule::GroupSuites(cases, {setup, half_of_a_slot, keeps_together}, first);
}

bool Scheduler::Impl::GroupsSuites() const {
  return !options_.shuffle && !options_.listing_order && !options_.stress && !options_.together;
}

// Of what nobody has had yet. With --repeat it is not done: the iterations of a case are in one group.
void Scheduler::Impl::GroupLearntSuites(UnitId e) {
  if (!GroupsSuites() || options_.repeat > 1) return;
  std::vector<CaseNumber> may_share;
  std::vector<schedule::SuiteCase> cases;
  pending_.ForEachShort(e, [&](CaseNumber i) {
    if (cases_[i].first || HasOwnProcess(cases_[i])) return;
    may_share.push_back(i);
    cases.push_back({cases_[i].suite, pending_.Estimate(i)});
  });
  const std::vector<uint32_t> made =
      GroupSuites(cases, e, costs_.SuiteSetup(e), pending_.expected(e), groups_.NextNumber(e));
  for (size_t j = 0; j < made.size(); ++j) {
    if (made[j] == 0) continue;
    CaseRecord& c = cases_[may_share[j]];
    groups_.Put(e, c.index, made[j], /*apart=*/false);
    c.grouped = true;
  }
  pending_.MoveToGroups(e);
}

// By scope: files, the suites of each, and the cases of each of these, so that what they share is still made once.
// `order` has the cases of the event, the first of which is its lowest number.
void Scheduler::Impl::Shuffle(const CasesKnown& event, const std::vector<uint32_t>& suites,
                              std::vector<CaseNumber>* order) {
  if (order->empty()) return;
  const CaseNumber first = order->front();
  const auto number_of = [](const std::vector<uint32_t>& numbers, size_t k) {
    return k < numbers.size() ? numbers[k] : 0;
  };
  absl::flat_hash_map<uint32_t, uint64_t> files, of_suites;
  const auto place = [this](absl::flat_hash_map<uint32_t, uint64_t>* places, uint32_t number) {
    const auto [found, is_new] = places->try_emplace(number);
    if (is_new) found->second = random_();
    return found->second;
  };
  std::vector<std::tuple<uint64_t, uint64_t, uint64_t>> places;
  places.reserve(order->size());
  for (size_t k = 0; k < order->size(); ++k) {
    const uint64_t file = place(&files, number_of(event.file_of, k));
    const uint64_t suite = place(&of_suites, suites[k]);
    places.emplace_back(file, suite, random_());
  }
  absl::c_sort(*order, [&](CaseNumber a, CaseNumber b) {
    return places[a.value() - first.value()] < places[b.value() - first.value()];
  });
}

void Scheduler::Impl::On(const CasesKnown& event) {
  if (!listings_.IsOpen(event.unit)) return;
  if (event.after.empty()) return Admit(event);
  if (!options_.stress.has_value()) return order_.Wait(event);  // for the end of this turn at least
  if (!std::exchange(told_no_order_, true)) {
    actions_->push_back(Warn{"tests that are to run after others do not wait for them: --stress runs all at any time"});
  }
  Admit(event);
}

void Scheduler::Impl::AdmitInOrder() {
  while (const std::optional<CasesKnown> ready = order_.TakeReady()) {
    Admit(*ready);
    const UnitBefore* const obstacle = order_.Obstacle(ready->after);
    if (obstacle == nullptr) continue;
    const char* const why =
        order_.HasCases(obstacle->unit) ? " did not pass" : " is not selected, or could not be listed";
    for (CaseNumber i : pending_.TakeAll(ready->unit)) {
      FinalWithoutRun(i, Outcome::kInfraError, absl::StrCat("not run, as ", obstacle->what, why));
    }
  }
  const bool nothing_else = listings_.open() == order_.waiting() && finished_ == cases_.size();
  if (order_.waiting() == 0 || !nothing_else || !listings_.bundle_complete() || stopping()) return;
  for (const CasesKnown& event : order_.TakeAll()) {
    Admit(event);
    for (CaseNumber i : pending_.TakeAll(event.unit)) {
      FinalWithoutRun(i, Outcome::kInfraError, "not run: it is to run after tests that are to run after it");
    }
  }
}

void Scheduler::Impl::Admit(const CasesKnown& event) {
  const UnitId e = event.unit;
  Resolve(e);  // nothing of a listing is awaited any more
  order_.Begin(e, uint64_t{event.cases.size()} * std::max(options_.repeat, 1u));
  std::vector<uint32_t> suites(event.cases.size());
  absl::flat_hash_map<uint32_t, uint32_t> dense;
  for (size_t k = 0; k < event.cases.size() && k < event.suite_of.size(); ++k) {
    suites[k] = dense.try_emplace(event.suite_of[k], static_cast<uint32_t>(dense.size())).first->second;
  }
  costs_.AddUnit(e, std::max<uint32_t>(1, static_cast<uint32_t>(dense.size())), event.startup, event.suite_setup);
  first_of_unit_.GrowTo(e);
  if (event.unlisted_too && !event.cases.empty()) first_of_unit_[e] = event.cases[0].index;
  std::vector<schedule::PolicyId> policies;
  for (const CasePolicy& policy : event.policies) policies.push_back(policies_.IdOf(policy));
  if (options_.stress.has_value() && !event.group_of.empty()) {
    actions_->push_back(
        Warn{"tests of one group (--dist) may run at the same time: --stress runs even one beside itself"});
  }
  const std::vector<uint32_t> group_of = GroupsOf(event, suites);
  const auto in_group = [&](size_t k) { return k < group_of.size() && group_of[k] != 0; };
  std::vector<CaseNumber> order;
  order.reserve(event.cases.size());
  for (uint32_t iteration = 1; iteration <= std::max(options_.repeat, 1u); ++iteration) {
    order.clear();
    for (size_t k = 0; k < event.cases.size(); ++k) {
      const CaseNumber i = cases_.Add();
      CaseRecord& c = cases_[i];
      c.unit = e;
      c.index = event.cases[k].index;
      c.suite = suites[k];
      c.policy = policies[event.cases[k].policy];
      c.uncounted = event.cases[k].uncounted;
      c.needy = policies_.NeedsOf(c.policy) != kNoNeeds;
      c.grouped = in_group(k) && !options_.together && !options_.stress.has_value();
      const bool asked_for = k < event.group_of.size() && event.group_of[k] != 0;
      if (c.grouped && iteration == 1) groups_.Put(e, c.index, group_of[k], asked_for);
      c.iteration = iteration;
      c.first = event.cases[k].first && iteration == 1;
      c.known = event.cases[k].expected.has_value();
      if (c.known) c.seconds = static_cast<float>(std::max(0.0, absl::ToDoubleSeconds(*event.cases[k].expected)));
      if (c.known) c.high = static_cast<float>(std::max(0.0, absl::ToDoubleSeconds(event.cases[k].high)));
      any_unknown_ |= !c.known;
      order.push_back(i);
    }
    if (options_.shuffle) Shuffle(event, suites, &order);
    const auto rest =
        std::stable_partition(order.begin(), order.end(), [this](CaseNumber i) { return cases_[i].first; });
    if (!options_.shuffle && !options_.listing_order) {  // the longest of those first, too: they may be all there are
      const float long_case = static_cast<float>(absl::ToDoubleSeconds(costs_.long_case(e)));
      const auto long_ones = std::stable_partition(
          order.begin(), rest, [&](CaseNumber i) { return cases_[i].known && cases_[i].seconds > long_case; });
      std::stable_sort(order.begin(), long_ones,
                       [this](CaseNumber a, CaseNumber b) { return cases_[a].seconds > cases_[b].seconds; });
    }
    for (CaseNumber i : order) pending_.AddBack(i);
    if (options_.stress.has_value()) {
      for (CaseNumber i : order) {
        stress_.cases.push_back({i});
        stress_.needy |= cases_[i].needy;
      }
    }
  }
  attention_.WorkCameUp();
  if (placement_.unfit(e) > 0) check_placeable_ = true;
}

void Scheduler::Impl::On(const BundleComplete&) { listings_.CompleteBundle(); }

void Scheduler::Impl::On(const Tick&) {
  if (now_ < rebalance_) return;
  rebalance_ = absl::InfiniteFuture();
  patient_ = false;
  attention_.WorkCameUp();
  attention_.TouchHungry();
}

void Scheduler::Impl::CheckPlaceable() {
  check_placeable_ = false;
  if (hosts_.possible() == 0) return;  // no unit's fault: the run ends for lack of hosts
  for (UnitId e : listings_.ids()) {
    if (!placement_.Knows(e) || placement_.unfit(e) < hosts_.possible()) continue;
    const std::string reasons = placement_.Reasons(e);
    if (listings_.IsUnlisted(e)) {
      On(CasesUnknown{e});
      actions_->push_back(ListingFailed{e, reasons});
    }
    RepeatNoMore([e](const CaseRecord& c) { return c.unit == e; });
    for (CaseNumber i : pending_.TakeAll(e)) {
      FinalWithoutRun(
          i, Outcome::kInfraError,
          absl::StrCat("no host can run this executable: ", reasons, ". Add a host that can, or leave it out with -k"));
    }
  }
}

// ---- Queries ---------------------------------------------------------------------------------------------------

absl::Time Scheduler::Impl::NextDeadline() const {
  if (over_) return absl::InfiniteFuture();
  if (stopping()) return stop_->deadline;
  return std::min({run_deadline_, rebalance_, stragglers_.look_at_latest, pending_.next_due(),
                   needs_.next_lingering_end(), StressGoesOn() ? stress_.until : absl::InfiniteFuture()});
}

Scheduler::Progress Scheduler::Impl::progress() const {
  Progress progress;
  progress.selected = cases_.size();
  progress.finished = finished_;
  progress.running_or_queued = hosts_.leased_cases();
  progress.unlisted = listings_.open();
  progress.slots = hosts_.slots();
  return progress;
}

absl::Duration Scheduler::Impl::TimeLeft(absl::Time now) const {
  if (any_unknown_ && !costs_.has_learnt()) return absl::InfiniteDuration();
  const HostTable::Outlook hosts = hosts_.outlook(now);
  const absl::Duration left = schedule::TimeLeft(pending_.expected() + hosts.work, hosts.capacity, hosts.longest);
  // How often cases run until a time has passed nobody knows; how long that is, everybody does.
  const bool timed = StressGoesOn() && stress_.until != absl::InfiniteFuture();
  return timed ? std::max(left, stress_.until - now) : left;
}

void Scheduler::Impl::CheckInvariants() const {
  using schedule::Check;
  pending_.CheckInvariants();
  hosts_.CheckInvariants();
  uint64_t finished = 0;
  for (CaseNumber i : cases_.ids()) finished += cases_[i].state == CaseState::kFinished;
  Check(finished == finished_, "finished cases are counted");
  Check(pending_.count() + pending_.delayed() + hosts_.leased_cases() + finished_ == cases_.size(),
        "every case is in exactly one of pending, leased, finished");
  Check(!over_ || finished_ == cases_.size(), "no case is left without a verdict at the end");
  CheckGroups();
  uint32_t reserved = 0;
  for (HostId h : hosts_.ids()) {
    const HostRecord& host = hosts_[h];
    if (host.reserved == kNoNeeds) continue;
    ++reserved;
    Check(host.usable(), "only a host that takes work is reserved");
    Check(stopping() || over_ || pending_.needy().IsReady(host.reserved),
          "a host is reserved for cases that could run");
  }
  Check(reserved == reserved_.size(), "reserved hosts are listed");
  IdVector<HostId, uint32_t> listings;
  for (HostId h : hosts_.ids()) listings.Add(hosts_[h].listings);
  listings_.CheckInvariants(listings);
  for (UnitId e : listings_.ids()) {
    uint32_t slots = 0;
    for (HostId h : hosts_.ids()) {
      const Hold hold = placement_.hold(h, e);
      if (hosts_[h].usable() && (hold == Hold::kRequested || hold == Hold::kReady)) slots += hosts_[h].slots;
    }
    Check(slots == placement_.holder_slots(e), "slots of a unit's hosts are counted");
  }
}

void Scheduler::Impl::CheckGroups() const {
  using schedule::Check;
  IdVector<GroupId, uint32_t> leases;
  for (GroupId g : groups_.ids()) leases.GrowTo(g);
  for (HostId h : hosts_.ids()) {
    for (const LeaseSlab first : {hosts_[h].running.head, hosts_[h].queued.head}) {
      for (LeaseSlab slab = first; slab != kNoLease; slab = hosts_.lease(slab).next) {
        for (const GroupId g : hosts_.lease(slab).groups) ++leases[g];
      }
    }
  }
  for (GroupId g : groups_.ids()) {
    Check(leases[g] == groups_.leases(g), "leases of a group are counted");
    Check(leases[g] <= 1, "no two leases have cases of one group");
  }
}

// ---- The public face -------------------------------------------------------------------------------------------

Scheduler::Scheduler(const SchedulerOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Scheduler::~Scheduler() = default;
void Scheduler::Handle(absl::Time now, SchedulerEvent event, std::vector<SchedulerAction>* actions) {
  impl_->Handle(now, std::move(event), actions);
}
absl::Time Scheduler::NextDeadline() const { return impl_->NextDeadline(); }
Scheduler::Progress Scheduler::progress() const { return impl_->progress(); }
absl::Duration Scheduler::TimeLeft(absl::Time now) const { return impl_->TimeLeft(now); }
std::optional<absl::Duration> Scheduler::SuiteSetup(UnitId unit) const { return impl_->SuiteSetup(unit); }
void Scheduler::CheckInvariants() const { impl_->CheckInvariants(); }

}  // namespace dtest
