// Cases that need locks, several slots, a host to themselves, tags.

#include <algorithm>
#include <map>

#include "scheduler_fixture.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class NeedsTest : public SchedulerFixture {
 protected:
  static CasePolicy Locked(std::vector<CaseLock> locks) { return {.locks = std::move(locks)}; }

  // A unit whose cases have one policy each, by position in `policies`, and are expected to take `seconds`.
  void Unit(uint32_t e, std::vector<CasePolicy> policies, const std::vector<uint16_t>& of, double seconds = 1) {
    Add(e);
    CasesKnown known;
    known.unit = UnitId(e);
    known.policies = std::move(policies);
    for (size_t k = 0; k < of.size(); ++k) {
      known.cases.push_back({static_cast<uint32_t>(k), absl::Seconds(seconds), absl::ZeroDuration(), of[k]});
      known.suite_of.push_back(0);
    }
    Do(known);
  }

  // Ends the oldest lease that runs on one of `hosts`, or on any.
  bool EndOne(std::vector<uint32_t> hosts = {}) {
    const std::vector<Given> given = Leases(all);
    for (size_t k = 0; k < given.size(); ++k) {
      const bool there = hosts.empty() || std::find(hosts.begin(), hosts.end(), given[k].host) != hosts.end();
      if (!there || ended_[k]) continue;
      ended_[k] = true;
      After(10 * kMs);
      RunAll(given[k]);
      return true;
    }
    return false;
  }
  std::vector<std::vector<uint32_t>> GivenThisTurn() const {
    std::vector<std::vector<uint32_t>> cases;
    for (const Given& given : Leases(turn)) cases.push_back(given.indices);
    return cases;
  }

  std::map<size_t, bool> ended_;
};

