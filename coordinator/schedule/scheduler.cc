#include "coordinator/schedule/scheduler.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
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
      attempts_per_iteration_(AttemptsPerIteration(options)),
      costs_(options.default_case, options.longest_batch),
      pending_(&cases_, &costs_, options.shuffle.has_value()),
      hosts_(&cases_, options.hosts),
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
  if (!stopping_ && now_ >= run_deadline_) BeginStop(RunEnd::kTimedOut, options_.kill_grace);
  if (check_placeable_) CheckPlaceable();
  if (!stopping_ && options_.max_fail > 0 && failures_ >= options_.max_fail) {
    // Running cases get a second: the run's verdict stands, nobody waits for them.
    BeginStop(RunEnd::kFailFast, std::min(options_.kill_grace, absl::Seconds(1)));
  }
  CheckEnd();
  if (!over_ && !stopping_) Distribute();
  for (uint32_t h : touched_) hosts_[h].touched = false;
  touched_.clear();
  first_in_turn_ = kNone;
  work_added_ = false;
}

void Scheduler::Impl::Touch(uint32_t h) {
  if (hosts_[h].touched) return;
  hosts_[h].touched = true;
  touched_.push_back(h);
}

void Scheduler::Impl::Send(uint32_t h, decltype(SendTo::message) message) {
  actions_->push_back(SendTo{HostId(h), std::move(message)});
}

std::string Scheduler::Impl::HostName(uint32_t h) const {
  return h < options_.host_names.size() ? options_.host_names[h] : absl::StrCat("host ", h);
}

Scheduler::Impl::UnitRecord& Scheduler::Impl::Record(uint32_t unit) {
  if (unit >= units_.size()) {
    units_.resize(unit + 1);
    for (uint32_t e = 0; e <= unit; ++e) pending_.AddUnit(e);
  }
  return units_[unit];
}

// ---- Hosts -----------------------------------------------------------------------------------------------------

void Scheduler::Impl::On(const HostJoined& event) {
  const uint32_t h = event.host.value();
  hosts_.Grow(h + 1);
  if (hosts_[h].state == HostRecord::State::kUp) On(HostGone{event.host, "its agent was started anew", true});
  hosts_.Join(h, event.slots, event.speed);
  hosts_[h].joined = now_;
  hosts_[h].stopped = stopping_;  // it was given nothing: there is nothing to wait for
  Touch(h);
}

void Scheduler::Impl::On(const HostGone& event) {
  const uint32_t h = event.host.value();
  hosts_.Grow(h + 1);
  HostRecord& host = hosts_[h];
  const bool was_up = host.state == HostRecord::State::kUp;
  host.why_gone = event.reason;
  if (was_up) {
    std::vector<std::pair<uint32_t, bool>> held;  // (lease, whether its first case was running), oldest first
    for (uint32_t slab = host.running.head; slab != kNone; slab = hosts_.lease(slab).next) {
      held.emplace_back(slab, placement_.Ready(h, hosts_.lease(slab).unit));
    }
    for (uint32_t slab = host.queued.head; slab != kNone; slab = hosts_.lease(slab).next) {
      held.emplace_back(slab, false);
    }
    // From the last to the first, so that what is put in front ends up in the order it was in.
    for (auto it = held.rbegin(); it != held.rend(); ++it) {
      LeaseRecord& lease = hosts_.lease(it->first);
      bool suspect = it->second && !lease.cancelled;
      const uint32_t shared = CopiedCase(lease);
      if (suspect && shared != kNone) {  // it is not over: it runs elsewhere, too
        NoteLoss(h, shared, event.reason);
        suspect = false;
      }
      if (suspect) NoteCut(lease, event.reason);
      Lost(h, EndLease(lease), suspect, event.reason);
    }
    for (uint32_t e = 0; e < units_.size(); ++e) {
      UnitRecord& record = units_[e];
      if (record.state != UnitRecord::State::kListing || record.lister != h) continue;
      ListingCameToNothing(e, absl::StrCat("the host was lost while it listed: ", event.reason));
    }
  }
  hosts_.Leave(h, event.may_return);
  placement_.Forget(h);
  work_added_ = true;  // also what only it had the files of
  check_placeable_ = true;
}

