// [environment] of a run: what each host is told of it, what it is given for it, and which interpreter it has. Free
// functions; any thread.

#ifndef DTEST_COORDINATOR_CLI_RUN_ENVIRONMENT_H_
#define DTEST_COORDINATOR_CLI_RUN_ENVIRONMENT_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/bundle/unit_spec.h"
#include "coordinator/settings/overrides.h"
#include "dtest/base/private_directory.h"
#include "dtest/messages.h"

namespace dtest {

struct RunEnvironment {
  HostEnvironment here, there;  // of hosts that run in place, and of others
  std::string interpreter_here,
      interpreter_there;                        // of pytest's tests, a path or a name; empty: there is no environment
  std::optional<PrivateDirectory> copies = {};  // of the files of the key, as they were read; goes with this
  std::vector<PlacedFile> files;                // that every unit brings to a host
  std::string packages;                         // as in PytestSettings, as the next
  bool system_packages = false;
  std::vector<std::string> warnings;  // for a person
};

// Reads the files of the key, once: what is read is what the command sees, here and on hosts, whatever becomes of the
// files. `env`: as in RunSettings; the command sees it, so it is part of the key. `interpreter`: a name that pytest's
// tests want of it, or a path, which they want of the host; nullopt: there are no such tests. `shipped`: other hosts
// than this machine take part. Errors name what cannot be read, and what to do.
absl::StatusOr<RunEnvironment> MakeRunEnvironment(const EnvironmentSettings& settings,
                                                  const std::vector<std::pair<std::string, std::string>>& env,
                                                  const std::optional<std::string>& interpreter, bool shipped);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_RUN_ENVIRONMENT_H_
