// The first line each way on the stream between a launcher and a new agent; everything that an agent must know before
// there is a ZeroMQ link. PROTOCOL.md, "Start", is the specification. The lines:
//
//   to the agent's stdin     DTEST-START 1 <token> <link> <run id> <store root>\n
//   from the agent's stdout  DTEST-READY 1 <token>\n
//
// <token> is 32 lower-case hexadecimal digits. <link> is `stdio`, `unix:<path>` or `tcp:<address:port>:<key>` with a
// CURVE key as 40 characters of Z85. A path has every byte but letters, digits and ._/- as %XX; so does the store
// root, where a lone `-` means that the agent chooses. Fields are separated by one space.
//
// Pure functions, any thread.

#ifndef DTEST_PROTOCOL_START_LINE_H_
#define DTEST_PROTOCOL_START_LINE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace dtest {

inline constexpr size_t kTokenBytes = 16;
// No honest start line is longer: a reader that has seen this many bytes without a line feed gives up.
inline constexpr size_t kMaxStartLine = 32 << 10;

// An agent that finds that no test could run on its host writes a line with this, then why and what to do, to its
// stderr, and exits instead of saying that it is ready.
inline constexpr absl::string_view kCannotRunHere = "no test can run here: ";

struct AgentStart {
  enum Link { kStdio, kUnix, kTcp };

  std::string token;  // kTokenBytes raw bytes, the first not zero; also the agent's ZeroMQ identity
  Link link = kStdio;
  std::string address;            // kUnix: path of the socket; kTcp: address:port; else empty
  std::string server_public_key;  // kTcp: Z85; else empty
  std::string run_id;             // 1..128 of letters, digits and ._-, the first no dot
  std::string store_root;         // empty: the agent's default
  friend bool operator==(const AgentStart&, const AgentStart&) = default;
};

// With the line feed. The fields must be as their comments say.
std::string FormatStartLine(const AgentStart& start);
// `line` with or without its line feed. InvalidArgument says which field is wrong; it never quotes the token.
absl::StatusOr<AgentStart> ParseStartLine(absl::string_view line);

// With the line feed. The launcher waits for exactly this line and skips anything before it (a motd, a noisy .bashrc).
std::string FormatReadyLine(absl::string_view token);

}  // namespace dtest

#endif  // DTEST_PROTOCOL_START_LINE_H_
