// What an IdentityFile of ssh's configuration is, told without libssh, which reads neither public halves nor security
// keys in the place of a private key. Free function, any thread.

#ifndef DTEST_COORDINATOR_LAUNCH_KEY_FILE_H_
#define DTEST_COORDINATOR_LAUNCH_KEY_FILE_H_

#include <string>

namespace dtest {

enum class KeyFile {
  kMissing,
  kUnreadable,   // errno says why
  kPublic,       // a public key, or only "<path>.pub" is there: the private half can only be in an agent
  kSecurityKey,  // a handle of a FIDO token ("sk-ssh-ed25519@openssh.com" and its like), with or without passphrase
  kPrivate,      // anything else; perhaps no key at all
};

KeyFile LookAtKeyFile(const std::string& path);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_LAUNCH_KEY_FILE_H_
