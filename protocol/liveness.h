// When each end of a link believes the other to be dead. The arithmetic that keeps a case from ever being under two
// live leases; PROTOCOL.md, "Liveness", has the argument. Pure, any thread.
//
//   agent:        every frame of its epoch: if (ProvesLife(session, now, lease_timeout)) last_heard = now;
//                 now >= last_heard + lease_timeout: kill all tests and exit.
//   coordinator:  every valid frame of the agent: last_heard = now;
//                 now >= last_heard + LostAfter(lease_timeout, heartbeat_interval): the host is lost, its cases go
//                 elsewhere.

#ifndef DTEST_PROTOCOL_LIVENESS_H_
#define DTEST_PROTOCOL_LIVENESS_H_

#include "absl/time/time.h"
#include "protocol/session.h"

namespace dtest {

// For killing test processes, and for the two clocks' different rates.
inline constexpr absl::Duration kLossGrace = absl::Seconds(5);

// True if a frame that `session` has just been given (Session::Received) shows that the coordinator has heard this
// agent lately. A frame alone does not: while the path to the coordinator is broken and the path back is not, or while
// old frames trickle out of some buffer, the agent would live on after the coordinator gave it up. What counts is that
// nothing the agent sent lease_timeout/2 ago or earlier is still unacknowledged; heartbeats make sure that there is
// always something to acknowledge.
inline bool ProvesLife(const Session& session, absl::Time now, absl::Duration lease_timeout) {
  return session.OldestUnacknowledged() > now - lease_timeout / 2;
}

// Silence after which the coordinator may give an agent's cases to others: by then the agent has killed its tests.
// An agent that lives at `t` had a frame that proves life after t - lease_timeout; at that time the coordinator had
// heard something sent at most lease_timeout/2 + heartbeat_interval before. Sum: lease_timeout * 1.5 + interval.
inline absl::Duration LostAfter(absl::Duration lease_timeout, absl::Duration heartbeat_interval) {
  return lease_timeout * 1.5 + heartbeat_interval + kLossGrace;
}

}  // namespace dtest

#endif  // DTEST_PROTOCOL_LIVENESS_H_
