// What becomes of cases as their process ends: the last result, corrections of earlier ones, and crashes that may be
// another case's.

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "agent/core/agent_impl.h"
#include "agent/core/blame.h"
#include "agent/frameworks/capture.h"
#include "agent/frameworks/sanitizer.h"

namespace dtest {
namespace {

constexpr uint32_t kEarlyDeathsThatTell = 2;
constexpr size_t kAddressesTold = 5;
constexpr uint32_t kMostEarlyDeaths = 10;  // a retry may find that what was not there has come

}  // namespace

std::string Agent::Impl::How(const Slot& slot, const ProcessEnded& event) {
  return slot.stopped.has_value() ? slot.stopped->what : DescribeEnd(event.exit_code, event.signal);
}

bool Agent::Impl::EndedWell(const Slot& slot, const ProcessEnded& event) {
  return !slot.stopped.has_value() && event.signal == 0 && event.exit_code == 0 && !event.premature &&
         event.torn_down.empty();
}

bool Agent::Impl::Explained(const Slot& slot, const ProcessEnded& event) {
  return !slot.stopped.has_value() && slot.any_failed && event.signal == 0 && event.exit_code == 1 &&
         !absl::StrContains(event.warning, "ERROR: ");
}

std::optional<CaseResult> Agent::Impl::LastResult(Slot* slot, ProcessEnded* event) {
  std::optional<CaseResult> result = std::exchange(slot->held, std::nullopt);
  bool keep_output = true;
  const bool clean = EndedWell(*slot, *event);
  const bool finished = event->signal == 0 && !event->premature && !slot->stopped.has_value();
  const auto or_stopped = [&](Outcome outcome) { return slot->stopped ? slot->stopped->outcome : outcome; };
  if (finished && !slot->report && slot->fate == Slot::Fate::kOpen && slot->batch_left > 0) {
    units_[slot->unit].report = true;  // it does not print all after all: once more, with a report
    return std::nullopt;
  }
  if (!slot->Undecided()) {
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
      const std::string how = How(*slot, *event);
      if (event->torn_down.empty()) {
        const bool killed = event->signal != 0 && !slot->stopped.has_value();
        AfterLast(&*result, absl::StrCat(killed ? "was " : "", how), or_stopped(Outcome::kFailed));
      } else {
        MakeFailed(&*result, absl::StrCat(how, " ", kInSuiteTearDown), or_stopped(Outcome::kCrashed));
      }
      if (!event->warning.empty()) absl::StrAppend(&result->message, ": ", event->warning);
    } else {
      keep_output = !event->warning.empty();  // else they are the framework's closing words
    }
    if (result->warning.empty()) {
      result->warning = event->warning;
      // Said after the last case, not in it: it may be any one's of the process.
      const bool anyones = slot->ran.size() > 1 && !SanitizerHeadline(event->warning).empty();
      if (anyones) absl::StrAppend(&result->warning, " (as the process of ", slot->ran.size(), " cases ended)");
    }
    DropOutput(&*result);
  } else if (!slot->any_finished && slot->batch_left > 0) {
    slot->began = slot->spawned;
    const char* const where = event->in_suite             ? kInSuiteSetUp
                              : slot->followed            ? kBetween
                              : slot->stopped.has_value() ? kInSetUp
                                                          : kInGlobalSetUp;
    result = Blame(slot, NextOf(*slot), or_stopped(Outcome::kCrashed),
                   clean ? std::string("exited with status 0 without running the test")
                         : absl::StrCat(How(*slot, *event), " ", where));
  } else if (slot->any_finished && !finished && event->torn_down.empty()) {
    slot->began = slot->stopped ? slot->stopped->since : now_;
    result = Blame(slot, NextOf(*slot), or_stopped(Outcome::kCrashed),
                   absl::StrCat(How(*slot, *event), " ", event->in_suite ? kInNextSuiteSetUp : kBetween));
  } else {
    return std::nullopt;  // it is well, or none of its cases was to run
  }
  result->leaky |= event->leaky;
  if (keep_output) AddOutput(&*result, event);
  return result;
}

void Agent::Impl::DiedEarly(Slot* slot, const ProcessEnded& event, const CaseResult& blamed) {
  if (slot->confirms || !slot->Undecided()) return;
  HeldLease* lease = slot->lease;
  Unit& unit = units_[slot->unit];
  std::vector<size_t> others;  // that would fare alike
  if (event.in_suite) {
    const std::vector<uint32_t> before = std::exchange(lease->died_setting_up, event.setting_up);
    if (!absl::c_linear_search(before, blamed.index)) return;
    for (const uint32_t index : event.setting_up) {
      if (const size_t position = lease->Find(index); position != HeldLease::kNone) others.push_back(position);
    }
  } else {
    unit.early_death = blamed.message;
    if (++unit.early_deaths < kEarlyDeathsThatTell) return;
    for (const LeasedCase& leased : lease->Remaining(slot->batch_left - 1)) others.push_back(lease->Find(leased.index));
  }
  slot->began = now_;
  for (const size_t position : others) {
    Gather(lease, Blame(slot, position, blamed.outcome,
                        absl::StrCat("not run, since two processes in a row did not get to a test: ", blamed.message)));
  }
}

