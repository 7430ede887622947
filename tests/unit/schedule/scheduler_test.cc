// What is handed out to whom and when: listing, order, batches, queues, ends of a good run; results that are odd.

#include <map>
#include <set>

#include "scheduler_fixture.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

using SchedulerTest = SchedulerFixture;

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

TEST_F(SchedulerTest, WhatIsToBeFirstGoesOutBeforeAllElse) {
  Start(Hosts(1));
  const auto cases = [](uint32_t unit, const std::vector<double>& expected, const std::vector<size_t>& first) {
    CasesKnown known;
    known.unit = UnitId(unit);
    for (size_t k = 0; k < expected.size(); ++k) {
      known.cases.push_back({static_cast<uint32_t>(k), absl::Seconds(expected[k])});
      known.suite_of.push_back(0);
    }
    for (const size_t k : first) known.cases[k].first = true;
    return known;
  };
  for (uint32_t unit = 0; unit < 3; ++unit) Add(unit);
  Do(cases(0, {9.0, 0.001, 0.001, 0.001}, {}));
  Do(cases(1, {0.001, 0.001, 8.0, 0.001, 0.001}, {1, 2, 4}));
  Do(cases(2, {0.001, 0.001}, {1}));
  Complete();
  Join(0, 1);
  RunToTheEnd(kMs);
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
  std::vector<std::pair<uint32_t, uint32_t>> order;
  for (const Given& given : Leases(all)) {
    for (const uint32_t index : given.indices) order.emplace_back(given.lease.unit.value(), index);
  }
  ASSERT_GE(order.size(), 11u);
  order.resize(5);
  EXPECT_THAT(order, ElementsAre(std::pair(1u, 2u), std::pair(1u, 1u), std::pair(1u, 4u), std::pair(2u, 1u),
                                 std::pair(0u, 0u)));
}

TEST_F(SchedulerTest, InListingOrderLongCasesStayWhereTheyStandBehindWhatIsToBeFirst) {
  SchedulerOptions options = Hosts(1);
  options.listing_order = true;
  Start(options);
  Add(0);
  CasesKnown known;
  known.unit = UnitId(0);
  known.suite_setup = absl::Seconds(10);  // nor are suites kept together, the longest first
  const std::vector<double> seconds = {0.01, 5, 0.01, 9, 7, 20};
  for (uint32_t i = 0; i < seconds.size(); ++i) {
    known.cases.push_back({.index = i, .expected = absl::Seconds(seconds[i]), .first = i == 2 || i == 4});
    known.suite_of.push_back(i);
  }
  Do(known);
  Complete();
  Join(0);
  RunToTheEnd();
  std::vector<uint32_t> order;
  for (const Given& given : Leases(all)) order.insert(order.end(), given.indices.begin(), given.indices.end());
  EXPECT_THAT(order, ElementsAre(2, 4, 0, 1, 3, 5));
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
  policy_.processes = Processes::kCase;
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
  policy_.processes = Processes::kCase;
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

// ---- How cases are to run ----------------------------------------------------------------------------------------

TEST_F(SchedulerTest, EveryCaseIsLeasedAsItsPolicySays) {
  Start(Hosts(1));
  Add(0);
  Complete();
  CasesKnown known{.unit = UnitId(0)};
  known.policies = {{.time_limit = absl::Seconds(5)},
                    {.time_limit = absl::Seconds(7), .retries = 1, .processes = Processes::kCase}};
  for (uint32_t index = 0; index < 6; ++index) {
    known.cases.push_back({.index = index, .expected = kMs});
    known.cases.back().policy = index == 2 ? 1 : 0;
    known.suite_of.push_back(0);
  }
  Do(known);
  Join(0);
  size_t next = 0;
  while (!Finished()) {
    ASSERT_LT(next, Leases(all).size());
    const Given given = Leases(all)[next++];
    for (const LeasedCase& c : given.lease.cases) {
      EXPECT_EQ(c.time_limit, absl::Seconds(c.index == 2 ? 7 : 5));
      if (c.index == 2) {
        EXPECT_THAT(given.indices, SizeIs(1)) << "it has a process of its own";
      }
    }
    RunAll(given, Outcome::kFailed);
  }
  EXPECT_GT(next, 1u);
  for (const AttemptEnded& ended : Ended(all)) {
    EXPECT_EQ(ended.final, ended.id.index != 2 || ended.result.attempt == 2);
  }
}

TEST_F(SchedulerTest, WhatIsNotListedMayRunWithTheFirstCaseOfAUnit) {
  SchedulerOptions options = OneProcessACase(1);
  options.repeat = 2;
  for (const bool unlisted_too : {true, false}) {
    all.clear();
    Start(options);
    Add(0);
    Complete();
    CasesKnown known{.unit = UnitId(0), .policies = {policy_}};
    known.unlisted_too = unlisted_too;
    for (const uint32_t index : {3, 4, 7}) {
      known.cases.push_back({.index = index, .expected = kMs});
      known.suite_of.push_back(0);
    }
    Do(known);
    Join(0);
    RunToTheEnd();
    uint32_t marked = 0;
    for (const Given& given : Leases(all)) {
      if (!given.lease.unlisted_too) continue;
      ++marked;
      EXPECT_THAT(given.indices, ElementsAre(3));
      EXPECT_EQ(given.lease.iteration, 1u);
    }
    EXPECT_EQ(marked, unlisted_too ? 1u : 0u);
  }
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

TEST_F(SchedulerTest, ShuffleIsByScope) {
  SchedulerOptions options = Hosts(1);
  options.shuffle = 3;
  Start(options);
  Add(0);
  CasesKnown known;  // two files, of three suites each, of four cases each
  known.unit = UnitId(0);
  for (uint32_t i = 0; i < 24; ++i) {
    known.cases.push_back({i, absl::Milliseconds(10), absl::Milliseconds(10)});
    known.suite_of.push_back(i / 4);
    known.file_of.push_back(i / 12);
  }
  Do(known);
  Join(0, 1);
  RunToTheEnd();
  std::vector<uint32_t> order, suites, files;
  const auto begin = [](std::vector<uint32_t>* runs, uint32_t number) {
    if (runs->empty() || runs->back() != number) runs->push_back(number);
  };
  for (const Given& given : Leases(all)) {
    for (const uint32_t index : given.indices) {
      order.push_back(index);
      begin(&suites, index / 4);
      begin(&files, index / 12);
    }
  }
  EXPECT_THAT(order, SizeIs(24));
  EXPECT_THAT(suites, SizeIs(6)) << "each begins once";
  EXPECT_THAT(files, SizeIs(2));
  EXPECT_FALSE(std::is_sorted(suites.begin(), suites.end()));
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
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
