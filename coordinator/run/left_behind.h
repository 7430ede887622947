// What a run that repeats another tells of the cases that do not run again. Pure; any thread.

#ifndef DTEST_COORDINATOR_RUN_LEFT_BEHIND_H_
#define DTEST_COORDINATOR_RUN_LEFT_BEHIND_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "coordinator/event/run_event.h"
#include "coordinator/report/left_cases.h"
#include "coordinator/run/selection.h"

namespace dtest {

// Appends to `left`, in parts, so that no event and no line of the log grows with the suite. Cases of one unit that
// follow one another are one part.
void AddLeft(const std::vector<NamedCase>& cases, const CasesLeft& like, std::vector<CasesLeft>* left);

// What to tell of `unit`, of which `rest` does not run. `why`: the reason that cases are missing, for a person;
// `before`: what was told of the earlier run.
std::vector<CasesLeft> LeftBehind(const std::string& unit, const Selection::Rest& rest, absl::string_view why,
                                  const LeftCases& before);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_LEFT_BEHIND_H_
