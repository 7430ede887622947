#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/launch/ssh_session.h"

namespace dtest {
namespace {

using Key = std::unique_ptr<ssh_key_struct, decltype(&ssh_key_free)>;

// Called by libssh where a key wants a passphrase; we have none to give.
int NotePassphrase(const char*, char*, size_t, int, int, void* wanted) {
  *static_cast<bool*>(wanted) = true;
  return -1;
}

std::string MethodNames(int methods) {
  std::vector<std::string> names;
  if (methods & SSH_AUTH_METHOD_PUBLICKEY) names.push_back("publickey");
  if (methods & SSH_AUTH_METHOD_PASSWORD) names.push_back("password");
  if (methods & SSH_AUTH_METHOD_INTERACTIVE) names.push_back("keyboard-interactive");
  if (methods & SSH_AUTH_METHOD_HOSTBASED) names.push_back("hostbased");
  if (methods & SSH_AUTH_METHOD_GSSAPI_MIC) names.push_back("gssapi-with-mic");
  return names.empty() ? "nothing" : absl::StrJoin(names, ",");
}

class Authenticator {
 public:
  Authenticator(SshSession* ssh, const HostSpec& host, const SshSettings& settings)
      : ssh_(ssh), target_(SshTargetName(host, settings)), host_(host), settings_(settings) {}

  absl::Status Run() {
    if (absl::Status status = Attempt([this] { return ssh_userauth_none(ssh_->session, nullptr); }); !status.ok()) {
      return status;
    }
    if (result_ == SSH_AUTH_SUCCESS) return absl::OkStatus();
    methods_ = ssh_userauth_list(ssh_->session, nullptr);
    if (!(methods_ & SSH_AUTH_METHOD_PUBLICKEY)) return WrongMethods();
    if (!settings_.pubkey_authentication) {
      return Denied("~/.ssh/config says PubkeyAuthentication no, and dtest logs in by key only");
    }
    // The configuration's own keys first, so that an agent full of others does not use up the server's patience
    // (MaxAuthTries); the default files last, as they are mostly not there or in the agent too.
    for (const std::string& file : settings_.identity_files) {
      if (settings_.identities_only || !IsDefault(file)) {
        if (absl::Status status = TryFile(file); !status.ok() || result_ == SSH_AUTH_SUCCESS) return status;
      }
    }
    if (!settings_.identities_only || encrypted_) {
      if (absl::Status status = TryAgent(); !status.ok() || result_ == SSH_AUTH_SUCCESS) return status;
    }
    for (const std::string& file : settings_.identity_files) {
      if (!settings_.identities_only && IsDefault(file)) {
        if (absl::Status status = TryFile(file); !status.ok() || result_ == SSH_AUTH_SUCCESS) return status;
      }
    }
    return NoKeyAccepted();
  }

 private:
  static bool IsDefault(const std::string& file) { return absl::StrContains(file, "/.ssh/id_"); }

  absl::Status Denied(absl::string_view what) const {
    return absl::PermissionDeniedError(absl::StrCat("cannot log in to ", target_, ": ", what));
  }

  // One question to the server. An error if it is no use to go on.
  template <typename Step>
  absl::Status Attempt(Step step) {
    if (absl::Status status = ssh_->Await(step, SSH_AUTH_AGAIN, &result_); !status.ok()) return status;
    if (result_ == SSH_AUTH_ERROR) {
      return Denied(absl::StrCat("the server ended it: ", ssh_->Error(),
                                 tried_.empty() ? "" : absl::StrCat("; tried ", absl::StrJoin(tried_, ", "))));
    }
    if (result_ == SSH_AUTH_PARTIAL) {
      return Denied(absl::StrCat("after the key the server wants more (",
                                 MethodNames(ssh_userauth_list(ssh_->session, nullptr)),
                                 "); dtest logs in by key only"));
    }
    return absl::OkStatus();
  }

  absl::Status TryKey(ssh_key key) {
    return Attempt([this, key] { return ssh_userauth_publickey(ssh_->session, nullptr, key); });
  }

