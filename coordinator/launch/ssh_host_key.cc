#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "coordinator/launch/known_hosts.h"
#include "coordinator/launch/ssh_session.h"

namespace dtest {
namespace {

constexpr absl::string_view kDefaultAlgorithms =
    "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256";

using Key = std::unique_ptr<ssh_key_struct, decltype(&ssh_key_free)>;

// libssh can hash a name but offers that only as part of reading a whole line, which needs a key that it can parse.
bool MatchesHashedName(absl::string_view name, absl::string_view hashed) {
  const std::string line = absl::StrCat(hashed, " ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI", std::string(43, 'A'));
  ssh_knownhosts_entry* entry = nullptr;
  if (ssh_known_hosts_parse_line(std::string(name).c_str(), line.c_str(), &entry) != SSH_OK) return false;
  ssh_knownhosts_entry_free(entry);
  return true;
}

const std::string& KnownAs(const SshSettings& settings) {
  return settings.host_key_alias.empty() ? settings.host_name : settings.host_key_alias;
}

std::vector<KnownKey> KnownKeysOf(const SshSettings& settings) {
  std::vector<KnownKey> keys =
      ReadKnownHosts(settings.known_hosts, KnownAs(settings), settings.port, &MatchesHashedName);
  std::erase_if(keys, [](const KnownKey& key) { return key.authority; });
  return keys;
}

bool SameKey(ssh_key server, const KnownKey& known) {
  ssh_key parsed = nullptr;
  const ssh_keytypes_e type = ssh_key_type_from_name(known.type.c_str());
  if (type == SSH_KEYTYPE_UNKNOWN) return false;
  if (ssh_pki_import_pubkey_base64(known.base64.c_str(), type, &parsed) != SSH_OK) return false;
  const Key key(parsed, &ssh_key_free);
  return ssh_key_cmp(server, key.get(), SSH_KEY_CMP_PUBLIC) == 0;
}

std::string Fingerprint(ssh_key key) {
  unsigned char* hash = nullptr;
  size_t length = 0;
  if (ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &length) != 0) return "(no fingerprint)";
  char* text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, length);
  std::string fingerprint = text == nullptr ? "(no fingerprint)" : text;
  ssh_string_free_char(text);
  ssh_clean_pubkey_hash(&hash);
  return fingerprint;
}

std::string Where(const KnownKey& key) { return absl::StrCat(key.file, ":", key.line); }

// The commands that put the right key there, once a person has compared fingerprints.
std::string HowToAdd(const HostSpec& host, const SshSettings& settings) {
  // /dev/null keeps nothing, and `none` leaves no file at all: another one is needed first.
  const auto kept = std::find_if(settings.known_hosts.begin(), settings.known_hosts.end(),
                                 [](const std::string& file) { return file != "/dev/null"; });
  if (kept == settings.known_hosts.end()) {
    return absl::StrCat(
        "name a file that keeps host keys in ~/.ssh/config (UserKnownHostsFile is ",
        settings.known_hosts.empty() ? "none" : "/dev/null",
        " for it, and dtest takes no key on trust), as in `UserKnownHostsFile ~/.ssh/known_hosts_farm`, "
        "and connect once by hand, which asks: ssh -o StrictHostKeyChecking=ask ",
        settings.port == 22 ? "" : absl::StrCat("-p ", settings.port, " "), settings.user, "@", host.address);
  }
  const std::string& file = *kept;
  if (!settings.proxy_command.empty() || !settings.host_key_alias.empty()) {
    return absl::StrCat("connect once by hand, which asks and writes it to ", file, ": ssh ",
                        settings.port == 22 ? "" : absl::StrCat("-p ", settings.port, " "), settings.user, "@",
                        host.address);
  }
  return absl::StrCat("ssh-keyscan ", settings.port == 22 ? "" : absl::StrCat("-p ", settings.port, " "),
                      settings.host_name, " >> ", file);
}

}  // namespace

