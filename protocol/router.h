// The coordinator's end of all links, as its host pool sees it: frames to and from peers by identity, and one sleep for
// those and for other descriptors. RouterTransport (zmq_transport.h) is the real one; tests have one in memory.
//
// Belongs to one thread.

#ifndef DTEST_PROTOCOL_ROUTER_H_
#define DTEST_PROTOCOL_ROUTER_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace dtest {

class Router {
 public:
  struct Received {
    std::string identity;
    std::string frame;
  };
  virtual ~Router() = default;

  // Sends one frame to the peer with this identity (any bytes, also zero bytes). NotFound: no such peer is connected;
  // InvalidArgument: the frame is empty or longer than kMaxFrameBytes (codec.h); Unavailable: the link failed.
  // The frame is kept alive, not copied, until it has been written (and may be released on another thread).
  virtual absl::Status Send(absl::string_view identity, std::shared_ptr<const std::string> frame) = 0;
  // The next frame if one has arrived; nullopt if not.
  virtual std::optional<Received> Receive() = 0;

  // Watches a file descriptor in Sleep for reading. Unwatch before closing it.
  virtual void WatchFd(int fd) = 0;
  virtual void UnwatchFd(int fd) = 0;
  // Until a frame can be received, a watched descriptor is ready, or `timeout` (not negative) has passed. Unavailable:
  // ZeroMQ cannot wait.
  virtual absl::Status Sleep(absl::Duration timeout) = 0;
};

}  // namespace dtest

#endif  // DTEST_PROTOCOL_ROUTER_H_
