// An exec channel of a libssh session as a Conduit: connecting, verifying the host's key, authenticating, running one
// command. The files named ssh_*.cc that include libssh are this one's, ssh_auth.cc and ssh_host_key.cc.
//
// One thread, the host's, from Connect to the destructor: a libssh session and its channels belong to one thread.

#ifndef DTEST_COORDINATOR_LAUNCH_SSH_CONDUIT_H_
#define DTEST_COORDINATOR_LAUNCH_SSH_CONDUIT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/inventory/inventory.h"
#include "coordinator/launch/conduit.h"
#include "coordinator/launch/host_control.h"
#include "coordinator/launch/ssh_settings.h"

namespace dtest {

// How long to wait before a server that turned us away is asked again.
inline constexpr absl::Duration kSshRetryDelays[] = {absl::Milliseconds(300), absl::Seconds(1), absl::Seconds(3)};

class SshConduit : public Conduit {
 public:
  // Connects and authenticates; each of the two steps may take `timeout`. Every error says what was tried and what to
  // do: NotFound (the name does not resolve), Unavailable (refused, no route, not an SSH server), DeadlineExceeded,
  // FailedPrecondition (host key unknown, changed or revoked), PermissionDenied (authentication), Cancelled.
  // Unimplemented: this host needs what libssh 0.10 cannot do, and the ssh program can; the message is what that is.
  // A server that hangs up before its greeting is asked again a few times: sshd does that when too many connect at
  // once (MaxStartups), directly or at a jump host.
  static absl::StatusOr<std::unique_ptr<SshConduit>> Connect(const HostSpec& host, const SshSettings& settings,
                                                             absl::Duration timeout, HostControl* control);
  ~SshConduit() override;

  // Starts the command, once. PermissionDenied if the server does not let us.
  absl::Status Exec(const std::string& command, absl::Duration timeout);

  // This end's address of the TCP connection; empty behind a ProxyCommand or ProxyJump.
  const std::string& local_address() const;

  absl::Status Read(size_t room, std::string* out, std::string* err) override;
  absl::StatusOr<size_t> Write(absl::string_view bytes) override;
  bool Ready(bool want_read, bool want_write) override;
  void AddPoll(bool want_read, bool want_write, std::vector<pollfd>* fds) override;
  bool ended() const override;
  bool exit_known() override;
  bool process_ended() override;
  std::string HowItEnded() override;
  int exit_status() override;

 private:
  class Impl;
  explicit SshConduit(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_LAUNCH_SSH_CONDUIT_H_
