// Slots, results on their way, and time.

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "agent/core/agent_impl.h"
#include "agent/core/blame.h"

namespace dtest {
namespace {

// A queue with so many leases a slot lasts longer than a result waits, however short they are.
constexpr size_t kDeepQueue = 8;

uint64_t Bytes(const CaseResult& result) {
  uint64_t bytes = result.message.size() + result.output.size();
  for (const auto& [key, value] : result.properties) bytes += key.size() + value.size();
  return bytes;
}

[[noreturn]] void InvariantBroken(const std::string& what) {
  std::fprintf(stderr, "agent core: invariant broken: %s\n", what.c_str());
  std::abort();
}

}  // namespace

void Agent::Impl::Dispatch() {
  dispatch_ = false;
  uint32_t room = open_ > busy() ? open_ - busy() : 0;
  for (uint32_t i = 0; i < slots_.size() && room > 0 && !(listings_.empty() && queue_.empty()); ++i) {
    Slot& slot = slots_[i];
    if (slot.state != Slot::State::kIdle || !set_up_[i]) continue;
    const auto ready = [this](UnitId id) { return IsReady(id); };
    if (const auto listing = std::find_if(listings_.begin(), listings_.end(), ready); listing != listings_.end()) {
      --room;
      slot.state = Slot::State::kListing;
      slot.unit = *listing;
      slot.limit = now_ + welcome_.settings.list_timeout;
      listings_.erase(listing);
      actions_->emplace_back(StartListing{SlotId(i), slot.unit});
      continue;
    }
    const auto lease =
        std::find_if(queue_.begin(), queue_.end(), [&](const HeldLease* held) { return ready(held->unit()); });
    if (lease == queue_.end()) return;
    --room;
    slot.lease = *lease;
    queue_.erase(lease);
    StartProcess(&slot);
  }
  if (room > 0) StartSetups(room);
}

bool Agent::Impl::IsReady(UnitId id) const {
  const auto found = units_.find(id);
  return found != units_.end() && found->second.state == Unit::State::kReady;
}

void Agent::Impl::StartSetups(uint32_t most) {
  if (absl::c_find(set_up_, false) == set_up_.end()) return;
  std::vector<UnitId> waiting;  // each for a slot that is being set up, or is to be
  for (const UnitId id : listings_) {
    if (IsReady(id)) waiting.push_back(id);
  }
  for (size_t i = 0; i < queue_.size() && waiting.size() < slots_.size(); ++i) {
    if (IsReady(queue_[i]->unit())) waiting.push_back(queue_[i]->unit());
  }
  size_t served = absl::c_count_if(slots_, [](const Slot& slot) { return slot.state == Slot::State::kSettingUp; });
  for (uint32_t i = 0; i < slots_.size() && most > 0 && served < waiting.size(); ++i) {
    if (slots_[i].state != Slot::State::kIdle || set_up_[i]) continue;
    if (host_setup_ == HostSetup::kRuns) return;
    const bool of_host = host_setup_ == HostSetup::kWanted;
    if (of_host) host_setup_ = HostSetup::kRuns;
    slots_[i].state = Slot::State::kSettingUp;
    slots_[i].of_host = of_host;
    actions_->emplace_back(StartSetup{SlotId(i), waiting[served], of_host});
    ++served;
    --most;
  }
}

void Agent::Impl::On(SetupEnded&& event) {
  Slot* const slot = Live(event.slot, Slot::State::kSettingUp);
  if (slot == nullptr) return;
  const Slot was = *slot;
  FreeSlot(slot);
  if (was.fate == Slot::Fate::kDropped) {
    SendIdleIfOwed();
  } else if (!event.error.empty()) {
    if (!useless_.empty()) return;  // told of another slot already
    const std::string error = absl::StrCat(event.name, " failed: ", event.error);
    Send(Note{absl::StrCat(error, event.output.empty() ? "" : "\n", event.output)});
    TakeNothingMore(error);
  } else if (was.of_host) {
    host_setup_ = HostSetup::kDone;
    TellPrepared();
    if (!HasCommands(welcome_.settings.slot_setup)) set_up_.assign(slots_.size(), true);
  } else {
    set_up_[event.slot.value()] = true;
  }
}

uint32_t Agent::Impl::busy() const {
  return static_cast<uint32_t>(
      absl::c_count_if(slots_, [](const Slot& slot) { return slot.state != Slot::State::kIdle; }));
}

void Agent::Impl::On(SlotsOpen&& event) {
  open_ = std::max(event.slots, 1u);
  dispatch_ = true;
  if (!welcomed_) return;
  next_heartbeat_ = now_;
  Beat();
}

void Agent::Impl::StartProcess(Slot* slot) {
  HeldLease* lease = slot->lease;
  *slot = Slot();
  slot->state = Slot::State::kRunning;
  slot->lease = lease;
  slot->unit = lease->unit();
  slot->spawned = now_;
  if (NeverBegins(slot)) {
    FinishLease(slot);
    FreeSlot(slot);
    return;
  }
  slot->process = ++processes_;
  if (lease->inquest.has_value()) slot->suspect = lease->inquest->suspects[lease->inquest->next++];
  slot->confirms = !lease->inquest.has_value() && lease->doubt.has_value() && !lease->doubt->alone.has_value();
  const bool looks_again = slot->confirms || slot->suspect != HeldLease::kNone;
  std::vector<LeasedCase> cases = slot->suspect != HeldLease::kNone ? std::vector<LeasedCase>{lease->at(slot->suspect)}
                                  : slot->confirms
                                      ? std::vector<LeasedCase>{lease->at(lease->Find(lease->doubt->crash.index))}
                                      : lease->Remaining(lease->one_by_one ? 1 : std::numeric_limits<size_t>::max());
  slot->batch_left = cases.size();
  StartLimit(slot, NextOf(*slot));
  slot->report = units_[slot->unit].report || looks_again || lease->one_by_one;
  StartBatch batch = BatchOf(*slot, *lease, std::move(cases));
  if (looks_again) batch.unlisted_too = false;
  actions_->emplace_back(std::move(batch));
}

StartBatch Agent::Impl::BatchOf(const Slot& slot, const HeldLease& lease, std::vector<LeasedCase> cases) const {
  const bool may_go_on = lease.may_follow() && !slot.confirms && slot.suspect == HeldLease::kNone && !lease.one_by_one;
  return {IdOf(&slot),          lease.unit(), std::move(cases), slot.report,    lease.iteration(),
          lease.unlisted_too(), may_go_on,    lease.env(),      lease.sandbox()};
}

HeldLease* Agent::Impl::FollowerOf(const Slot& slot) {
  const HeldLease* const lease = slot.lease;
  if (lease == nullptr || slot.fate != Slot::Fate::kOpen || slot.suspect != HeldLease::kNone) return nullptr;
  if (slot.confirms || lease->doubt.has_value() || lease->one_by_one || busy() > open_) return nullptr;
  const auto ready = [this](UnitId id) { return IsReady(id); };
  if (std::any_of(listings_.begin(), listings_.end(), ready)) return nullptr;
  // Only what would have the slot anyway: nothing is overtaken.
  const auto first =
      std::find_if(queue_.begin(), queue_.end(), [&](const HeldLease* held) { return ready(held->unit()); });
  if (first == queue_.end()) return nullptr;
  HeldLease* const next = *first;
  const bool alike = next->unit() == lease->unit() && next->iteration() == lease->iteration() &&
                     next->env() == lease->env() && next->sandbox() == lease->sandbox();
  if (!alike || !lease->may_follow() || !next->may_follow()) return nullptr;
  queue_.erase(first);
  return next;
}

void Agent::Impl::On(BatchEnds&& event) {
  Slot* slot = Live(event.slot, Slot::State::kRunning);
  if (slot == nullptr || slot->next != nullptr || slot->next_cancelled.has_value()) return;
  slot->next = FollowerOf(*slot);
  FollowBatch answer{event.slot, slot->unit, std::nullopt};
  if (HeldLease* const next = slot->next; next != nullptr) {
    answer.next = BatchOf(*slot, *next, next->Remaining(std::numeric_limits<size_t>::max()));
  }
  actions_->emplace_back(std::move(answer));
  // It has waited for this, however long that took.
  if (slot->fate == Slot::Fate::kOpen && slot->running != HeldLease::kNone) StartLimit(slot, slot->running);
}

void Agent::Impl::GiveUpNext(Slot* slot) {
  if (slot->next == nullptr) return;
  queue_.push_front(std::exchange(slot->next, nullptr));
  if (units_[slot->unit].state == Unit::State::kFailed) GiveBackQueued(slot->unit);
  dispatch_ = true;
}

void Agent::Impl::Follow(Slot* slot) {
  FinishLease(slot);
  const Slot was = std::exchange(*slot, Slot());
  slot->state = Slot::State::kRunning;
  slot->unit = was.unit;
  slot->spawned = now_;
  slot->process = was.process;
  slot->begun = was.begun;
  slot->report = was.report;
  if (was.next_cancelled.has_value()) {
    slot->cancelled = was.next_cancelled;
    DropProcess(slot, SIGKILL, absl::InfiniteFuture());
    return;
  }
  slot->lease = was.next;
  slot->followed = true;
  slot->batch_left = slot->lease->remaining();
  StartLimit(slot, NextOf(*slot));
}

void Agent::Impl::StartLimit(Slot* slot, size_t position) {
  slot->allowed = slot->lease->at(position).time_limit;
  if (!slot->exited) slot->limit = now_ + slot->allowed;
}

void Agent::Impl::FreeSlot(Slot* slot) {
  *slot = Slot();
  dispatch_ = true;
}

Agent::Impl::Slot* Agent::Impl::SlotOf(const HeldLease* lease) {
  for (Slot& slot : slots_) {
    if (slot.lease == lease) return &slot;
  }
  return nullptr;
}

Agent::Impl::Slot* Agent::Impl::SlotBefore(const HeldLease* lease) {
  const auto found = absl::c_find_if(slots_, [lease](const Slot& slot) { return slot.next == lease; });
  return found == slots_.end() ? nullptr : &*found;
}

Agent::Impl::Slot* Agent::Impl::Live(SlotId id, Slot::State state) {
  if (id.value() >= slots_.size() || slots_[id.value()].state != state) return nullptr;
  return &slots_[id.value()];
}

void Agent::Impl::DropProcess(Slot* slot, int signal, absl::Time kill_at) {
  GiveUpNext(slot);
  slot->lease = nullptr;
  slot->held.reset();
  slot->doubtful.clear();
  slot->running = HeldLease::kNone;
  slot->fate = Slot::Fate::kDropped;
  slot->limit = absl::InfiniteFuture();
  slot->kill_at = kill_at;
  Signal(slot, signal);
}

void Agent::Impl::SendIdleIfOwed() {
  if (!idle_owed_) return;
  if (std::any_of(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.HasProcess(); })) return;
  idle_owed_ = false;
  Send(Idle{});
}

