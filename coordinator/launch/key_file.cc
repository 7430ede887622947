#include "coordinator/launch/key_file.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

namespace dtest {
namespace {

constexpr size_t kMostBytes = 64 << 10;

std::string Beginning(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMostBytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return text;
}

// "ssh-ed25519 AAAA... comment", perhaps after comment lines.
bool IsPublicKey(absl::string_view text) {
  for (text = absl::StripLeadingAsciiWhitespace(text); absl::StartsWith(text, "#");
       text = absl::StripLeadingAsciiWhitespace(text)) {
    text.remove_prefix(std::min(text.find('\n'), text.size()));
  }
  const absl::string_view type = text.substr(0, text.find_first_of(" \t"));
  if (type.size() == text.size()) return false;
  return absl::StartsWith(type, "ssh-") || absl::StartsWith(type, "ecdsa-sha2-") || absl::StartsWith(type, "sk-");
}

// OpenSSH's own format (its PROTOCOL.key) has the public half in clear, also where the private one is encrypted.
bool IsSecurityKey(absl::string_view text) {
  constexpr absl::string_view kBegin = "-----BEGIN OPENSSH PRIVATE KEY-----";
  text = absl::StripLeadingAsciiWhitespace(text);
  if (!absl::StartsWith(text, kBegin)) return false;
  text.remove_prefix(kBegin.size());
  std::string bytes;
  const std::string base64 = absl::StrReplaceAll(text.substr(0, text.find('-')), {{"\n", ""}, {"\r", ""}});
  if (!absl::Base64Unescape(base64, &bytes)) return false;
  return absl::StrContains(bytes, "sk-ssh-ed25519@openssh.com") ||
         absl::StrContains(bytes, "sk-ecdsa-sha2-nistp256@openssh.com");
}

}  // namespace

KeyFile LookAtKeyFile(const std::string& path) {
  if (access(path.c_str(), R_OK) != 0) {
    if (errno != ENOENT) return KeyFile::kUnreadable;
    return access(absl::StrCat(path, ".pub").c_str(), R_OK) == 0 ? KeyFile::kPublic : KeyFile::kMissing;
  }
  const std::string text = Beginning(path);
  return IsPublicKey(text) ? KeyFile::kPublic : IsSecurityKey(text) ? KeyFile::kSecurityKey : KeyFile::kPrivate;
}

}  // namespace dtest