bool Agent::Impl::NeverBegins(Slot* slot) {
  const Unit& unit = units_[slot->unit];
  HeldLease* lease = slot->lease;
  if (unit.early_deaths < kMostEarlyDeaths || lease->inquest.has_value() || lease->doubt.has_value()) return false;
  slot->began = now_;
  while (lease->remaining() > 0) {
    Gather(lease, Blame(slot, lease->First(), Outcome::kCrashed,
                        absl::StrCat("not run, since the last ", unit.early_deaths,
                                     " processes of this executable here did not get to a test: ", unit.early_death)));
  }
  return true;
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

void Agent::Impl::MakeFailed(CaseResult* result, const std::string& message, Outcome outcome) {
  if (!IsFailure(result->outcome)) {
    result->outcome = outcome;
    result->message.clear();
  }
  absl::StrAppend(&result->message, result->message.empty() ? "" : "\n", message);
}

void Agent::Impl::CorrectOne(Slot* slot, uint32_t index, const CaseResult& failure) {
  const auto ran =
      std::find_if(slot->ran.begin(), slot->ran.end(), [&](const RanCase& r) { return r.told.index == index; });
  if (CaseResult* result = StillHere(slot, index); result != nullptr) {
    MakeFailed(result, failure.message, failure.outcome);
    if (ran != slot->ran.end()) ran->told.outcome = result->outcome;
    return;
  }
  if (ran == slot->ran.end()) return;
  CaseResult& late = ToFail(slot, &*ran);
  MakeFailed(&late, failure.message, failure.outcome);
  ran->told.outcome = late.outcome;
  late.output = failure.output;
  late.output_cut = failure.output_cut;
  Gathered(slot->lease, failure.message.size() + failure.output.size());
}

void Agent::Impl::Correct(Slot* slot, const ProcessEnded& event) {
  slot->any_failed |= !event.corrections.empty() || !event.outside.empty();
  CaseResult failure;
  failure.outcome = Outcome::kFailed;
  failure.output = event.output;
  failure.output_cut = event.output_cut;
  for (const ProcessEnded::Correction& correction : event.corrections) {
    failure.message = correction.message;
    CorrectOne(slot, correction.index, failure);
  }
  for (const ProcessEnded::Outside& outside : event.outside) {
    if (outside.cases.size() > 1) continue;
    failure.message = outside.message;
    failure.output = outside.output.empty() ? event.output : outside.output;
    failure.output_cut = outside.output.empty() ? event.output_cut : outside.output_cut;
    CorrectOne(slot, outside.cases.front(), failure);
  }
  if (event.torn_down.size() != 1 || slot->held.has_value() || !slot->Undecided()) return;
  failure.outcome = slot->stopped ? slot->stopped->outcome : Outcome::kCrashed;
  failure.message = absl::StrCat(How(*slot, event), " ", kInSuiteTearDown);
  failure.output = event.output;
  failure.output_cut = event.output_cut;
  CorrectOne(slot, event.torn_down.front(), failure);
}

CaseResult& Agent::Impl::ToFail(Slot* slot, RanCase* ran) {
  if (CaseResult* here = StillHere(slot, ran->told.index); here != nullptr) return *here;
  std::vector<LateFailure>& waiting = slot->lease->late_failures;
  const auto known = absl::c_find_if(waiting, [&](const LateFailure& late) {
    return late.result.index == ran->told.index && late.result.attempt == ran->told.attempt;
  });
  if (known != waiting.end()) return known->result;
  LateFailure& late = waiting.emplace_back(LateFailure{ran->told.outcome, ran->told});
  late.result.message.clear();
  return late.result;
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
  MakeFailed(result, absl::StrCat("the process ", what, " ", kInTearDown), outcome);
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
  if (!slot.tried.empty()) TellTried(slot, result);
}

void Agent::Impl::TellTried(const Slot& slot, CaseResult* result) {
  const std::vector<std::string>& addresses = slot.tried;
  const size_t told = std::min(addresses.size(), kAddressesTold);
  const std::string text = absl::StrCat("tried to reach ", absl::StrJoin(absl::MakeSpan(addresses).first(told), ", "),
                                        told < addresses.size() ? " and others" : "", ", which --no-network forbids",
                                        slot.tried_unsure ? " (it, or what ran before it in its process)" : "");
  if (IsFailure(result->outcome)) {
    absl::StrAppend(&result->message, result->message.empty() ? "" : "\n", text);
  } else {
    absl::StrAppend(&result->warning, result->warning.empty() ? "" : "; ", text);
  }
}

}  // namespace dtest
