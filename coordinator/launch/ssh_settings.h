// What ~/.ssh/config and the system's configuration say about a host. OpenSSH's own reader is asked (`ssh -G`), since
// libssh 0.10's differs from it where farms notice: after a HostName, later Host blocks match the new name instead of
// the one typed; the second file of UserKnownHostsFile, HostKeyAlias, IdentitiesOnly and `Match originalhost` are
// ignored; LogLevel makes it write to our terminal. docs/launch.md has the measurements.
//
// Free functions, any thread.

#ifndef DTEST_COORDINATOR_LAUNCH_SSH_SETTINGS_H_
#define DTEST_COORDINATOR_LAUNCH_SSH_SETTINGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/inventory/inventory.h"

namespace dtest {

struct SshSettings {
  std::string host_name;       // what to connect to
  std::string host_key_alias;  // under which name its key is known, if not `host_name`
  std::string user;
  uint16_t port = 22;
  std::string bind_address;  // empty: any
  int address_family = 0;    // AF_UNSPEC, AF_INET, AF_INET6
  // Tokens and environment variables are expanded in all that follow; files need not exist.
  std::vector<std::string> identity_files;     // private keys, or public ones of keys in an agent; in order
  std::vector<std::string> certificate_files;  // user certificates, besides "<identity file>-cert.pub"
  bool identities_only = false;
  std::string identity_agent;  // socket path; empty: $SSH_AUTH_SOCK; "none"
  bool pubkey_authentication = true;
  std::vector<std::string> known_hosts;  // files of user and system, in order
  std::string known_hosts_command;       // as configured; empty: none
  std::string proxy_command;             // ready for /bin/sh -c; empty: connect directly. ProxyJump is turned into one
  // Comma-separated names; what libssh does not know is skipped there. Empty: libssh's defaults.
  std::string ciphers;
  std::string macs;
  std::string key_exchanges;
  std::string host_key_algorithms;
  std::string pubkey_algorithms;
};

// `config`: as FleetOptions::ssh_config. Explicit user and port of `host` win. Blocks for up to `timeout` (a `Match
// exec` in the configuration may run anything). NotFound: no ssh program; FailedPrecondition: ssh rejects the
// configuration, in its own words, or it names an environment variable that is not set.
absl::StatusOr<SshSettings> ResolveSshSettings(const HostSpec& host, const std::string& config, absl::Duration timeout);

// The parts, for tests. `output` is that of `ssh -G`.
absl::StatusOr<SshSettings> ParseSshSettings(absl::string_view output, const HostSpec& host, const std::string& config);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_LAUNCH_SSH_SETTINGS_H_
