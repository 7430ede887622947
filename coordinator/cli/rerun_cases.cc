#include "coordinator/cli/rerun_cases.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "coordinator/report/text.h"

namespace dtest {

RerunCases CasesToRerun(const RunRecord& record) {
  RerunCases again;
  for (const UnitRecord& unit : record.units()) {
    if (!unit.listing_error.empty()) {
      again.failed.push_back({unit.name, ""});
      continue;
    }
    if (unit.unreached) again.unfinished.push_back({unit.name, ""});
    // Iterations of a case follow one another.
    for (size_t begin = 0, end; begin < unit.cases.size(); begin = end) {
      bool failed = false, unfinished = false;
      for (end = begin; end < unit.cases.size() && unit.cases[end].position == unit.cases[begin].position; ++end) {
        failed |= IsFailure(unit.cases[end].outcome) && !unit.cases[end].forgiven;
        unfinished |= unit.cases[end].outcome == Outcome::kNotRun;
      }
      const NamedCase one = {unit.name, std::string(RunRecord::Info(unit, unit.cases[begin]).name)};
      if (failed) {
        again.failed.push_back(one);
      } else if (unfinished) {
        again.unfinished.push_back(one);
      }
    }
  }
  return again;
}

std::string CountOf(const std::vector<NamedCase>& cases) {
  const size_t units = std::count_if(cases.begin(), cases.end(), [](const NamedCase& one) { return one.name.empty(); });
  const std::string of_cases = Plural(cases.size() - units, "case");
  if (units == 0) return of_cases;
  const std::string of_units = Plural(units, "executable");
  return units == cases.size() ? of_units : absl::StrCat(of_cases, " and ", of_units);
}

}  // namespace dtest
