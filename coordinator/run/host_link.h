// The coordinator's end of the conversation with one agent: encoding, the session's numbers, and what became of them.
// One object a host and launch; the loop's thread.

#ifndef DTEST_COORDINATOR_RUN_HOST_LINK_H_
#define DTEST_COORDINATOR_RUN_HOST_LINK_H_

#include <algorithm>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "dtest/messages.h"
#include "protocol/router.h"
#include "protocol/session.h"

namespace dtest {

class HostLink {
 public:
  // `router` outlives the link. `token`: the agent's ZeroMQ identity and its proof.
  HostLink(Router* router, std::string token, const Session::Options& session)
      : router_(router), token_(std::move(token)), session_(session) {}

  const std::string& token() const { return token_; }
  absl::Time last_heard() const { return last_heard_; }
  // Silence counts from now on: we have not listened.
  void ForgiveSilence(absl::Time now) { last_heard_ = std::max(last_heard_, now); }
  // The agent has everything that it was sent.
  bool AllAcknowledged() const { return session_.unacknowledged() == 0; }

  // Numbers, encodes and sends. A peer that is not connected (any more) is no error: the session keeps what it must
  // not lose, and a link that is gone shows as silence.
  void Send(absl::Time now, ToAgent body);

  // The message in a frame of this peer, if it is to be handled now. An error: the frame is not of our protocol.
  absl::StatusOr<std::optional<FromAgent>> Receive(absl::Time now, absl::string_view frame);

  // Sends what is due (acknowledgements, resends).
  void Tick(absl::Time now);
  absl::Time NextDeadline() const { return session_.NextDeadline(); }

 private:
  void Transmit(Session::Frame frame);

  Router* const router_;
  const std::string token_;
  Session session_;
  std::optional<Epoch> epoch_;  // of the agent's first frame
  absl::Time last_heard_ = absl::InfinitePast();
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_HOST_LINK_H_
