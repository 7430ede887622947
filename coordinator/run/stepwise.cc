#include "coordinator/run/stepwise.h"

#include <algorithm>
#include <variant>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "coordinator/report/text.h"

namespace dtest {

absl::StatusOr<std::unique_ptr<Stepwise>> Stepwise::Make(History* history, Options options) {
  std::unique_ptr<Stepwise> stepwise(new Stepwise(history, std::move(options)));
  if (stepwise->options_.anew) return stepwise;
  absl::StatusOr<std::vector<StepwiseCase>> kept = history->Stepwise(stepwise->options_.directory);
  if (!kept.ok()) return kept.status();
  const absl::flat_hash_set<std::string> units(stepwise->options_.units.begin(), stepwise->options_.units.end());
  for (StepwiseCase& one : *kept) {
    if (!units.contains(one.unit)) continue;
    if (!one.passed && ++stepwise->failed_before_ == 1) {
      stepwise->a_failed_one_ = NameLine(one.name == one.unit ? one.unit : absl::StrCat(one.unit, ".", one.name));
    }
    stepwise->before_[one.unit][std::move(one.name)] = one.passed;
  }
  // The run before stopped at what this one does not have.
  if (stepwise->failed_before_ == 0) stepwise->before_.clear();
  return stepwise;
}

std::string Stepwise::BeginText() const {
  if (!goes_on()) return "";
  const std::string with =
      failed_before_ == 1 ? a_failed_one_ : absl::StrCat(Plural(failed_before_, "case"), ", ", a_failed_one_, " first");
  return absl::StrCat("stepwise: goes on with ", with, ", which failed in the run before",
                      !options_.skip        ? ""
                      : failed_before_ == 1 ? ", and does not stop this one"
                                            : ", and do not stop this one",
                      "; what has passed since the series began is left out (--stepwise-reset begins anew)");
}

void Stepwise::LeaveOutPassed(const std::string& unit, const CaseInfos& cases, std::vector<uint32_t>* selected) {
  if (!before_.contains(unit)) return;
  absl::flat_hash_map<absl::string_view, uint32_t> count;
  for (size_t i = 0; i < cases.size(); ++i) ++count[cases.name(i)];
  left_out_ +=
      std::erase_if(*selected, [&](uint32_t i) { return count[cases.name(i)] == 1 && HasPassed(unit, cases.name(i)); });
}

bool Stepwise::HasPassed(const std::string& unit, absl::string_view name) const {
  const auto known = before_.find(unit);
  if (known == before_.end()) return false;
  const auto one = known->second.find(name);
  return one != known->second.end() && one->second;
}

std::string Stepwise::EndText(bool listed) const {
  if (left_out_ == 0) return "";
  return absl::StrCat(
      "stepwise: ", Plural(left_out_, "case"), " that passed in the runs before ",
      listed ? "would not run again; without --stepwise all would" : "did not run again; without --stepwise all run");
}

bool Stepwise::IsFirst(const std::string& unit, absl::string_view name) const {
  const auto known = before_.find(unit);
  if (known == before_.end()) return false;
  const auto one = known->second.find(name);
  return one != known->second.end() && !one->second;
}

absl::Status Stepwise::Handle(const RunEvent& event) {
  if (const auto* ended = std::get_if<CaseEnded>(&event.what)) {
    Note(*ended);
  } else if (const auto* listed = std::get_if<UnitListed>(&event.what)) {
    failed_ |= !listed->error.empty();
  } else if (const auto* finished = std::get_if<RunFinished>(&event.what)) {
    return Write(*finished, event.time);
  }
  return absl::OkStatus();
}

void Stepwise::Note(const CaseEnded& ended) {
  const std::pair<std::string, std::string> key(ended.unit, ended.name);
  if (ended.replaces.has_value()) states_.erase(key);
  if (!ended.final) return;
  const Outcome outcome = ended.result.outcome;
  State state = State::kPassed;
  if (IsFailure(outcome)) state = ended.forgiven() ? State::kUnfinished : State::kFailed;
  if (outcome == Outcome::kNotRun) state = State::kUnfinished;
  const auto [known, is_new] = states_.try_emplace(key, state);
  if (!is_new) known->second = std::max(known->second, state);
}

absl::Status Stepwise::Write(const RunFinished& finished, absl::Time now) {
  std::vector<StepwiseCase> cases;
  for (const auto& [key, state] : states_) {
    failed_ |= state == State::kFailed;
    if (state != State::kUnfinished) cases.push_back({key.first, key.second, state == State::kPassed});
  }
  const bool over = finished.end == RunEnd::kCompleted && !failed_;
  if (over) cases.clear();
  return history_.KeepStepwise(options_.directory, cases, /*anew=*/over || !goes_on(), now);
}

}  // namespace dtest
