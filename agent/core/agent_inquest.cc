// Which of its cases made a process end badly: each runs once more, alone.

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/core/agent_impl.h"
#include "agent/core/blame.h"
#include "agent/frameworks/sanitizer.h"

namespace dtest {

std::vector<size_t> Agent::Impl::Ran(const Slot& slot, const std::vector<uint32_t>& cases) {
  std::vector<size_t> positions;
  for (const RanCase& ran : slot.ran) {
    if (absl::c_linear_search(cases, ran.told.index)) positions.push_back(ran.position);
  }
  return positions;
}

bool Agent::Impl::EndIsAsked(const Slot& slot, const ProcessEnded& event) {
  if (!slot.Undecided() || slot.confirms || slot.running != HeldLease::kNone) return false;
  if (!event.listing_wrong.empty()) return false;
  if (slot.held.has_value() && (EndedWell(slot, event) || Explained(slot, event))) return false;
  if (!event.torn_down.empty()) return event.torn_down.size() > 1;
  if (slot.held.has_value()) return slot.ran.size() > 1;
  return slot.any_finished && !slot.stopped.has_value() && (event.signal != 0 || event.premature);
}

Agent::Impl::Questions Agent::Impl::QuestionsOf(const Slot& slot, ProcessEnded* event) {
  Questions questions;
  for (ProcessEnded::Outside& outside : event->outside) {
    if (outside.cases.size() < 2) continue;
    Inquest::Question& question = questions.emplace_back();
    question.how = std::move(outside.message);
    question.candidates = Ran(slot, outside.cases);
    question.output = outside.output.empty() ? event->output : std::move(outside.output);
    question.output_cut = outside.output.empty() ? event->output_cut : outside.output_cut;
  }
  if (EndIsAsked(slot, *event)) {
    const std::string end = How(slot, *event);
    Inquest::Question& question = questions.emplace_back();
    question.outcome = slot.stopped ? slot.stopped->outcome : Outcome::kCrashed;
    question.hung = slot.stopped.has_value();
    for (const RanCase& ran : slot.ran) question.candidates.push_back(ran.position);
    if (!event->torn_down.empty()) {
      question.how = absl::StrCat(end, " ", kInSuiteTearDown);
      question.candidates = Ran(slot, event->torn_down);
    } else if (slot.held.has_value()) {
      if (!slot.stopped) question.outcome = Outcome::kFailed;
      const bool killed = event->signal != 0 && !slot.stopped.has_value();
      question.how = absl::StrCat("the process ", killed ? "was " : "", end, " ", kInTearDown);
    } else {
      question.how = absl::StrCat(end, " ", event->in_suite ? kInNextSuiteSetUp : kBetween);
      question.candidates.push_back(slot.lease->First());
    }
    question.output = event->output;
    question.output_cut = event->output_cut;
  }
  for (Inquest::Question& question : questions) question.cases = event->cases;
  std::erase_if(questions, [](const Inquest::Question& question) { return question.candidates.empty(); });
  return questions;
}

void Agent::Impl::BeginInquest(Slot* slot, Questions questions, std::optional<CaseResult> last) {
  Inquest& inquest = slot->lease->inquest.emplace();
  inquest.questions = std::move(questions);
  inquest.ran = std::move(slot->ran);
  inquest.last = std::move(last);
  const auto may_have = [&](size_t position) {
    return absl::c_any_of(inquest.questions, [&](const Inquest::Question& question) {
      return absl::c_linear_search(question.candidates, position);
    });
  };
  for (const RanCase& ran : inquest.ran) {
    // One whose failure has been told may be tried again elsewhere by now: it is not run here as well.
    const bool held = inquest.last.has_value() && inquest.last->index == ran.told.index;
    if ((held || !IsFailure(ran.told.outcome)) && may_have(ran.position)) inquest.suspects.push_back(ran.position);
  }
  if (const size_t next = slot->lease->First(); next != HeldLease::kNone && may_have(next)) {
    inquest.suspects.push_back(next);
  }
  if (inquest.suspects.empty()) Conclude(slot);
}

void Agent::Impl::EndInquiry(Slot* slot, ProcessEnded* event) {
  HeldLease* lease = slot->lease;
  const size_t position = slot->suspect;
  const bool has_result = lease->Find(lease->at(position).index) == HeldLease::kNone;
  const bool unknown = !event->listing_wrong.empty();
  if (unknown) Send(ListingWrong{slot->unit, event->listing_wrong});
  Correct(slot, *event);
  const bool badly =
      !unknown && (slot->fate != Slot::Fate::kOpen || !slot->held.has_value() || !event->corrections.empty() ||
                   !event->outside.empty() || (!EndedWell(*slot, *event) && !Explained(*slot, *event)));
  std::optional<CaseResult> result = LastResult(slot, event);
  if (unknown || !result.has_value()) result = Verdict(*slot, position, Outcome::kInfraError, NotRun(*event));
  Inquest& inquest = *lease->inquest;
  for (Inquest::Question& question : inquest.questions) {
    question.found |= badly && absl::c_linear_search(question.candidates, position);
  }
  if (!has_result) {
    AttachProperties(slot, &*result, &event->properties);
    inquest.last = std::move(result);
    lease->Finish(position);
  } else if (badly) {
    const auto ran = absl::c_find_if(inquest.ran, [&](const RanCase& r) { return r.position == position; });
    Accuse(slot, &*ran, *std::move(result));
  }
  SkipNeedless(&inquest);
  if (inquest.next == inquest.suspects.size()) Conclude(slot);
  NextProcess(slot);
}

void Agent::Impl::Accuse(Slot* slot, RanCase* ran, CaseResult failure) {
  HeldLease* lease = slot->lease;
  std::optional<CaseResult>& last = lease->inquest->last;
  CaseResult* told = last.has_value() && last->index == ran->told.index ? &*last : &ToFail(slot, ran);
  const bool failed = IsFailure(told->outcome);
  if (!failed) told->outcome = failure.outcome;
  ran->told.outcome = told->outcome;
  if (failure.process != 0) {  // it failed alone: nothing before it is to blame
    told->process = failure.process;
    told->place = failure.place;
  }
  // It says what was told, too, where the case failed alone as it had failed before.
  const bool more = failed && !absl::StrContains(failure.message, told->message);
  told->message = more ? absl::StrCat(told->message, "\n", failure.message) : std::move(failure.message);
  told->output = std::move(failure.output);
  told->output_cut = failure.output_cut;
  told->leaky |= failure.leaky;
  if (told->warning.empty()) told->warning = std::move(failure.warning);
  if (!last.has_value() || told != &*last) Gathered(lease, told->message.size() + told->output.size());
}

// Of a hang, one that does it is enough: each would take as long as its time limit.
void Agent::Impl::SkipNeedless(Inquest* inquest) {
  const auto asks = [&](const Inquest::Question& question) {
    return !(question.hung && question.found) &&
           absl::c_linear_search(question.candidates, inquest->suspects[inquest->next]);
  };
  while (inquest->next < inquest->suspects.size() && !absl::c_any_of(inquest->questions, asks)) ++inquest->next;
}

void Agent::Impl::Conclude(Slot* slot) {
  Inquest& inquest = *slot->lease->inquest;
  for (Inquest::Question& question : inquest.questions) {
    const auto accuse = [&](RanCase* ran, std::string message) {
      CaseResult failure;
      failure.outcome = Outcome::kFailed;
      failure.message = std::move(message);
      failure.output = question.output;
      failure.output_cut = question.output_cut;
      Accuse(slot, ran, std::move(failure));
      question.found = true;
    };
    const auto may_have = [&](const RanCase& ran) { return absl::c_linear_search(question.candidates, ran.position); };
    // None does it alone, at least not every time, as races are: what was remarked on while it ran tells.
    for (size_t i = 0; i < inquest.ran.size() && !question.found; ++i) {
      RanCase& ran = inquest.ran[i];
      // A framework warns of other things, too.
      if (SanitizerHeadline(ran.told.warning).empty() || !may_have(ran)) continue;
      if (absl::EndsWith(ran.told.warning, kSaidInSuiteTearDown)) continue;  // it may be another's
      accuse(&ran, absl::StrCat(ran.told.warning, "\nand ", question.how, "; not so when the case ran alone"));
    }
    // Or one that had failed in it.
    for (auto ran = inquest.ran.rbegin(); ran != inquest.ran.rend() && !question.found; ++ran) {
      if (absl::c_linear_search(inquest.suspects, ran->position) || !may_have(*ran)) continue;
      accuse(&*ran, absl::StrCat(question.how, "; none of the cases that passed does that alone"));
    }
  }
  SettleInquest(slot);
}

void Agent::Impl::GiveUpInquest(Slot* slot) {
  Inquest& inquest = *slot->lease->inquest;
  if (inquest.last.has_value()) {
    const uint32_t index = inquest.last->index;
    for (Inquest::Question& question : inquest.questions) {
      std::erase_if(question.candidates, [&](size_t position) { return slot->lease->at(position).index == index; });
    }
    inquest.last.reset();
  }
  SettleInquest(slot);
}

void Agent::Impl::SettleInquest(Slot* slot) {
  HeldLease* lease = slot->lease;
  if (!lease->inquest.has_value()) return;
  Inquest& inquest = *lease->inquest;
  const bool all = inquest.next == inquest.suspects.size();
  for (Inquest::Question& question : inquest.questions) {
    if (question.found) continue;
    const auto is_last = [&](size_t position) {
      return inquest.last.has_value() && inquest.last->index == lease->at(position).index;
    };
    const auto ran_of = [&](size_t position) {
      return absl::c_find_if(inquest.ran, [&](const RanCase& r) { return r.position == position; });
    };
    const auto blamed = std::find_if(question.candidates.rbegin(), question.candidates.rend(), [&](size_t position) {
      return is_last(position) || ran_of(position) != inquest.ran.end();
    });
    if (blamed == question.candidates.rend()) continue;
    // The one that was to come next remains, if it has not run after all: then it is told of the one before.
    const bool of_next = blamed != question.candidates.rbegin();
    CaseResult failure;
    failure.outcome = question.outcome;
    failure.message = absl::StrCat(of_next ? "when the next test was to begin: " : "", question.how,
                                   all ? "; none of its cases does that alone, so it may not be this one's doing"
                                       : "; its cases could not all be run alone, so it may not be this one's doing",
                                   question.cases.empty() ? "" : ". Its cases: ", question.cases);
    if (is_last(*blamed)) {
      MakeFailed(&*inquest.last, failure.message, failure.outcome);
      ProcessEnded end;
      end.output = std::move(question.output);
      end.output_cut = question.output_cut;
      AddOutput(&*inquest.last, &end);
      continue;
    }
    failure.output = std::move(question.output);
    failure.output_cut = question.output_cut;
    Accuse(slot, &*ran_of(*blamed), std::move(failure));
  }
  std::optional<CaseResult> last = std::move(inquest.last);
  lease->inquest.reset();
  if (!last.has_value()) return;
  if (!IsFailure(last->outcome)) DropOutput(&*last);
  Gather(lease, *std::move(last));
}

}  // namespace dtest
