// The agent's end of the conversation with the coordinator: turns messages into frames and back, with the session's
// numbers. Frames come and go through a Dealer.
//
// One thread.

#ifndef DTEST_AGENT_LOOP_LINK_H_
#define DTEST_AGENT_LOOP_LINK_H_

#include <functional>

#include "absl/time/time.h"
#include "dtest/ids.h"
#include "dtest/messages.h"
#include "protocol/dealer.h"
#include "protocol/session.h"

namespace dtest {

class Link {
 public:
  // `dealer` outlives the link. `epoch`: of this agent, another for each that was ever started.
  Link(Dealer* dealer, Epoch epoch, const Session::Options& session)
      : dealer_(*dealer), epoch_(epoch), session_(session) {}

  // Sends a session message, or a bulk one, after its kind.
  void Send(absl::Time now, FromAgent message);

  // Handles frames that have come, a bounded number of them: `deliver` gets each body that is to be handled, in order;
  // `alive` is called when a frame proved that the coordinator has heard this agent lately (protocol/liveness.h).
  // A frame that is damaged, of another epoch or of another protocol version is dropped (a coordinator of another
  // version has refused this agent's Hello with one clear error, and ends the stream).
  void Receive(const std::function<absl::Time()>& clock, const std::function<void(ToAgent)>& deliver,
               const std::function<void()>& alive);
  // There may be more to receive, of which the poller does not tell: ZeroMQ's descriptor tells of edges only, and
  // whatever is sent may swallow one.
  bool may_have_more() const { return may_have_more_; }

  // Resends and acknowledges what is due.
  void Tick(absl::Time now);
  absl::Time NextDeadline() const { return session_.NextDeadline(); }
  void set_lease_timeout(absl::Duration timeout) { lease_timeout_ = timeout; }

 private:
  void SendFrame(Session::Frame frame);

  Dealer& dealer_;
  const Epoch epoch_;
  Session session_;
  absl::Duration lease_timeout_ = absl::InfiniteDuration();
  bool may_have_more_ = true;
};

}  // namespace dtest

#endif  // DTEST_AGENT_LOOP_LINK_H_
