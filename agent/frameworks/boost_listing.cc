#include "agent/frameworks/boost_listing.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "agent/frameworks/boost_dot.h"
#include "agent/frameworks/shown_name.h"

namespace dtest {
namespace {

constexpr absl::string_view kSetupError = "Test setup error: ";

// "Running 12 test cases..."
bool RanBoostTests(absl::string_view output) {
  for (absl::string_view line : absl::StrSplit(output, '\n')) {
    uint64_t count = 0;
    line.remove_prefix(std::min(line.find("Running "), line.size()));  // main may print before it
    if (!absl::ConsumePrefix(&line, "Running ") || !absl::ConsumeSuffix(&line, "...")) continue;
    const bool ends = absl::ConsumeSuffix(&line, " test cases") || absl::ConsumeSuffix(&line, " test case");
    if (ends && absl::SimpleAtoi(line, &count)) return true;
  }
  return false;
}

bool IsDecorator(absl::string_view label) {
  return label == kBoostDisabled || absl::StartsWith(label, kBoostExpectedFailures) ||
         absl::StartsWith(label, kBoostDependsOn);
}

absl::string_view DependencyOf(absl::string_view label) {
  return absl::ConsumePrefix(&label, kBoostDependsOn) && absl::ConsumeSuffix(&label, ")") ? label : "";
}

class Lister {
 public:
  explicit Lister(const std::vector<BoostUnit>& units) : units_(units), full_(units.size()), group_(units.size()) {
    std::iota(group_.begin(), group_.end(), size_t{0});
    for (size_t i = 1; i < units_.size(); ++i) {
      full_[i] = units_[i].parent == 0 ? units_[i].name : absl::StrCat(full_[units_[i].parent], "/", units_[i].name);
    }
  }

  absl::StatusOr<CaseInfos> List() {
    for (size_t i = 0; i < units_.size(); ++i) {
      for (const size_t on : units_[i].depends_on) Join(i, on);
      if (units_[i].suite && units_[i].limited) Join(i, i);
    }
    if (absl::Status status = Add(0); !status.ok()) return status;
    return std::move(cases_);
  }

 private:
  size_t Root(size_t unit) {
    while (group_[unit] != unit) unit = group_[unit] = group_[group_[unit]];
    return unit;
  }
  // All cases under the one with all under the other.
  void Join(size_t one, size_t other) {
    dependent_ = true;
    JoinUnder(one, one);
    JoinUnder(one, other);
  }
  void JoinUnder(size_t with, size_t unit) {
    group_[Root(unit)] = Root(with);
    for (const size_t child : units_[unit].children) JoinUnder(with, child);
  }

  // The unit and what is in it.
  absl::Status Add(size_t unit) {
    if (units_[unit].suite) {
      for (const size_t child : units_[unit].children) {
        if (absl::Status status = Add(child); !status.ok()) return status;
      }
      return absl::OkStatus();
    }
    return AddCase(unit);
  }

  absl::Status AddCase(size_t index) {
    const BoostUnit& unit = units_[index];
    const std::string& name = full_[index];
    if (absl::Status status = Check(index); !status.ok()) return status;
    std::vector<std::string> decorators;
    if (!unit.enabled) decorators.emplace_back(kBoostDisabled);
    if (unit.expected_failures > 0)
      decorators.push_back(absl::StrCat(kBoostExpectedFailures, unit.expected_failures, ")"));
    std::vector<absl::string_view> labels;
    for (size_t at = index; at != 0; at = units_[at].parent) {
      labels.insert(labels.end(), units_[at].labels.begin(), units_[at].labels.end());
      for (const size_t on : units_[at].depends_on) decorators.push_back(absl::StrCat(kBoostDependsOn, full_[on], ")"));
    }
    labels.insert(labels.end(), decorators.begin(), decorators.end());
    CaseInfo info;
    info.name = name;
    info.suite = full_[unit.parent];
    info.file = unit.file;
    info.line = unit.line;
    info.labels = std::move(labels);
    if (Grouped(index)) info.group = groups_.try_emplace(Root(index), name).first->second;
    cases_.Add(info);
    return absl::OkStatus();
  }