void Scheduler::Impl::Drain(uint32_t h, const std::string& why) {
  if (hosts_[h].draining) return;
  actions_->push_back(Warn{absl::StrCat(HostName(h), " takes no more work: ", why)});
  hosts_.Drain(h);
  placement_.Retire(h);
  for (uint32_t slab = hosts_[h].queued.head; slab != kNone; slab = hosts_.lease(slab).next) {
    LeaseRecord& lease = hosts_.lease(slab);
    if (lease.recalled) continue;
    hosts_.MarkRecalled(lease, kNone);
    Send(h, Recall{lease.id});
  }
  work_added_ = true;
  check_placeable_ = true;
}

void Scheduler::Impl::On(const FromHost& event) {
  const uint32_t h = event.host.value();
  if (h >= hosts_.size() || hosts_[h].state != HostRecord::State::kUp) return;
  std::visit([this, h](const auto& message) { OnMessage(h, message); }, event.message);
  if (!over_) Touch(h);
}

void Scheduler::Impl::OnMessage(uint32_t h, const Prepared& message) {
  const uint32_t e = message.unit.value();
  if (e >= units_.size()) return;
  HostRecord& host = hosts_[h];
  if (host.prefetches > 0) --host.prefetches;
  if (message.drain) Drain(h, message.error);
  if (message.error.empty()) {
    placement_.SetReady(h, e);
    return;
  }
  placement_.SetUnfit(h, e, HostName(h), message.error);
  if (host.current == e) host.current = kNone;
  UnitRecord& record = units_[e];
  if (record.state == UnitRecord::State::kListing && record.lister == h) {
    --host.listings;
    ListingCameToNothing(e, message.error);
  }
  work_added_ = true;
  check_placeable_ = true;
}

void Scheduler::Impl::OnMessage(uint32_t h, const Heartbeat& message) {
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
  for (uint32_t slab = host.running.head; slab != kNone;) {
    LeaseRecord& lease = hosts_.lease(slab);
    slab = lease.next;
    lease.shown = kNone;
    if (!lease.reported && !placement_.Ready(h, lease.unit)) hosts_.MarkQueued(lease);
  }
  for (const RunningCase& running : message.running) {
    LeaseRecord* lease = hosts_.Find(running.lease, h);
    if (lease == nullptr) continue;
    hosts_.MarkRunning(*lease, now_);
    lease->shown = running.index;
    lease->shown_since = now_ - std::max(running.elapsed, absl::ZeroDuration());
  }
  std::vector<uint32_t> missing;
  for (uint32_t slab : {host.running.head, host.queued.head}) {
    for (; slab != kNone; slab = hosts_.lease(slab).next) {
      LeaseRecord& lease = hosts_.lease(slab);
      if (lease.heartbeat == heartbeats_) {
        lease.missing = 0;
        lease.arrived = true;
      } else if (now_ - lease.sent > kLeaseOnItsWay && ++lease.missing >= kMissingHeartbeats) {
        missing.push_back(slab);
      }
    }
  }
  for (uint32_t slab : missing) {
    LeaseRecord& lease = hosts_.lease(slab);
    if (lease.arrived) {
      TakeBack(EndLease(lease));
      work_added_ = true;
    } else if (!lease.recalled) {
      hosts_.MarkRecalled(lease, kNone);
      Send(h, Recall{lease.id});
    }
  }
}

void Scheduler::Impl::OnMessage(uint32_t h, const Idle&) {
  if (stopping_) hosts_[h].stopped = true;
}

// ---- Units and cases -------------------------------------------------------------------------------------

