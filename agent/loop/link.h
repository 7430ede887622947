// The agent's end of the link: the stream it was started with, the ZeroMQ connection through it (or beside it), and the
// session on top. Turns messages into frames and back.
//
// One thread, but for the relay's own.

#ifndef DTEST_AGENT_LOOP_LINK_H_
#define DTEST_AGENT_LOOP_LINK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/loop/poller.h"
#include "dtest/messages.h"
#include "protocol/relay.h"
#include "protocol/session.h"
#include "protocol/start_line.h"
#include "protocol/zmq_transport.h"

namespace dtest {

// The two descriptors the agent was started with. Reads the start line and answers it; owns both until Connect.
class StartStream {
 public:
  // Takes stdin and stdout away from the program: from now on they are /dev/null.
  static absl::StatusOr<StartStream> TakeStdio();
  StartStream(StartStream&& other) noexcept;
  ~StartStream();

  // Waits for the start line and nothing after it.
  absl::StatusOr<AgentStart> ReadStart(absl::Duration timeout);
  absl::Status SendReady(const AgentStart& start);

  int TakeIn();
  int TakeOut();

 private:
  StartStream(int in, int out) : in_(in), out_(out) {}
  int in_;
  int out_;
};

class Link {
 public:
  struct Options {
    AgentStart start;
    std::string directory;  // private: for the relay's socket
    Poller* poller = nullptr;
    std::function<void()> closed;  // the stream's other end is gone
  };
  // The error says to what it could not connect, and why.
  static absl::StatusOr<std::unique_ptr<Link>> Connect(StartStream stream, const Options& options);
  ~Link();

  // Sends a session message, or a bulk one, after its kind.
  void Send(absl::Time now, FromAgent message);

  // Handles frames that have come, a bounded number of them: `deliver` gets each body that is to be handled, in order;
  // `alive` is called when a frame proved that the coordinator has heard this agent lately (protocol/liveness.h).
  // A frame that is damaged, of another epoch or of another protocol version is dropped (a coordinator of another
  // version has refused this agent's Hello with one clear error, and ends the stream).
  void Receive(const std::function<void(ToAgent)>& deliver, const std::function<void()>& alive);
  // There may be more to receive, of which the poller does not tell: ZeroMQ's descriptor tells of edges only, and
  // whatever is sent may swallow one.
  bool may_have_more() const { return may_have_more_; }

  // Resends and acknowledges what is due.
  void Tick(absl::Time now);
  absl::Time NextDeadline() const { return session_.NextDeadline(); }
  void set_lease_timeout(absl::Duration timeout) { lease_timeout_ = timeout; }

  // An orderly end: hands over what was sent, at most `timeout`.
  void Close(absl::Duration timeout);

 private:
  Link(const Options& options, int in, int out);
  void SendFrame(Session::Frame frame);

  const Options options_;
  const Epoch epoch_;
  // Of a stream that carries nothing (else -1): its end is the coordinator's, and ours is seen by the launcher.
  int in_;
  int out_;
  int watched_closed_ = -1;
  std::unique_ptr<Relay> relay_;  // null where ZeroMQ connects by itself
  DealerTransport transport_;
  Session session_;
  absl::Duration lease_timeout_ = absl::InfiniteDuration();
  bool may_have_more_ = true;
};

}  // namespace dtest

#endif  // DTEST_AGENT_LOOP_LINK_H_