void Agent::Impl::Gather(HeldLease* lease, CaseResult result) {
  const uint64_t bytes = Bytes(result);
  lease->gathered.push_back(std::move(result));
  Gathered(lease, bytes);
}

void Agent::Impl::Gathered(HeldLease* lease, uint64_t bytes) {
  if (lease->flush_at == absl::InfiniteFuture()) lease->flush_at = now_ + options_.result_delay;
  lease->gathered_bytes += bytes;
  const bool many = lease->gathered.size() >= options_.results_per_message ||
                    lease->late_properties.size() >= options_.results_per_message ||
                    lease->late_failures.size() >= options_.results_per_message;
  if (many || lease->gathered_bytes >= options_.bytes_per_message) Flush(lease);
}

void Agent::Impl::Flush(HeldLease* lease) {
  if (lease->flush_at == absl::InfiniteFuture()) return;
  const size_t expected = std::min<size_t>(lease->remaining(), options_.results_per_message);
  Send(Results{lease->id(), lease->unit(), std::move(lease->gathered), false, absl::ZeroDuration(),
               std::move(lease->late_properties), std::move(lease->late_failures)});
  lease->gathered.clear();
  lease->late_properties.clear();
  lease->late_failures.clear();
  lease->gathered.reserve(expected);
  lease->gathered_bytes = 0;
  lease->flush_at = absl::InfiniteFuture();
}

