// An agent's end of its link, as its loop sees it: frames to and from the coordinator. DealerTransport
// (zmq_transport.h) is the real one; tests have one in memory.
//
// Belongs to one thread.

#ifndef DTEST_PROTOCOL_DEALER_H_
#define DTEST_PROTOCOL_DEALER_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"

namespace dtest {

class Dealer {
 public:
  virtual ~Dealer() = default;

  // InvalidArgument: the frame is empty or longer than kMaxFrameBytes (codec.h); Unavailable: the link is closed.
  // The frame is kept alive, not copied, until it has been written (and may be released on another thread).
  virtual absl::Status Send(std::shared_ptr<const std::string> frame) = 0;
  // The next frame if one has arrived; nullopt if not.
  virtual std::optional<std::string> Receive() = 0;
};

}  // namespace dtest

#endif  // DTEST_PROTOCOL_DEALER_H_