void Scheduler::Impl::On(const UnitAdded& event) {
  const uint32_t e = event.unit.value();
  UnitRecord& record = Record(e);
  if (record.state != UnitRecord::State::kUnknown) return;
  placement_.AddUnit(e, event.bytes);
  record.state = event.listed ? UnitRecord::State::kListed : UnitRecord::State::kUnlisted;
  ++unresolved_;
  if (!event.listed) {
    unlisted_.push_back(e);
    work_added_ = true;
  }
}

void Scheduler::Impl::OnMessage(uint32_t h, const Listed& message) {
  const uint32_t e = message.unit.value();
  if (e >= units_.size()) return;
  UnitRecord& record = units_[e];
  if (record.state != UnitRecord::State::kListing || record.lister != h) return;
  record.state = UnitRecord::State::kListed;
  --hosts_[h].listings;
  placement_.SetReady(h, e);
}

void Scheduler::Impl::OnMessage(uint32_t, const ListingWrong& message) {
  if (message.unit.value() < units_.size()) units_[message.unit.value()].listing_wrong = true;
}

void Scheduler::Impl::ListingCameToNothing(uint32_t unit, const std::string& why) {
  UnitRecord& record = units_[unit];
  record.tried.push_back(record.lister);
  record.listing_failures.push_back(absl::StrCat(HostName(record.lister), ": ", why));
  record.lister = kNone;
  if (record.listing_failures.size() < kListingAttempts) {
    record.state = UnitRecord::State::kUnlisted;
    unlisted_.push_front(unit);
    work_added_ = true;
    return;
  }
  record.state = UnitRecord::State::kDone;
  --unresolved_;
  actions_->push_back(ListingFailed{UnitId(unit), absl::StrJoin(record.listing_failures, "; ")});
}

void Scheduler::Impl::On(const CasesUnknown& event) {
  UnitRecord& record = Record(event.unit.value());
  if (record.state == UnitRecord::State::kUnknown || record.state == UnitRecord::State::kDone) return;
  if (record.state == UnitRecord::State::kListing) --hosts_[record.lister].listings;
  unlisted_.erase(std::remove(unlisted_.begin(), unlisted_.end(), event.unit.value()), unlisted_.end());
  record.state = UnitRecord::State::kDone;
  --unresolved_;
}

void Scheduler::Impl::On(const CasesKnown& event) {
  const uint32_t e = event.unit.value();
  if (Record(e).state == UnitRecord::State::kUnknown || Record(e).state == UnitRecord::State::kDone) return;
  On(CasesUnknown{event.unit});  // nothing of a listing is awaited any more
  std::vector<uint32_t> suites(event.cases.size());
  absl::flat_hash_map<uint32_t, uint32_t> dense;
  for (size_t k = 0; k < event.cases.size() && k < event.suite_of.size(); ++k) {
    suites[k] = dense.try_emplace(event.suite_of[k], static_cast<uint32_t>(dense.size())).first->second;
  }
  costs_.AddUnit(e, std::max<uint32_t>(1, static_cast<uint32_t>(dense.size())), event.startup);
  std::vector<uint32_t> order;
  order.reserve(event.cases.size());
  for (uint32_t iteration = 1; iteration <= std::max(options_.repeat, 1u); ++iteration) {
    order.clear();
    for (size_t k = 0; k < event.cases.size(); ++k) {
      const uint32_t i = cases_.Add();
      CaseRecord& c = cases_[i];
      c.unit = e;
      c.index = event.cases[k].index;
      c.suite = suites[k];
      c.iteration = iteration;
      c.known = event.cases[k].expected.has_value();
      if (c.known) c.seconds = static_cast<float>(std::max(0.0, absl::ToDoubleSeconds(*event.cases[k].expected)));
      if (c.known) c.high = static_cast<float>(std::max(0.0, absl::ToDoubleSeconds(event.cases[k].high)));
      any_unknown_ |= !c.known;
      order.push_back(i);
    }
    if (options_.shuffle) std::shuffle(order.begin(), order.end(), random_);
    for (uint32_t i : order) pending_.AddBack(i);
  }
  work_added_ = true;
  if (placement_.unfit(e) > 0) check_placeable_ = true;
}

void Scheduler::Impl::On(const BundleComplete&) { bundle_complete_ = true; }