void Agent::Impl::FinishLease(Slot* slot) {
  HeldLease* lease = slot->lease;
  SettleDoubt(lease);
  SettleInquest(slot);
  slot->lease = nullptr;
  Results last{lease->id(),
               lease->unit(),
               std::move(lease->gathered),
               true,
               slot->startup,
               std::move(lease->late_properties),
               std::move(lease->late_failures),
               slot->followed};
  leases_.erase(lease->id());
  const auto can_wait = [](const CaseResult& result) { return result.outcome == Outcome::kPassed; };
  if (queue_.size() < kDeepQueue * slots_.size() || !absl::c_all_of(last.results, can_wait) ||
      !last.late_failures.empty()) {
    Send(std::move(last));
    return;
  }
  if (finished_.empty()) finished_at_ = now_ + options_.result_delay;
  finished_.push_back(std::move(last));
}

void Agent::Impl::SendFinished() {
  for (Results& last : finished_) actions_->emplace_back(Reply{std::move(last)});
  finished_.clear();
  finished_at_ = absl::InfiniteFuture();
}

void Agent::Impl::On(AgentTick&&) {
  if (now_ >= heard_ + Silence()) {
    Leave(absl::StrCat("heard nothing from the coordinator for ", absl::FormatDuration(Silence())));
    return;
  }
  for (Slot& slot : slots_) {
    if (slot.state == Slot::State::kBetween) StartProcess(&slot);
    if (now_ >= slot.limit) PastLimit(&slot);
    if (now_ >= slot.kill_at) {
      slot.kill_at = absl::InfiniteFuture();
      Signal(&slot, SIGKILL);
    }
    if (slot.lease != nullptr && now_ >= slot.lease->flush_at) Flush(slot.lease);
  }
  if (now_ >= finished_at_) SendFinished();
  if (now_ >= next_heartbeat_) Beat();
}

