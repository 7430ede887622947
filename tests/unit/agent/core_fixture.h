// Drives one agent core by hand: (time, event) in, actions out as short texts, so that a test reads as a list of both.

#ifndef DTEST_TESTS_UNIT_AGENT_CORE_FIXTURE_H_
#define DTEST_TESTS_UNIT_AGENT_CORE_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/core/agent.h"

namespace dtest {

using Actions = std::vector<std::string>;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr UnitId kMath(0);
constexpr UnitId kText(1);

inline std::string Describe(const CaseResult& result) {
  std::string text = absl::StrCat(result.index, " ", OutcomeName(result.outcome));
  if (result.attempt != 1) absl::StrAppend(&text, " attempt ", result.attempt);
  if (!result.message.empty()) absl::StrAppend(&text, " (", result.message, ")");
  if (!result.output.empty()) absl::StrAppend(&text, " <", result.output, ">");
  if (result.leaky) text += " leaky";
  if (!result.warning.empty()) absl::StrAppend(&text, " warning ", result.warning);
  for (const auto& [key, value] : result.properties) absl::StrAppend(&text, " ", key, "=", value);
  return text;
}

struct Describer {
  std::string operator()(const Prepared& m) const {
    return absl::StrCat("prepared ", m.unit.value(), m.error.empty() ? "" : ": ", m.error, m.drain ? " drain" : "");
  }
  std::string operator()(const Listed& m) const {
    std::string text = absl::StrCat("listed ", m.unit.value());
    for (size_t i = 0; i < m.cases.size(); ++i) absl::StrAppend(&text, " ", m.cases.name(i));
    return absl::StrCat(text, m.error.empty() ? "" : ": ", m.error);
  }
  std::string operator()(const Results& m) const {
    std::string text = absl::StrCat("results ", m.lease.value(), " [");
    for (size_t i = 0; i < m.results.size(); ++i) absl::StrAppend(&text, i == 0 ? "" : ", ", Describe(m.results[i]));
    text += "]";
    for (const LateProperties& late : m.late_properties) {
      absl::StrAppend(&text, " late ", late.index);
      if (late.attempt != 1) absl::StrAppend(&text, " attempt ", late.attempt);
      for (const auto& [key, value] : late.properties) absl::StrAppend(&text, " ", key, "=", value);
    }
    for (const LateFailure& late : m.late_failures) {
      absl::StrAppend(&text, " not ", OutcomeName(late.told), ": ", Describe(late.result));
    }
    return absl::StrCat(text, m.done ? " done" : "");
  }
  std::string operator()(const ListingWrong& m) const {
    return absl::StrCat("listing of ", m.unit.value(), " wrong: ", m.error);
  }
  std::string operator()(const Released& m) const { return absl::StrCat("released ", m.lease.value()); }
  std::string operator()(const Refused& m) const { return absl::StrCat("refused ", m.lease.value()); }
  std::string operator()(const Heartbeat& m) const {
    std::string text = "heartbeat";
    for (LeaseId lease : m.leases) absl::StrAppend(&text, " ", lease.value());
    for (const RunningCase& running : m.running) {
      absl::StrAppend(&text, " slot ", running.slot.value(), ": ", running.lease.value(), "/", running.index, " of ",
                      running.unit.value(), " for ", absl::FormatDuration(running.elapsed));
    }
    if (m.open_slots > 0) absl::StrAppend(&text, " open ", m.open_slots);
    return text;
  }
  std::string operator()(const Idle&) const { return "idle"; }
  std::string operator()(const Note& m) const { return absl::StrCat("note: ", m.text); }
  std::string operator()(const Reply& action) const { return std::visit(*this, action.message); }
  std::string operator()(const PrepareFiles& action) const { return absl::StrCat("prepare ", action.unit.value()); }
  std::string operator()(const StartListing& action) const {
    return absl::StrCat("list ", action.unit.value(), " in ", action.slot.value());
  }
  std::string operator()(const StartSetup& action) const {
    return absl::StrCat("set up ", action.of_host ? "the host in " : "", action.slot.value(), " for ",
                        action.unit.value());
  }
  std::string operator()(const StartBatch& action) const {
    std::string text = absl::StrCat("run ", action.unit.value(), " in ", action.slot.value(), ":");
    for (const LeasedCase& leased : action.cases) absl::StrAppend(&text, " ", leased.index);
    if (!action.report) absl::StrAppend(&text, " without report");
    return text;
  }
  std::string operator()(const FollowBatch& action) const {
    return action.next.has_value() ? absl::StrCat("then ", (*this)(*action.next))
                                   : absl::StrCat("no more in ", action.slot.value());
  }
  std::string operator()(const KillSlot& action) const {
    return absl::StrCat("kill ", action.slot.value(), " with ", action.signal);
  }
  std::string operator()(const Exit& action) const {
    return absl::StrCat("exit", action.reason.empty() ? "" : ": ", action.reason);
  }
};

class AgentCoreTest : public testing::Test {
 protected:
  static constexpr absl::Duration kMs = absl::Milliseconds(1);

