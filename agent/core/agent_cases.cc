// What processes do, and who is blamed for it.

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/core/agent_impl.h"
#include "agent/core/blame.h"
#include "agent/frameworks/capture.h"

namespace dtest {

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
  if (!interrupted) StartLimit(slot, position);
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
}

void Agent::Impl::MarkStartup(Slot* slot) {
  if (slot->any_began) return;
  slot->any_began = true;
  slot->startup = now_ - slot->spawned;
}

void Agent::Impl::On(CaseFinished&& event) {
  Slot* slot = Live(event.slot, Slot::State::kRunning);
  if (slot == nullptr) return;
  const bool interrupted = slot->fate == Slot::Fate::kInterrupted;
  if (slot->fate != Slot::Fate::kOpen && !interrupted) {
    // The case that timed out says its last: its output is worth keeping.
    if (slot->held.has_value() && slot->held->index == event.result.index && slot->held->output.empty()) {
      slot->held->output = std::move(event.result.output);
      slot->held->output_cut = event.result.output_cut;
    }
    return;
  }
  const size_t position = PositionIn(*slot, event.result.index);
  if (position == HeldLease::kNone) return;
  MarkStartup(slot);
  if (slot->running != position) {
    if (slot->running != HeldLease::kNone) return;  // another one is running
    slot->began = now_;
  }
  if (interrupted && !IsFailure(event.result.outcome)) {
    slot->running = HeldLease::kNone;
    return;  // a pass under our signal proves nothing
  }
  CaseResult result = std::move(event.result);
  // The framework's own clock does not wait until its output is read.
  const absl::Duration told = result.duration;
  Fill(*slot, position, &result);
  result.duration = std::max(result.duration, told);
  FinishCase(slot, position);
  if (interrupted) {
    if (slot->suspect == HeldLease::kNone) Gather(slot->lease, std::move(result));
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
  ran.told.warning = result.warning;
  ran.told.process = result.process;
  ran.told.place = result.place;
  StartLimit(slot, NextOf(*slot) != HeldLease::kNone ? NextOf(*slot) : position);
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
  if (NeedsInquest(*slot, event)) {
    BeginInquest(slot, &event);
    return;
  }
  std::optional<CaseResult> last = LastResult(slot, &event);
  AttachProperties(slot, last.has_value() ? &*last : nullptr, &event.properties);
  if (slot->confirms && last.has_value()) last = Confirmed(slot, event, *std::move(last));
  GatherDoubtful(slot);
  const bool crashed = event.signal != 0 || (last.has_value() && last->outcome == Outcome::kCrashed);
  if (!slot->confirms && crashed && lease->doubt.has_value() && lease->doubt->alone.has_value()) {
    Gather(lease, *std::move(lease->doubt->alone));
    lease->doubt.reset();
  }
  if (last.has_value()) Gather(lease, *std::move(last));
  NextProcess(slot);
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
  if (slot->confirms) {
    SettleDoubt(lease);
  } else if (slot->fate == Slot::Fate::kOpen) {
    slot->began = now_;
    for (; slot->batch_left > 0 && lease->remaining() > 0; --slot->batch_left) {
      Gather(lease, Blame(slot, lease->First(), Outcome::kInfraError, NotRun(*event)));
    }
  }
  NextProcess(slot);
}

std::string Agent::Impl::NotRun(const ProcessEnded& event) {
  return absl::StrCat("not run: what is listed is not what runs: ", event.listing_wrong);
}

bool Agent::Impl::Explained(const Slot& slot, const ProcessEnded& event) {
  return slot.any_failed && event.signal == 0 && event.exit_code == 1 && !absl::StrContains(event.warning, "ERROR: ");
}

std::optional<CaseResult> Agent::Impl::LastResult(Slot* slot, ProcessEnded* event) {
  std::optional<CaseResult> result = std::exchange(slot->held, std::nullopt);
  bool keep_output = true;
  const bool clean = event->signal == 0 && event->exit_code == 0 && !event->premature;
  const bool finished = event->signal == 0 && !event->premature;
  if (finished && !slot->report && slot->fate == Slot::Fate::kOpen && slot->batch_left > 0) {
    units_[slot->unit].report = true;  // it does not print all after all: once more, with a report
    return std::nullopt;
  }
  if (slot->fate != Slot::Fate::kOpen) {
    if (!result.has_value()) return std::nullopt;
  } else if (slot->running != HeldLease::kNone) {
    result = Verdict(*slot, slot->running, Outcome::kCrashed,
                     absl::StrCat(DescribeEnd(event->exit_code, event->signal),
                                  event->signal == 0 ? " before the test had ended" : ""));
    if (MayBeAnothers(*slot, *event)) {
      result->leaky = event->leaky;
      slot->lease->doubt = HeldLease::Doubt{*std::move(result), std::nullopt};
      return std::nullopt;
    }
    FinishCase(slot, slot->running);
  } else if (result.has_value()) {
    if (!clean && !Explained(*slot, *event)) {
      const std::string how = DescribeEnd(event->exit_code, event->signal);
      AfterLast(&*result, absl::StrCat(event->signal == 0 ? "" : "was ", how), Outcome::kFailed);
      if (!event->warning.empty()) absl::StrAppend(&result->message, ": ", event->warning);
    } else {
      keep_output = !event->warning.empty();  // else they are the framework's closing words
    }
    if (result->warning.empty()) result->warning = event->warning;
    DropOutput(&*result);
  } else if (!slot->any_finished) {
    slot->began = slot->spawned;
    result = Blame(slot, NextOf(*slot), Outcome::kCrashed,
                   clean ? std::string("exited with status 0 without running the test")
                         : absl::StrCat(DescribeEnd(event->exit_code, event->signal), " ",
                                        event->in_suite ? kInSuiteSetUp : kInGlobalSetUp));
  } else if (!finished && !event->after_failure) {
    slot->began = now_;
    result = Blame(slot, NextOf(*slot), Outcome::kCrashed,
                   absl::StrCat(DescribeEnd(event->exit_code, event->signal), " ",
                                event->in_suite ? kInNextSuiteSetUp : kBetween));
  } else {
    return std::nullopt;
  }
  result->leaky |= event->leaky;
  if (keep_output) AddOutput(&*result, event);
  return result;
}

void Agent::Impl::AddOutput(CaseResult* result, ProcessEnded* event) const {
  if (event->output.empty()) return;
  Capture output(welcome_.settings.output_cap);
  output.Append(result->output);
  output.Append(event->output);
  result->output_cut += event->output_cut + output.cut();
  result->output = output.Take();
}

void Agent::Impl::DropOutput(CaseResult* result) const {
  if (IsFailure(result->outcome) || !result->warning.empty() || welcome_.settings.keep_all_output) return;
  result->output.clear();
  result->output_cut = 0;
}

void Agent::Impl::EndInterrupted(Slot* slot, ProcessEnded* event) {
  if (slot->running != HeldLease::kNone) {
    CaseResult result =
        Blame(slot, slot->running, Outcome::kNotRun, DescribeInterrupt(now_ - slot->began, event->signal));
    result.leaky = event->leaky;
    AddOutput(&result, event);
    Gather(slot->lease, std::move(result));
  }
  FinishLease(slot);
  FreeSlot(slot);
  SendIdleIfOwed();
}

void Agent::Impl::MakeFailed(CaseResult* result, const std::string& message) {
  if (!IsFailure(result->outcome)) {
    result->outcome = Outcome::kFailed;
    result->message.clear();
  }
  absl::StrAppend(&result->message, result->message.empty() ? "" : "\n", message);
}

void Agent::Impl::Correct(Slot* slot, const ProcessEnded& event) {
  for (const ProcessEnded::Correction& correction : event.corrections) {
    slot->any_failed = true;
    if (CaseResult* result = StillHere(slot, correction.index); result != nullptr) {
      MakeFailed(result, correction.message);
      continue;
    }
    const auto ran = std::find_if(slot->ran.begin(), slot->ran.end(),
                                  [&](const RanCase& r) { return r.told.index == correction.index; });
    if (ran == slot->ran.end()) continue;
    LateFailure late{ran->told.outcome, ran->told};
    MakeFailed(&late.result, correction.message);
    ran->told.outcome = late.result.outcome;
    late.result.output = event.output;
    late.result.output_cut = event.output_cut;
    slot->lease->late_failures.push_back(std::move(late));
    Gathered(slot->lease, correction.message.size() + event.output.size());
  }
}

CaseResult* Agent::Impl::StillHere(Slot* slot, uint32_t index) {
  if (slot->held.has_value() && slot->held->index == index) return &*slot->held;
  for (std::vector<CaseResult>* results : {&slot->doubtful, &slot->lease->gathered}) {
    const auto found =
        std::find_if(results->begin(), results->end(), [&](const CaseResult& r) { return r.index == index; });
    if (found != results->end()) return &*found;
  }
  return nullptr;
}

bool Agent::Impl::MayBeAnothers(const Slot& slot, const ProcessEnded& event) const {
  return slot.batch_left > 1 && event.output.empty() && !slot.lease->doubt.has_value();
}

std::optional<CaseResult> Agent::Impl::Confirmed(Slot* slot, const ProcessEnded& event, CaseResult result) {
  HeldLease::Doubt& doubt = *slot->lease->doubt;
  if (!IsFailure(result.outcome) && slot->lost_output) {
    doubt.alone = std::move(result);
    slot->lease->one_by_one = true;
    return std::nullopt;
  }
  // Alone it passes, but could have been heard: it was the one.
  if (!IsFailure(result.outcome)) result = std::move(doubt.crash);
  result.leaky |= event.leaky;
  slot->lease->doubt.reset();
  return result;
}

CaseResult Agent::Impl::Condemn(HeldLease* lease) {
  CaseResult crash = std::move(lease->doubt->crash);
  lease->doubt.reset();
  if (const size_t position = lease->Find(crash.index); position != HeldLease::kNone) lease->Finish(position);
  return crash;
}

void Agent::Impl::SettleDoubt(HeldLease* lease) {
  if (lease->doubt.has_value()) Gather(lease, Condemn(lease));
}

size_t Agent::Impl::NextOf(const Slot& slot) {
  if (slot.suspect != HeldLease::kNone) return slot.suspect;
  return slot.confirms ? slot.lease->Find(slot.lease->doubt->crash.index) : slot.lease->First();
}

void Agent::Impl::AttachProperties(Slot* slot, CaseResult* last, std::vector<ProcessEnded::Property>* properties) {
  HeldLease* lease = slot->lease;
  for (ProcessEnded::Property& property : *properties) {
    const uint64_t bytes = property.key.size() + property.value.size();
    std::vector<LateProperties>& late = lease->late_properties;
    CaseResult* result = last;
    if (last == nullptr || last->index != property.index) result = StillHere(slot, property.index);
    if (result != nullptr) {
      result->properties.emplace_back(std::move(property.key), std::move(property.value));
    } else if (const LeasedCase* told = lease->Finished(property.index); told != nullptr) {
      if (late.empty() || late.back().index != told->index) late.push_back({told->index, told->attempt, {}});
      late.back().properties.emplace_back(std::move(property.key), std::move(property.value));
    }
    if (!lease->gathered.empty() || !late.empty()) Gathered(lease, bytes);
  }
}

void Agent::Impl::AfterLast(CaseResult* result, const std::string& what, Outcome outcome) {
  if (!IsFailure(result->outcome)) {
    result->outcome = outcome;
    result->message.clear();
  }
  absl::StrAppend(&result->message, result->message.empty() ? "" : "\n", "the process ", what, " ", kInTearDown);
}

CaseResult Agent::Impl::Verdict(const Slot& slot, size_t position, Outcome outcome, std::string message) {
  CaseResult result;
  result.index = slot.lease->at(position).index;
  result.outcome = outcome;
  result.message = std::move(message);
  Fill(slot, position, &result);
  return result;
}

CaseResult Agent::Impl::Blame(Slot* slot, size_t position, Outcome outcome, std::string message) {
  CaseResult result = Verdict(*slot, position, outcome, std::move(message));
  FinishCase(slot, position);
  return result;
}

void Agent::Impl::Fill(const Slot& slot, size_t position, CaseResult* result) {
  result->attempt = slot.lease->at(position).attempt;
  result->slot = IdOf(&slot);
  result->process = slot.process;
  result->place = slot.running == position ? slot.begun - 1 : slot.begun;
  result->start = slot.began - hello_;
  result->duration = now_ - slot.began;
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
