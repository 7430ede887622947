#include "coordinator/run/bisection.h"

#include <algorithm>
#include <iterator>

namespace dtest {
namespace {

constexpr uint32_t kPairsFirst = 16;  // cases before it, or two for each trial that may run at once, if these are more
constexpr uint32_t kMostTrials = 2000;

// Parts of nearly equal size, in order.
std::vector<Bisection::Set> Parts(const Bisection::Set& set, size_t count) {
  std::vector<Bisection::Set> parts;
  for (size_t i = 0; i < count; ++i) {
    parts.emplace_back(set.begin() + static_cast<ptrdiff_t>(set.size() * i / count),
                       set.begin() + static_cast<ptrdiff_t>(set.size() * (i + 1) / count));
  }
  return parts;
}

Bisection::Set Without(const Bisection::Set& set, const Bisection::Set& part) {
  Bisection::Set rest;
  std::set_difference(set.begin(), set.end(), part.begin(), part.end(), std::back_inserter(rest));
  return rest;
}

}  // namespace

Bisection::Bisection(uint32_t cases, uint32_t parallel)
    : parallel_(parallel), most_trials_(std::min(kMostTrials, 100 + 10 * cases)) {
  for (uint32_t i = 0; i < cases; ++i) all_.push_back(i);
  smallest_ = all_;
  Begin(Stage::kCheck, {all_, {}});
}

Bisection::Tally Bisection::tally(const Set& set) const {
  const auto found = tallies_.find(set);
  return found == tallies_.end() ? Tally() : found->second;
}

void Bisection::Begin(Stage stage, std::vector<Set> sets) {
  stage_ = stage;
  candidates_.clear();
  for (auto& [number, trial] : running_) trial.second.reset();  // they are of what was before
  for (Set& set : sets) candidates_.push_back({std::move(set), std::nullopt});
  if (stage != Stage::kPairs && stage != Stage::kSearch) return;
  // What is known needs no other trial. A set that failed was gone on with.
  for (Candidate& candidate : candidates_) {
    const Tally before = tally(candidate.set);
    if (before.all() == 0) continue;
    candidate.begun = true;
    candidate.verdict = before.fails > 0    ? TrialVerdict::kFails
                        : before.passes > 0 ? TrialVerdict::kPasses
                                            : TrialVerdict::kUnresolved;
  }
}

void Bisection::BeginSearch(size_t parts) {
  parts_ = std::min(parts, smallest_.size());
  std::vector<Set> sets = Parts(smallest_, parts_);
  if (parts_ > 2) {
    for (size_t i = 0; i < parts_; ++i) sets.push_back(Without(smallest_, sets[i]));
  }
  Begin(Stage::kSearch, std::move(sets));
}

const Bisection::Candidate* Bisection::FirstThatFails() const {
  for (const Candidate& candidate : candidates_) {
    if (!candidate.verdict.has_value()) return nullptr;
    if (*candidate.verdict == TrialVerdict::kFails) return &candidate;
  }
  return nullptr;
}

bool Bisection::AllAnswered() const {
  return std::all_of(candidates_.begin(), candidates_.end(),
                     [](const Candidate& candidate) { return candidate.verdict.has_value(); });
}

std::optional<Bisection::Trial> Bisection::Next() {
  if (end_.has_value() || running_.size() >= parallel_) return std::nullopt;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    Candidate& candidate = candidates_[i];
    // Behind one that fails nothing is asked for any more.
    const bool searching = stage_ == Stage::kPairs || stage_ == Stage::kSearch;
    if (searching && candidate.verdict == TrialVerdict::kFails) return std::nullopt;
    if (candidate.begun) continue;
    if (next_number_ >= most_trials_) {
      end_ = End::kTooManyTrials;
      return std::nullopt;
    }
    candidate.begun = true;
    running_[next_number_] = {candidate.set, i};
    return Trial{next_number_++, candidate.set};
  }
  return std::nullopt;
}

