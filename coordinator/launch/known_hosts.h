// known_hosts files (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"): which keys a host is known by.
//
// Not libssh's reader, which in 0.10 looks at one user file only, ignores @revoked, takes `*,!evil` to match evil, and
// gives up on a whole file at a key type it does not know.
//
// Pure but for ReadKnownHosts.

#ifndef DTEST_COORDINATOR_LAUNCH_KNOWN_HOSTS_H_
#define DTEST_COORDINATOR_LAUNCH_KNOWN_HOSTS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace dtest {

struct KnownKey {
  std::string type;    // "ssh-ed25519"
  std::string base64;  // the public key blob
  bool revoked = false;
  bool authority = false;  // @cert-authority: signs host certificates, is no host's key itself
  std::string file;
  int line = 0;
};

// How hashed names ("|1|<salt>|<hash>") are compared: true if `hashed` is the hash of `name`.
using HashedNameMatch = std::function<bool(absl::string_view name, absl::string_view hashed)>;

// The keys that `text` lists for the host: under "[name]:port" where `port` is not 22, or under the bare name, as
// OpenSSH does. Lines that make no sense are skipped.
std::vector<KnownKey> FindKnownKeys(absl::string_view text, absl::string_view file, absl::string_view name,
                                    uint16_t port, const HashedNameMatch& hashed);

// Of all files, in order; those that cannot be read are left out.
std::vector<KnownKey> ReadKnownHosts(const std::vector<std::string>& files, absl::string_view name, uint16_t port,
                                     const HashedNameMatch& hashed);

// Comma-separated patterns with '*', '?' and '!', without regard to case; a negated one that matches decides.
bool MatchesHostPatterns(absl::string_view patterns, absl::string_view name);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_LAUNCH_KNOWN_HOSTS_H_