void Agent::Impl::PastLimit(Slot* slot) {
  const absl::Duration limit = slot->allowed;
  Stop(slot, Outcome::kTimedOut, DescribeTimeout(limit, ""), slot->limit - limit);
}

void Agent::Impl::Stop(Slot* slot, Outcome outcome, const std::string& what, absl::Time outside_since) {
  if (slot->state == Slot::State::kRunning) {
    if (slot->running != HeldLease::kNone && slot->torn_down == absl::InfiniteFuture()) {
      slot->held = Blame(slot, slot->running, outcome, what);
    } else {
      slot->stopped = Slot::Stopped{outcome, what, slot->any_finished ? outside_since : slot->spawned};
    }
  }
  slot->fate = Slot::Fate::kStopped;
  GiveUpNext(slot);
  slot->limit = absl::InfiniteFuture();
  const bool at_once = welcome_.settings.kill_grace <= absl::ZeroDuration();
  slot->kill_at = at_once ? absl::InfiniteFuture() : now_ + welcome_.settings.kill_grace;
  Signal(slot, at_once ? SIGKILL : SIGTERM);
}

void Agent::Impl::TellStopped(Slot* slot) {
  if (!slot->stopped.has_value()) return;
  const Slot::Stopped stopped = *std::exchange(slot->stopped, std::nullopt);
  if (slot->running != HeldLease::kNone) {
    slot->held = Blame(slot, slot->running, stopped.outcome, absl::StrCat(stopped.what, " ", kInSuiteTearDown));
  } else if (slot->held.has_value()) {
    AfterLast(&*slot->held, stopped.what, stopped.outcome);
  } else {
    slot->began = stopped.since;
    slot->held = Blame(slot, NextOf(*slot), stopped.outcome,
                       absl::StrCat(stopped.what, " ", slot->any_finished ? kBetween : kInSetUp));
  }
}

void Agent::Impl::On(AgentSignalled&& event) {
  Slot* slot = Live(event.slot, Slot::State::kRunning);
  if (slot == nullptr || slot->lease == nullptr || slot->fate != Slot::Fate::kOpen) return;
  Stop(slot, Outcome::kFailed, DescribeTrespass(event.signal), now_);
}

