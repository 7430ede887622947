// Which queued leases move from one host to another.

#include <set>

#include "scheduler_fixture.h"

namespace dtest {
namespace {

using testing::Each;
using testing::SizeIs;

class StealingTest : public SchedulerFixture {
 protected:
  // Host 0 holds everything: `running` of its slots busy, the rest queued. Host 1 comes late.
  void Backlog(uint32_t cases, double seconds, uint32_t slots) {
    Start(OneProcessACase(2));
    Add(0);
    Cases(0, std::vector<double>(cases, seconds));
    Join(0, slots);
    ASSERT_EQ(scheduler_->progress().running_or_queued, cases) << "nothing is pending";
  }
};

TEST_F(StealingTest, AnIdleHostRecallsTheLastOfTheLongestQueueAndGetsIt) {
  Backlog(6, 0.2, 4);
  const auto leases = Leases(all);
  Join(1, 4);
  const auto recalls = Sent<Recall>(turn);
  ASSERT_GE(recalls.size(), 1u);
  EXPECT_EQ(recalls[0].first, 0u);
  EXPECT_EQ(recalls[0].second.lease, leases.back().lease.id);
  From(0, Released{recalls[0].second.lease});
  ASSERT_THAT(Leases(turn), SizeIs(1));
  EXPECT_EQ(Leases(turn)[0].host, 1u);
  EXPECT_EQ(Leases(turn)[0].indices, leases.back().indices);
}

TEST_F(StealingTest, ARefusedLeaseStaysAndIsNotAskedForAgain) {
  Backlog(6, 0.2, 4);
  Join(1, 1);
  auto recalls = Sent<Recall>(turn);
  ASSERT_GE(recalls.size(), 1u);
  for (int round = 0; round < 4 && !recalls.empty(); ++round) {
    std::set<uint64_t> ids;
    const LeaseId asked = recalls[0].second.lease;
    From(0, Refused{asked});
    for (const auto& [host, recall] : Sent<Recall>(turn)) EXPECT_NE(recall.lease, asked);
    recalls = Sent<Recall>(turn);
  }
  EXPECT_EQ(scheduler_->progress().running_or_queued, 6u);
}

TEST_F(StealingTest, ReleasedAfterHostGoneIsIgnored) {
  Backlog(6, 0.2, 4);
  Join(1, 4);
  const auto recalls = Sent<Recall>(turn);
  ASSERT_GE(recalls.size(), 1u);
  Gone(0, true);
  const size_t given = Leases(turn).size();
  EXPECT_GE(given, 4u);
  From(0, Released{recalls[0].second.lease});
  EXPECT_THAT(turn, SizeIs(0));
}

TEST_F(StealingTest, ReleasedAfterTheThiefWentGivesTheCaseToSomebodyElse) {
  Backlog(6, 0.2, 4);
  Join(1, 4);
  const auto recalls = Sent<Recall>(turn);
  ASSERT_GE(recalls.size(), 1u);
  Gone(1);
  From(0, Released{recalls[0].second.lease});
  ASSERT_THAT(Leases(turn), SizeIs(1));
  EXPECT_EQ(Leases(turn)[0].host, 0u);
}

TEST_F(StealingTest, ResultsAfterRecallCountAndTheReleaseAfterThemIsForTheRest) {
  Start(Hosts(2));
  Add(0);
  Cases(0, std::vector<double>(24, 0.01), absl::Milliseconds(20));
  Join(0, 1);
  ASSERT_EQ(scheduler_->progress().running_or_queued, 24u);
  const auto leases = Leases(all);
  ASSERT_GE(leases.size(), 2u);
  Join(1, 1);
  const auto recalls = Sent<Recall>(turn);
  ASSERT_GE(recalls.size(), 1u);
  const Given victim = leases.back();
  ASSERT_EQ(recalls[0].second.lease, victim.lease.id);
  ASSERT_GE(victim.indices.size(), 2u);
  From(0, Results{victim.lease.id, victim.lease.unit, {Result(victim.lease.cases[0])}, false, kMs});
  EXPECT_THAT(Ended(turn), SizeIs(1));
  From(0, Released{victim.lease.id});
  size_t given = 0;
  for (const Given& g : Leases(turn)) {
    given += g.indices.size();
    EXPECT_THAT(g.indices, Each(testing::Ne(victim.indices[0])));
  }
  EXPECT_EQ(given, victim.indices.size() - 1);
}

TEST_F(StealingTest, ARetryIsNotStolenByTheHostItFailedOn) {
  SchedulerOptions options = OneProcessACase(2);
  policy_.retries = 1;
  Start(options);
  Add(0);
  Join(0, 1);
  Join(1, 1);
  Cases(0, {0.2, 0.2});
  const auto leases = Leases(all);
  ASSERT_THAT(leases, SizeIs(2));
  ASSERT_NE(leases[0].host, leases[1].host);
  RunAll(leases[1], Outcome::kFailed);
  ASSERT_THAT(Leases(turn), SizeIs(1)) << "queued on the other host";
  EXPECT_EQ(Leases(turn)[0].host, leases[0].host);
  EXPECT_THAT(Sent<Recall>(turn), SizeIs(0));
}

TEST_F(StealingTest, SeveralThievesStealAtOnce) {
  Start(OneProcessACase(4));
  Add(0);
  Cases(0, std::vector<double>(24, 0.2));
  Join(0, 16);
  ASSERT_EQ(scheduler_->progress().running_or_queued, 24u);
  std::set<LeaseId> recalled;
  for (uint32_t h = 1; h < 4; ++h) {
    Join(h, 2);
    const auto recalls = Sent<Recall>(turn);
    EXPECT_GE(recalls.size(), 1u) << h;
    for (const auto& [host, recall] : recalls) EXPECT_TRUE(recalled.insert(recall.lease).second) << "asked for twice";
  }
}

TEST_F(StealingTest, ALeaseThatAlreadyRunsIsNotRecalled) {
  Backlog(4, 0.2, 4);
  Join(1, 4);
  EXPECT_THAT(Sent<Recall>(turn), SizeIs(0));
}

TEST_F(StealingTest, BeforeRunningDryAHostTakesFromOneThatKeepsSome) {
  Start(OneProcessACase(2));
  Add(0);
  Cases(0, std::vector<double>(9, 0.2));
  Join(0, 4);
  ASSERT_EQ(scheduler_->progress().running_or_queued, 8u);
  Join(1, 1);  // gets the last one, runs it, and has no queue
  ASSERT_EQ(scheduler_->progress().running_or_queued, 9u);
  const auto recalls = Sent<Recall>(turn);
  ASSERT_THAT(recalls, SizeIs(1));
  From(0, Released{recalls[0].second.lease});
  EXPECT_THAT(Sent<Recall>(turn), SizeIs(0)) << "it has one queued now, and so has the victim";
}

TEST_F(StealingTest, ASlowHostDoesNotTakeWhatTheOtherFinishesSooner) {
  Start(Hosts(2));
  Add(0);
  Cases(0, {1, 1, 30});
  Join(0, 1, 1.0);
  // The longest runs, the others are queued or pending.
  Join(1, 1, 0.02);
  for (const auto& [host, recall] : Sent<Recall>(all)) EXPECT_EQ(host, 1u);
}

// A host that closes slots has less to offer: what waits there goes elsewhere, and comes back no more until they open.
TEST_F(StealingTest, ClosedSlotsGiveBackWhatTheyHaveNotBegun) {
  Start(OneProcessACase(2));
  Join(0, 4);
  Add(0);
  Cases(0, {5, 5, 5, 5, 5, 5});
  Complete();
  ASSERT_EQ(Leases(all).size(), 4u);
  Heartbeat beat;
  for (const Given& given : Leases(all)) beat.leases.push_back(given.lease.id);
  beat.running = {{SlotId(0), Leases(all)[0].lease.id, Leases(all)[0].indices[0], absl::Seconds(1), UnitId(0)}};
  beat.open_slots = 1;
  From(0, beat);
  Join(1, 6);
  // It takes what is pending, and asks for what has not begun.
  EXPECT_EQ(Leases(turn).size(), 2u);
  EXPECT_EQ(Sent<Recall>(turn).size(), 3u);
  for (const auto& [host, recall] : Sent<Recall>(turn)) From(host, Released{recall.lease});
  EXPECT_EQ(Leases(all).back().host, 1u);
  RunAll(Leases(all)[0]);
  beat.leases.clear();
  beat.running.clear();
  beat.open_slots = 0;
  From(0, beat);
  EXPECT_EQ(scheduler_->progress().slots, 10u);
}

}  // namespace
}  // namespace dtest
