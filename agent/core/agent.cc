#include "agent/core/agent.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "agent/core/agent_impl.h"
#include "dtest/base/machine.h"

namespace dtest {

void Agent::Impl::Handle(absl::Time now, AgentEvent event, std::vector<AgentAction>* actions) {
  if (exited_) return;
  if (last_now_ == absl::InfinitePast()) {
    heard_ = now;
    if (hello_ == absl::InfinitePast()) hello_ = now;
  }
  now_ = last_now_ = now;
  actions_ = actions;
  std::visit([this](auto& e) { On(std::move(e)); }, event);
  while (!exited_ && dispatch_) Dispatch();
  if (host_setup_ != HostSetup::kRuns) TellPrepared();
  actions_ = nullptr;
}

absl::Time Agent::Impl::NextDeadline() const {
  if (exited_) return absl::InfiniteFuture();
  absl::Time next = std::min({next_heartbeat_, heard_ + Silence(), finished_at_});
  for (const Slot& slot : slots_) {
    if (slot.state == Slot::State::kBetween) return last_now_;
    next = std::min({next, slot.limit, slot.kill_at});
    if (slot.lease != nullptr) next = std::min(next, slot.lease->flush_at);
  }
  return next;
}

void Agent::Impl::Leave(std::string reason) {
  exited_ = true;
  actions_->emplace_back(Exit{std::move(reason)});
}

void Agent::Impl::On(FromCoordinator&& event) {
  std::visit([this](auto& m) { OnMessage(std::move(m)); }, event.message);
}

void Agent::Impl::OnMessage(Welcome&& message) {
  if (welcomed_) {
    welcome_.lease_timeout = message.lease_timeout;
    return;
  }
  // The coordinator counts our silence from the Hello: one that we answer too late may have given our cases away.
  if (now_ - hello_ > message.lease_timeout / 2) {
    Leave(absl::StrCat("the coordinator's answer took ", absl::FormatDuration(now_ - hello_),
                       ", longer than half of the lease time of ", absl::FormatDuration(message.lease_timeout)));
    return;
  }
  welcomed_ = true;
  heard_ = now_;
  welcome_ = std::move(message);
  const uint32_t slots = welcome_.settings.slots != 0 ? welcome_.settings.slots : options_.cores;
  slots_.resize(std::max<uint32_t>(slots, 1));
  const RunSettings& settings = welcome_.settings;
  if (HasCommands(settings.host_setup) || HasDirectory(settings.environment)) host_setup_ = HostSetup::kWanted;
  set_up_.assign(slots_.size(), !HasCommands(settings.slot_setup) && host_setup_ == HostSetup::kDone);
  next_heartbeat_ = now_ + welcome_.heartbeat_interval;
  dispatch_ = true;
}

void Agent::Impl::OnMessage(AddUnit&& message) {
  const UnitSpec& spec = message.spec;
  const auto [unit, is_new] = units_.try_emplace(spec.id);
  if (!is_new) return;
  unit->second.report = !spec.prints_all;
  if (!spec.machine.empty() && !options_.machine.empty() && !MayRunOn(options_.machine, spec.machine)) {
    Fail(spec.id, absl::StrCat("this host is ", options_.machine, ", ", spec.name, " is built for ", spec.machine),
         false);
  }
}

void Agent::Impl::OnMessage(Prefetch&& message) {
  const Unit& unit = Prepare(message.unit);
  if (unit.state == Unit::State::kReady && !absl::c_linear_search(untold_, message.unit)) {
    Send(Prepared{message.unit, "", false});
  }
  if (unit.state == Unit::State::kFailed) Send(Prepared{message.unit, unit.error, !useless_.empty()});
}

void Agent::Impl::OnMessage(List&& message) {
  const Unit& unit = Prepare(message.unit);
  if (unit.state == Unit::State::kFailed) {
    Send(Prepared{message.unit, unit.error, !useless_.empty()});
    return;
  }
  for (const Slot& slot : slots_) {
    if (slot.state == Slot::State::kListing && slot.unit == message.unit && slot.fate != Slot::Fate::kDropped) return;
  }
  if (std::find(listings_.begin(), listings_.end(), message.unit) != listings_.end()) return;
  listings_.push_back(message.unit);
  dispatch_ = true;
}

void Agent::Impl::OnMessage(Lease&& message) {
  if (!seen_.insert(message.id).second) return;
  if (message.cases.empty()) {
    Send(Results{message.id, message.unit, {}, true, absl::ZeroDuration()});
    return;
  }
  const UnitId id = message.unit;
  auto lease = std::make_unique<HeldLease>(std::move(message));
  queue_.push_back(lease.get());
  leases_.emplace(lease->id(), std::move(lease));
  const Unit& unit = Prepare(id);
  if (unit.state == Unit::State::kFailed) {
    Send(Prepared{id, unit.error, !useless_.empty()});
    GiveBackQueued(id);
  }
  dispatch_ = true;
}

void Agent::Impl::OnMessage(Recall&& message) {
  const auto found = leases_.find(message.lease);
  if (found == leases_.end()) {
    Send(Refused{message.lease});
    return;
  }
  HeldLease* lease = found->second.get();
  if (SlotBefore(lease) != nullptr) {
    Send(Refused{message.lease});
    return;
  }
  if (Slot* slot = SlotOf(lease); slot != nullptr) {
    if (slot->HasProcess() || lease->inquest.has_value()) {
      Send(Refused{message.lease});
      return;
    }
    SettleDoubt(lease);
    Flush(lease);
    FreeSlot(slot);
  } else {
    queue_.erase(std::find(queue_.begin(), queue_.end(), lease));
  }
  Send(Released{message.lease});
  leases_.erase(found);
}

void Agent::Impl::OnMessage(Cancel&& message) {
  const auto found = leases_.find(message.lease);
  if (found == leases_.end()) return;
  HeldLease* lease = found->second.get();
  if (Slot* before = SlotBefore(lease); before != nullptr) {
    before->next = nullptr;
    before->next_cancelled = message.lease;
    leases_.erase(found);
    return;
  }
  Slot* slot = SlotOf(lease);
  if (slot != nullptr && lease->inquest.has_value()) GiveUpInquest(slot);
  Flush(lease);
  if (slot != nullptr && slot->HasProcess()) {
    slot->cancelled = message.lease;
    DropProcess(slot, SIGKILL, absl::InfiniteFuture());
  } else {
    slot == nullptr ? void(queue_.erase(std::find(queue_.begin(), queue_.end(), lease))) : FreeSlot(slot);
    Send(Released{message.lease});
  }
  leases_.erase(found);
}

void Agent::Impl::OnMessage(Interrupt&& message) {
  for (HeldLease* lease : queue_) leases_.erase(lease->id());
  queue_.clear();
  listings_.clear();
  const bool at_once = message.grace <= absl::ZeroDuration();
  for (Slot& slot : slots_) {
    if (slot.next != nullptr) leases_.erase(std::exchange(slot.next, nullptr)->id());
    HeldLease* lease = slot.lease;
    const int signal = at_once ? SIGKILL : SIGINT;
    const absl::Time kill_at = at_once ? absl::InfiniteFuture() : now_ + message.grace;
    if (lease == nullptr) {
      if (slot.HasProcess()) DropProcess(&slot, signal, kill_at);
    } else if (!slot.HasProcess()) {
      FinishLease(&slot);
      FreeSlot(&slot);
    } else {
      if (slot.suspect != HeldLease::kNone) {  // what it looked into has its result, or has none
        slot.held.reset();
        slot.stopped.reset();
        slot.doubtful.clear();
        SettleInquest(&slot);
        slot.running = HeldLease::kNone;
      }
      TellStopped(&slot);
      // A held result that is bad news stays true; a pass would be one of a process that was signalled.
      if (slot.held.has_value() && IsFailure(slot.held->outcome)) Gather(lease, *std::move(slot.held));
      slot.held.reset();
      slot.doubtful.clear();
      if (slot.confirms) {
        SettleDoubt(lease);
        slot.running = HeldLease::kNone;
      }
      Flush(lease);
      slot.fate = Slot::Fate::kInterrupted;
      slot.limit = absl::InfiniteFuture();
      slot.kill_at = kill_at;
      Signal(&slot, signal);
    }
  }
  idle_owed_ = true;
  SendIdleIfOwed();
}

const Agent::Impl::Unit& Agent::Impl::Prepare(UnitId id) {
  const auto [found, unknown] = units_.try_emplace(id);
  Unit& unit = found->second;
  if (unknown) {
    unit.state = Unit::State::kFailed;
    unit.error = absl::StrCat("protocol error: executable ", id.value(), " is used before it was added");
  } else if (unit.state != Unit::State::kFailed && !useless_.empty()) {
    unit.state = Unit::State::kFailed;
    unit.error = useless_;
  } else if (unit.state == Unit::State::kKnown) {
    unit.state = Unit::State::kPreparing;
    actions_->emplace_back(PrepareFiles{id});
  }
  return unit;
}

void Agent::Impl::On(FilesReady&& event) {
  const auto found = units_.find(event.unit);
  if (found == units_.end() || found->second.state != Unit::State::kPreparing) return;
  if (!event.error.empty() || !useless_.empty()) {
    Fail(event.unit, event.error.empty() ? useless_ : std::move(event.error), event.drain || !useless_.empty());
    return;
  }
  found->second.state = Unit::State::kReady;
  untold_.push_back(event.unit);
  if (host_setup_ == HostSetup::kDone) TellPrepared();
  dispatch_ = true;
}

void Agent::Impl::TellPrepared() {
  for (const UnitId id : std::exchange(untold_, {})) Send(Prepared{id, "", false});
}

void Agent::Impl::Fail(UnitId id, std::string error, bool drain) {
  units_[id].state = Unit::State::kFailed;
  units_[id].error = error;
  Send(Prepared{id, std::move(error), drain});
  listings_.erase(std::remove(listings_.begin(), listings_.end(), id), listings_.end());
  GiveBackQueued(id);
  for (Slot& slot : slots_) {
    if (slot.state != Slot::State::kBetween || slot.unit != id) continue;
    FinishLease(&slot);
    FreeSlot(&slot);
  }
}

void Agent::Impl::TakeNothingMore(const std::string& error) {
  useless_ = error;
  std::vector<UnitId> waiting(listings_.begin(), listings_.end());
  for (const HeldLease* lease : queue_) waiting.push_back(lease->unit());
  for (const UnitId id : std::exchange(untold_, {})) waiting.push_back(id);
  for (const UnitId id : waiting) {
    if (units_[id].state != Unit::State::kFailed) Fail(id, error, true);
  }
}

void Agent::Impl::GiveBackQueued(UnitId id) {
  const auto keep =
      std::stable_partition(queue_.begin(), queue_.end(), [id](const HeldLease* lease) { return lease->unit() != id; });
  for (auto lease = keep; lease != queue_.end(); ++lease) {
    Send(Results{(*lease)->id(), id, {}, true, absl::ZeroDuration()});
    leases_.erase((*lease)->id());
  }
  queue_.erase(keep, queue_.end());
}

Agent::Agent(const AgentOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Agent::~Agent() = default;
void Agent::Handle(absl::Time now, AgentEvent event, std::vector<AgentAction>* actions) {
  impl_->Handle(now, std::move(event), actions);
}
absl::Time Agent::NextDeadline() const { return impl_->NextDeadline(); }
uint32_t Agent::busy() const { return impl_->busy(); }
void Agent::CheckInvariants() const { impl_->CheckInvariants(); }

}  // namespace dtest