bool KnowsCertificateAuthority(const SshSettings& settings) {
  const std::vector<KnownKey> keys =
      ReadKnownHosts(settings.known_hosts, KnownAs(settings), settings.port, &MatchesHashedName);
  return std::any_of(keys.begin(), keys.end(), [](const KnownKey& key) { return key.authority; });
}

bool PreferKnownHostKeys(const SshSession& session, const SshSettings& settings) {
  const absl::string_view allowed =
      settings.host_key_algorithms.empty() ? kDefaultAlgorithms : absl::string_view(settings.host_key_algorithms);
  std::vector<absl::string_view> known;
  std::vector<absl::string_view> others;
  const std::vector<KnownKey> keys = KnownKeysOf(settings);
  for (absl::string_view algorithm : absl::StrSplit(allowed, ',')) {
    bool is_known = false;
    for (const KnownKey& key : keys) {
      // An ssh-rsa key signs by three algorithms; the others are named as their keys.
      is_known =
          is_known || key.type == algorithm || (key.type == "ssh-rsa" && absl::StartsWith(algorithm, "rsa-sha2-"));
    }
    (is_known ? known : others).push_back(algorithm);
  }
  known.insert(known.end(), others.begin(), others.end());
  return ssh_options_set(session.session, SSH_OPTIONS_HOSTKEYS, absl::StrJoin(known, ",").c_str()) == 0;
}

absl::Status VerifyHostKey(const SshSession& session, const HostSpec& host, const SshSettings& settings) {
  ssh_key raw = nullptr;
  if (ssh_get_server_publickey(session.session, &raw) != SSH_OK) {
    return absl::InternalError(absl::StrCat("the server showed no host key: ", session.Error()));
  }
  const Key key(raw, &ssh_key_free);
  const std::string type = ssh_key_type_to_char(ssh_key_type(key.get()));
  const std::string whose = absl::StrCat("the host key of ", SshTargetName(host, settings));
  const std::string shown = absl::StrCat(type, " ", Fingerprint(key.get()));
  const std::vector<KnownKey> known = KnownKeysOf(settings);
  bool trusted = false;
  const KnownKey* other_of_type = nullptr;
  const KnownKey* other = nullptr;
  for (const KnownKey& candidate : known) {
    const bool same = SameKey(key.get(), candidate);
    if (same && candidate.revoked) {
      return absl::FailedPreconditionError(
          absl::StrCat(whose, " is ", shown, ", which ", Where(candidate), " marks as @revoked: do not connect to it"));
    }
    if (candidate.revoked) continue;
    trusted = trusted || same;
    const KnownKey*& slot = candidate.type == type ? other_of_type : other;
    if (slot == nullptr) slot = &candidate;
  }
  if (trusted) return absl::OkStatus();
  if (other_of_type != nullptr) {
    const std::string name =
        settings.port == 22 ? KnownAs(settings) : absl::StrCat("'[", KnownAs(settings), "]:", settings.port, "'");
    return absl::FailedPreconditionError(absl::StrCat(
        whose, " HAS CHANGED: it shows ", shown, ", but ", Where(*other_of_type), " has another ", type,
        " key. Somebody may be in between. If you know that the host got a new key, and this is its fingerprint: "
        "ssh-keygen -f ",
        other_of_type->file, " -R ", name, " && ", HowToAdd(host, settings)));
  }
  if (other != nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        whose, " is of another type than the one known: it shows ", shown, ", but ", Where(*other), " has only its ",
        other->type, " key. If this is the host's fingerprint: ", HowToAdd(host, settings)));
  }
  const std::string where =
      settings.known_hosts.empty()
          ? std::string()
          : absl::StrCat(", and ", absl::StrJoin(settings.known_hosts, ", "),
                         settings.known_hosts.size() == 1 ? " does not have it" : " do not have it");
  return absl::FailedPreconditionError(absl::StrCat(whose, " is not known: it shows ", shown, where,
                                                    ". If this is the host's fingerprint: ", HowToAdd(host, settings)));
}

}  // namespace dtest
