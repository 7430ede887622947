// A libssh session in non-blocking mode, with the waiting done by a HostControl. Includes libssh: for ssh_*.cc only.
// One thread, the host's.

#ifndef DTEST_COORDINATOR_LAUNCH_SSH_SESSION_H_
#define DTEST_COORDINATOR_LAUNCH_SSH_SESSION_H_

#include <libssh/libssh.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/inventory/inventory.h"
#include "coordinator/launch/host_control.h"
#include "coordinator/launch/ssh_settings.h"

namespace dtest {

struct SshSession {
  ssh_session session = nullptr;  // owned by whoever made it
  HostControl* control = nullptr;
  absl::Time deadline;  // of the step that is under way

  // Adds what the session waits for.
  void AddPoll(std::vector<pollfd>* fds) const;
  // Calls `step`, which must be non-blocking, until it returns anything but `again`; that goes to `result`: SSH_ERROR
  // (which is SSH_AUTH_ERROR, too) if the server has hung up, since libssh would ask to be called again for ever. An
  // error only from waiting: DeadlineExceeded, Cancelled.
  template <typename Step>
  absl::Status Await(Step step, int again, int* result) {
    while ((*result = step()) == again) {
      std::vector<pollfd> fds;
      AddPoll(&fds);
      if (fds.empty()) {
        *result = SSH_ERROR;
        return absl::OkStatus();
      }
      if (absl::Status status = control->Wait(&fds, deadline); !status.ok()) return status;
    }
    return absl::OkStatus();
  }
  std::string Error() const { return ssh_get_error(session); }
};

// "ci@build02 port 2222", for messages.
std::string SshTargetName(const HostSpec& host, const SshSettings& settings);

// Whether known_hosts has a certificate authority for this host. libssh 0.10 checks no host certificates.
bool KnowsCertificateAuthority(const SshSettings& settings);
// Orders the host key algorithms so that those of keys we know come first; before connecting. False if libssh knows
// none of those that the configuration allows.
bool PreferKnownHostKeys(const SshSession& session, const SshSettings& settings);
// Compares the key the server has just proved to hold with what known_hosts says. FailedPrecondition unless it is
// there.
absl::Status VerifyHostKey(const SshSession& session, const HostSpec& host, const SshSettings& settings);

// Authenticates by key: the configuration's own key files, the agent, the default key files. Never asks anybody.
// PermissionDenied says what the server offers and what was tried; Unimplemented as SshConduit::Connect; errors of
// waiting as in Await.
absl::Status Authenticate(SshSession* session, const HostSpec& host, const SshSettings& settings);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_LAUNCH_SSH_SESSION_H_
