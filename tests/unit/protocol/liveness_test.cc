#include "protocol/liveness.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>

namespace dtest {
namespace {

constexpr absl::Duration kTick = absl::Nanoseconds(1);
constexpr absl::Duration kLease = absl::Seconds(30);
constexpr absl::Duration kInterval = absl::Seconds(2);

absl::Time At(double seconds) { return absl::UnixEpoch() + absl::Seconds(seconds); }

TEST(Liveness, AFrameProvesLifeWhileTheOldestUnacknowledgedIsYoungerThanHalfALease) {
  Session session;
  EXPECT_TRUE(ProvesLife(session, At(1000), kLease)) << "nothing is unacknowledged";
  session.Sent(At(0), 1, std::make_shared<const std::string>());
  EXPECT_TRUE(ProvesLife(session, At(15) - kTick, kLease));
  EXPECT_FALSE(ProvesLife(session, At(15), kLease));
  session.Resend(At(15));
  EXPECT_FALSE(ProvesLife(session, At(15), kLease)) << "sending it again makes it no younger";
  session.Received(At(16), 0, 1);
  EXPECT_TRUE(ProvesLife(session, At(16), kLease));
}

// An agent and a coordinator whose link breaks in one direction at some time, and in the other at some other time or
// never. Whatever the times are, the agent has stopped before the coordinator gives its cases to others.
TEST(Liveness, TheAgentStopsBeforeTheCoordinatorGivesItUpHoweverTheLinkBreaks) {
  for (uint32_t seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto uniform = [&](double most) { return std::uniform_real_distribution<>(0, most)(random); };
    const absl::Time to_coordinator_breaks = At(10 + uniform(40));
    const absl::Time to_agent_breaks = seed % 2 == 0 ? absl::InfiniteFuture() : At(10 + uniform(100));
    const absl::Duration delay = absl::Seconds(uniform(1));

    Session agent;
    absl::Time agent_heard = At(0);
    absl::Time coordinator_heard = At(0);
    uint64_t acknowledged = 0;
    absl::Time stopped = absl::InfiniteFuture();
    absl::Time lost = absl::InfiniteFuture();
    for (absl::Time now = At(0); lost == absl::InfiniteFuture(); now += absl::Milliseconds(100)) {
      const bool living = stopped == absl::InfiniteFuture();
      // The coordinator sends all the time (leases, bare acknowledgements), whatever it hears.
      if (living && now - delay < to_agent_breaks) {
        agent.Received(now, 0, acknowledged);
        if (ProvesLife(agent, now, kLease)) agent_heard = now;
      }
      if (living && now >= agent_heard + kLease) stopped = now;
      const bool beat = (now - At(0)) % kInterval == absl::ZeroDuration();
      if (living && beat) {
        const uint64_t sequence = agent.NextSequence();
        agent.Sent(now, sequence, std::make_shared<const std::string>());
        if (now < to_coordinator_breaks) {
          acknowledged = sequence;
          coordinator_heard = now;
        }
      }
      if (now >= coordinator_heard + LostAfter(kLease, kInterval)) lost = now;
      ASSERT_LT(now, At(1000));
    }
    EXPECT_LT(stopped, lost);
  }
}

}  // namespace
}  // namespace dtest
