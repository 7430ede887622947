#include "coordinator/launch/known_hosts.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "dtest/base/glob.h"

namespace dtest {
bool MatchesHostPatterns(absl::string_view patterns, absl::string_view name) {
  bool matches = false;
  for (absl::string_view pattern : absl::StrSplit(patterns, ',')) {
    const bool negated = absl::ConsumePrefix(&pattern, "!");
    if (!GlobMatches(pattern, name, LetterCase::kIgnored)) continue;
    if (negated) return false;
    matches = true;
  }
  return matches;
}

std::vector<KnownKey> FindKnownKeys(absl::string_view text, absl::string_view file, absl::string_view name,
                                    uint16_t port, const HashedNameMatch& hashed) {
  const std::string lower = absl::AsciiStrToLower(name);
  const std::string with_port = absl::StrCat("[", lower, "]:", port);
  std::vector<KnownKey> by_name;
  std::vector<KnownKey> by_port;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    std::vector<absl::string_view> fields = absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (fields.empty() || absl::StartsWith(fields[0], "#")) continue;
    KnownKey key;
    if (absl::StartsWith(fields[0], "@")) {
      key.revoked = fields[0] == "@revoked";
      key.authority = fields[0] == "@cert-authority";
      if (!key.revoked && !key.authority) continue;
      fields.erase(fields.begin());
    }
    if (fields.size() < 3) continue;
    key.type = std::string(fields[1]);
    key.base64 = std::string(fields[2]);
    key.file = std::string(file);
    key.line = number;
    const auto matches = [&](absl::string_view host) {
      return absl::StartsWith(fields[0], "|") ? hashed(host, fields[0]) : MatchesHostPatterns(fields[0], host);
    };
    if (port != 22 && matches(with_port)) {
      by_port.push_back(std::move(key));
    } else if (matches(lower)) {
      by_name.push_back(std::move(key));
    }
  }
  // The bare name speaks for another port only where nothing is known of that port; a revocation always holds.
  const bool port_is_known =
      std::any_of(by_port.begin(), by_port.end(), [](const KnownKey& key) { return !key.revoked && !key.authority; });
  for (KnownKey& key : by_name) {
    if (!port_is_known || key.revoked || key.authority) by_port.push_back(std::move(key));
  }
  return by_port;
}

std::vector<KnownKey> ReadKnownHosts(const std::vector<std::string>& files, absl::string_view name, uint16_t port,
                                     const HashedNameMatch& hashed) {
  std::vector<KnownKey> all;
  for (const std::string& path : files) {
    std::ifstream file(path, std::ios::binary);
    if (!file || file.peek() == std::ifstream::traits_type::eof()) continue;
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    std::vector<KnownKey> keys = FindKnownKeys(text, path, name, port, hashed);
    all.insert(all.end(), std::make_move_iterator(keys.begin()), std::make_move_iterator(keys.end()));
  }
  return all;
}

}  // namespace dtest
