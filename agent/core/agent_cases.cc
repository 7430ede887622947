// What processes do, and what they list.

#include <algorithm>
#include <csignal>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "agent/core/agent_impl.h"
#include "agent/core/blame.h"

namespace dtest {
namespace {

constexpr size_t kMostNotes = 100;  // of one kind

}  // namespace

void Agent::Impl::On(BatchCut&& event) {
  Slot* slot = Live(event.slot, Slot::State::kRunning);
  if (slot != nullptr) slot->batch_left = std::min(slot->batch_left, event.cases);
}

void Agent::Impl::On(CaseBegan&& event) {
  Slot* slot = Live(event.slot, Slot::State::kRunning);
  if (slot == nullptr || slot->running != HeldLease::kNone) return;
  const bool interrupted = slot->fate == Slot::Fate::kInterrupted;
  if (slot->fate != Slot::Fate::kOpen && !interrupted) return;
  if (interrupted && slot->suspect != HeldLease::kNone) return;
  const size_t position = PositionIn(*slot, event.index);
  if (position == HeldLease::kNone) return;
  MarkStartup(slot);
  ++slot->begun;
  slot->running = position;
  slot->began = now_;
  slot->torn_down = absl::InfiniteFuture();
  if (!interrupted) StartLimit(slot, position);
}

void Agent::Impl::On(CasePaused&& event) {
  Slot* slot = Live(event.slot, Slot::State::kRunning);
  if (slot == nullptr || slot->running == HeldLease::kNone) return;
  if (slot->running != PositionIn(*slot, event.index)) return;
  const bool open = slot->fate == Slot::Fate::kOpen;
  if (!open && slot->fate != Slot::Fate::kInterrupted) return;
  slot->running = HeldLease::kNone;
  if (open) StartLimit(slot, NextOf(*slot));
}

void Agent::Impl::On(SuiteTearDown&& event) {
  Slot* slot = Live(event.slot, Slot::State::kRunning);
  if (slot == nullptr || slot->fate != Slot::Fate::kOpen || slot->running == HeldLease::kNone) return;
  if (slot->running != PositionIn(*slot, event.index)) return;
  slot->torn_down = now_;
  StartLimit(slot, slot->running);
}

void Agent::Impl::On(ProcessExited&& event) {
  if (event.slot.value() >= slots_.size()) return;
  Slot& slot = slots_[event.slot.value()];
  if (!slot.HasProcess()) return;
  slot.exited = true;
  slot.limit = absl::InfiniteFuture();
}

size_t Agent::Impl::PositionIn(const Slot& slot, uint32_t index) {
  if (slot.suspect == HeldLease::kNone) return slot.lease->Find(index);
  return slot.lease->at(slot.suspect).index == index ? slot.suspect : HeldLease::kNone;
}

void Agent::Impl::FinishCase(Slot* slot, size_t position) {
  if (slot->suspect == HeldLease::kNone) slot->lease->Finish(position);
  slot->running = HeldLease::kNone;
  slot->tried.clear();
  slot->tried_unsure = false;
}

void Agent::Impl::MarkStartup(Slot* slot) {
  if (slot->any_began) return;
  slot->any_began = true;
  slot->startup = now_ - slot->spawned;
  units_[slot->unit].early_deaths = 0;
}

void Agent::Impl::On(CaseFinished&& event) {
  Slot* slot = Live(event.slot, Slot::State::kRunning);
  if (slot == nullptr) return;
  const bool interrupted = slot->fate == Slot::Fate::kInterrupted;
  // One that had ended before the process was stopped.
  const bool before = slot->stopped.has_value() && slot->running != HeldLease::kNone;
  if (slot->fate != Slot::Fate::kOpen && !interrupted && !before) {
    // The case that timed out says its last: its output is worth keeping.
    if (slot->held.has_value() && slot->held->index == event.result.index && slot->held->output.empty()) {
      slot->held->output = std::move(event.result.output);
      slot->held->output_cut = event.result.output_cut;
    }
    return;
  }
  const size_t position = PositionIn(*slot, event.result.index);
  if (position == HeldLease::kNone) return;
  if (!event.never_runs) MarkStartup(slot);
  if (slot->running != position) {
    if (slot->running != HeldLease::kNone) return;  // another one is running
    slot->began = now_;
  }
  if (interrupted && !IsFailure(event.result.outcome)) {
    slot->running = HeldLease::kNone;
    slot->tried.clear();
    slot->tried_unsure = false;
    return;  // a pass under our signal proves nothing
  }
  CaseResult result = std::move(event.result);
  // The framework's own clock does not wait until its output is read.
  const absl::Duration told = result.duration;
  Fill(*slot, position, &result);
  if (slot->torn_down < now_) result.duration = slot->torn_down - slot->began;
  result.duration = std::max(result.duration, told);
  FinishCase(slot, position);
  if (interrupted) {
    if (slot->suspect == HeldLease::kNone) Gather(slot->lease, std::move(result));
    return;
  }
  if (event.never_runs) {
    --slot->batch_left;
    Gather(slot->lease, std::move(result));
    return;
  }
  slot->any_finished = true;
  slot->lost_output |= event.from_report;
  slot->any_failed |= IsFailure(result.outcome);
  RanCase& ran = slot->ran.emplace_back();
  ran.position = position;
  ran.told.index = result.index;
  ran.told.attempt = result.attempt;
  ran.told.outcome = result.outcome;
  ran.told.slot = result.slot;
  ran.told.start = result.start;
  ran.told.duration = result.duration;
  ran.told.setup = result.setup;
  ran.told.teardown = result.teardown;
  ran.told.shared = result.shared;
  ran.told.warning = result.warning;
  ran.told.process = result.process;
  ran.told.place = result.place;
  if (slot->fate == Slot::Fate::kOpen) StartLimit(slot, NextOf(*slot) != HeldLease::kNone ? NextOf(*slot) : position);
  if (--slot->batch_left == 0) {
    slot->held = std::move(result);
  } else if (event.doubtful) {
    slot->doubtful.push_back(std::move(result));
  } else {
    Gather(slot->lease, std::move(result));
  }
}

void Agent::Impl::On(ProcessEnded&& event) {
  Slot* slot = Live(event.slot, Slot::State::kRunning);
  if (slot == nullptr) return;
  HeldLease* lease = slot->lease;
  const bool awaited = slot->next != nullptr || slot->next_cancelled.has_value();
  if (event.goes_on && (lease == nullptr || slot->fate != Slot::Fate::kOpen || !awaited)) {
    Signal(slot, SIGKILL);  // its time is over; how it ends tells of it
    return;
  }
  if (!event.goes_on) {
    GiveUpNext(slot);
    if (slot->next_cancelled.has_value()) Send(Released{*std::exchange(slot->next_cancelled, std::nullopt)});
  }
  if (lease == nullptr) {
    if (slot->cancelled.has_value()) Send(Released{*slot->cancelled});
    FreeSlot(slot);
    SendIdleIfOwed();
    return;
  }
  if (!event.spawn_error.empty()) {
    // The slot's lease is given back by Fail like those that wait.
    slot->state = Slot::State::kBetween;
    Fail(slot->unit, std::move(event.spawn_error), false);
    return;
  }
  if (slot->any_began) slot->startup += event.shared_setup;
  if (slot->fate == Slot::Fate::kInterrupted) {
    EndInterrupted(slot, &event);
    return;
  }
  if (slot->suspect != HeldLease::kNone) {
    EndInquiry(slot, &event);
    return;
  }
  Correct(slot, event);
  if (!event.listing_wrong.empty()) {
    EndWrong(slot, &event);
    return;
  }
  Questions questions = QuestionsOf(*slot, &event);
  std::optional<CaseResult> last;
  if (EndIsAsked(*slot, event)) {
    last = std::exchange(slot->held, std::nullopt);
    if (last.has_value()) last->leaky |= event.leaky;
  } else {
    last = LastResult(slot, &event);
  }
  AttachProperties(slot, last.has_value() ? &*last : nullptr, &event.properties);
  if (slot->confirms && last.has_value()) last = Confirmed(slot, event, *std::move(last));
  GatherDoubtful(slot);
  const bool crashed = event.signal != 0 || (last.has_value() && last->outcome == Outcome::kCrashed);
  if (!slot->confirms && crashed && lease->doubt.has_value() && lease->doubt->alone.has_value()) {
    Gather(lease, *std::move(lease->doubt->alone));
    lease->doubt.reset();
  }
  CaseResult blamed;
  const bool early = last.has_value() && IsFailure(last->outcome) && !slot->any_began && !slot->followed;
  if (early) {
    blamed.index = last->index;
    blamed.outcome = last->outcome;
    blamed.message = last->message;
  }
  if (!questions.empty()) {
    BeginInquest(slot, std::move(questions), std::move(last));
  } else if (last.has_value()) {
    Gather(lease, *std::move(last));
  }
  if (early) DiedEarly(slot, event, blamed);
  event.goes_on ? Follow(slot) : NextProcess(slot);
}

void Agent::Impl::GatherDoubtful(Slot* slot) {
  for (CaseResult& result : slot->doubtful) {
    DropOutput(&result);
    Gather(slot->lease, std::move(result));
  }
  slot->doubtful.clear();
}

void Agent::Impl::NextProcess(Slot* slot) {
  HeldLease* lease = slot->lease;
  const absl::Duration startup = slot->startup;
  if (lease->remaining() == 0 && !lease->inquest.has_value()) {
    FinishLease(slot);
    FreeSlot(slot);
    return;
  }
  const UnitId unit = slot->unit;
  *slot = Slot();
  slot->state = Slot::State::kBetween;
  slot->unit = unit;
  slot->lease = lease;
  slot->startup = startup;
  if (units_[unit].state == Unit::State::kFailed) {
    FinishLease(slot);
    FreeSlot(slot);
  }
}

void Agent::Impl::EndWrong(Slot* slot, ProcessEnded* event) {
  HeldLease* lease = slot->lease;
  Send(ListingWrong{slot->unit, event->listing_wrong});
  AttachProperties(slot, nullptr, &event->properties);
  GatherDoubtful(slot);
  if (slot->held.has_value()) {
    DropOutput(&*slot->held);
    Gather(lease, *std::exchange(slot->held, std::nullopt));
  }
  if (Questions questions = QuestionsOf(*slot, event); !questions.empty() && slot->suspect == HeldLease::kNone) {
    BeginInquest(slot, std::move(questions), std::nullopt);
    SettleInquest(slot);
  }
  if (slot->confirms) {
    SettleDoubt(lease);
  } else if (slot->fate == Slot::Fate::kOpen) {
    slot->began = now_;
    for (; slot->batch_left > 0 && lease->remaining() > 0; --slot->batch_left) {
      Gather(lease, Blame(slot, lease->First(), Outcome::kInfraError, NotRun(*event)));
    }
  }
  event->goes_on ? Follow(slot) : NextProcess(slot);
}

std::string Agent::Impl::NotRun(const ProcessEnded& event) {
  return absl::StrCat("not run: what is listed is not what runs: ", event.listing_wrong);
}

size_t Agent::Impl::NextOf(const Slot& slot) {
  if (slot.suspect != HeldLease::kNone) return slot.suspect;
  return slot.confirms ? slot.lease->Find(slot.lease->doubt->crash.index) : slot.lease->First();
}

void Agent::Impl::On(NetworkTried&& event) {
  Slot* const slot = event.slot.has_value() ? Live(*event.slot, Slot::State::kRunning) : nullptr;
  if (slot != nullptr && slot->running != HeldLease::kNone) {
    slot->tried_unsure |= !event.sure && slot->begun > 1;
    if (!absl::c_linear_search(slot->tried, event.address)) slot->tried.push_back(std::move(event.address));
    return;
  }
  std::string note =
      event.slot.has_value()
          ? absl::StrCat("a process of ", event.unit, " tried to reach ", event.address,
                         " outside of its cases, which --no-network forbids")
          : absl::StrCat("a process of no single test tried to reach ", event.address, ", which --no-network forbids");
  if (tried_outside_.size() >= kMostNotes || !tried_outside_.insert(note).second) return;
  if (tried_outside_.size() == kMostNotes) absl::StrAppend(&note, "; more of this is not told");
  Send(Note{std::move(note)});
}

void Agent::Impl::On(ListingEnded&& event) {
  Slot* slot = Live(event.slot, Slot::State::kListing);
  if (slot == nullptr) return;
  const UnitId unit = slot->unit;
  const Slot::Fate fate = slot->fate;
  FreeSlot(slot);
  if (fate == Slot::Fate::kDropped) {
    SendIdleIfOwed();
    return;
  }
  if (!event.spawn_error.empty()) {
    Fail(unit, std::move(event.spawn_error), false);
    return;
  }
  Listed listed{unit, std::move(event.cases), std::move(event.error), std::move(event.output), event.duration};
  if (fate == Slot::Fate::kStopped) {
    listed.cases = {};
    listed.error = absl::StrCat("listing ", DescribeTimeout(welcome_.settings.list_timeout, ""));
  }
  SendListing(std::move(listed));
}

void Agent::Impl::SendListing(Listed listed) {
  CaseInfos cases = std::exchange(listed.cases, {});
  if (cases.size() > kMostCases) {
    listed.error = absl::StrCat("it lists ", cases.size(), " cases, and ", kMostCases,
                                " is the most that dtest takes of one executable: divide it");
  }
  for (size_t i = 0; i < cases.size() && listed.error.empty(); ++i) {
    const uint64_t bytes = cases.MessageBytes(i, nullptr);
    if (bytes <= kMostCaseBytes) continue;
    listed.error = absl::StrCat("name and parameter of the case ", cases.name(i).substr(0, 100), "... take ", bytes,
                                " bytes, and ", kMostCaseBytes, " is the most that dtest takes of a case");
  }
  if (!listed.error.empty()) {
    Send(std::move(listed));
    return;
  }
  CaseInfos::InParts(std::move(cases), kMostListingBytes, [&](CaseInfos part, bool more) {
    Send(Listed{listed.unit, std::move(part), "", more ? "" : listed.output, listed.duration, more});
  });
}

}  // namespace dtest
