// A TCP connection with a deadline, that a HostControl can interrupt. (libssh's own tries only the first address of a
// name, and says "Timeout connecting" for most things.) Free functions; the host's thread.

#ifndef DTEST_COORDINATOR_LAUNCH_TCP_CONNECT_H_
#define DTEST_COORDINATOR_LAUNCH_TCP_CONNECT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/launch/host_control.h"

namespace dtest {

struct TcpTarget {
  std::string host;
  uint16_t port = 0;
  std::string bind_address;
  int address_family = 0;
};

// Tries each address of the name in turn. The socket is blocking, TCP_NODELAY, close-on-exec; the caller owns it.
// NotFound: the name does not resolve. Unavailable: refused, no route. DeadlineExceeded. Cancelled.
// Name resolution itself (getaddrinfo) cannot be interrupted.
absl::StatusOr<int> TcpConnect(const TcpTarget& target, absl::Time deadline, HostControl* control);

// "192.0.2.1" or "[2001:db8::1]" at this end of the connection; empty if it is not TCP.
std::string LocalAddress(int socket);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_LAUNCH_TCP_CONNECT_H_