void Bisection::Answer(uint32_t number, TrialVerdict verdict) {
  const auto trial = running_.find(number);
  if (trial == running_.end()) return;
  Tally& tally = tallies_[trial->second.first];
  (verdict == TrialVerdict::kFails    ? tally.fails
   : verdict == TrialVerdict::kPasses ? tally.passes
                                      : tally.unresolved)++;
  unresolved_ += verdict == TrialVerdict::kUnresolved ? 1 : 0;
  if (trial->second.second.has_value()) candidates_[*trial->second.second].verdict = verdict;
  running_.erase(trial);
  if (!end_.has_value()) GoOn();
}

void Bisection::GoOn() {
  switch (stage_) {
    case Stage::kCheck:
      if (AllAnswered()) GoOnFromCheck();
      return;
    case Stage::kCheckAgain:
      if (AllAnswered()) GoOnFromCheckAgain();
      return;
    case Stage::kPairs:
    case Stage::kSearch:
      GoOnFromSearch();
      return;
    case Stage::kVerify:
      if (AllAnswered()) GoOnFromVerify();
      return;
  }
}

void Bisection::GoOnFromCheck() {
  const bool fails = tally(all_).fails > 0, passes_alone = tally({}).passes > 0;
  if (!fails || !passes_alone) {
    std::vector<Set> again;
    for (uint32_t i = 1; i < kTimes; ++i) {
      if (!fails) again.push_back(all_);
      if (!passes_alone) again.emplace_back();
    }
    Begin(Stage::kCheckAgain, std::move(again));
  } else if (all_.size() <= std::max(kPairsFirst, 2 * parallel_)) {
    Begin(Stage::kPairs, Parts(all_, all_.size()));
    GoOnFromSearch();
  } else {
    BeginSearch(std::max<size_t>(parallel_, 2));
    GoOnFromSearch();
  }
}

void Bisection::GoOnFromCheckAgain() {
  const Tally behind_all = tally(all_), alone = tally({});
  if (alone.fails == alone.all()) {
    end_ = End::kFailsAlone;
  } else if (behind_all.unresolved == behind_all.all()) {
    end_ = End::kUnresolvedBehindAll;
  } else if (alone.unresolved == alone.all() && behind_all.fails == behind_all.all()) {
    end_ = End::kUnresolvedAlone;
  } else if (behind_all.fails > 0 || alone.fails > 0 || alone.unresolved > 0) {
    end_ = End::kFlaky;
  } else {
    end_ = behind_all.passes > 0 ? End::kPassesBehindAll : End::kUnresolvedBehindAll;
  }
}

void Bisection::GoOnFromSearch() {
  // Each turn leaves fewer cases or makes more parts of them, and there are no more parts than cases.
  for (;;) {
    const size_t at_first = std::max<size_t>(parallel_, 2);
    if (const Candidate* const failing = FirstThatFails(); failing != nullptr) {
      const bool is_part = stage_ == Stage::kPairs || failing - candidates_.data() < static_cast<ptrdiff_t>(parts_);
      smallest_ = Set(failing->set);
      if (smallest_.size() == 1) break;
      BeginSearch(is_part ? at_first : std::max<size_t>(parts_ - 1, 2));
    } else if (!AllAnswered()) {
      return;
    } else if (stage_ == Stage::kPairs) {
      if (smallest_.size() == 1) break;
      BeginSearch(at_first);
    } else if (parts_ < smallest_.size()) {
      BeginSearch(2 * parts_);
    } else {
      break;
    }
  }
  std::vector<Set> sets(kTimes, smallest_);
  sets.resize(2 * kTimes - 1);  // alone it has passed once
  Begin(Stage::kVerify, std::move(sets));
}

void Bisection::GoOnFromVerify() {
  const bool same = std::all_of(candidates_.begin(), candidates_.end(), [](const Candidate& candidate) {
    return candidate.verdict == (candidate.set.empty() ? TrialVerdict::kPasses : TrialVerdict::kFails);
  });
  end_ = same ? End::kFound : End::kFlaky;
}

}  // namespace dtest