  absl::Status TryFile(const std::string& file) {
    if (access(file.c_str(), R_OK) != 0) {
      if (errno != ENOENT || !IsDefault(file)) tried_.push_back(absl::StrCat(file, " (", std::strerror(errno), ")"));
      return absl::OkStatus();
    }
    bool wants_passphrase = false;
    ssh_key raw = nullptr;
    const int loaded = ssh_pki_import_privkey_file(file.c_str(), nullptr, &NotePassphrase, &wants_passphrase, &raw);
    const Key key(raw, &ssh_key_free);
    if (wants_passphrase) return TryEncrypted(file);
    if (loaded != SSH_OK) {
      tried_.push_back(absl::StrCat(file, " (not a private key that libssh can read)"));
      return absl::OkStatus();
    }
    ssh_key raw_certificate = nullptr;
    if (ssh_pki_import_cert_file(absl::StrCat(file, "-cert.pub").c_str(), &raw_certificate) == SSH_OK) {
      const Key certificate(raw_certificate, &ssh_key_free);
      const Key certified(ssh_key_dup(key.get()), &ssh_key_free);
      if (certified != nullptr && ssh_pki_copy_cert_to_privkey(certificate.get(), certified.get()) == SSH_OK) {
        if (absl::Status status = TryKey(certified.get()); !status.ok() || result_ == SSH_AUTH_SUCCESS) return status;
      }
    }
    // Not asked first whether the key would do: one round trip less where it does, and nothing lost where not.
    if (absl::Status status = TryKey(key.get()); !status.ok() || result_ == SSH_AUTH_SUCCESS) return status;
    tried_.push_back(absl::StrCat(file, " (refused)"));
    return absl::OkStatus();
  }

  absl::Status TryEncrypted(const std::string& file) {
    encrypted_ = true;
    ssh_key raw = nullptr;
    if (ssh_pki_import_pubkey_file(absl::StrCat(file, ".pub").c_str(), &raw) == SSH_OK) {
      const Key key(raw, &ssh_key_free);
      if (absl::Status status = Attempt([&] { return ssh_userauth_try_publickey(ssh_->session, nullptr, key.get()); });
          !status.ok()) {
        return status;
      }
      if (result_ != SSH_AUTH_SUCCESS) {
        tried_.push_back(absl::StrCat(file, " (refused)"));
        return absl::OkStatus();
      }
      result_ = SSH_AUTH_DENIED;  // it would be accepted, but nothing was signed
    }
    tried_.push_back(absl::StrCat(file, " (is passphrase-protected, and dtest never asks; run: ssh-add ", file, ")"));
    return absl::OkStatus();
  }

  absl::Status TryAgent() {
    if (settings_.identity_agent == "none") return absl::OkStatus();
    if (!settings_.identity_agent.empty()) {
      ssh_options_set(ssh_->session, SSH_OPTIONS_IDENTITY_AGENT, settings_.identity_agent.c_str());
    } else if (const char* socket = std::getenv("SSH_AUTH_SOCK"); socket == nullptr || *socket == '\0') {
      tried_.push_back("no ssh agent (SSH_AUTH_SOCK is not set)");
      return absl::OkStatus();
    }
    if (absl::Status status = Attempt([this] { return ssh_userauth_agent(ssh_->session, nullptr); }); !status.ok()) {
      return status;
    }
    if (result_ != SSH_AUTH_SUCCESS) tried_.push_back("the ssh agent (none of its keys accepted)");
    return absl::OkStatus();
  }

  absl::Status WrongMethods() const {
    return Denied(absl::StrCat("the server offers only ", MethodNames(methods_), "; dtest uses keys: ssh-copy-id ",
                               settings_.port == 22 ? "" : absl::StrCat("-p ", settings_.port, " "), settings_.user,
                               "@", host_.address, ", and allow PubkeyAuthentication there"));
  }

  absl::Status NoKeyAccepted() const {
    return Denied(absl::StrCat(
        "the server offers ", MethodNames(methods_), ", and accepted no key; tried ",
        tried_.empty() ? "none: there is none" : absl::StrJoin(tried_, ", "), "; authorise one there: ssh-copy-id ",
        settings_.port == 22 ? "" : absl::StrCat("-p ", settings_.port, " "), settings_.user, "@", host_.address));
  }

  SshSession* const ssh_;
  const std::string target_;
  const HostSpec& host_;
  const SshSettings& settings_;
  int result_ = SSH_AUTH_DENIED;
  int methods_ = 0;
  bool encrypted_ = false;
  std::vector<std::string> tried_;
};

}  // namespace

absl::Status Authenticate(SshSession* session, const HostSpec& host, const SshSettings& settings) {
  return Authenticator(session, host, settings).Run();
}

}  // namespace dtest
