#include "coordinator/run/selection.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "dtest/labels.h"

namespace dtest {

absl::StatusOr<Selection> Selection::Make(const std::vector<std::string>& filters, uint32_t shard_index,
                                          uint32_t shard_count) {
  Selection selection;
  selection.shard_index_ = shard_index;
  selection.plan_ = ShardPlan(shard_count);
  for (const std::string& text : filters) {
    absl::string_view expression = text;
    const bool excluding = absl::ConsumePrefix(&expression, "-");
    absl::StatusOr<Filter> filter = Filter::Parse(expression);
    if (!filter.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--filter '", text, "': ", filter.status().message()));
    }
    (excluding ? selection.excluding_ : selection.including_).push_back({text, *std::move(filter)});
  }
  return selection;
}

bool Selection::PassesFilters(const FilterSubject& subject) const {
  const auto matches = [&subject](const One& one) { return one.filter.Matches(subject); };
  // What is asked for may be in a file that could not be read.
  const bool unknown = absl::c_linear_search(subject.info.labels, kUncollectedLabel);
  return (including_.empty() || unknown || std::any_of(including_.begin(), including_.end(), matches)) &&
         std::none_of(excluding_.begin(), excluding_.end(), matches);
}

void Selection::TakeOnly(const std::vector<NamedCase>& cases, bool in_order) {
  only_.emplace();
  in_order_ = in_order;
  for (size_t place = 0; place < cases.size(); ++place) {
    const NamedCase& one = cases[place];
    Wanted& wanted = (*only_)[one.unit];
    if (one.name.empty()) {
      wanted.whole = true;
    } else {
      Wanted::Case& known = wanted.cases[one.name];
      if (!one.suite.empty()) known.suite = one.suite;
      known.stands_for |= one.stands_for;
      known.place = place;
      wanted.stand_for |= one.stands_for;
    }
  }
}

std::vector<Selection::Wanted::State*> Selection::Wanted::Meaning(absl::string_view name) {
  std::vector<State*> meaning;
  if (const auto named = cases.find(name); named != cases.end()) meaning.push_back(&named->second.state);
  if (!stand_for) return meaning;
  ForEachUncollectedOf(name, [&](absl::string_view uncollected) {
    const auto other = cases.find(uncollected);
    if (other != cases.end() && other->second.stands_for) meaning.push_back(&other->second.state);
  });
  return meaning;
}

// Of a case that is not there nothing is known but its name and perhaps its suite, and of a whole unit not even those
// of its cases.
bool Selection::MayLeave(const FilterSubject& subject) const {
  const auto leaves_out = [&subject](const One& one) { return one.filter.Matches(subject); };
  const auto may_choose = [&subject](const One& one) {
    return !one.filter.NeedsUnitOnly() || one.filter.Matches(subject);
  };
  if (NeedsInfo() || NeedsHistory()) return true;
  if (!subject.info.name.empty()) return PassesFilters(subject);
  return (including_.empty() || std::any_of(including_.begin(), including_.end(), may_choose)) &&
         std::none_of(excluding_.begin(), excluding_.end(), leaves_out);
}

Selection::Rest Selection::RestOf(absl::string_view unit) const {
  Rest rest;
  const auto known = only_.has_value() ? only_->find(unit) : decltype(only_->end())();
  if (!only_.has_value() || known == only_->end()) return rest;
  const Wanted& wanted = known->second;
  rest.left_out = wanted.others_left_out;
  FilterSubject subject;
  subject.unit = unit;
  const auto add = [&](const std::string& name, const std::string& suite, bool seen, bool stands_for) {
    subject.info.name = name;
    subject.info.suite = suite;
    subject.has_info = !suite.empty();  // MayLeave is unsure where a filter asks for more
    subject.info.labels.clear();
    // What is asked for may have been in it.
    if (stands_for) subject.info.labels.push_back(kUncollectedLabel);
    (!seen && MayLeave(subject) ? rest.missing : rest.left_out).push_back(name);
  };
  if (wanted.whole && !wanted.selected_from) add("", "", /*seen=*/false, /*stands_for=*/false);
  for (const auto& [name, one] : wanted.cases) {
    if (one.state != Wanted::State::kSelected) {
      add(name, one.suite, one.state == Wanted::State::kLeftOut, one.stands_for);
    }
  }
  std::sort(rest.missing.begin(), rest.missing.end());
  std::sort(rest.left_out.begin(), rest.left_out.end());
  return rest;
}

std::vector<std::string> Selection::WantedUnits() const {
  std::vector<std::string> units;
  if (only_.has_value()) {
    for (const auto& [unit, wanted] : *only_) units.push_back(unit);
  }
  std::sort(units.begin(), units.end());
  return units;
}

void Selection::DivideBy(const Durations& durations) {
  plan_ = ShardPlan(plan_.shard_count(), durations, [this](absl::string_view unit, absl::string_view name) {
    FilterSubject subject;
    subject.unit = unit;
    subject.info.name = name;
    subject.has_info = false;
    return PassesFilters(subject);
  });
}

bool Selection::Matches(const FilterSubject& subject) const {
  if (!PassesFilters(subject)) return false;
  if (plan_.shard_count() == 1) return true;
  const absl::string_view group = subject.info.group;  // which durations files know nothing of
  const uint32_t part =
      group.empty() ? plan_.Part(subject.unit, subject.info.name) : ShardOf(subject.unit, group, plan_.shard_count());
  return part == shard_index_ - 1;
}

bool Selection::Takes(const FilterSubject& subject) const {
  if (only_.has_value()) {
    const auto found = only_->find(subject.unit);
    if (found == only_->end()) return false;
    if (!found->second.whole && !found->second.cases.contains(subject.info.name)) return false;
  }
  return Matches(subject);
}

bool Selection::NeedsHistory() const {
  const auto needs = [](const One& one) { return one.filter.NeedsHistory(); };
  return std::any_of(including_.begin(), including_.end(), needs) ||
         std::any_of(excluding_.begin(), excluding_.end(), needs);
}

bool Selection::NeedsInfo() const {
  const auto needs = [](const One& one) { return one.filter.NeedsInfo(); };
  return std::any_of(including_.begin(), including_.end(), needs) ||
         std::any_of(excluding_.begin(), excluding_.end(), needs);
}

std::vector<uint32_t> Selection::Select(absl::string_view unit, const CaseInfos& cases,
                                        const std::vector<std::optional<CaseHistory>>& known,
                                        const std::vector<const CaseDeclaration*>& declared) {
  std::vector<uint32_t> selected;
  selected.reserve(cases.size());
  FilterSubject subject;
  subject.unit = unit;
  const bool brought_along = IsBroughtAlong(unit);
  Wanted* wanted = nullptr;
  if (only_.has_value()) {
    const auto found = only_->find(unit);
    if (found == only_->end() && !brought_along) return selected;
    if (found != only_->end()) {
      wanted = &found->second;
      wanted->selected_from = true;
    }
  }
  for (uint32_t i = 0; i < cases.size(); ++i) {
    if (!declared.empty() && declared[i] == nullptr) continue;
    subject.info = cases[i];
    locks_named_.insert(subject.info.locks.begin(), subject.info.locks.end());
    std::vector<Wanted::State*> meant_by;
    if (wanted != nullptr) {
      meant_by = wanted->Meaning(subject.info.name);
      if (meant_by.empty() && !wanted->whole && !brought_along) continue;
    }
    subject.never_ran = known.empty() || !known[i].has_value() || known[i]->runs == 0;
    subject.failed_last = !subject.never_ran && IsFailure(known[i]->last_outcome);
    const bool matches = brought_along || Matches(subject);
    if (matches) selected.push_back(i);
    for (Wanted::State* state : meant_by) {
      if (*state != Wanted::State::kSelected) *state = matches ? Wanted::State::kSelected : Wanted::State::kLeftOut;
    }
    if (wanted != nullptr && !matches && !wanted->cases.contains(subject.info.name)) {
      wanted->others_left_out.emplace_back(subject.info.name);
    }
    for (std::vector<One>* filters : {&including_, &excluding_, &watched_}) {
      for (One& one : *filters) one.matched = one.matched || one.filter.Matches(subject);
    }
  }
  if (wanted != nullptr && in_order_) {
    const auto place = [&](uint32_t i) {
      const auto named = wanted->cases.find(cases.name(i));
      return named == wanted->cases.end() ? SIZE_MAX : named->second.place;
    };
    absl::c_stable_sort(selected, [&](uint32_t a, uint32_t b) { return place(a) < place(b); });
  }
  return selected;
}

std::vector<std::string> Selection::Unmatched() const {
  std::vector<std::string> unmatched;
  for (const std::vector<One>* filters : {&including_, &excluding_}) {
    for (const One& one : *filters) {
      if (!one.matched) unmatched.push_back(one.text);
    }
  }
  return unmatched;
}

std::vector<std::string> Selection::UnmatchedWatched() const {
  std::vector<std::string> unmatched;
  for (const One& one : watched_) {
    if (!one.matched) unmatched.push_back(one.text);
  }
  return unmatched;
}

}  // namespace dtest
