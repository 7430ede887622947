// Which of its cases made a process end badly: each runs once more, alone.

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/core/agent_impl.h"
#include "agent/core/blame.h"

namespace dtest {

bool Agent::Impl::NeedsInquest(const Slot& slot, const ProcessEnded& event) {
  const bool clean = event.signal == 0 && event.exit_code == 0 && !event.premature;
  if (slot.fate != Slot::Fate::kOpen || slot.confirms || slot.running != HeldLease::kNone) return false;
  if (slot.held.has_value()) return slot.ran.size() > 1 && !clean && !Explained(slot, event);
  return slot.any_finished && (event.signal != 0 || event.premature) && !event.after_failure;
}

void Agent::Impl::BeginInquest(Slot* slot, ProcessEnded* event) {
  AttachProperties(slot, nullptr, &event->properties);
  GatherDoubtful(slot);
  HeldLease::Inquest inquest;
  inquest.ran = std::move(slot->ran);
  for (const RanCase& ran : inquest.ran) {
    // One whose failure has been told may be tried again elsewhere by now: it is not run here as well.
    const bool held = slot->held.has_value() && slot->held->index == ran.told.index;
    if (held || !IsFailure(ran.told.outcome)) inquest.suspects.push_back(ran.position);
  }
  const std::string end = DescribeEnd(event->exit_code, event->signal);
  if (slot->held.has_value()) {
    slot->held->leaky |= event->leaky;
    inquest.last = std::exchange(slot->held, std::nullopt);
    inquest.how = absl::StrCat("the process ", event->signal == 0 ? "" : "was ", end, " ", kInTearDown);
  } else {
    inquest.suspects.push_back(slot->lease->First());
    inquest.outcome = Outcome::kCrashed;
    inquest.how = absl::StrCat(end, " ", event->in_suite ? kInNextSuiteSetUp : kBetween);
  }
  inquest.cases = std::move(event->cases);
  inquest.output = std::move(event->output);
  inquest.output_cut = event->output_cut;
  slot->lease->inquest = std::move(inquest);
  NextProcess(slot);
}

void Agent::Impl::EndInquiry(Slot* slot, ProcessEnded* event) {
  HeldLease* lease = slot->lease;
  const size_t position = slot->suspect;
  const bool has_result = lease->Find(lease->at(position).index) == HeldLease::kNone;
  const bool unknown = !event->listing_wrong.empty();
  if (unknown) Send(ListingWrong{slot->unit, event->listing_wrong});
  Correct(slot, *event);
  const bool clean = event->signal == 0 && event->exit_code == 0 && !event->premature;
  const bool badly = !unknown && (slot->fate != Slot::Fate::kOpen || !slot->held.has_value() ||
                                  !event->corrections.empty() || (!clean && !Explained(*slot, *event)));
  std::optional<CaseResult> result = LastResult(slot, event);
  if (unknown || !result.has_value()) result = Verdict(*slot, position, Outcome::kInfraError, NotRun(*event));
  HeldLease::Inquest& inquest = *lease->inquest;
  inquest.found |= badly;
  if (!has_result) {
    AttachProperties(slot, &*result, &event->properties);
    inquest.last = std::move(result);
    lease->Finish(position);
  } else if (badly) {
    const auto ran = absl::c_find_if(inquest.ran, [&](const RanCase& r) { return r.position == position; });
    Accuse(slot, *ran, *std::move(result));
  }
  if (inquest.next == inquest.suspects.size()) Conclude(slot);
  NextProcess(slot);
}

void Agent::Impl::Accuse(Slot* slot, const RanCase& ran, CaseResult failure) {
  HeldLease* lease = slot->lease;
  std::optional<CaseResult>& last = lease->inquest->last;
  CaseResult* told = last.has_value() && last->index == ran.told.index ? &*last : StillHere(slot, ran.told.index);
  if (told == nullptr) {
    LateFailure late{ran.told.outcome, ran.told};
    late.result.message.clear();
    lease->late_failures.push_back(std::move(late));
    told = &lease->late_failures.back().result;
  }
  const bool failed = IsFailure(told->outcome);
  if (!failed) told->outcome = failure.outcome;
  // It says what was told, too, where the case failed alone as it had failed before.
  const bool more = failed && !absl::StrContains(failure.message, told->message);
  told->message = more ? absl::StrCat(told->message, "\n", failure.message) : std::move(failure.message);
  told->output = std::move(failure.output);
  told->output_cut = failure.output_cut;
  told->leaky |= failure.leaky;
  if (told->warning.empty()) told->warning = std::move(failure.warning);
  if (!last.has_value() || told != &*last) Gathered(lease, told->message.size() + told->output.size());
}

void Agent::Impl::Conclude(Slot* slot) {
  HeldLease::Inquest& inquest = *slot->lease->inquest;
  // None does it alone, at least not every time, as races are: what was remarked on while it ran tells.
  for (size_t i = 0; i < inquest.ran.size() && !inquest.found; ++i) {
    const RanCase& ran = inquest.ran[i];
    if (ran.told.warning.empty()) continue;
    CaseResult failure;
    failure.outcome = Outcome::kFailed;
    failure.message = absl::StrCat(ran.told.warning, "\nand ", inquest.how, "; not so when the case ran alone");
    failure.output = inquest.output;
    failure.output_cut = inquest.output_cut;
    Accuse(slot, ran, std::move(failure));
    inquest.found = true;
  }
  // Or one that had failed in it.
  for (auto ran = inquest.ran.rbegin(); ran != inquest.ran.rend() && !inquest.found; ++ran) {
    if (absl::c_linear_search(inquest.suspects, ran->position)) continue;
    CaseResult failure;
    failure.outcome = Outcome::kFailed;
    failure.message = absl::StrCat(inquest.how, "; none of the cases that passed does that alone");
    failure.output = inquest.output;
    failure.output_cut = inquest.output_cut;
    Accuse(slot, *ran, std::move(failure));
    inquest.found = true;
  }
  SettleInquest(slot->lease);
}

void Agent::Impl::SettleInquest(HeldLease* lease) {
  if (!lease->inquest.has_value()) return;
  HeldLease::Inquest inquest = *std::exchange(lease->inquest, std::nullopt);
  if (!inquest.last.has_value()) return;  // it remains
  CaseResult& last = *inquest.last;
  if (!inquest.found) {
    const bool all = inquest.next == inquest.suspects.size();
    if (!IsFailure(last.outcome)) {
      last.outcome = inquest.outcome;
      last.message.clear();
    }
    absl::StrAppend(&last.message, last.message.empty() ? "" : "\n", inquest.how,
                    all ? "; none of its cases does that alone, so it may not be this one's doing"
                        : "; its cases could not all be run alone, so it may not be this one's doing",
                    inquest.cases.empty() ? "" : ". Its cases: ", inquest.cases);
    ProcessEnded end;
    end.output = std::move(inquest.output);
    end.output_cut = inquest.output_cut;
    AddOutput(&last, &end);
  }
  if (!IsFailure(last.outcome)) DropOutput(&last);
  Gather(lease, std::move(last));
}

}  // namespace dtest
