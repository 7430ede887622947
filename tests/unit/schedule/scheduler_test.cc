// What is handed out to whom and when: listing, order, batches, queues, stealing, retries, repeats, ends of a good run.

#include <algorithm>
#include <map>
#include <set>

#include "scheduler_fixture.h"

namespace dtest {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::SizeIs;

using SchedulerTest = SchedulerFixture;

TEST_F(SchedulerTest, NothingSelectedCompletesOnceTheBundleIsComplete) {
  Start(Hosts(1));
  Join(0);
  Add(0);
  Cases(0, {});
  EXPECT_FALSE(Finished());
  Complete();
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

TEST_F(SchedulerTest, AnEmptyBundleCompletesWithoutAnyHost) {
  Start(Hosts(3));
  Complete();
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

TEST_F(SchedulerTest, NothingHappensAfterFinish) {
  Start(Hosts(1));
  Complete();
  Join(0);
  Add(0);
  Cases(0, {1});
  EXPECT_THAT(turn, SizeIs(0));
  EXPECT_EQ(scheduler_->NextDeadline(), absl::InfiniteFuture());
}

TEST_F(SchedulerTest, ListingsSpreadOverHostsAndRunningDoesNotWaitForTheLast) {
  Start(Hosts(3));
  for (uint32_t h = 0; h < 3; ++h) Join(h, 4);
  for (uint32_t e = 0; e < 3; ++e) Add(e, 1000, false);
  const auto lists = Sent<List>(all);
  std::set<uint32_t> hosts;
  for (const auto& [host, list] : lists) hosts.insert(host);
  EXPECT_THAT(lists, SizeIs(3));
  EXPECT_THAT(hosts, SizeIs(3));
  From(lists[1].first, Listed{lists[1].second.unit, {"a"}, "", "", kMs});
  EXPECT_THAT(Leases(all), SizeIs(0));
  Cases(lists[1].second.unit.value(), {0.01});
  ASSERT_THAT(Leases(turn), SizeIs(1)) << "while the others are still being listed";
  EXPECT_EQ(Leases(turn)[0].host, lists[1].first) << "the host that listed it has the files";
}

TEST_F(SchedulerTest, AHostThatJoinsLaterListsWhatIsWaiting) {
  Start(Hosts(1));
  Add(0, 1000, false);
  EXPECT_THAT(Sent<List>(all), SizeIs(0));
  Join(0);
  EXPECT_THAT(Sent<List>(turn), SizeIs(1));
}

TEST_F(SchedulerTest, CachedListingsSendNoList) {
  Start(Hosts(1));
  Join(0);
  Add(0, 1000, true);
  Cases(0, {0.1});
  EXPECT_THAT(Sent<List>(all), SizeIs(0));
  EXPECT_THAT(Leases(all), SizeIs(1));
}

TEST_F(SchedulerTest, LongCasesGoOutAloneLongestFirstAcrossExecutables) {
  Start(Hosts(1));
  Add(0);
  Add(1);
  Cases(0, {1.0, 5.0, 0.01});
  Cases(1, {3.0, 7.0});
  Join(0, 4);
  const auto leases = Leases(all);
  ASSERT_GE(leases.size(), 4u);
  std::vector<std::pair<uint32_t, uint32_t>> first;
  for (size_t k = 0; k < 4; ++k) {
    EXPECT_THAT(leases[k].indices, SizeIs(1));
    first.emplace_back(leases[k].lease.unit.value(), leases[k].indices[0]);
  }
  EXPECT_THAT(first, ElementsAre(std::pair(1u, 1u), std::pair(0u, 1u), std::pair(1u, 0u), std::pair(0u, 0u)));
}

TEST_F(SchedulerTest, ShortCasesAreBatchedInListingOrder) {
  Start(Hosts(1));
  Add(0);
  Cases(0, std::vector<double>(1000, 0.001));
  Join(0, 1);
  const auto leases = Leases(all);
  ASSERT_GE(leases.size(), 1u);
  ASSERT_GT(leases[0].indices.size(), 100u);
  for (size_t k = 0; k < leases[0].indices.size(); ++k) EXPECT_EQ(leases[0].indices[k], k);
}

TEST_F(SchedulerTest, BatchesShrinkTowardsTheEnd) {
  Start(Hosts(1));
  Add(0);
  Cases(0, std::vector<double>(10000, 0.001));
  Complete();
  Join(0, 2);
  RunToTheEnd(kMs);
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
  const auto leases = Leases(all);
  EXPECT_LT(leases.back().indices.size(), leases.front().indices.size() / 8);
}

TEST_F(SchedulerTest, StartUpKeepsBatchesFromShrinkingTooFar) {
  Start(Hosts(1));
  Add(0);
  Cases(0, std::vector<double>(10000, 0.001), absl::Milliseconds(50));
  Complete();
  Join(0, 2);
  RunToTheEnd(kMs);
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
  // 19 times the start-up while there is so much per slot, so at most 10 s / 0.95 s full batches and the tail's few.
  EXPECT_LE(Leases(all).size(), 20u);
}

TEST_F(SchedulerTest, BatchesEndWhereASuiteEnds) {
  Start(Hosts(1));
  Add(0);
  CasesKnown known;
  known.unit = UnitId(0);
  for (uint32_t k = 0; k < 3000; ++k) {
    known.cases.push_back({k, absl::Milliseconds(1)});
    known.suite_of.push_back(k / 30);
  }
  Do(known);
  Join(0, 1);
  const auto leases = Leases(all);
  ASSERT_GE(leases.size(), 1u);
  EXPECT_EQ((leases[0].indices.back() + 1) % 30, 0u);
}

TEST_F(SchedulerTest, UnknownCasesStartWithSmallBatchesThatGrowWhenTheyAreTiny) {
  Start(Hosts(1));
  Add(0);
  Cases(0, std::vector<double>(2000, -1));
  Complete();
  Join(0, 2);
  EXPECT_LE(Leases(all)[0].indices.size(), 4u) << "nobody knows yet how long they are";
  RunToTheEnd(absl::Microseconds(10));
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
  EXPECT_LE(Leases(all).size(), 16u) << "2,000 trivial cases must not cost many processes";
}

TEST_F(SchedulerTest, UnknownCasesThatProveLongAreLeasedAlone) {
  Start(Hosts(1));
  Add(0);
  Cases(0, std::vector<double>(200, -1));
  Join(0, 4);
  const auto first = Leases(all);
  RunAll(first[0], Outcome::kPassed, absl::Seconds(1));
  for (const Given& given : Leases(turn)) EXPECT_THAT(given.indices, SizeIs(1));
  size_t done = 1;
  RunAll(first[done], Outcome::kPassed, absl::Seconds(1));
  ASSERT_GE(Leases(turn).size(), 1u);
  for (const Given& given : Leases(turn)) EXPECT_THAT(given.indices, SizeIs(1));
}

TEST_F(SchedulerTest, ProcessIsolationLeasesOneCaseEach) {
  SchedulerOptions options = Hosts(1);
  options.processes = Processes::kCase;
  Start(options);
  Add(0);
  Cases(0, std::vector<double>(100, 0.001));
  Complete();
  Join(0, 2);
  RunToTheEnd(kMs);
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
  EXPECT_THAT(Leases(all), SizeIs(100));
}

TEST_F(SchedulerTest, AHostHasMoreThanItsSlotsCanRunAndIsToppedUpByResults) {
  Start(OneProcessACase(1));
  Add(0);
  Cases(0, std::vector<double>(50, 0.25));
  Join(0, 4);
  const auto leases = Leases(all);
  EXPECT_GT(leases.size(), 4u);
  EXPECT_LE(leases.size(), 8u);
  RunAll(leases[0]);
  EXPECT_GE(Leases(turn).size(), 1u);
}

TEST_F(SchedulerTest, NothingIsQueuedBehindLongCasesUntilOneIsAboutToEnd) {
  Start(Hosts(1));
  Add(0);
  Cases(0, std::vector<double>(9, 10));
  Join(0, 4);
  ASSERT_THAT(Leases(all), SizeIs(4)) << "a host that joins later could start the others at once";
  After(absl::Milliseconds(7999));
  From(0, Heartbeat{{}, {}});
  EXPECT_THAT(Leases(turn), SizeIs(0));
  After(absl::Milliseconds(2));
  From(0, Heartbeat{{Leases(all)[0].lease.id}, {}});
  EXPECT_THAT(Leases(turn), SizeIs(4)) << "they end together, and none of the slots should wait for the coordinator";
}

TEST_F(SchedulerTest, TinyLeasesFillTheQueueUntilItCoversARoundTrip) {
  SchedulerOptions options = Hosts(1);
  options.processes = Processes::kCase;
  Start(options);
  Add(0);
  Cases(0, std::vector<double>(4000, 0.01));
  Join(0, 2);
  double queued = -2 * 0.01;
  for (const Given& given : Leases(all)) queued += 0.01 * given.indices.size();
  EXPECT_GE(queued, 2 * 0.1 - 1e-9);
  EXPECT_LE(queued, 2 * 0.1 + 0.02);
}

TEST_F(SchedulerTest, ColdExecutablesSpreadOverHosts) {
  Start(Hosts(4));
  for (uint32_t e = 0; e < 4; ++e) {
    Add(e, 100 << 20);
    Cases(e, std::vector<double>(1000, 0.01));
  }
  for (uint32_t h = 0; h < 4; ++h) Join(h, 1);
  std::set<uint32_t> units;
  std::map<uint32_t, std::set<uint32_t>> by_host;
  for (const Given& given : Leases(all)) {
    units.insert(given.lease.unit.value());
    by_host[given.host].insert(given.lease.unit.value());
  }
  EXPECT_THAT(units, SizeIs(4));
  for (const auto& [host, held] : by_host) EXPECT_THAT(held, SizeIs(1)) << host;
}

TEST_F(SchedulerTest, ShippingThatDoesNotPayIsLeftAlone) {
  Start(Hosts(2));
  Add(0, 5ull << 30);  // 100 s at the assumed bandwidth
  Cases(0, std::vector<double>(20, 0.2));
  Join(0, 1);
  Join(1, 1);
  for (const Given& given : Leases(all)) EXPECT_EQ(given.host, 0u);
  RunToTheEnd(absl::Milliseconds(200));
  EXPECT_EQ(Finished(), std::nullopt);  // the bundle is not complete
  for (const Given& given : Leases(all)) EXPECT_EQ(given.host, 0u);
}

TEST_F(SchedulerTest, IdleHostsFetchWhatIsBeingListedElsewhere) {
  Start(Hosts(2));
  Join(0);
  Add(0, 50 << 20, false);
  Join(1);
  const auto prefetches = Sent<Prefetch>(all);
  ASSERT_THAT(prefetches, SizeIs(1));
  EXPECT_EQ(prefetches[0].first, 1u);
}

// ---- Stealing --------------------------------------------------------------------------------------------------

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
  options.retries = 1;
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

// ---- Retries, repeats ------------------------------------------------------------------------------------------

TEST_F(SchedulerTest, AFailedAttemptIsRetriedAloneOnAnotherHostBeforeNewWork) {
  SchedulerOptions options = OneProcessACase(2);
  options.retries = 1;
  Start(options);
  Add(0);
  Cases(0, std::vector<double>(100, 0.2));
  Join(0, 1);
  Join(1, 1);
  const auto leases = Leases(all);
  RunAll(leases[0], Outcome::kFailed);
  ASSERT_THAT(Ended(turn), SizeIs(1));
  EXPECT_FALSE(Ended(turn)[0].final);
  EXPECT_EQ(Ended(turn)[0].result.attempt, 1u);
  for (const Given& given : Leases(turn)) EXPECT_NE(given.indices, leases[0].indices) << "not on the same host";
  const Given* other = nullptr;
  for (const Given& given : leases) {
    if (given.host == 1) other = &given;
    if (other != nullptr) break;
  }
  RunAll(*other);
  ASSERT_GE(Leases(turn).size(), 1u);
  const Given retry = Leases(turn)[0];
  EXPECT_EQ(retry.host, 1u);
  EXPECT_EQ(retry.indices, leases[0].indices);
  EXPECT_EQ(retry.lease.cases[0].attempt, 2u);
  RunAll(retry);
  ASSERT_THAT(Ended(turn), SizeIs(1));
  EXPECT_TRUE(Ended(turn)[0].final);
  EXPECT_TRUE(Ended(turn)[0].flaky);
  EXPECT_EQ(Ended(turn)[0].result.attempt, 2u);
}

class RetryTest : public SchedulerTest {
 protected:
  // One case, of a unit of so many bytes, fails on host 0.
  void FailOnHost0(uint64_t bytes, bool other_is_there) {
    SchedulerOptions options = Hosts(2);
    options.retries = 1;
    Start(options);
    Add(0, bytes);
    Cases(0, {0.01});
    Join(0, 1);
    Complete();
    ASSERT_THAT(Leases(all), SizeIs(1));
    if (other_is_there) Join(1, 1);
    RunAll(Leases(all)[0], Outcome::kFailed);
  }
  // The retry is given to this host in this turn.
  void ExpectRetryAt(uint32_t host) {
    ASSERT_THAT(Leases(turn), SizeIs(1));
    EXPECT_EQ(Leases(turn)[0].host, host);
    EXPECT_EQ(Leases(turn)[0].lease.cases[0].attempt, 2u);
  }
  // Nothing happens until then.
  void ExpectRetryWhenPatienceEndsAt(uint32_t host) {
    EXPECT_THAT(Leases(turn), SizeIs(0));
    const absl::Time deadline = now + absl::Seconds(1);
    EXPECT_EQ(scheduler_->NextDeadline(), deadline);
    now = deadline - absl::Nanoseconds(1);
    Do(Tick{});
    EXPECT_THAT(Leases(turn), SizeIs(0));
    now = deadline;
    Do(Tick{});
    ExpectRetryAt(host);
  }
};

TEST_F(RetryTest, WaitsOnlySoLongForAnotherHost) {
  SchedulerOptions options = Hosts(2);
  options.retries = 1;
  Start(options);
  Add(0);
  Cases(0, {10, 10});
  Join(0, 1);
  Join(1, 1);
  const auto leases = Leases(all);
  ASSERT_THAT(leases, SizeIs(2));
  RunAll(leases[0], Outcome::kFailed);  // the other host is busy for long, but may be done any time
  ExpectRetryWhenPatienceEndsAt(leases[0].host);
}

TEST_F(RetryTest, WaitsForAHostThatMayStillJoin) {
  FailOnHost0(0, false);
  EXPECT_THAT(Leases(turn), SizeIs(0));
  Join(1, 1);
  ExpectRetryAt(1);
}

TEST_F(RetryTest, WaitsOnlySoLongForAHostThatMayStillJoin) {
  FailOnHost0(0, false);
  ExpectRetryWhenPatienceEndsAt(0);
}

TEST_F(RetryTest, WaitsNoLongerForAHostThatIsGivenUp) {
  FailOnHost0(0, false);
  Gone(1);
  ExpectRetryAt(0);
}

TEST_F(RetryTest, DoesNotWaitForHostsThatCannotTakeIt) {
  for (const bool drain : {false, true}) {
    SchedulerOptions options = Hosts(2);
    options.retries = 1;
    all.clear();
    Start(options);
    Add(0);
    Cases(0, {10, 0.01});
    Complete();
    Join(1, 1);
    From(1, Prepared{UnitId(0), "no space left on device", drain});
    Return(Leases(all)[0]);
    Join(0, 1);
    const Given given = Leases(turn)[0];
    ASSERT_EQ(given.host, 0u);
    RunAll(given, Outcome::kFailed);
    ExpectRetryAt(0);
  }
}

TEST_F(RetryTest, IsWorthShippingForIfOnlyTheHostItFailedOnHasTheFiles) {
  FailOnHost0(200'000'000, true);
  ExpectRetryAt(1);
}

TEST_F(RetryTest, IsNotWorthShippingForLong) {
  FailOnHost0(1'000'000'000, true);
  ExpectRetryWhenPatienceEndsAt(0);
}

TEST_F(RetryTest, IsNotShippedForIfAThirdHostHasTheFiles) {
  SchedulerOptions options = Hosts(3);
  options.retries = 1;
  Start(options);
  Add(0, 200'000'000);
  Cases(0, {100, 90, 0.01});
  Join(0, 1);
  Join(1, 1);
  ASSERT_THAT(Leases(all), SizeIs(2));
  Join(2, 1);
  Complete();
  RunAll(Leases(all)[1]);
  ASSERT_THAT(Leases(all), SizeIs(3));
  ASSERT_EQ(Leases(all)[2].host, 1u);
  RunAll(Leases(all)[2], Outcome::kFailed);
  EXPECT_THAT(Leases(turn), SizeIs(0)) << "host 0 has them, and may be done any time";
}

TEST_F(SchedulerTest, WithOneHostTheRetryGoesToTheSame) {
  SchedulerOptions options = Hosts(1);
  options.retries = 2;
  Start(options);
  Add(0);
  Cases(0, {1});
  Complete();
  Join(0, 1);
  RunAll(Leases(all)[0], Outcome::kTimedOut);
  RunAll(Leases(all)[1], Outcome::kCrashed);
  EXPECT_FALSE(Finished());
  RunAll(Leases(all)[2], Outcome::kFailed);
  const auto ended = Ended(all);
  ASSERT_THAT(ended, SizeIs(3));
  EXPECT_TRUE(ended[2].final);
  EXPECT_FALSE(ended[2].flaky);
  EXPECT_EQ(ended[2].result.attempt, 3u);
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

TEST_F(SchedulerTest, RepeatsAreIterationsWithAttemptsOfTheirOwn) {
  SchedulerOptions options = Hosts(1);
  options.repeat = 3;
  options.retries = 1;
  Start(options);
  Add(0);
  Cases(0, std::vector<double>(5, 0.001));
  Complete();
  Join(0, 1);
  RunToTheEnd();
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
  std::set<std::pair<uint32_t, uint32_t>> verdicts, leased;
  for (const AttemptEnded& ended : Ended(all)) {
    EXPECT_TRUE(verdicts.emplace(ended.id.index, ended.iteration).second);
    EXPECT_EQ(ended.result.attempt, 1u);
  }
  EXPECT_THAT(verdicts, SizeIs(15));
  for (const Given& given : Leases(all)) {
    std::set<uint32_t> indices;
    for (const LeasedCase& c : given.lease.cases) {
      EXPECT_TRUE(indices.insert(c.index).second) << "an index twice in one lease";
      EXPECT_EQ(c.attempt, 1u);
      EXPECT_TRUE(leased.emplace(c.index, given.lease.iteration).second) << "an attempt twice";
    }
  }
}

// ---- Properties that come after their result -------------------------------------------------------------------

class LatePropertiesTest : public SchedulerTest {
 protected:
  // A lease of several cases on host 0.
  Given Batch(SchedulerOptions options) {
    Start(options);
    Add(0);
    Complete();
    Join(0, 1);
    Join(1, 1);
    Cases(0, std::vector<double>(1000, 0.001));
    const std::vector<Given> leases = Leases(all);
    for (const Given& given : leases) {
      if (given.host == 0 && given.indices.size() > 2) return given;
    }
    ADD_FAILURE() << "no batch";
    return {};
  }
  void Tell(const Given& given, size_t k, Outcome outcome = Outcome::kPassed) {
    From(given.host, Results{given.lease.id, given.lease.unit, {Result(given.lease.cases[k], outcome)}, false, kMs});
  }
  std::vector<PropertiesCame> Late(uint32_t host, const Given& given, const LeasedCase& c, bool done = false) {
    From(host, Results{given.lease.id, given.lease.unit, {}, done, kMs, {{c.index, c.attempt, {{"k", "v"}}}}});
    return Of<PropertiesCame>(turn);
  }
};

TEST_F(LatePropertiesTest, AreToldOfWhatTheLeaseHasTold) {
  const Given given = Batch(Hosts(2));
  const LeasedCase c = given.lease.cases[0];
  EXPECT_THAT(Late(0, given, c), SizeIs(0)) << "it has no result yet";
  Tell(given, 0);
  Tell(given, 1);
  const auto late = Late(0, given, c);
  ASSERT_THAT(late, SizeIs(1));
  EXPECT_EQ(late[0].id, (CaseId{UnitId(0), c.index}));
  EXPECT_EQ(late[0].host, HostId(0));
  EXPECT_EQ(late[0].iteration, 1u);
  EXPECT_EQ(late[0].attempt, 1u);
  EXPECT_THAT(late[0].properties, ElementsAre(testing::Pair("k", "v")));
  EXPECT_THAT(Late(0, given, {c.index, 2}), SizeIs(0)) << "another attempt";
  EXPECT_THAT(Late(0, given, {99999, 1}), SizeIs(0)) << "no case of it";
  EXPECT_THAT(Late(1, given, c), SizeIs(0)) << "another host's lease";
  const LeasedCase second = given.lease.cases[1];
  From(0, Results{given.lease.id,
                  given.lease.unit,
                  {},
                  true,
                  kMs,
                  {{second.index, 1, {{"a", "1"}}}, {c.index, 1, {{"b", "2"}}}}});
  EXPECT_THAT(Of<PropertiesCame>(turn), SizeIs(2)) << "in any order";
  EXPECT_THAT(Late(0, given, c), SizeIs(0)) << "the lease is over";
}

class LateFailuresTest : public LatePropertiesTest {
 protected:
  std::vector<AttemptEnded> Fail(const Given& given, size_t k, Outcome told) {
    Results results{given.lease.id, given.lease.unit, {}, false, kMs};
    results.late_failures = {{told, Result(given.lease.cases[k], Outcome::kFailed)}};
    From(given.host, results);
    return Ended(turn);
  }
};

TEST_F(LateFailuresTest, TakeThePlaceOfWhatTheLeaseHasTold) {
  SchedulerOptions options = Hosts(2);
  options.retries = 3;
  options.max_fail = 1;
  const Given given = Batch(options);
  EXPECT_THAT(Fail(given, 0, Outcome::kPassed), SizeIs(0)) << "it has no result yet";
  Tell(given, 0);
  Tell(given, 1);
  const auto ended = Fail(given, 0, Outcome::kPassed);
  ASSERT_THAT(ended, SizeIs(1));
  EXPECT_EQ(ended[0].id, (CaseId{UnitId(0), given.lease.cases[0].index}));
  EXPECT_EQ(ended[0].replaces, Outcome::kPassed);
  EXPECT_EQ(ended[0].result.outcome, Outcome::kFailed);
  EXPECT_TRUE(ended[0].final);
  EXPECT_THAT(Sent<Interrupt>(turn), SizeIs(2)) << "it counts";
}

TEST_F(LatePropertiesTest, AreOfTheAttemptThatTheLeaseRan) {
  SchedulerOptions options = Hosts(2);
  options.retries = 1;
  const Given given = Batch(options);
  const LeasedCase c = given.lease.cases[0];
  Tell(given, 0, Outcome::kFailed);
  // The next attempt ends elsewhere, while the rest of the batch runs.
  for (size_t k = 0; k < Leases(all).size(); ++k) {
    const Given other = Leases(all)[k];
    if (other.host == 1) RunAll(other);
  }
  const auto ended = Ended(all);
  ASSERT_EQ(std::count_if(ended.begin(), ended.end(), [&](const AttemptEnded& e) { return e.id.index == c.index; }), 2);
  const auto late = Late(0, given, c);
  ASSERT_THAT(late, SizeIs(1));
  EXPECT_EQ(late[0].attempt, 1u);
}

TEST_F(LatePropertiesTest, AreOfTheIterationThatTheLeaseRan) {
  SchedulerOptions options = Hosts(1);
  options.repeat = 3;
  options.retries = 1;
  Start(options);
  Add(0);
  Complete();
  Cases(0, std::vector<double>(3, 0.001));
  Join(0, 4);
  std::set<uint32_t> iterations;
  for (const Given& given : Leases(all)) {
    if (given.indices.size() < 2) continue;
    Tell(given, 0);
    const uint32_t iteration = Ended(turn)[0].iteration;
    const auto late = Late(0, given, given.lease.cases[0]);
    ASSERT_THAT(late, SizeIs(1));
    EXPECT_EQ(late[0].iteration, iteration);
    EXPECT_EQ(late[0].attempt, 1u);
    iterations.insert(iteration);
  }
  EXPECT_THAT(iterations, SizeIs(testing::Gt(1u)));
}

// ---- Order -----------------------------------------------------------------------------------------------------

TEST_F(SchedulerTest, ShuffleDependsOnTheSeedAlone) {
  const auto order = [this](uint64_t seed) {
    SchedulerOptions options = Hosts(1);
    options.shuffle = seed;
    Start(options);
    all.clear();
    Add(0);
    Cases(0, std::vector<double>(50, 0.01));
    Join(0, 1);
    RunToTheEnd();
    std::vector<uint32_t> indices;
    for (const Given& given : Leases(all)) indices.insert(indices.end(), given.indices.begin(), given.indices.end());
    return indices;
  };
  const auto one = order(1);
  EXPECT_THAT(one, SizeIs(50));
  EXPECT_EQ(one, order(1));
  EXPECT_NE(one, order(2));
  EXPECT_FALSE(std::is_sorted(one.begin(), one.end()));
}

// ---- Results that are odd --------------------------------------------------------------------------------------

TEST_F(SchedulerTest, TheFirstResultOfAnAttemptWins) {
  Start(Hosts(1));
  Add(0);
  Cases(0, {1, 1});
  Join(0, 1);
  const Given given = Leases(all)[0];
  const Results failed{given.lease.id, given.lease.unit, {Result(given.lease.cases[0], Outcome::kFailed)}, false, kMs};
  From(0, failed);
  EXPECT_THAT(Ended(turn), SizeIs(1));
  RunAll(given);
  EXPECT_THAT(Ended(turn), SizeIs(0));
}

TEST_F(SchedulerTest, ResultsOfUnknownLeasesCasesAttemptsAndHostsAreIgnored) {
  Start(Hosts(2));
  Add(0);
  Cases(0, {1});
  Join(0, 1);
  const Given given = Leases(all)[0];
  Given wrong = given;
  wrong.lease.id = LeaseId(999);
  RunAll(wrong);
  wrong = given;
  wrong.lease.cases[0].attempt = 7;
  Results results{given.lease.id, given.lease.unit, {Result(wrong.lease.cases[0])}, false, kMs};
  From(0, results);
  wrong.lease.cases[0] = {17, 1};
  results.results = {Result(wrong.lease.cases[0])};
  From(0, results);
  wrong = given;
  wrong.host = 1;
  RunAll(wrong);  // not up
  Join(1, 1);
  RunAll(wrong);  // up, but the lease is not its
  EXPECT_THAT(Ended(all), SizeIs(0));
  RunAll(given);
  EXPECT_THAT(Ended(all), SizeIs(1));
}

TEST_F(SchedulerTest, CasesWithoutResultOfALeaseThatIsDoneGoOutAgainFirst) {
  Start(Hosts(1));
  Add(0);
  Cases(0, std::vector<double>(1000, 0.005));
  Join(0, 1);
  const Given given = Leases(all)[0];
  ASSERT_GT(given.indices.size(), 3u);
  From(0, Results{given.lease.id, given.lease.unit, {Result(given.lease.cases[0])}, true, kMs});
  ASSERT_GE(Leases(turn).size(), 1u);
  EXPECT_EQ(Leases(turn)[0].indices[0], given.indices[1]);
}

TEST_F(SchedulerTest, ProgressCounts) {
  Start(Hosts(1));
  Join(0, 2);
  Add(0, 0, false);
  EXPECT_EQ(scheduler_->progress().unlisted, 1u);
  EXPECT_EQ(scheduler_->progress().slots, 2u);
  Cases(0, {4, 3, 2, 1});
  EXPECT_EQ(scheduler_->progress().selected, 4u);
  EXPECT_EQ(scheduler_->progress().unlisted, 0u);
  RunAll(Leases(all)[0]);
  EXPECT_EQ(scheduler_->progress().finished, 1u);
}

TEST_F(SchedulerTest, TimeLeftIsTheWorkSharedByTheSlotsButAtLeastTheLongestCaseThatRuns) {
  Start(OneProcessACase(2));
  Add(0);
  Cases(0, {6, 3, 2, 1});
  EXPECT_EQ(scheduler_->TimeLeft(now), absl::InfiniteDuration()) << "there is no host";
  Join(0, 1);
  EXPECT_EQ(scheduler_->TimeLeft(now), absl::Seconds(12));
  Join(1, 1);
  EXPECT_EQ(scheduler_->TimeLeft(now), absl::Seconds(6));
  After(absl::Seconds(1));  // of which each slot has worked off a second
  EXPECT_NEAR(absl::ToDoubleSeconds(scheduler_->TimeLeft(now)), 5, 1e-6);
  const std::vector<Given> leases = Leases(all);
  ASSERT_EQ(leases[0].indices[0], 0u);
  for (size_t next = 1; next < Leases(all).size(); ++next) RunAll(Leases(all)[next]);
  EXPECT_NEAR(absl::ToDoubleSeconds(scheduler_->TimeLeft(now)), 5, 1e-6) << "the one of 6 s runs on";
  After(absl::Seconds(100));
  EXPECT_EQ(scheduler_->TimeLeft(now), absl::ZeroDuration()) << "over time: about to end";
}

TEST_F(SchedulerTest, TimeLeftCountsTheSpeedOfHostsAndIsSilentWhereNothingIsKnown) {
  Start(OneProcessACase(1));
  Add(0);
  Cases(0, {3, 3, 3, 3});
  Join(0, 2, 0.5);
  EXPECT_EQ(scheduler_->TimeLeft(now), absl::Seconds(12));
  Add(1);
  Cases(1, {-1, -1});
  EXPECT_EQ(scheduler_->TimeLeft(now), absl::InfiniteDuration());
  RunAll(Leases(all)[0], Outcome::kPassed, absl::Seconds(6));
  EXPECT_LT(scheduler_->TimeLeft(now), absl::Seconds(60));
}

}  // namespace
}  // namespace dtest
