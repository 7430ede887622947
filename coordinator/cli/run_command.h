// What `dtest plan` shares with `dtest run`: which tests its paths hold.

#ifndef DTEST_COORDINATOR_CLI_RUN_COMMAND_H_
#define DTEST_COORDINATOR_CLI_RUN_COMMAND_H_

#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/bundle/discover.h"
#include "coordinator/inventory/inventory.h"
#include "coordinator/settings/options.h"

namespace dtest {

// The tests in Options::paths, with names as reports have them, by Options' settings of discovery. Errors as of
// Discover; but of a rerun a path that is gone is a warning.
absl::StatusOr<Discovery> FindTests(const Options& options, const std::vector<HostSpec>& hosts, bool rerun);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_RUN_COMMAND_H_
