// What the scheduler is told of a unit's selected cases: how each is to be run, what history expects of it, and where
// that knows nothing what a file of durations says (which has no high estimates). Pure; any thread.

#ifndef DTEST_COORDINATOR_RUN_EXPECTED_CASES_H_
#define DTEST_COORDINATOR_RUN_EXPECTED_CASES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/history/durations_file.h"
#include "coordinator/history/history.h"
#include "coordinator/schedule/scheduler.h"
#include "coordinator/settings/overrides.h"
#include "dtest/case_info.h"
#include "dtest/declarations.h"
#include "dtest/ids.h"

namespace dtest {

// `cases`: all of the unit; `selected`: indices into them, ascending; `startup`: what it costs to start; `known`: what
// history says, parallel to `cases`, or empty. `durations` may be null. `declared`: what the build says, as `known`;
// null where it says nothing.
CasesKnown ExpectedCases(UnitId id, const std::string& unit, const CaseInfos& cases,
                         const std::vector<uint32_t>& selected, const CasePolicies& policies, absl::Duration startup,
                         const std::vector<std::optional<CaseHistory>>& known, const Durations* durations,
                         const std::vector<const CaseDeclaration*>& declared = {});

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_EXPECTED_CASES_H_
