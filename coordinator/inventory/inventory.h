// The hosts of a run, as written in hosts.txt (docs/launch.md has the grammar with its reasons):
//
//   build01                                      # a comment; names go through ~/.ssh/config
//   ci@build02:2222 slots=16 tags=avx512,gpu
//   ssh://ci@build03:2222                        # the same as ci@build03:2222
//   node[01-16].lab slots=32                     # node01.lab ... node16.lab; [1-3,7] lists; several ranges multiply
//   [2001:db8::7]:2222                           # brackets with a colon inside are an IPv6 address, never a range
//   local slots=4                                # this machine
//   pod-7 command="kubectl exec -i pod-7 -- sh"  # anything that yields a shell on stdin and stdout; \" and \\ escape
//
// Pure but for LoadInventory. Every error is InvalidArgument and reads "hosts.txt:3:12: <what>: <what to do>"; columns
// count bytes from 1.

#ifndef DTEST_COORDINATOR_INVENTORY_INVENTORY_H_
#define DTEST_COORDINATOR_INVENTORY_INVENTORY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace dtest {

struct HostSpec {
  enum class Kind { kSsh, kLocal, kCommand };
  Kind kind = Kind::kSsh;
  // Unique in the inventory: the address as written, without user; with ":port" where one address appears with
  // several ports. What reports and DTEST_HOST say.
  std::string name;
  std::string address;            // what ssh looks up: a name, an alias of ~/.ssh/config, an IP; IPv6 without brackets
  std::string user;               // empty: as ~/.ssh/config says, else this user
  uint16_t port = 0;              // 0: as ~/.ssh/config says, else 22
  std::optional<uint32_t> slots;  // at least 1; nullopt: --jobs decides
  std::vector<std::string> tags;
  std::string command;  // kCommand: run by /bin/sh -c, with DTEST_HOST=<name> in its environment
  int line = 0;         // 1-based; 0 for --host
};

// More hosts than this, from one range or in all, are taken for a slip of the pen.
inline constexpr size_t kMaxHosts = 10000;

// `file_name` is used in messages only. Tolerates CRLF line ends and a UTF-8 byte order mark. An inventory without
// hosts, and one that names a host twice, is an error.
absl::StatusOr<std::vector<HostSpec>> ParseInventory(absl::string_view text, absl::string_view file_name);

// As ParseInventory; NotFound / PermissionDenied / Unavailable with the path and errno's text if it cannot be read.
absl::StatusOr<std::vector<HostSpec>> LoadInventory(const std::string& path);

// The argument of --host: one line's grammar, so also a range. Give all of a command line's hosts, and an inventory's,
// to NameHosts together.
absl::StatusOr<std::vector<HostSpec>> ParseHost(absl::string_view argument);

// Sets `name` of each, and refuses duplicates: the same address with the same port (the user does not make it another
// machine), `local` twice, the same command host twice. `source` begins the message: a file's name, or "--host".
absl::Status NameHosts(absl::string_view source, std::vector<HostSpec>* hosts);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_INVENTORY_INVENTORY_H_
