#include "coordinator/cli/rerun_cases.h"

#include <algorithm>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "coordinator/report/text.h"
#include "dtest/labels.h"

namespace dtest {

RerunCases CasesToRerun(const RunRecord& record) {
  RerunCases again;
  const LeftCases& left = record.summary().left();
  for (const UnitRecord& unit : record.units()) {
    if (!unit.listing_error.empty()) {
      again.failed.push_back({unit.name, ""});
      continue;
    }
    // Of which cases it was to run is known, if it was a rerun.
    if (unit.unreached && !left.Has(unit.name)) again.unfinished.push_back({unit.name, ""});
    // Iterations of a case follow one another.
    for (size_t begin = 0, end; begin < unit.cases.size(); begin = end) {
      bool failed = false, unfinished = false;
      for (end = begin; end < unit.cases.size() && unit.cases[end].position == unit.cases[begin].position; ++end) {
        failed |= IsFailure(unit.cases[end].outcome) && !unit.cases[end].forgiven;
        unfinished |= unit.cases[end].outcome == Outcome::kNotRun;
      }
      const CaseInfo info = RunRecord::Info(unit, unit.cases[begin]);
      const NamedCase one = {unit.name, std::string(info.name), std::string(info.suite),
                             absl::c_linear_search(info.labels, kUncollectedLabel)};
      // Without a verdict it is still what it was in the run before.
      if (failed || (unfinished && left.Failed(unit.name, one.name))) {
        again.failed.push_back(one);
      } else if (unfinished) {
        again.unfinished.push_back(one);
      }
    }
  }
  for (const LeftCases::One& one : left.all()) {
    if (one.selected) continue;
    (one.failed ? again.failed : again.unfinished)
        .push_back({one.unit, one.what.name, one.what.suite, one.what.stands_for});
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
