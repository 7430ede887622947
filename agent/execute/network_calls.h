// Which system calls of Linux reach an address, on x86-64 and 64-bit Arm, of their 32-bit programs as well: the filter
// of seccomp(2) that stops at them, and where they have the addresses. Numbers are those of the kernel's system call
// tables (arch/x86/entry/syscalls, arch/arm/tools, include/uapi/asm-generic/unistd.h), layouts those of its
// include/net/compat.h.
//
// Pure.

#ifndef DTEST_AGENT_EXECUTE_NETWORK_CALLS_H_
#define DTEST_AGENT_EXECUTE_NETWORK_CALLS_H_

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"

namespace dtest {

// Of connect, sendto with an address, sendmsg, sendmmsg, socket where it makes one of AF_PACKET, and socketcall where
// it is one of these or makes any, a supervisor is notified. io_uring, whose requests no filter sees, is not there
// (ENOSYS), nor is any call of a machine that is not known. All else goes on. Empty: this machine is not known.
std::vector<sock_filter> NetworkFilter();

struct NamedAddresses {
  bool sends = false;                  // datagrams; else it connects
  std::vector<std::string> addresses;  // each a sockaddr
  bool opens_device = false;           // it makes a socket of AF_PACKET, which reaches all without naming it
};
// What a call that the filter stops at names. `read`: the memory of who calls; what is short or empty does not exist
// there, and is no address: the kernel refuses such a call. The errors are `read`'s.
absl::StatusOr<NamedAddresses> AddressesOf(
    const seccomp_data& call, absl::FunctionRef<absl::StatusOr<std::string>(uint64_t address, size_t size)> read);

}  // namespace dtest

#endif  // DTEST_AGENT_EXECUTE_NETWORK_CALLS_H_
