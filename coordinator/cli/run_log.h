// Finds the event log of the run that a person names. Free function, any thread.

#ifndef DTEST_COORDINATOR_CLI_RUN_LOG_H_
#define DTEST_COORDINATOR_CLI_RUN_LOG_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace dtest {

// What counts as the latest run.
enum class LatestRun : uint8_t {
  kAny,
  kNoReproduction,  // those are of a case or a few of the run before
};
// `wanted` is a file or the id of a run kept in `state_dir`; empty: the latest run that left an event (a
// log without any is named on stderr and passed over). NotFound says where it was looked for.
absl::StatusOr<std::string> FindRunLog(const std::string& state_dir, const std::string& wanted,
                                       LatestRun latest = LatestRun::kAny);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_RUN_LOG_H_
