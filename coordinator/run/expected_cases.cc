#include "coordinator/run/expected_cases.h"

#include <optional>

#include "absl/strings/string_view.h"
#include "coordinator/run/selection.h"

namespace dtest {
namespace {

// What history does not know of the cases.
void FillIn(const Durations& durations, const std::string& unit, const std::vector<std::string>& names,
            std::vector<SelectedCase>* cases) {
  const auto known = durations.units.find(unit);
  if (known == durations.units.end()) return;
  for (SelectedCase& selected : *cases) {
    const auto found = known->second.find(names[selected.index]);
    if (!selected.expected.has_value() && found != known->second.end()) selected.expected = found->second;
  }
}

}  // namespace

CasesKnown ExpectedCases(UnitId id, const std::string& unit, const std::vector<std::string>& names,
                         const std::vector<uint32_t>& selected, absl::Duration startup, History* history,
                         const Durations* durations) {
  CasesKnown known;
  known.unit = id;
  known.startup = startup;
  std::vector<std::optional<CaseHistory>> histories(names.size());
  if (history != nullptr) {
    histories = history->Cases(unit, names);
    if (const std::optional<absl::Duration> measured = history->Startup(unit)) known.startup = *measured;
  }
  known.cases.reserve(selected.size());
  known.suite_of.reserve(selected.size());
  uint32_t suite = 0;
  absl::string_view suite_name;
  for (const uint32_t index : selected) {
    const absl::string_view its_suite = SuiteOf(names[index]);
    if (its_suite != suite_name) ++suite, suite_name = its_suite;
    SelectedCase& expected = known.cases.emplace_back(SelectedCase{index, std::nullopt, absl::ZeroDuration()});
    if (histories[index].has_value()) {
      expected.expected = histories[index]->duration;
      expected.high = histories[index]->high;
    }
    known.suite_of.push_back(suite);
  }
  if (durations != nullptr) FillIn(*durations, unit, names, &known.cases);
  return known;
}

}  // namespace dtest
