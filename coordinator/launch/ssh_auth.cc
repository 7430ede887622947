#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/launch/bootstrap.h"
#include "coordinator/launch/key_file.h"
#include "coordinator/launch/ssh_program.h"
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

// What follows the first `strings` strings (RFC 4251, section 5) of a key's or certificate's blob.
absl::string_view AfterStrings(absl::string_view blob, int strings) {
  for (; strings > 0; --strings) {
    if (blob.size() < 4) return "";
    uint32_t length = 0;
    for (int i = 0; i < 4; ++i) length = length << 8 | static_cast<uint8_t>(blob[i]);
    if (blob.size() - 4 < length) return "";
    blob.remove_prefix(4 + length);
  }
  return blob;
}

// Whether the certificate in `file` is of this key. (libssh 0.10's ssh_key_cmp sees no key in a certificate.) A
// certificate has a nonce between the name of its type and the fields of the public key: PROTOCOL.certkeys of OpenSSH.
bool IsCertificateOf(const std::string& file, ssh_key key) {
  std::string type, base64, certificate, blob;
  std::ifstream(file) >> type >> base64;
  char* exported = nullptr;
  if (!absl::Base64Unescape(base64, &certificate) || ssh_pki_export_pubkey_base64(key, &exported) != SSH_OK) {
    return false;
  }
  const bool decoded = absl::Base64Unescape(exported, &blob);
  ssh_string_free_char(exported);
  const absl::string_view fields = AfterStrings(blob, 1);
  return decoded && !fields.empty() && absl::StartsWith(AfterStrings(certificate, 2), fields);
}

// The socket of the agent that ssh would ask; empty: there is none.
std::string AgentSocket(const SshSettings& settings) {
  if (settings.identity_agent == "none") return "";
  if (!settings.identity_agent.empty()) return settings.identity_agent;
  return std::string(absl::NullSafeStringView(std::getenv("SSH_AUTH_SOCK")));
}

// A file of the configuration that may be there or not, and be meant or not: it is in ssh's list of defaults.
bool IsDefault(const std::string& file) {
  return absl::EndsWith(file, "/.ssh/id_ed25519") || absl::EndsWith(file, "/.ssh/id_ecdsa") ||
         absl::EndsWith(file, "/.ssh/id_rsa") || absl::EndsWith(file, "/.ssh/id_dsa") ||
         absl::EndsWith(file, "/.ssh/id_xmss") || absl::EndsWith(file, "_sk");
}

struct Identity {
  std::string file;
  Key key{nullptr, &ssh_key_free};  // the private half, if it could be loaded
  std::vector<Key> certified;       // the same with a certificate each
  bool encrypted = false;
};

