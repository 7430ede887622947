#include "coordinator/run/selection.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "dtest/base/glob.h"

namespace dtest {

absl::Status Selection::Add(absl::string_view text, std::vector<Pattern>* patterns) {
  if (text.empty() || text == "=") {
    return absl::InvalidArgumentError("an empty pattern selects nothing; leave the option out to select everything");
  }
  if (text.front() == '=') {
    patterns->push_back({Pattern::Kind::kExact, std::string(text.substr(1))});
  } else if (text.find_first_of("*?") != absl::string_view::npos) {
    patterns->push_back({Pattern::Kind::kGlob, std::string(text)});
  } else {
    patterns->push_back({Pattern::Kind::kPart, std::string(text)});
  }
  return absl::OkStatus();
}

absl::StatusOr<Selection> Selection::Make(const std::vector<std::string>& filters, uint32_t shard_index,
                                          uint32_t shard_count) {
  Selection selection;
  selection.shard_index_ = shard_index;
  selection.plan_ = ShardPlan(shard_count);
  for (absl::string_view expression : filters) {
    bool excluding = absl::ConsumePrefix(&expression, "-");
    for (absl::string_view pattern : absl::StrSplit(expression, ':')) {
      if (absl::ConsumePrefix(&pattern, "-")) excluding = true;
      if (absl::Status status = Add(pattern, excluding ? &selection.excluding_ : &selection.including_); !status.ok()) {
        return absl::InvalidArgumentError(absl::StrCat("--filter '", expression, "': ", status.message()));
      }
    }
  }
  return selection;
}

bool Selection::InSuite(const Subject& subject, absl::string_view suite) {
  if (subject.suite.has_value()) return *subject.suite == suite && !suite.empty();
  return subject.name.size() > suite.size() && subject.name[suite.size()] == '.' &&
         absl::StartsWith(subject.name, suite);
}

bool Selection::MatchesAny(const std::vector<Pattern>& patterns, const Subject& subject) {
  if (patterns.empty()) return false;
  const absl::string_view unit = subject.unit, name = subject.name;
  // A plain unit's one case is named after it.
  const std::string full = name == unit ? std::string(name) : absl::StrCat(unit, ".", name);
  const size_t directory = unit.rfind('/') + 1;  // 0: none
  const absl::string_view base = unit.substr(directory);
  const absl::string_view brief = absl::string_view(full).substr(directory);
  for (const Pattern& pattern : patterns) {
    switch (pattern.kind) {
      case Pattern::Kind::kGlob:
        if (GlobMatches(pattern.text, name) || GlobMatches(pattern.text, full) || GlobMatches(pattern.text, brief)) {
          return true;
        }
        break;
      case Pattern::Kind::kExact:
        if (pattern.text == name || pattern.text == full || pattern.text == brief || pattern.text == unit ||
            pattern.text == base || InSuite(subject, pattern.text)) {
          return true;
        }
        break;
      case Pattern::Kind::kWhole:
        if (pattern.text == full) return true;
        break;
      case Pattern::Kind::kPart:
        if (absl::StrContains(absl::StrContains(pattern.text, "/") ? full : brief, pattern.text)) return true;
        break;
    }
  }
  return false;
}

bool Selection::PassesFilters(const Subject& subject) const {
  return (including_.empty() || MatchesAny(including_, subject)) && !MatchesAny(excluding_, subject);
}

void Selection::TakeOnly(const std::vector<std::string>& cases) {
  including_.clear();
  for (const std::string& one : cases) including_.push_back({Pattern::Kind::kWhole, one});
}

void Selection::DivideBy(const Durations& durations) {
  plan_ = ShardPlan(plan_.shard_count(), durations, [this](absl::string_view unit, absl::string_view name) {
    return PassesFilters({unit, name, std::nullopt});
  });
}

bool Selection::Matches(absl::string_view unit, absl::string_view name, std::optional<absl::string_view> suite) const {
  if (!PassesFilters({unit, name, suite})) return false;
  return plan_.shard_count() == 1 || plan_.Part(unit, name) == shard_index_ - 1;
}

std::vector<uint32_t> Selection::Select(absl::string_view unit, const CaseInfos& cases) const {
  std::vector<uint32_t> selected;
  selected.reserve(cases.size());
  for (uint32_t i = 0; i < cases.size(); ++i) {
    if (Matches(unit, cases.name(i), cases.suite(i))) selected.push_back(i);
  }
  return selected;
}

}  // namespace dtest
