#include "coordinator/run/companions.h"

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/report/text.h"
#include "coordinator/run/declared_cases.h"

namespace dtest {

Companions FindCompanions(const std::vector<UnitDeclarations>& units,
                          absl::FunctionRef<bool(const std::string& unit, const CaseInfos& its_case)> chosen) {
  absl::flat_hash_map<absl::string_view, const UnitDeclarations*> by_name;
  absl::flat_hash_set<absl::string_view> run;  // of those that bring others, or are brought
  std::vector<const UnitDeclarations*> to_do;
  for (const UnitDeclarations& unit : units) {
    if (unit.declarations == nullptr) continue;
    by_name.emplace(unit.name, &unit);
    if (unit.declarations->brings.empty()) continue;
    if (!chosen(unit.name, Declare(*unit.declarations, {unit.name}).cases)) continue;
    run.insert(unit.name);
    to_do.push_back(&unit);
  }
  Companions companions;
  for (size_t i = 0; i < to_do.size(); ++i) {
    for (const DeclaredCompanion& companion : to_do[i]->declarations->brings) {
      const auto found = by_name.find(companion.unit);
      if (found == by_name.end()) continue;  // that it is not there has been told
      const UnitDeclarations& unit = *found->second;
      if (!run.insert(unit.name).second) continue;
      to_do.push_back(&unit);
      if (unit.declarations->brings.empty() && chosen(unit.name, Declare(*unit.declarations, {unit.name}).cases)) {
        continue;
      }
      companions.units.push_back(unit.name);
      companions.fixtures.insert(companion.fixture);
    }
  }
  return companions;
}

std::string CompanionsText(const Companions& companions) {
  if (companions.units.empty()) return "";
  const bool one = companions.units.size() == 1;
  return absl::StrCat(Plural(companions.units.size(), "test"), one ? " sets up or cleans up " : " set up or clean up ",
                      companions.fixtures.size() == 1 ? "the fixture " : "the fixtures ",
                      absl::StrJoin(companions.fixtures, ", ",
                                    [](std::string* out, const std::string& name) { out->append(OneLine(name)); }),
                      " for selected tests, and ", one ? "runs, too" : "run, too");
}

}  // namespace dtest
