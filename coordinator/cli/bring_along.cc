#include "coordinator/cli/bring_along.h"

#include <optional>

namespace dtest {

std::vector<UnitDeclarations> DeclarationsOf(const std::vector<TestProgram>& programs) {
  std::vector<UnitDeclarations> units;
  units.reserve(programs.size());
  for (const TestProgram& program : programs) {
    units.push_back({program.name, program.ctest.has_value() ? &program.ctest->declarations : nullptr});
  }
  return units;
}

std::string BringAlong(const std::vector<TestProgram>& programs, History* history, const Stepwise* stepwise,
                       Selection* selection) {
  const Companions companions =
      FindCompanions(DeclarationsOf(programs), [&](const std::string& unit, const CaseInfos& its_case) {
        std::vector<std::optional<CaseHistory>> known;
        if (history != nullptr) known = history->Cases(unit, its_case);
        FilterSubject subject;
        subject.unit = unit;
        subject.info = its_case[0];
        subject.never_ran = known.empty() || !known[0].has_value() || known[0]->runs == 0;
        subject.failed_last = !subject.never_ran && IsFailure(known[0]->last_outcome);
        return selection->Takes(subject) && (stepwise == nullptr || !stepwise->HasPassed(unit, unit));
      });
  for (const std::string& unit : companions.units) selection->BringAlong(unit);
  return CompanionsText(companions);
}

}  // namespace dtest
