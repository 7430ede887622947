// The links between agents of one run, for chunks: a listener that answers peers, and a connection to each peer that is
// asked. ZeroMQ over TCP under CURVE; a peer is whoever shows the run's peer key (a ZAP handler of our own refuses all
// others), and a listener is known by the public key that the coordinator tells. Frames are opaque here.
//
// Nothing is retried here: a connection that cannot be made, or ends, is told once, as kFailed, and is gone.
//
// One thread, which must call Next until it has nothing more, after its other calls and whenever a watched descriptor
// is readable (they are edge triggered: see ZeroMQ's manual on ZMQ_FD). Errors are absl::Status; no zmq exception
// passes.

#ifndef DTEST_PROTOCOL_PEER_TRANSPORT_H_
#define DTEST_PROTOCOL_PEER_TRANSPORT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "dtest/ids.h"
#include "protocol/zmq_transport.h"

namespace dtest {

class PeerTransport {
 public:
  struct Options {
    CurveKeyPair own;    // this agent's, as a listener
    CurveKeyPair peers;  // the run's: what every peer connects with
    // Of TCP: time for one SYN that is lost, since a firewall that drops them costs all of it. Of the handshake after
    // it: the peer may be busy.
    absl::Duration connect_timeout = absl::Milliseconds(1500);
    absl::Duration handshake_timeout = absl::Seconds(3);
    // Called for each descriptor to poll for reading, and before one is closed.
    std::function<void(int fd)> watch;
    std::function<void(int fd)> unwatch;
  };
  explicit PeerTransport(Options options);
  ~PeerTransport();
  PeerTransport(const PeerTransport&) = delete;
  PeerTransport& operator=(const PeerTransport&) = delete;

  // Listens on `address` (an IP, IPv6 in brackets, or "*"), once; returns the port, which the system chooses.
  absl::StatusOr<uint16_t> Listen(absl::string_view address);

  // Begins a connection; kConnected or kFailed follows. `peer` must not be connected or connecting.
  absl::Status Connect(HostId peer, const std::string& endpoint, const std::string& public_key);
  // Drops the connection to a peer, if there is one; nothing more is heard of it.
  void Disconnect(HostId peer);
  // Sends a frame to a peer that is connected or connecting.
  absl::Status Ask(HostId peer, absl::string_view frame);

  // Sends a frame to one that asked. NotFound: it has gone.
  absl::Status Answer(absl::string_view asker, std::string frame);
  // Bytes of answers to this asker that the system has not taken yet. When they fall below kQueueLow, a watched
  // descriptor wakes.
  uint64_t Queued(absl::string_view asker) const;
  static constexpr uint64_t kQueueLow = 512 << 10;

  struct Event {
    enum class Kind {
      kAsked,      // `asker` sent `frame`
      kAnswered,   // `peer` sent `frame`
      kConnected,  // `peer` has proved its key, and accepted ours
      kFailed,     // no connection to `peer`, or no more: `text` says why
    };
    Kind kind = Kind::kAsked;
    std::string asker;
    HostId peer;
    std::string frame;
    std::string text;
  };
  // The next thing that happened; nullopt: nothing more.
  std::optional<Event> Next();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dtest

#endif  // DTEST_PROTOCOL_PEER_TRANSPORT_H_
