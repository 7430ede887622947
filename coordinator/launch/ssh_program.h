// The `ssh` program as a host's transport, where libssh cannot be: certificate authorities, KnownHostsCommand, security
// keys, one key of an agent with many, algorithms. The same shell on a host, through a process instead of a session.
// Pure functions, any thread.

#ifndef DTEST_COORDINATOR_LAUNCH_SSH_PROGRAM_H_
#define DTEST_COORDINATOR_LAUNCH_SSH_PROGRAM_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/inventory/inventory.h"
#include "coordinator/launch/ssh_settings.h"

namespace dtest {

// ssh's own exit status where it is not the command's: it could not connect or log in, or lost the connection.
inline constexpr int kSshFailed = 255;

inline constexpr absl::string_view kTooManyKeysHint =
    "; an agent with many keys? Name this host's key in ~/.ssh/config: IdentityFile with `IdentitiesOnly yes`";

// `config`: as FleetOptions::ssh_config. It asks nobody anything, trusts no unknown host key, whatever the
// configuration says, and shares no connection with others.
std::vector<std::string> SshProgramArguments(const HostSpec& host, const SshSettings& settings,
                                             const std::string& config, absl::Duration timeout,
                                             const std::string& command);

// Why ssh gave up, in its own words, for a person. PermissionDenied if it could not log in, FailedPrecondition if it
// does not trust the host's key, else Unavailable.
absl::Status SshProgramFailure(const HostSpec& host, const SshSettings& settings, absl::string_view err);

// The server turned us away before it said a word, as it does when too many connect at once: worth another try.
bool SshProgramWasTurnedAway(absl::string_view err);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_LAUNCH_SSH_PROGRAM_H_