class Authenticator {
 public:
  Authenticator(SshSession* ssh, const HostSpec& host, const SshSettings& settings)
      : ssh_(ssh),
        target_(SshTargetName(host, settings)),
        host_(host),
        settings_(settings),
        agent_(AgentSocket(settings)) {}

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
    for (const std::string& file : settings_.identity_files) {
      if (absl::Status status = Load(file); !status.ok()) return status;
    }
    if (absl::Status status = LoadCertificates(); !status.ok()) return status;
    // The configuration's own keys first, so that an agent full of others does not use up the server's patience
    // (MaxAuthTries); the default files last, as they are mostly not there or in the agent too.
    const auto first = [this](const Identity& identity) {
      return settings_.identities_only || !IsDefault(identity.file);
    };
    for (const Identity& identity : identities_) {
      if (!first(identity)) continue;
      if (absl::Status status = Try(identity); !status.ok() || result_ == SSH_AUTH_SUCCESS) return status;
    }
    if (!settings_.identities_only) {
      if (absl::Status status = TryAgent(); !status.ok() || result_ == SSH_AUTH_SUCCESS) return status;
    }
    for (const Identity& identity : identities_) {
      if (first(identity)) continue;
      if (absl::Status status = Try(identity); !status.ok() || result_ == SSH_AUTH_SUCCESS) return status;
    }
    return NoKeyAccepted();
  }

 private:
  absl::Status Denied(absl::string_view what) const {
    return absl::PermissionDeniedError(absl::StrCat("cannot log in to ", target_, ": ", what));
  }

  // One question to the server. An error if it is no use to go on.
  template <typename Step>
  absl::Status Attempt(Step step) {
    if (absl::Status status = ssh_->Await(step, SSH_AUTH_AGAIN, &result_); !status.ok()) return status;
    if (result_ == SSH_AUTH_ERROR) return Ended();
    if (result_ == SSH_AUTH_PARTIAL) {
      return Denied(absl::StrCat("after the key the server wants more (",
                                 MethodNames(ssh_userauth_list(ssh_->session, nullptr)),
                                 "); dtest logs in by key only"));
    }
    return absl::OkStatus();
  }

  // The server hung up, or libssh gave up.
  absl::Status Ended() const {
    const std::string reason = ssh_->Error();
    std::string hint;
    if (absl::StrContains(reason, "Too many authentication failures")) {
      const bool has_default = std::any_of(identities_.begin(), identities_.end(),
                                           [](const Identity& identity) { return IsDefault(identity.file); });
      if (asking_agent_ && (only_ssh_knows_ || has_default)) {
        return absl::UnimplementedError("the agent has more keys than the server tries, and libssh cannot choose");
      }
      hint = std::string(kTooManyKeysHint);
    }
    return Denied(
        absl::StrCat("the server ended it: ", reason, asking_agent_ ? ", while keys of the agent were tried" : "",
                     tried_.empty() ? "" : absl::StrCat("; tried ", absl::StrJoin(tried_, ", ")), hint, BannerText()));
  }

  std::string BannerText() const {
    char* banner = ssh_get_issue_banner(ssh_->session);
    const std::string text = Quote(absl::NullSafeStringView(banner));
    ssh_string_free_char(banner);
    return text.empty() ? "" : absl::StrCat("; it says: ", text);
  }

  // Which key of an agent is to be used, libssh cannot be told: it tries all of them in the agent's order.
  absl::Status Load(const std::string& file) {
    switch (LookAtKeyFile(file)) {
      case KeyFile::kMissing:
      case KeyFile::kUnreadable:
        if (errno != ENOENT || !IsDefault(file)) tried_.push_back(absl::StrCat(file, " (", std::strerror(errno), ")"));
        return absl::OkStatus();
      case KeyFile::kPublic:
        if (agent_.empty()) {
          tried_.push_back(absl::StrCat(
              file, " (only the public half is here, and there is no agent that might have the private one)"));
        } else if (settings_.identities_only || !IsDefault(file)) {
          return absl::UnimplementedError(
              absl::StrCat("of ", file, " only the public half is here, the private one is the agent's"));
        } else {
          only_ssh_knows_ = true;
        }
        return absl::OkStatus();
      case KeyFile::kSecurityKey:
        // One that is in the list of defaults is the last that ssh tries.
        if (!IsDefault(file)) return absl::UnimplementedError(absl::StrCat(file, " is a security key"));
        security_key_ = file;
        return absl::OkStatus();
      case KeyFile::kPrivate:
        break;
    }
    Identity identity;
    identity.file = file;
    bool wants_passphrase = false;
    ssh_key raw = nullptr;
    const int loaded = ssh_pki_import_privkey_file(file.c_str(), nullptr, &NotePassphrase, &wants_passphrase, &raw);
    identity.key.reset(raw);
    identity.encrypted = wants_passphrase;
    if (wants_passphrase && settings_.identities_only && !agent_.empty()) {
      return absl::UnimplementedError(
          absl::StrCat(file, " has a passphrase, and only its key of the agent is to be used"));
    }
    if (wants_passphrase) only_ssh_knows_ = true;
    if (loaded != SSH_OK && !wants_passphrase) {
      tried_.push_back(absl::StrCat(file, " (not a private key that libssh can read)"));
      return absl::OkStatus();
    }
    identities_.push_back(std::move(identity));
    return absl::OkStatus();
  }

  // Each certificate goes with the private key that it certifies.
  absl::Status LoadCertificates() {
    for (Identity& identity : identities_) Certify(absl::StrCat(identity.file, "-cert.pub"));
    for (const std::string& file : settings_.certificate_files) {
      if (access(file.c_str(), R_OK) != 0) {
        tried_.push_back(absl::StrCat(file, " (", std::strerror(errno), ")"));
      } else if (!Certify(file)) {
        if (!agent_.empty())
          return absl::UnimplementedError(absl::StrCat("the private key of ", file, " is the agent's"));
        tried_.push_back(
            absl::StrCat(file, " (a certificate, and none of the keys here is the one that it certifies)"));
      }
    }
    return absl::OkStatus();
  }

  bool Certify(const std::string& file) {
    ssh_key raw = nullptr;
    if (ssh_pki_import_cert_file(file.c_str(), &raw) != SSH_OK) return false;
    const Key certificate(raw, &ssh_key_free);
    for (Identity& identity : identities_) {
      if (identity.key == nullptr || !IsCertificateOf(file, identity.key.get())) continue;
      Key certified(ssh_key_dup(identity.key.get()), &ssh_key_free);
      if (certified == nullptr || ssh_pki_copy_cert_to_privkey(certificate.get(), certified.get()) != SSH_OK) continue;
      identity.certified.push_back(std::move(certified));
      return true;
    }
    return false;
  }

  absl::Status TryKey(ssh_key key) {
    return Attempt([this, key] { return ssh_userauth_publickey(ssh_->session, nullptr, key); });
  }

  absl::Status Try(const Identity& identity) {
    if (identity.encrypted) return TryEncrypted(identity.file);
    for (const Key& key : identity.certified) {
      if (absl::Status status = TryKey(key.get()); !status.ok() || result_ == SSH_AUTH_SUCCESS) return status;
    }
    // Not asked first whether the key would do: one round trip less where it does, and nothing lost where not.
    if (absl::Status status = TryKey(identity.key.get()); !status.ok() || result_ == SSH_AUTH_SUCCESS) return status;
    tried_.push_back(absl::StrCat(
        identity.file, identity.certified.empty() ? " (refused)" : " (refused, with and without its certificate)"));
    return absl::OkStatus();
  }

  absl::Status TryEncrypted(const std::string& file) {
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
    if (agent_.empty()) {
      tried_.push_back("no ssh agent (SSH_AUTH_SOCK is not set)");
      return absl::OkStatus();
    }
    if (!settings_.identity_agent.empty()) {
      ssh_options_set(ssh_->session, SSH_OPTIONS_IDENTITY_AGENT, settings_.identity_agent.c_str());
    }
    asking_agent_ = true;
    absl::Status status = Attempt([this] { return ssh_userauth_agent(ssh_->session, nullptr); });
    asking_agent_ = false;
    if (status.ok() && result_ != SSH_AUTH_SUCCESS) tried_.push_back("the ssh agent (none of its keys accepted)");
    return status;
  }

  absl::Status WrongMethods() const {
    return Denied(absl::StrCat("the server offers only ", MethodNames(methods_), "; dtest uses keys: ssh-copy-id ",
                               settings_.port == 22 ? "" : absl::StrCat("-p ", settings_.port, " "), settings_.user,
                               "@", host_.address, ", and allow PubkeyAuthentication there", BannerText()));
  }

  absl::Status NoKeyAccepted() const {
    if (!security_key_.empty()) return absl::UnimplementedError(absl::StrCat(security_key_, " is a security key"));
    return Denied(absl::StrCat("the server offers ", MethodNames(methods_), ", and accepted no key; tried ",
                               tried_.empty() ? "none: there is none" : absl::StrJoin(tried_, ", "),
                               "; authorise one there: ssh-copy-id ",
                               settings_.port == 22 ? "" : absl::StrCat("-p ", settings_.port, " "), settings_.user,
                               "@", host_.address, BannerText()));
  }

  SshSession* const ssh_;
  const std::string target_;
  const HostSpec& host_;
  const SshSettings& settings_;
  const std::string agent_;
  int result_ = SSH_AUTH_DENIED;
  int methods_ = 0;
  bool asking_agent_ = false;
  bool only_ssh_knows_ = false;  // which key of the agent is meant
  std::string security_key_;     // a default file that is one
  std::vector<Identity> identities_;
  std::vector<std::string> tried_;
};

}  // namespace

absl::Status Authenticate(SshSession* session, const HostSpec& host, const SshSettings& settings) {
  return Authenticator(session, host, settings).Run();
}

}  // namespace dtest
