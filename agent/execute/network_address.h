// Which addresses a test without network may still reach: those of its own host, and what is none of a network. Pure.

#ifndef DTEST_AGENT_EXECUTE_NETWORK_ADDRESS_H_
#define DTEST_AGENT_EXECUTE_NETWORK_ADDRESS_H_

#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace dtest {

// What a socket of AF_PACKET reaches, for people: all that the host's network cards do.
inline constexpr char kNetworkDevice[] = "a network device (AF_PACKET)";

// nullopt: it may be reached, or is no address at all, which the kernel refuses. Else the address as people write it:
// "192.0.2.1:443", "[2001:db8::1]:443".
//
// `address` is a sockaddr of any family. `sends`: a datagram is sent there; else it is connected to. `is_own`: whether
// an address of 4 or 16 bytes, in the order of the network, is one of this host's interfaces; asked only where the
// address alone does not tell.
std::optional<std::string> ForbiddenAddress(absl::string_view address, bool sends,
                                            absl::FunctionRef<bool(absl::string_view)> is_own);

}  // namespace dtest

#endif  // DTEST_AGENT_EXECUTE_NETWORK_ADDRESS_H_
