#include "coordinator/run/expected_cases.h"

#include <utility>

#include "absl/container/flat_hash_map.h"
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

// Which of them are of one group.
std::vector<uint32_t> GroupNumbers(const CaseInfos& cases, const std::vector<uint32_t>& selected) {
  absl::flat_hash_map<absl::string_view, uint32_t> numbers;
  std::vector<uint32_t> group_of;
  group_of.reserve(selected.size());
  for (const uint32_t index : selected) {
    const absl::string_view group = cases.group(index);
    group_of.push_back(group.empty() ? 0 : numbers.try_emplace(group, numbers.size() + 1).first->second);
  }
  if (numbers.empty()) group_of.clear();
  return group_of;
}

}  // namespace

CasesKnown ExpectedCases(UnitId id, const std::string& unit, const CaseInfos& cases,
                         const std::vector<uint32_t>& selected, const CasePolicies& policies, absl::Duration startup,
                         const std::vector<std::optional<CaseHistory>>& histories, const Durations* durations,
                         const std::vector<const CaseDeclaration*>& declared) {
  CasesKnown known;
  known.unit = id;
  CasePolicies::OfUnit resolved = policies.Resolve(unit, cases, selected, declared);
  known.policies = std::move(resolved.policies);
  known.startup = startup;
  known.cases.reserve(selected.size());
  known.suite_of.reserve(selected.size());
  known.file_of.reserve(selected.size());
  uint32_t suite = 0, file = 0;
  absl::string_view suite_name, file_name;
  for (const uint32_t index : selected) {
    const absl::string_view its_suite = cases.suite(index);
    if (its_suite != suite_name) ++suite, suite_name = its_suite;
    const absl::string_view its_file = cases.file(index);
    if (its_file != file_name) ++file, file_name = its_file;
    SelectedCase& expected = known.cases.emplace_back(SelectedCase{index, std::nullopt, absl::ZeroDuration()});
    expected.policy = resolved.of_case[known.cases.size() - 1];
    if (!histories.empty() && histories[index].has_value()) {
      expected.expected = histories[index]->duration;
      expected.high = histories[index]->high;
    }
    known.suite_of.push_back(suite);
    known.file_of.push_back(file);
  }
  if (durations != nullptr) FillIn(*durations, unit, cases, &known.cases);
  for (SelectedCase& one : known.cases) {
    const CaseDeclaration* const declaration = declared.empty() ? nullptr : declared[one.index];
    if (!one.expected.has_value() && declaration != nullptr) one.expected = declaration->expected;
  }
  known.group_of = GroupNumbers(cases, selected);
  return known;
}

}  // namespace dtest