TEST_F(NeedsTest, AFarmWideLockIsHeldByOneLeaseWhateverTheHosts) {
  Start(Hosts(2));
  Join(0, 4);
  Join(1, 4);
  Unit(0, {Locked({{"db"}})}, {0, 0, 0});
  Complete();
  ASSERT_THAT(Leases(all), SizeIs(1));
  EXPECT_THAT(Leases(all)[0].indices, ElementsAre(0));
  EndOne();
  EXPECT_THAT(GivenThisTurn(), ElementsAre(ElementsAre(1)));
  EndOne();
  EndOne();
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

TEST_F(NeedsTest, ALockHasRoomForAsManyAsItSays) {
  Start(Hosts(1));
  Join(0, 8);
  Unit(0, {Locked({{"license", 3}})}, {0, 0, 0, 0, 0});
  EXPECT_THAT(Leases(all), SizeIs(3));
  EndOne();
  EXPECT_THAT(Leases(all), SizeIs(4));
}

TEST_F(NeedsTest, ALockOfAHostIsHeldOnceThere) {
  Start(Hosts(2));
  Join(0, 4);
  Join(1, 4);
  Unit(0, {Locked({{"port", 1, LockScope::kHost}})}, {0, 0, 0, 0});
  ASSERT_THAT(Leases(all), SizeIs(2));
  EXPECT_NE(Leases(all)[0].host, Leases(all)[1].host);
  EndOne({1});
  ASSERT_THAT(Leases(turn), SizeIs(1));
  EXPECT_EQ(Leases(turn)[0].host, 1u);
}

TEST_F(NeedsTest, ALockIsHeldToTheProvenEndOfItsLease) {
  Start(Hosts(2));
  Join(0, 1);
  Unit(0, {{.retries = 1, .locks = {{"db"}}}}, {0, 0});
  Join(1, 1);
  ASSERT_THAT(Leases(all), SizeIs(1));
  const Given first = Leases(all)[0];
  // A result is not the end: its process may live.
  From(0, Results{first.lease.id, first.lease.unit, {Result(first.lease.cases[0], Outcome::kFailed)}, false, {}});
  EXPECT_THAT(Leases(turn), IsEmpty());
  From(0, Results{first.lease.id, first.lease.unit, {}, true, {}});
  ASSERT_THAT(Leases(turn), SizeIs(1));
  // Its host is lost, and what is lost with it is the lock.
  Gone(Leases(turn)[0].host, true);
  EXPECT_THAT(Leases(turn), SizeIs(1));
}

// The connection broke: the agent may not have noticed.
TEST_F(NeedsTest, WhatMayRunOnKeepsItsLockAndItsHost) {
  Start(Hosts(2));
  Join(0, 2);
  Unit(0, {{.locks = {{"db"}}, .exclusive = true}, Locked({{"db"}}), CasePolicy()}, {0, 1, 2});
  ASSERT_THAT(GivenThisTurn(), ElementsAre(ElementsAre(0)));
  const absl::Time until = now + absl::Seconds(50);
  Do(HostGone{HostId(0), "connection reset", /*may_return=*/true, until});
  Join(0, 2);
  EXPECT_THAT(Leases(turn), IsEmpty()) << "it had the host for itself";
  Join(1, 2);
  EXPECT_THAT(GivenThisTurn(), ElementsAre(ElementsAre(2))) << "what needs no lock runs elsewhere";
  EXPECT_LE(scheduler_->NextDeadline(), until);
  After(absl::Seconds(49));
  Do(Tick{});
  EXPECT_THAT(Leases(turn), IsEmpty());
  After(absl::Seconds(1));
  Do(Tick{});
  EXPECT_THAT(Leases(turn), SizeIs(1));
  while (EndOne()) {
  }
  EXPECT_EQ(Ended(all).size(), 3u);
}

TEST_F(NeedsTest, SeveralLocksAreTakenAtOnceOrNotAtAll) {
  Start(Hosts(1));
  Join(0, 8);
  // a; b; a and b, which come first.
  Unit(0, {Locked({{"a"}, {"b"}}), Locked({{"a"}}), Locked({{"b"}})}, {0, 1, 2, 1, 2});
  EXPECT_THAT(GivenThisTurn(), ElementsAre(ElementsAre(0)));
  EndOne();
  EXPECT_THAT(GivenThisTurn(), testing::UnorderedElementsAre(ElementsAre(1), ElementsAre(2)));
}

// Whenever a is given back, somebody holds b, and the other way round.
TEST_F(NeedsTest, WhoNeedsSeveralLocksIsNotStarvedByWhoNeedsOne) {
  Start(Hosts(1));
  Join(0, 8);
  Unit(0, {Locked({{"a"}})}, std::vector<uint16_t>(200, 0));
  Unit(1, {Locked({{"b"}})}, std::vector<uint16_t>(200, 0));
  Unit(2, {Locked({{"a"}, {"b"}})}, {0});
  size_t before = 0;
  for (bool both = false; !both; ++before) {
    ASSERT_TRUE(EndOne());
    for (const Given& given : Leases(turn)) both |= given.lease.unit == UnitId(2);
  }
  EXPECT_LT(before, 100u);
}

TEST_F(NeedsTest, TheyAreLeasesOfTheirOwnNeverQueuedStolenOrCopied) {
  SchedulerOptions options = Hosts(2);
  options.speculate = true;
  Start(options);
  Join(0, 2);
  Unit(0, {CasePolicy(), Locked({{"port", 1, LockScope::kHost}})}, {0, 0, 0, 0, 0, 0, 1, 1, 1}, 0.001);
  Complete();
  for (const Given& given : Leases(all)) {
    const bool locked = given.indices[0] >= 6;
    EXPECT_TRUE(!locked || given.indices.size() == 1);
  }
  // Both slots are taken by now, so a second one waits here, not there.
  Join(1, 2);
  for (int k = 0; k < 20; ++k) {
    After(absl::Seconds(1));
    Do(Tick{});
  }
  EXPECT_THAT(Of<AttemptCopied>(all), IsEmpty());
  for (const auto& [host, recall] : Sent<Recall>(all)) {
    for (const Given& given : Leases(all)) {
      EXPECT_TRUE(given.lease.id != recall.lease || given.indices[0] < 6) << "a lease with a lock is recalled";
    }
  }
  while (EndOne()) {
  }
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

TEST_F(NeedsTest, SlotsAreTakenOfTheHost) {
  Start(Hosts(1));
  Join(0, 4);
  Unit(0, {{.slots = 3}, CasePolicy{.processes = Processes::kCase}}, {0, 0, 1, 1, 1});
  // Three and one of four.
  ASSERT_THAT(GivenThisTurn(), ElementsAre(ElementsAre(0), SizeIs(1)));
  EXPECT_THAT(Leases(turn)[0].lease.env, ElementsAre(testing::Pair("DTEST_SLOTS", "3")));
  EXPECT_THAT(Leases(turn)[1].lease.env, IsEmpty());
  EndOne();
  EXPECT_THAT(GivenThisTurn(), ElementsAre(ElementsAre(1)));
}

TEST_F(NeedsTest, AnExclusiveCaseHasAHostDrainedForItAndAllOfIt) {
  Start(OneProcessACase(2));
  Join(0, 2);
  Join(1, 2);
  Add(0);
  Cases(0, std::vector<double>(40, 1.0));
  Unit(1, {{.exclusive = true}}, {0}, 1);
  uint32_t host = 9;
  // Slots are kept busy but for the two of the host that is drained.
  for (int k = 0; k < 20 && host == 9; ++k) {
    ASSERT_TRUE(EndOne());
    for (const Given& given : Leases(turn)) {
      if (given.lease.unit == UnitId(1)) host = given.host;
    }
  }
  ASSERT_NE(host, 9u);
  // Nothing else of ours is there, nor comes until it has ended; the other host goes on.
  const size_t so_far = Leases(all).size();
  for (int k = 0; k < 6; ++k) ASSERT_TRUE(EndOne({1 - host}));
  for (size_t k = so_far; k < Leases(all).size(); ++k) EXPECT_NE(Leases(all)[k].host, host);
  ASSERT_TRUE(EndOne({host}));
  EXPECT_THAT(Leases(turn), testing::Not(IsEmpty()));
  while (EndOne()) {
  }
}

TEST_F(NeedsTest, NoListingRunsBesideAnExclusiveCase) {
  Start(Hosts(1));
  Join(0, 4);
  Unit(0, {{.exclusive = true}}, {0});
  ASSERT_THAT(Leases(all), SizeIs(1));
  Add(1, 0, /*listed=*/false);
  EXPECT_THAT(Sent<List>(all), IsEmpty());
  EndOne();
  EXPECT_THAT(Sent<List>(turn), SizeIs(1));
}

TEST_F(NeedsTest, TagsAreThoseOfTheHost) {
  SchedulerOptions options = Hosts(3);
  options.host_tags = {{}, {"avx", "gpu"}};
  Start(options);
  for (uint32_t h = 0; h < 3; ++h) Join(h, 1);
  Unit(0, {{.tags = {"gpu"}}}, {0, 0, 0});
  ASSERT_THAT(Leases(all), SizeIs(1));
  EXPECT_EQ(Leases(all)[0].host, 1u);
  EndOne();
  ASSERT_THAT(Leases(turn), SizeIs(1));
  EXPECT_EQ(Leases(turn)[0].host, 1u);
}

TEST_F(NeedsTest, WhatNoHostHasIsAnErrorThatSaysWhatTheyHave) {
  SchedulerOptions options = Hosts(2);
  options.host_tags = {{"gpu"}, {"avx"}};
  Start(options);
  Join(0, 2);
  Unit(0, {{.slots = 4, .tags = {"gpu"}}, {.slots = 4}, CasePolicy()}, {0, 1, 2});
  // The other may have four slots; but not the tag.
  ASSERT_THAT(Ended(all), SizeIs(1));
  EXPECT_EQ(Ended(all)[0].id.index, 0u);
  EXPECT_EQ(Ended(all)[0].result.outcome, Outcome::kInfraError);
  EXPECT_TRUE(Ended(all)[0].final);
  EXPECT_THAT(
      Ended(all)[0].result.message,
      HasSubstr("no host has 4 slots and the tag gpu, which it needs: h0 has tags gpu and 2 slots; h1 has tags avx"));
  Join(1, 3);
  ASSERT_THAT(Ended(turn), SizeIs(1));
  EXPECT_THAT(Ended(turn)[0].result.message,
              HasSubstr("no host has 4 slots, which it needs: h0 has tags gpu and 2 slots; h1 "
                        "has tags avx and 3 slots"));
}

TEST_F(NeedsTest, FewerSlotsWillDoIfAHostHasNoMore) {
  Start(Hosts(1));
  Join(0, 2);
  Unit(0, {{.fewer_slots_will_do = true, .slots = 64}, CasePolicy{.processes = Processes::kCase}}, {0, 1, 1});
  ASSERT_THAT(GivenThisTurn(), ElementsAre(ElementsAre(0))) << "all there are";
  EXPECT_THAT(Leases(turn)[0].lease.env, ElementsAre(testing::Pair("DTEST_SLOTS", "2")));
  EndOne();
  EXPECT_THAT(GivenThisTurn(), SizeIs(2));
}

TEST_F(NeedsTest, TheLastHostThatHasWhatACaseNeedsIsLostWithIt) {
  SchedulerOptions options = Hosts(2);
  options.host_tags = {{}, {"gpu"}};
  Start(options);
  Join(0, 1);
  Join(1, 1);
  Unit(0, {{.tags = {"gpu"}}}, {0, 0});
  Gone(1, /*may_return=*/true);
  EXPECT_THAT(Ended(all), IsEmpty()) << "it may come back";
  Gone(1);
  ASSERT_THAT(Ended(all), SizeIs(2));
  EXPECT_THAT(Ended(all)[0].result.message, HasSubstr("h1 is gone"));
}

TEST_F(NeedsTest, ARetryKeepsItsLockAndGoesElsewhere) {
  Start(Hosts(2));
  Join(0, 1);
  Join(1, 1);
  Unit(0, {{.retries = 1, .locks = {{"db"}}}}, {0});
  const Given first = Leases(all)[0];
  RunAll(first, Outcome::kFailed);
  ASSERT_THAT(Leases(turn), SizeIs(1));
  EXPECT_NE(Leases(turn)[0].host, first.host);
  EXPECT_EQ(Leases(turn)[0].lease.cases[0].attempt, 2u);
}

TEST_F(NeedsTest, AStoppedRunGivesTheirVerdictsToo) {
  Start(Hosts(1));
  Join(0, 1);
  Unit(0, {Locked({{"db"}}), {.exclusive = true}}, {0, 0, 1});
  Complete();
  Do(StopRun{RunEnd::kInterrupted, /*force=*/true});
  EXPECT_THAT(Ended(all), SizeIs(3));
  EXPECT_EQ(Finished(), RunEnd::kInterrupted);
}

}  // namespace
}  // namespace dtest
