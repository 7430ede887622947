// The link: a ROUTER at the coordinator, a DEALER at each agent. ZeroMQ itself is included here and in peer_transport
// (links between agents) only.
// A frame is one ZeroMQ message of one part (ROUTER's identity part is handled here). No high-water mark drops
// anything: flow is controlled by credit (see messages.h), so the marks are off. A frame has 1 to kMaxFrameBytes bytes
// (codec.h): Send refuses any other (InvalidArgument), and a peer that sends a longer one is cut off.
//
// A link can drop, double or reorder frames when a TCP peer reconnects; session.h makes that good. Frames of a
// connection that was replaced may still come, under an identity nobody knows: drop those.
//
// Each object belongs to one thread. Errors are absl::Status; no zmq exception passes.

#ifndef DTEST_PROTOCOL_ZMQ_TRANSPORT_H_
#define DTEST_PROTOCOL_ZMQ_TRANSPORT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "protocol/dealer.h"
#include "protocol/router.h"

namespace dtest {

// CURVE (RFC 26/ZMTP-CURVE) keys in Z85 text, 40 characters each.
struct CurveKeyPair {
  std::string public_key;
  std::string secret_key;
};
absl::StatusOr<CurveKeyPair> MakeCurveKeyPair();  // Unimplemented if libzmq was built without CURVE

// What Wait woke up for.
struct FdEvent {
  int fd = -1;
  bool readable = false;
  bool closed = false;  // hung up or in error: read what is left
};

class RouterTransport final : public Router {
 public:
  RouterTransport();
  ~RouterTransport() override;
  RouterTransport(const RouterTransport&) = delete;
  RouterTransport& operator=(const RouterTransport&) = delete;

  // Listens on a UNIX socket at `path` (absolute, at most 107 bytes; in a directory of mode 0700).
  absl::Status BindUnix(absl::string_view path);
  // Listens on `address` ("*" or an IP) and a port the system chooses, which is returned, under CURVE with these
  // keys. A second call makes a second listener with the same keys. Only CURVE clients can connect here. UNIX and
  // TCP listeners are separate ROUTER sockets inside (CURVE is per socket); peers of both are told apart by identity.
  absl::StatusOr<uint16_t> BindTcp(absl::string_view address, const CurveKeyPair& server_keys);

  absl::Status Send(absl::string_view identity, std::shared_ptr<const std::string> frame) override;
  std::optional<Received> Receive() override;

  // Watches a file descriptor in Wait for reading. Unwatch before closing it.
  void WatchFd(int fd) override;
  void UnwatchFd(int fd) override;
  // Sleeps until a frame can be received, a watched fd is ready, or `timeout` (not negative) has passed. Fills `ready`
  // with the watched fds that are. Restarts after EINTR with the time that is left.
  absl::Status Wait(absl::Duration timeout, std::vector<FdEvent>* ready);
  absl::Status Sleep(absl::Duration timeout) override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

class DealerTransport final : public Dealer {
 public:
  DealerTransport();
  ~DealerTransport() override;
  DealerTransport(const DealerTransport&) = delete;
  DealerTransport& operator=(const DealerTransport&) = delete;

  // `identity` is this peer's name at the ROUTER: 1..255 bytes, the first not zero.
  absl::Status ConnectUnix(absl::string_view path, absl::string_view identity);
  // `endpoint` as "address:port" (IPv6 in brackets). The client keys are made here.
  absl::Status ConnectTcp(absl::string_view endpoint, absl::string_view identity, absl::string_view server_public_key);

  absl::Status Send(std::shared_ptr<const std::string> frame) override;
  std::optional<std::string> Receive() override;

  // A descriptor that polls readable when Receive may have something (ZMQ_FD: edge triggered, see ZeroMQ's manual:
  // after any Send or Receive, and before sleeping, drain Receive until it is empty).
  int fd() const;

  // Blocks until everything sent has been handed to the system, at most `timeout`, and closes. Without it the
  // destructor closes at once and drops what was not.
  void Close(absl::Duration timeout);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dtest

#endif  // DTEST_PROTOCOL_ZMQ_TRANSPORT_H_
