// How an agent's frames travel: ZeroMQ through the stream it was started with, or beside it; and when that stream ends.
//
// One thread, but for the relay's own.

#ifndef DTEST_AGENT_LOOP_CONNECTION_H_
#define DTEST_AGENT_LOOP_CONNECTION_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/loop/poller.h"
#include "agent/loop/start_stream.h"
#include "dtest/base/fd.h"
#include "protocol/relay.h"
#include "protocol/start_line.h"
#include "protocol/zmq_transport.h"

namespace dtest {

class Connection {
 public:
  struct Options {
    AgentStart start;
    std::string directory;         // private: for the relay's socket
    Poller* poller = nullptr;      // is woken by frames; nobody is called for them
    std::function<void()> closed;  // the stream's other end is gone; once
  };
  // The error says to what it could not connect, and why.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(StartStream stream, const Options& options);
  ~Connection();

  Dealer* dealer() { return &transport_; }
  // An orderly end: hands over what was sent, at most `timeout`.
  void Close(absl::Duration timeout);

 private:
  explicit Connection(const Options& options) : options_(options) {}
  void StreamHasEnded();
  void Unwatch();

  const Options options_;
  // Of a stream that carries nothing: its end is the coordinator's, and ours is seen by the launcher.
  Fd in_;
  Fd out_;
  int watched_closed_ = -1;
  std::unique_ptr<Relay> relay_;  // null where ZeroMQ connects by itself
  DealerTransport transport_;
};

}  // namespace dtest

#endif  // DTEST_AGENT_LOOP_CONNECTION_H_
