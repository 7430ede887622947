#include "coordinator/cli/rerun_cases.h"

#include <algorithm>
#include <cstdint>
#include <variant>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "coordinator/report/text.h"
#include "dtest/labels.h"

namespace dtest {
namespace {

// Of one case, in all iterations.
struct Verdicts {
  uint64_t count = 0;  // of the iterations that each case is to have
  bool failed = false;
  bool not_run = false;
};

}  // namespace

RerunCases CasesToRerun(const RunRecord& record) {
  RerunCases again;
  const LeftCases& left = record.summary().left();
  for (const UnitRecord& unit : record.units()) {
    if (!unit.listing_error.empty()) {
      again.failed.push_back({unit.name, ""});
      continue;
    }
    // Which cases of it were to run is known if the run was a rerun.
    if (unit.unreached && !left.Has(unit.name)) again.unfinished.push_back({unit.name, ""});
    // The log does not tell all that were to run: it was cut, or is of an early version.
    if (unit.listed.size() * record.summary().repeat() < unit.expected) again.unfinished.push_back({unit.name, ""});
    std::vector<Verdicts> verdicts(unit.listed.size());  // by position
    for (const CaseRecord& one : unit.cases) {
      Verdicts& of_case = verdicts[one.position];
      of_case.count += one.iteration <= record.summary().repeat();
      of_case.failed |= IsFailure(one.outcome) && !one.forgiven;
      of_case.not_run |= one.outcome == Outcome::kNotRun;
    }
    for (size_t position = 0; position < verdicts.size(); ++position) {
      const bool failed = verdicts[position].failed;
      const bool unfinished = verdicts[position].not_run || verdicts[position].count < record.summary().repeat();
      const CaseInfo info = unit.listed.info(position);
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

void LeftTold::Note(const RunEvent& event) {
  if (const auto* started = std::get_if<RunStarted>(&event.what)) {
    said_ = started->left;
  } else if (const auto* left = std::get_if<CasesLeft>(&event.what)) {
    told_ += left->cases.size();  // those that come later too: then there are all that come first
  }
}

std::string CountOf(const std::vector<NamedCase>& cases) {
  const size_t units = std::count_if(cases.begin(), cases.end(), [](const NamedCase& one) { return one.name.empty(); });
  std::string of_cases = Plural(cases.size() - units, "case");
  if (units == 0) return of_cases;
  const std::string of_units = Plural(units, "executable");
  return units == cases.size() ? of_units : absl::StrCat(of_cases, " and ", of_units);
}

}  // namespace dtest
