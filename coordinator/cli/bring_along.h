// Has a selection take the set-ups and clean-ups of fixtures that what it selects requires (run/companions.h).

#ifndef DTEST_COORDINATOR_CLI_BRING_ALONG_H_
#define DTEST_COORDINATOR_CLI_BRING_ALONG_H_

#include <string>
#include <vector>

#include "coordinator/bundle/discover.h"
#include "coordinator/history/history.h"
#include "coordinator/run/companions.h"
#include "coordinator/run/selection.h"
#include "coordinator/run/stepwise.h"

namespace dtest {

// What CTest says of the programs' cases. Views of them.
std::vector<UnitDeclarations> DeclarationsOf(const std::vector<TestProgram>& programs);

// Of all programs that were found. Returns a note for a person; empty: there is nothing to bring along. `history` may
// be null unless the selection needs it, `stepwise` null.
std::string BringAlong(const std::vector<TestProgram>& programs, History* history, const Stepwise* stepwise,
                       Selection* selection);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_BRING_ALONG_H_
