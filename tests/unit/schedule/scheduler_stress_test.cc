// --stress: cases are run again until a time has passed, so many iterations have run, or one fails.

#include <map>
#include <set>

#include "unit/schedule/scheduler_fixture.h"

namespace dtest {
namespace {

class Stress : public SchedulerFixture {
 protected:
  void StartStress(uint32_t hosts, StressLimits limits, uint32_t max_fail = 1) {
    SchedulerOptions options = Hosts(hosts);
    options.stress = limits;
    options.max_fail = max_fail;
    Start(options);
  }
  // Ends the leases that have not ended, the oldest first, 10 ms after one another.
  void RunLeases(size_t most, Outcome outcome = Outcome::kPassed) {
    for (size_t n = 0; n < most && !Finished(); ++n) {
      const std::vector<Given> given = Leases(all);
      if (ended_ == given.size()) return;
      After(10 * kMs);
      RunAll(given[ended_++], outcome);
    }
  }
  // By case: iterations that have a final verdict other than not run.
  std::map<uint32_t, std::set<uint32_t>> Iterations() const {
    std::map<uint32_t, std::set<uint32_t>> iterations;
    for (const AttemptEnded& ended : Ended(all)) {
      if (ended.result.outcome == Outcome::kNotRun) continue;
      EXPECT_TRUE(iterations[ended.id.index].insert(ended.iteration).second) << "each once";
    }
    return iterations;
  }
  size_t ended_ = 0;
};

TEST_F(Stress, ACaseRunsOnEverySlotUntilTheTimeIsOver) {
  StartStress(2, {.time = absl::Seconds(1)});
  Join(0, 2);
  Join(1, 3);
  Add(0, /*bytes=*/100 << 20);  // shipping it for one short case would not pay
  Cases(0, {0.01});
  Complete();
  std::map<uint32_t, uint32_t> at_once;
  for (const Given& given : Leases(all)) {
    EXPECT_EQ(given.lease.cases.size(), 1u) << "an iteration a lease";
    ++at_once[given.host];
  }
  EXPECT_GE(at_once[0], 2u);
  EXPECT_GE(at_once[1], 3u);
  const absl::Time began = now;
  while (now - began < absl::Seconds(1)) RunLeases(1);
  EXPECT_FALSE(Finished());
  const size_t handed_out = Leases(all).size();
  RunLeases(10000);
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
  EXPECT_LE(Leases(all).size(), handed_out + 2 * 5) << "what there was room for by then";
  const std::set<uint32_t> iterations = Iterations()[0];
  EXPECT_EQ(iterations.size(), *iterations.rbegin()) << "none is left out";
  EXPECT_GE(iterations.size(), 100u);
}

TEST_F(Stress, EveryCaseRunsAsOftenAsIsAsked) {
  StartStress(1, {.times = 25});
  Join(0, 4);
  Add(0);
  Cases(0, {0.01, -1, 5});
  Complete();
  RunLeases(10000);
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
  for (uint32_t index = 0; index < 3; ++index) EXPECT_EQ(Iterations()[index].size(), 25u) << index;
}

TEST_F(Stress, TheFirstFailureEndsIt) {
  StartStress(1, {.time = absl::Hours(1)});
  Join(0, 2);
  Add(0);
  Cases(0, {0.01});
  Complete();
  RunLeases(20);
  RunLeases(1, Outcome::kFailed);
  for (const auto& [host, interrupt] : Sent<Interrupt>(turn)) From(host, Idle{});
  EXPECT_EQ(Finished(), RunEnd::kFailFast);
  EXPECT_EQ(Iterations()[0].size(), 21u);
}

TEST_F(Stress, AHostThatJoinsLaterTakesPart) {
  StartStress(2, {.time = absl::Seconds(1)});
  Join(0);
  Add(0);
  Cases(0, {0.01});
  Complete();
  RunLeases(5);
  Join(1);
  ASSERT_FALSE(Leases(turn).empty());
  EXPECT_EQ(Leases(turn)[0].host, 1u);
}

TEST_F(Stress, TheTimeCountsFromTheFirstLease) {
  StartStress(1, {.time = absl::Seconds(1)});
  Add(0);
  Complete();
  Cases(0, {0.01});
  After(absl::Seconds(30));
  Join(0);
  RunLeases(10000);
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
  EXPECT_GE(Iterations()[0].size(), 90u);
}

TEST_F(Stress, WhatRunsNowhereIsNotRepeated) {
  StartStress(1, {.time = absl::Seconds(1)}, /*max_fail=*/0);
  Join(0, 2);
  Add(0);
  Complete();
  CasesKnown known;
  known.unit = UnitId(0);
  known.policies = {CasePolicy{}, CasePolicy{.tags = {"gpu"}}};
  for (uint32_t k = 0; k < 2; ++k) {
    known.cases.push_back({k, absl::Seconds(1), absl::ZeroDuration(), static_cast<uint16_t>(k)});
    known.suite_of.push_back(0);
  }
  Do(known);
  EXPECT_EQ(Iterations()[1].size(), 1u) << "no host has the tag";
  From(0, Prepared{UnitId(0), "its libraries are missing", false});
  for (const Given& given : Leases(all)) From(0, Results{given.lease.id, UnitId(0), {}, true, absl::ZeroDuration()});
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

TEST_F(Stress, ANewIterationIsWaitedForWhereAHostMayStillCome) {
  StartStress(2, {.time = absl::Seconds(10)});
  Add(0);
  Complete();
  Cases(0, {0.01});
  Join(0, 1);
  Prepared full{UnitId(0), "no room", /*drain=*/true};
  From(0, full);
  ended_ = 0;
  RunLeases(1);
  EXPECT_FALSE(Finished()) << "host 1 may still take part";
  Join(1, 1);
  EXPECT_FALSE(Leases(turn).empty());
  RunLeases(10000);
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

TEST_F(Stress, IterationsThatWaitAtALockLeaveTheOthersTheirSlots) {
  StartStress(1, {.times = 200});
  Join(0, 4);
  Add(0);
  CasesKnown known;
  known.unit = UnitId(0);
  known.policies = {CasePolicy{}, CasePolicy{.locks = {{"db"}}}};
  for (uint32_t k = 0; k < 2; ++k) {
    known.cases.push_back({k, absl::Seconds(1), absl::ZeroDuration(), static_cast<uint16_t>(k)});
    known.suite_of.push_back(0);
  }
  Do(known);
  Complete();
  for (int n = 0; n < 40; ++n) {
    // The one that holds the lock does not end; all others do.
    for (; ended_ < Leases(all).size() && Leases(all)[ended_].indices[0] == 1; ++ended_) {
    }
    ASSERT_LT(ended_, Leases(all).size()) << "a slot is idle after " << n;
    RunLeases(1);
  }
}

}  // namespace
}  // namespace dtest
