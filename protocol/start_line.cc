#include "protocol/start_line.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace dtest {
namespace {

constexpr absl::string_view kStart = "DTEST-START";
constexpr absl::string_view kReady = "DTEST-READY";
constexpr absl::string_view kVersion = "1";
constexpr absl::string_view kDefaultStore = "-";
constexpr size_t kKeySize = 40;
constexpr size_t kMaxRunId = 128;

bool IsPlain(char c) { return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '/' || c == '-'; }

std::string PercentEncode(absl::string_view text) {
  std::string encoded;
  for (const char c : text) {
    if (IsPlain(c)) {
      encoded.push_back(c);
    } else {
      absl::StrAppend(&encoded, "%", absl::AsciiStrToUpper(absl::BytesToHexString(absl::string_view(&c, 1))));
    }
  }
  return encoded;
}

bool IsHex(absl::string_view text) { return std::all_of(text.begin(), text.end(), absl::ascii_isxdigit); }

// nullopt for anything PercentEncode does not write (but %XX of a plain byte is understood).
std::optional<std::string> PercentDecode(absl::string_view encoded) {
  std::string text;
  for (size_t i = 0; i < encoded.size(); ++i) {
    if (encoded[i] == '%') {
      const absl::string_view digits = encoded.substr(i + 1, 2);
      if (digits.size() != 2 || !IsHex(digits)) return std::nullopt;
      text += absl::HexStringToBytes(digits);
      i += 2;
    } else if (IsPlain(encoded[i])) {
      text.push_back(encoded[i]);
    } else {
      return std::nullopt;
    }
  }
  if (absl::StrContains(text, absl::string_view("\0", 1))) return std::nullopt;
  return text;
}

bool IsZ85(absl::string_view text) {
  static constexpr absl::string_view kOthers = ".-:+=^!/*?&<>()[]{}@%$#";
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isalnum(c) || absl::StrContains(kOthers, c); });
}

absl::Status Bad(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("cannot read the ", kStart, " line from the coordinator: ", what,
                                                 " (dtest-agent is started by dtest, not by hand)"));
}

std::string FormatLink(const AgentStart& start) {
  switch (start.link) {
    case AgentStart::kStdio:
      break;
    case AgentStart::kUnix:
      return absl::StrCat("unix:", PercentEncode(start.address));
    case AgentStart::kTcp:
      return absl::StrCat("tcp:", start.address, ":", start.server_public_key);
  }
  return "stdio";
}

absl::Status ParseLink(absl::string_view text, AgentStart* start) {
  if (text == "stdio") {
    start->link = AgentStart::kStdio;
    return absl::OkStatus();
  }
  if (absl::ConsumePrefix(&text, "unix:")) {
    std::optional<std::string> path = PercentDecode(text);
    if (!path || path->empty()) return Bad("the path of the UNIX socket is damaged");
    start->link = AgentStart::kUnix;
    start->address = *std::move(path);
    return absl::OkStatus();
  }
  if (absl::ConsumePrefix(&text, "tcp:")) {
    // From the right: both the address and the key may hold colons, but the key's length is fixed.
    if (text.size() < kKeySize + 2 || text[text.size() - kKeySize - 1] != ':') return Bad("the TCP link is damaged");
    const absl::string_view key = text.substr(text.size() - kKeySize);
    const absl::string_view address = text.substr(0, text.size() - kKeySize - 1);
    const size_t colon = address.rfind(':');
    if (!IsZ85(key)) return Bad("the CURVE key is damaged");
    if (colon == absl::string_view::npos || colon == 0 || colon + 1 == address.size() ||
        !std::all_of(address.begin() + colon + 1, address.end(), absl::ascii_isdigit)) {
      return Bad("the TCP link has no address and port");
    }
    start->link = AgentStart::kTcp;
    start->address = std::string(address);
    start->server_public_key = std::string(key);
    return absl::OkStatus();
  }
  return Bad("unknown kind of link");
}

}  // namespace

std::string FormatStartLine(const AgentStart& start) {
  std::string store = PercentEncode(start.store_root);
  if (start.store_root.empty()) store = std::string(kDefaultStore);
  if (start.store_root == kDefaultStore) store = "%2D";
  return absl::StrCat(kStart, " ", kVersion, " ", absl::BytesToHexString(start.token), " ", FormatLink(start), " ",
                      start.run_id, " ", store, "\n");
}

absl::StatusOr<AgentStart> ParseStartLine(absl::string_view line) {
  if (line.size() > kMaxStartLine) return Bad(absl::StrCat("more than ", kMaxStartLine, " bytes"));
  absl::ConsumeSuffix(&line, "\n");
  const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
  if (fields[0] != kStart) return Bad("it begins otherwise");
  if (fields.size() < 2 || fields[1] != kVersion) {
    return Bad(absl::StrCat("its version is ", fields.size() < 2 ? "missing" : fields[1], ", this agent reads ",
                            kVersion, ": coordinator and agent must be the same dtest"));
  }
  if (fields.size() != 6) return Bad(absl::StrCat(fields.size(), " fields instead of 6"));

  AgentStart start;
  if (fields[2].size() != 2 * kTokenBytes || !IsHex(fields[2])) return Bad("the token is damaged");
  start.token = absl::HexStringToBytes(fields[2]);
  if (start.token[0] == '\0') return Bad("the token begins with a zero byte");
  if (absl::Status status = ParseLink(fields[3], &start); !status.ok()) return status;
  start.run_id = std::string(fields[4]);
  if (start.run_id.empty() || start.run_id.size() > kMaxRunId ||
      !std::all_of(start.run_id.begin(), start.run_id.end(), [](char c) { return IsPlain(c) && c != '/'; }) ||
      start.run_id[0] == '.') {
    return Bad("the run id is damaged");
  }
  if (fields[5] != kDefaultStore) {
    std::optional<std::string> root = PercentDecode(fields[5]);
    if (!root || root->empty()) return Bad("the store's path is damaged");
    start.store_root = *std::move(root);
  }
  return start;
}

std::string FormatReadyLine(absl::string_view token) {
  return absl::StrCat(kReady, " ", kVersion, " ", absl::BytesToHexString(token), "\n");
}

}  // namespace dtest
