// The shell side of the bootstrap, as text. Two stages, so that the first fits any command line:
//
//   BootstrapCommand: finds the store, says in one marker line whether the agent is cached, and execs it if it is. Else
//   it reads one line from stdin and evaluates it:
//   InstallLine: reads the archive from stdin, verifies, unpacks, renames it into place, says so in a second marker
//   line; then the agent is exec'ed.
//
// Needed on the host: a POSIX sh as /bin/sh and uname; for installing also mkdir, head (or dd), tar, mv, rm, and if
// there, cksum, gzip, ls, find; for an account without a home also id. All may be busybox applets.
//
// Pure.

#ifndef DTEST_COORDINATOR_LAUNCH_BOOTSTRAP_SCRIPT_H_
#define DTEST_COORDINATOR_LAUNCH_BOOTSTRAP_SCRIPT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/launch/fleet.h"

namespace dtest {

// The markers, each a line of its own but for noise before it:
//   DTEST-PROBE <nonce> cached|missing|missing-gzip|tty <uname -m> <store path, to the end of the line>
//     (missing-gzip: missing, and the host has gzip)
//   DTEST-UNPACKED <nonce> ok
//   DTEST-UNPACKED <nonce> error <text>
inline constexpr absl::string_view kProbeMarker = "DTEST-PROBE";
inline constexpr absl::string_view kUnpackedMarker = "DTEST-UNPACKED";

// For the login shell, whichever it is: `exec /bin/sh -c '<script>'`, where the script holds no quote, exclamation
// mark, backslash or newline, which are what sh, csh and fish would treat differently. The marker's text does not occur
// in it, so that a terminal's echo is not mistaken for the marker. InvalidArgument if `store` holds a character that
// would need quoting, or begins with neither / nor ~/.
absl::StatusOr<std::string> BootstrapCommand(const AgentArchive& archive, absl::string_view nonce,
                                             absl::string_view store);

// Ends in a newline; the archive follows at once, `size` bytes with that PosixChecksum, and after it nothing until the
// second marker.
enum class ArchiveForm { kPlain, kGzip };
std::string InstallLine(const AgentArchive& archive, ArchiveForm form, size_t size, uint32_t checksum);

// The checksum of POSIX.1-2017 `cksum`: CRC-32 with polynomial 0x04C11DB7, most significant bit first, the length's
// octets appended (least significant first, no leading zeros), complemented.
uint32_t PosixChecksum(absl::string_view bytes);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_LAUNCH_BOOTSTRAP_SCRIPT_H_