  bool Grouped(size_t unit) {
    if (!dependent_) return false;
    if (members_.empty()) {
      for (size_t i = 0; i < units_.size(); ++i) members_[Root(i)] += units_[i].suite ? 0 : 1;
    }
    return members_[Root(unit)] > 1;
  }

  absl::Status Check(size_t index) {
    const BoostUnit& unit = units_[index];
    const std::string shown = ShownName(full_[index]);
    if (absl::StrContains(full_[index], '\n')) {
      return absl::InvalidArgumentError(
          absl::StrCat("the name '", shown, "' has a line feed, which the log does not tell from the end of a line"));
    }
    if (!IsExactBoostFilter(unit.name) && !unit.enabled && Grouped(index)) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", shown,
                       "' is disabled and others depend on it, and no filter says its name: no '*' at an "
                       "end, no '!', '+' or '@' at the beginning, no '/', ',' or ':'"));
    }
    if (!names_.insert({full_[index], index}).second) {
      return absl::InvalidArgumentError(absl::StrCat("two cases are named '", shown, "'"));
    }
    for (size_t at = index; at != 0; at = units_[at].parent) {
      const auto taken = absl::c_find_if(units_[at].labels, IsDecorator);
      if (taken != units_[at].labels.end()) {
        return absl::InvalidArgumentError(
            absl::StrCat("the label '", ShownName(*taken), "' of '", shown, "' is how dtest names a decorator"));
      }
    }
    return absl::OkStatus();
  }

  const std::vector<BoostUnit>& units_;
  std::vector<std::string> full_;  // names; of the module none
  std::vector<size_t> group_;      // towards the root of its group
  bool dependent_ = false;
  absl::flat_hash_map<size_t, size_t> members_;      // cases of a group, by its root
  absl::flat_hash_map<size_t, std::string> groups_;  // names, by root
  absl::flat_hash_map<std::string, size_t> names_;
  CaseInfos cases_;
};

}  // namespace

absl::StatusOr<CaseInfos> ParseBoostDot(absl::string_view dot, absl::string_view output) {
  if (dot.empty()) {
    if (RanBoostTests(output)) return absl::FailedPreconditionError("it ran its tests");
    return absl::InvalidArgumentError("this is no list of Boost.Test: it wrote nothing to the file of --report_sink");
  }
  if (absl::StartsWith(dot, kSetupError)) return absl::AbortedError(dot.substr(0, dot.find('\n')));
  absl::StatusOr<std::vector<BoostUnit>> units = ParseBoostTree(dot);
  if (!units.ok()) return units.status();
  if (absl::Status status = OrderAsTheyRun(&*units); !status.ok()) return status;
  return Lister(*units).List();
}

bool IsDisabledBoostTest(const CaseInfo& info) { return absl::c_linear_search(info.labels, kBoostDisabled); }

uint64_t ExpectedBoostFailures(const CaseInfo& info) {
  for (absl::string_view label : info.labels) {
    uint64_t count = 0;
    if (!absl::ConsumePrefix(&label, kBoostExpectedFailures)) continue;
    if (absl::ConsumeSuffix(&label, ")") && absl::SimpleAtoi(label, &count)) return count;
  }
  return 0;
}

bool IsBoostTestUnder(absl::string_view name, absl::string_view path) {
  return path.empty() || (absl::ConsumePrefix(&name, path) && (name.empty() || name.front() == '/'));
}

bool BoostDependsOn(const CaseInfos& listing, uint32_t index, uint32_t other) {
  std::vector<uint8_t> seen(listing.size(), 0);
  std::vector<uint32_t> open = {index};
  seen[index] = 1;
  while (!open.empty()) {
    const CaseInfo info = listing[open.back()];
    open.pop_back();
    for (const absl::string_view label : info.labels) {
      const absl::string_view on = DependencyOf(label);
      for (uint32_t i = 0; i < listing.size() && !on.empty(); ++i) {
        if (seen[i] || !IsBoostTestUnder(listing.name(i), on)) continue;
        if (i == other) return true;
        seen[i] = 1;
        open.push_back(i);
      }
    }
  }
  return false;
}

bool IsExactBoostFilter(absl::string_view name) {
  return !name.empty() && name == absl::StripAsciiWhitespace(name) &&
         name.find_first_of("/,:") == absl::string_view::npos && !absl::StrContains("*!+@", name.front()) &&
         name.back() != '*';
}

}  // namespace dtest