void Scheduler::Impl::On(const Tick&) {
  if (now_ < rebalance_) return;
  rebalance_ = absl::InfiniteFuture();
  patient_ = false;
  work_added_ = true;
  for (uint32_t h : hungry_) Touch(h);
}

void Scheduler::Impl::CheckPlaceable() {
  check_placeable_ = false;
  if (hosts_.possible() == 0) return;  // no unit's fault: the run ends for lack of hosts
  for (uint32_t e = 0; e < units_.size(); ++e) {
    UnitRecord& record = units_[e];
    if (record.state == UnitRecord::State::kUnknown || placement_.unfit(e) < hosts_.possible()) continue;
    const std::string reasons = placement_.Reasons(e);
    if (record.state == UnitRecord::State::kUnlisted) {
      On(CasesUnknown{UnitId(e)});
      actions_->push_back(ListingFailed{UnitId(e), reasons});
    }
    for (uint32_t i : pending_.TakeAll(e)) {
      FinalWithoutRun(i, Outcome::kInfraError, absl::StrCat("no host can run this executable: ", reasons));
    }
  }
}

// ---- Queries ---------------------------------------------------------------------------------------------------

absl::Time Scheduler::Impl::NextDeadline() const {
  if (over_) return absl::InfiniteFuture();
  if (stopping_) return stop_deadline_;
  return std::min({run_deadline_, rebalance_, watch_});
}

Scheduler::Progress Scheduler::Impl::progress() const {
  Progress progress;
  progress.selected = cases_.size();
  progress.finished = finished_;
  progress.running_or_queued = hosts_.leased_cases();
  progress.unlisted = unresolved_;
  progress.slots = hosts_.slots();
  return progress;
}

absl::Duration Scheduler::Impl::TimeLeft(absl::Time now) const {
  if (any_unknown_ && !costs_.has_learnt()) return absl::InfiniteDuration();
  const HostTable::Outlook hosts = hosts_.outlook(now);
  return absl::Seconds(schedule::TimeLeft(pending_.nanos() * 1e-9 + hosts.work, hosts.capacity, hosts.longest));
}

void Scheduler::Impl::CheckInvariants() const {
  using schedule::Check;
  pending_.CheckInvariants();
  hosts_.CheckInvariants();
  uint64_t finished = 0;
  for (uint32_t i = 0; i < cases_.size(); ++i) finished += cases_[i].state == CaseState::kFinished;
  Check(finished == finished_, "finished cases are counted");
  Check(pending_.count() + hosts_.leased_cases() + finished_ == cases_.size(),
        "every case is in exactly one of pending, leased, finished");
  Check(!over_ || finished_ == cases_.size(), "no case is left without a verdict at the end");
  uint32_t unresolved = 0, unlisted = 0;
  std::vector<uint32_t> listings(hosts_.size());
  for (const UnitRecord& record : units_) {
    unlisted += record.state == UnitRecord::State::kUnlisted;
    unresolved += record.state != UnitRecord::State::kUnknown && record.state != UnitRecord::State::kDone;
    if (record.state == UnitRecord::State::kListing) ++listings[record.lister];
  }
  Check(unlisted == unlisted_.size(), "unlisted executables are queued");
  Check(unresolved == unresolved_, "executables without known cases are counted");
  for (uint32_t h = 0; h < hosts_.size(); ++h) Check(listings[h] == hosts_[h].listings, "listings are counted");
  for (uint32_t e = 0; e < units_.size(); ++e) {
    uint32_t slots = 0;
    for (uint32_t h = 0; h < hosts_.size(); ++h) {
      const Hold hold = placement_.hold(h, e);
      if (hosts_[h].usable() && (hold == Hold::kRequested || hold == Hold::kReady)) slots += hosts_[h].slots;
    }
    Check(slots == placement_.holder_slots(e), "slots of an executable's hosts are counted");
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
void Scheduler::CheckInvariants() const { impl_->CheckInvariants(); }

}  // namespace dtest
