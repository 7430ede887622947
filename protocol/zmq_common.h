// What the files that include zmq share: zmq_transport.cc and peer_transport.cc. Included by those only; no exception
// of zmq passes their functions.

#ifndef DTEST_PROTOCOL_ZMQ_COMMON_H_
#define DTEST_PROTOCOL_ZMQ_COMMON_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <zmq.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "protocol/codec.h"

namespace dtest::zmq_common {

// A peer that has not finished its ZMTP handshake by then is dropped. Long, because on a farm that is starting up the
// greeting has to pass an SSH server that is busy with a hundred others.
inline constexpr absl::Duration kHandshake = absl::Seconds(60);
// TCP only: a link that was cut without a word is found and made anew well within a lease.
inline constexpr absl::Duration kTcpHeartbeat = absl::Seconds(5);
inline constexpr absl::Duration kTcpHeartbeatTimeout = absl::Seconds(15);
inline constexpr int kKeepaliveIdleSeconds = 10;
inline constexpr int kKeepaliveIntervalSeconds = 5;
inline constexpr int kKeepaliveProbes = 3;

inline int Milliseconds(absl::Duration duration) { return static_cast<int>(absl::ToInt64Milliseconds(duration)); }

inline absl::Status LinkError(absl::string_view what, absl::string_view where, const zmq::error_t& error) {
  return absl::UnavailableError(absl::StrCat("cannot ", what, " ", where, ": ", error.what()));
}

inline absl::Status CheckFrame(const std::string& frame) {
  if (!frame.empty() && frame.size() <= kMaxFrameBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("cannot send a frame of ", frame.size(), " bytes: it must have 1 to ", kMaxFrameBytes));
}

inline void SetCommonOptions(zmq::socket_t& socket) {
  socket.set(zmq::sockopt::sndhwm, 0);
  socket.set(zmq::sockopt::rcvhwm, 0);
  socket.set(zmq::sockopt::linger, 0);
  socket.set(zmq::sockopt::ipv6, true);
  socket.set(zmq::sockopt::maxmsgsize, int64_t{kMaxFrameBytes});
  socket.set(zmq::sockopt::handshake_ivl, Milliseconds(kHandshake));
}

inline void SetTcpOptions(zmq::socket_t& socket) {
  socket.set(zmq::sockopt::heartbeat_ivl, Milliseconds(kTcpHeartbeat));
  socket.set(zmq::sockopt::heartbeat_timeout, Milliseconds(kTcpHeartbeatTimeout));
  socket.set(zmq::sockopt::tcp_keepalive, 1);
  socket.set(zmq::sockopt::tcp_keepalive_idle, kKeepaliveIdleSeconds);
  socket.set(zmq::sockopt::tcp_keepalive_intvl, kKeepaliveIntervalSeconds);
  socket.set(zmq::sockopt::tcp_keepalive_cnt, kKeepaliveProbes);
}

// A message that points into the shared frame and keeps it alive. The frame is released on whatever thread is last,
// possibly one of ZeroMQ's own; that is safe, since it is const and its count of owners is atomic.
inline zmq::message_t ShareFrame(std::shared_ptr<const std::string> frame) {
  using Owner = std::shared_ptr<const std::string>;
  auto owner = std::make_unique<Owner>(std::move(frame));
  const std::string& bytes = **owner;
  zmq::message_t message(
      const_cast<char*>(bytes.data()), bytes.size(), [](void*, void* hint) { delete static_cast<Owner*>(hint); },
      owner.get());
  (void)owner.release();  // the message owns it now
  return message;
}

inline zmq::message_t CopyBytes(absl::string_view bytes) { return zmq::message_t(bytes.data(), bytes.size()); }

// recv that starts again after a signal. False: nothing has arrived.
inline bool TryReceive(zmq::socket_t& socket, zmq::message_t& message) {
  for (;;) {
    try {
      return socket.recv(message, zmq::recv_flags::dontwait).has_value();
    } catch (const zmq::error_t& error) {
      // Anything else means that the context is gone: nothing will ever arrive.
      if (error.num() != EINTR) return false;
    }
  }
}

// Takes the rest of a message that has more parts than it should.
inline void SkipParts(zmq::socket_t& socket) {
  zmq::message_t part;
  do {
    if (!TryReceive(socket, part)) return;
  } while (part.more());
}

}  // namespace dtest::zmq_common

#endif  // DTEST_PROTOCOL_ZMQ_COMMON_H_