  AgentCoreTest() {
    options_.machine = "x86_64";
    welcome_.settings.slots = 1;
    welcome_.settings.output_cap = 1 << 20;
    welcome_.settings.list_timeout = absl::Seconds(30);
    welcome_.settings.kill_grace = absl::Seconds(5);
    welcome_.heartbeat_interval = absl::Hours(1);
    welcome_.lease_timeout = absl::Hours(10);
  }

  // ---- Time. `at` only moves forward.
  void At(absl::Duration since_start) { now_ = start_ + since_start; }
  void After(absl::Duration time) { now_ += time; }

  // ---- Events. Each returns the actions it caused.
  Actions Do(AgentEvent event) {
    if (core_ == nullptr) core_ = std::make_unique<Agent>(options_);
    raw_.clear();
    core_->Handle(now_, std::move(event), &raw_);
    core_->CheckInvariants();
    Actions actions;
    for (const AgentAction& action : raw_) actions.push_back(std::visit(Describer(), action));
    return actions;
  }
  Actions Tick() { return Do(AgentTick{}); }
  // What the loop does: a tick if one is due.
  Actions Turn() { return core_->NextDeadline() <= now_ ? Tick() : Actions(); }
  template <typename Message>
  Actions Get(Message message) {
    return Do(FromCoordinator{std::move(message)});
  }
  Actions GetLease(uint64_t id, std::vector<uint32_t> cases, UnitId unit = kMath) {
    Lease lease{LeaseId(id), unit, {}};
    for (uint32_t index : cases) lease.cases.push_back({index, 1, limit_});
    return Get(std::move(lease));
  }
  Actions Begin(uint32_t index, uint32_t slot = 0) { return Do(CaseBegan{SlotId(slot), index}); }
  Actions Finish(uint32_t index, Outcome outcome = Outcome::kPassed, uint32_t slot = 0) {
    CaseResult result;
    result.index = index;
    result.outcome = outcome;
    return Do(CaseFinished{SlotId(slot), std::move(result)});
  }
  // A result that the end of the process may correct.
  Actions RunDoubtful(uint32_t index, Outcome outcome = Outcome::kPassed) {
    Begin(index);
    CaseFinished finished{SlotId(0), {}, /*doubtful=*/true};
    finished.result.index = index;
    finished.result.outcome = outcome;
    return Do(std::move(finished));
  }
  // One that was not printed.
  Actions RunUnheard(uint32_t index, Outcome outcome = Outcome::kPassed) {
    Begin(index);
    CaseFinished finished{SlotId(0), {}, false, /*from_report=*/true};
    finished.result.index = index;
    finished.result.outcome = outcome;
    return Do(std::move(finished));
  }
  Actions EndsWith(int exit_code, std::vector<ProcessEnded::Correction> corrections) {
    ProcessEnded ended;
    ended.exit_code = exit_code;
    ended.corrections = std::move(corrections);
    return Do(std::move(ended));
  }
  // The process ends as one that a sanitizer, or an atexit function, ends.
  Actions EndsLate(int exit_code, const std::string& output = "", const std::string& warning = "") {
    ProcessEnded ended;
    ended.exit_code = exit_code;
    ended.output = output;
    ended.warning = warning;
    ended.cases = "A.a, A.b";
    return Do(std::move(ended));
  }
  Actions EndsWrong(const std::string& how) {
    ProcessEnded ended;
    ended.listing_wrong = how;
    return Do(std::move(ended));
  }
  Actions RunCase(uint32_t index, Outcome outcome = Outcome::kPassed, uint32_t slot = 0) {
    Actions actions = Begin(index, slot);
    for (std::string& action : Finish(index, outcome, slot)) actions.push_back(std::move(action));
    return actions;
  }
  Actions Ends(int exit_code, int signal = 0, uint32_t slot = 0) {
    ProcessEnded ended;
    ended.slot = SlotId(slot);
    ended.exit_code = exit_code;
    ended.signal = signal;
    return Do(std::move(ended));
  }

  // Welcome, and both units known.
  void Join() {
    Do(AgentTick{});
    Get(welcome_);
    for (UnitId id : {kMath, kText}) {
      AddUnit add;
      add.spec.id = id;
      add.spec.name = id == kMath ? "math_test" : "text_test";
      add.spec.machine = "x86_64";
      add.spec.prints_all = prints_all_;
      Get(std::move(add));
    }
  }
  // And their files in place.
  void JoinReady() {
    Join();
    for (UnitId id : {kMath, kText}) {
      Get(Prefetch{id});
      Do(FilesReady{id, "", false});
    }
  }
  void Join(uint32_t slots) {
    welcome_.settings.slots = slots;
    JoinReady();
  }

  const absl::Time start_ = absl::UnixEpoch() + absl::Hours(100);
  absl::Time now_ = start_;
  AgentOptions options_;
  Welcome welcome_;
  absl::Duration limit_ = absl::Seconds(60);  // of each case that GetLease leases
  bool prints_all_ = false;
  std::unique_ptr<Agent> core_;
  std::vector<AgentAction> raw_;
};

}  // namespace dtest

#endif  // DTEST_TESTS_UNIT_AGENT_CORE_FIXTURE_H_
