#include "coordinator/run/expected_cases.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace dtest {
namespace {

// What history does not know of the cases.
void FillIn(const Durations& durations, const std::string& unit, const CaseInfos& cases,
            std::vector<SelectedCase>* expected) {
  const auto known = durations.units.find(unit);
  if (known == durations.units.end()) return;
  for (SelectedCase& selected : *expected) {
    const auto found = known->second.find(std::string(cases.name(selected.index)));
    if (!selected.expected.has_value() && found != known->second.end()) selected.expected = found->second;
  }
}

// Numbers their groups. Cases with needs are handed out one by one: where one of a group is, a lock of the group keeps
// its cases apart.
void PutInGroups(const std::string& unit, const CaseInfos& cases, CasesKnown* known) {
  constexpr size_t kMostPolicies = UINT16_MAX;
  absl::flat_hash_map<absl::string_view, uint32_t> numbers;
  absl::flat_hash_set<uint32_t> needy;
  known->group_of.reserve(known->cases.size());
  for (const SelectedCase& one : known->cases) {
    const absl::string_view group = cases.group(one.index);
    uint32_t number = 0;
    if (!group.empty()) number = numbers.try_emplace(group, numbers.size() + 1).first->second;
    if (number != 0 && known->policies[one.policy].HasNeeds()) needy.insert(number);
    known->group_of.push_back(number);
  }
  if (numbers.empty()) known->group_of.clear();
  if (needy.empty()) return;
  absl::flat_hash_map<std::pair<uint16_t, absl::string_view>, uint16_t> with_lock;
  for (size_t k = 0; k < known->cases.size(); ++k) {
    if (!needy.contains(known->group_of[k])) continue;
    SelectedCase& one = known->cases[k];
    absl::string_view group = cases.group(one.index);
    // Where there are too many to tell apart, the last wait for one another: longer than they need to, not less long.
    if (known->policies.size() + known->policies.size() / 4 > kMostPolicies) group = "";
    const auto [found, is_new] = with_lock.try_emplace({one.policy, group}, known->policies.size());
    if (is_new) {
      CasePolicy policy = known->policies[one.policy];
      policy.locks.push_back({.name = absl::StrCat("group ", group, " of ", unit)});
      std::sort(policy.locks.begin(), policy.locks.end(),
                [](const CaseLock& a, const CaseLock& b) { return a.name < b.name; });
      known->policies.push_back(std::move(policy));
    }
    one.policy = found->second;
  }
}

}  // namespace

CasesKnown ExpectedCases(UnitId id, const std::string& unit, const CaseInfos& cases,
                         const std::vector<uint32_t>& selected, const CasePolicies& policies, absl::Duration startup,
                         const std::vector<std::optional<CaseHistory>>& histories, const Durations* durations) {
  CasesKnown known;
  known.unit = id;
  CasePolicies::OfUnit resolved = policies.Resolve(unit, cases, selected);
  known.policies = std::move(resolved.policies);
  known.startup = startup;
  known.cases.reserve(selected.size());
  known.suite_of.reserve(selected.size());
  uint32_t suite = 0;
  absl::string_view suite_name;
  for (const uint32_t index : selected) {
    const absl::string_view its_suite = cases.suite(index);
    if (its_suite != suite_name) ++suite, suite_name = its_suite;
    SelectedCase& expected = known.cases.emplace_back(SelectedCase{index, std::nullopt, absl::ZeroDuration()});
    expected.policy = resolved.of_case[known.cases.size() - 1];
    if (!histories.empty() && histories[index].has_value()) {
      expected.expected = histories[index]->duration;
      expected.high = histories[index]->high;
    }
    known.suite_of.push_back(suite);
  }
  if (durations != nullptr) FillIn(*durations, unit, cases, &known.cases);
  PutInGroups(unit, cases, &known);
  return known;
}

}  // namespace dtest