void Agent::Impl::Beat() {
  next_heartbeat_ += welcome_.heartbeat_interval;
  if (next_heartbeat_ <= now_) next_heartbeat_ = now_ + welcome_.heartbeat_interval;
  Heartbeat beat;
  for (const Slot& slot : slots_) {
    for (const std::optional<LeaseId>& owed : {slot.cancelled, slot.next_cancelled}) {
      if (owed.has_value()) beat.leases.push_back(*owed);
    }
    if (slot.lease == nullptr) continue;
    beat.leases.push_back(slot.lease->id());
    if (slot.next != nullptr) beat.leases.push_back(slot.next->id());
    // What runs once more in an inquest, or is being torn down, is not on its way to a result.
    if (slot.running == HeldLease::kNone || slot.suspect != HeldLease::kNone) continue;
    if (slot.torn_down != absl::InfiniteFuture()) continue;
    beat.running.push_back(
        {IdOf(&slot), slot.lease->id(), slot.lease->at(slot.running).index, now_ - slot.began, slot.unit});
  }
  for (const HeldLease* lease : queue_) beat.leases.push_back(lease->id());
  if (open_ < slots_.size()) beat.open_slots = open_;
  Send(std::move(beat));
}

void Agent::Impl::CheckInvariants() const {
  size_t placed = queue_.size();
  for (const HeldLease* lease : queue_) {
    if (!leases_.contains(lease->id())) InvariantBroken("a queued lease is not held");
    if (lease->remaining() == 0) InvariantBroken("a queued lease has nothing to run");
  }
  for (const Slot& slot : slots_) {
    if (slot.next != nullptr && (slot.lease == nullptr || slot.fate != Slot::Fate::kOpen)) {
      InvariantBroken("a lease waits for a process that will not get to it");
    }
    if (slot.lease == nullptr) {
      if (slot.state == Slot::State::kBetween) InvariantBroken("a slot is between processes without a lease");
      if (slot.state == Slot::State::kRunning && slot.fate != Slot::Fate::kDropped)
        InvariantBroken("a process runs without a lease");
      if (slot.held.has_value()) InvariantBroken("a result is held back without a lease");
      continue;
    }
    placed += slot.next != nullptr ? 2 : 1;
    const auto held = leases_.find(slot.lease->id());
    if (held == leases_.end() || held->second.get() != slot.lease) InvariantBroken("a slot's lease is not held");
    if (slot.state == Slot::State::kIdle || slot.state == Slot::State::kListing) {
      InvariantBroken("a lease is in a slot that does not run it");
    }
    if (slot.state == Slot::State::kBetween && slot.lease->remaining() == 0 && !slot.lease->inquest.has_value()) {
      InvariantBroken("a lease without remaining cases was not finished");
    }
    if (slot.running != HeldLease::kNone && slot.held.has_value()) {
      InvariantBroken("a case runs while the batch's last result is held back");
    }
    const bool nothing =
        slot.lease->gathered.empty() && slot.lease->late_properties.empty() && slot.lease->late_failures.empty();
    if (nothing != (slot.lease->flush_at == absl::InfiniteFuture())) {
      InvariantBroken("gathered results and their deadline disagree");
    }
  }
  if (placed != leases_.size()) InvariantBroken("a lease is in no list, or in two");
  if ((queue_.empty() && listings_.empty()) || busy() >= open_) return;
  if (!useless_.empty() && !(queue_.empty() && listings_.empty())) InvariantBroken("a host of no use has work");
  const auto served = static_cast<size_t>(
      absl::c_count_if(slots_, [](const Slot& slot) { return slot.state == Slot::State::kSettingUp; }));
  const auto ready = [this](UnitId id) { return IsReady(id); };
  const auto waiting =
      static_cast<size_t>(absl::c_count_if(listings_, ready) +
                          absl::c_count_if(queue_, [&](const HeldLease* lease) { return ready(lease->unit()); }));
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].state != Slot::State::kIdle) continue;
    if (!set_up_[i] && (host_setup_ == HostSetup::kRuns || served >= waiting)) continue;
    if (std::any_of(queue_.begin(), queue_.end(), [&](const HeldLease* lease) { return ready(lease->unit()); }) ||
        std::any_of(listings_.begin(), listings_.end(), ready)) {
      InvariantBroken("a slot is idle while work for it is ready");
    }
  }
}

}  // namespace dtest
