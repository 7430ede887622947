// [environment] of a run: what each host is told of it, what it is given for it, and which interpreter it has. Free
// functions; any thread.

#ifndef DTEST_COORDINATOR_CLI_RUN_ENVIRONMENT_H_
#define DTEST_COORDINATOR_CLI_RUN_ENVIRONMENT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/bundle/unit_spec.h"
#include "coordinator/settings/overrides.h"
#include "dtest/messages.h"

namespace dtest {

struct RunEnvironment {
  HostEnvironment here, there;  // of hosts that run in place, and of others
  std::string interpreter_here,
      interpreter_there;              // of pytest's tests, a path or a name; empty: there is no environment
  std::vector<PlacedFile> files;      // that every unit brings to a host
  std::string packages;               // as in PytestSettings
  std::vector<std::string> warnings;  // for a person
};

// Reads the files of the key. Errors name what cannot be read, and what to do.
absl::StatusOr<RunEnvironment> MakeRunEnvironment(const EnvironmentSettings& settings);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_RUN_ENVIRONMENT_H_
