// A child process as a Conduit: the local agent, or the shell that a command= host's command yields. One thread, the
// host's.

#ifndef DTEST_COORDINATOR_LAUNCH_PROCESS_CONDUIT_H_
#define DTEST_COORDINATOR_LAUNCH_PROCESS_CONDUIT_H_

#include <memory>

#include "absl/status/statusor.h"
#include "coordinator/launch/conduit.h"
#include "coordinator/launch/spawn.h"

namespace dtest {

// Errors as Spawn. Destroying the conduit closes the process' stdin, which an agent takes as its end, and waits; after
// 5 seconds it is signalled with SIGTERM, after 10 with SIGKILL.
absl::StatusOr<std::unique_ptr<Conduit>> StartProcess(const SpawnOptions& options);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_LAUNCH_PROCESS_CONDUIT_H_
