// What policies make of results: delays and budgets of retries, flaky results, quarantine, limits by history, slow
// cases, and environments that batches may not mix.

#include <numeric>

#include "coordinator/schedule/case_times.h"
#include "coordinator/schedule/retry_budget.h"
#include "scheduler_fixture.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class JudgingTest : public SchedulerFixture {
 protected:
  // One host of a slot; cases of a unit that history knows to be short.
  void OneHost(SchedulerOptions options, size_t cases, bool all_listed = true) {
    all.clear();
    Start(options);
    Add(0);
    Cases(0, std::vector<double>(cases, 0.01));
    if (all_listed) Complete();
    Join(0, 1);
  }
  // Lets what is leased end so until the scheduler waits for its deadline or the run is over.
  void Answer(Outcome outcome, size_t* next) {
    for (; next != nullptr; ++*next) {
      const std::vector<Given> leases = Leases(all);
      if (*next >= leases.size()) return;
      RunAll(leases[*next], outcome);
    }
  }
  std::vector<std::string> Warnings() const {
    std::vector<std::string> texts;
    for (const Warn& warn : Of<Warn>(all)) texts.push_back(warn.text);
    return texts;
  }
};

TEST_F(JudgingTest, ARetryWaitsForItsDelayWhichDoubles) {
  policy_.retries = 4;
  policy_.retry_delay = absl::Seconds(2);
  policy_.most_retry_delay = absl::Seconds(5);
  OneHost(Hosts(1), 1);
  size_t next = 0;
  for (const int seconds : {2, 4, 5, 5}) {
    Answer(Outcome::kFailed, &next);
    const absl::Time due = now + absl::Seconds(seconds);
    EXPECT_EQ(scheduler_->NextDeadline(), due);
    now = due - absl::Nanoseconds(1);
    Do(Tick{});
    EXPECT_THAT(Leases(turn), IsEmpty()) << seconds;
    EXPECT_FALSE(Finished().has_value());
    now = due;
    Do(Tick{});
    EXPECT_THAT(Leases(turn), SizeIs(1)) << seconds;
  }
  Answer(Outcome::kPassed, &next);
  EXPECT_TRUE(Ended(all).back().flaky);
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

TEST_F(JudgingTest, WhatWaitsForItsDelayKeepsNobodyFromWork) {
  policy_.retries = 1;
  policy_.retry_delay = policy_.most_retry_delay = absl::Seconds(60);
  SchedulerOptions options = OneProcessACase(1);
  options.run_timeout = absl::Seconds(30);
  OneHost(options, 3);
  RunAll(Leases(all)[0], Outcome::kFailed);
  size_t next = 1;
  Answer(Outcome::kPassed, &next);
  EXPECT_EQ(next, 3u);
  now += absl::Seconds(30);
  Do(Tick{});
  From(0, Idle{});
  EXPECT_EQ(Finished(), RunEnd::kTimedOut) << "it is not waited for then";
  EXPECT_EQ(Ended(all).back().result.outcome, Outcome::kNotRun);
}

TEST_F(JudgingTest, ADelayedRetryOfAUnitThatNoHostCanTakeAnyMoreIsGivenUp) {
  policy_.retries = 1;
  policy_.retry_delay = policy_.most_retry_delay = absl::Seconds(60);
  OneHost(Hosts(1), 1);
  RunAll(Leases(all)[0], Outcome::kFailed);
  From(0, Prepared{UnitId(0), "no space left"});
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
  EXPECT_EQ(Ended(all).back().result.outcome, Outcome::kInfraError);
}

TEST_F(JudgingTest, PastTheBudgetNothingIsTriedAgainWhichIsSaidOnce) {
  policy_.retries = 2;
  SchedulerOptions options = OneProcessACase(1);
  options.retry_budget = {3, false};
  OneHost(options, 5);
  size_t next = 0;
  Answer(Outcome::kFailed, &next);
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
  EXPECT_EQ(next, 8u) << "five cases, three further attempts";
  EXPECT_THAT(Warnings(), ElementsAre(HasSubstr("the retry budget of 3 is used up")));
}

TEST_F(JudgingTest, AnInfraErrorIsTriedAgainWhateverTheBudget) {
  SchedulerOptions options = Hosts(1);
  options.retry_budget = {0, false};
  OneHost(options, 1);
  size_t next = 0;
  Answer(Outcome::kInfraError, &next);
  EXPECT_EQ(next, 3u);
  EXPECT_THAT(Warnings(), IsEmpty());
}

TEST(RetryBudget, AShareCountsOnceAllIsListed) {
  const RetryBudget none, number{2, false}, share{10, true}, nothing{0, true};
  EXPECT_TRUE(none.Allows(1000000, 1, true));
  EXPECT_TRUE(number.Allows(1, 1, false));
  EXPECT_FALSE(number.Allows(2, 1, false));
  EXPECT_TRUE(share.Allows(50, 10, false));
  EXPECT_TRUE(share.Allows(9, 100, true));
  EXPECT_FALSE(share.Allows(10, 100, true));
  EXPECT_TRUE(share.Allows(0, 3, true)) << "one at least";
  EXPECT_FALSE(nothing.Allows(0, 3, true));
}

TEST_F(JudgingTest, AFlakyResultMayFail) {
  for (const bool fails : {false, true}) {
    policy_.retries = 1;
    policy_.flaky_fails = fails;
    OneHost(Hosts(1), 1);
    RunAll(Leases(all)[0], Outcome::kFailed);
    RunAll(Leases(all)[1], Outcome::kPassed);
    const AttemptEnded ended = Ended(all).back();
    EXPECT_TRUE(ended.final && ended.flaky);
    EXPECT_EQ(ended.result.outcome, fails ? Outcome::kFailed : Outcome::kPassed);
    EXPECT_EQ(ended.result.attempt, 2u);
    EXPECT_EQ(ended.result.message, fails ? "it passed at attempt 2 only, and flaky-result is fail" : "");
  }
}

TEST_F(JudgingTest, AFlakyResultThatFailsCountsForMaxFail) {
  policy_.retries = 1;
  policy_.flaky_fails = true;
  SchedulerOptions options = OneProcessACase(1);
  options.max_fail = 1;
  OneHost(options, 2);
  RunAll(Leases(all)[0], Outcome::kFailed);
  RunAll(Leases(turn)[0], Outcome::kPassed);
  EXPECT_THAT(Sent<Interrupt>(turn), SizeIs(1));
}

TEST_F(JudgingTest, QuarantinedFailuresDoNotCountForMaxFail) {
  for (const Outcome outcome : {Outcome::kFailed, Outcome::kCrashed, Outcome::kTimedOut, Outcome::kInfraError}) {
    SchedulerOptions options = Hosts(1);
    options.max_fail = 1;
    all.clear();
    Start(options);
    Add(0);
    CasesKnown known{.unit = UnitId(0), .cases = {{0}, {1}}, .suite_of = {0, 0}};
    known.cases[0].uncounted = true;
    known.policies[0].processes = Processes::kCase;
    Do(known);
    Complete();
    Join(0, 1);
    for (size_t next = 0; next < Leases(all).size(); ++next) {
      const Given given = Leases(all)[next];
      if (given.indices == std::vector<uint32_t>{0}) RunAll(given, outcome);
    }
    // One that could not be run is missing in a run that would be green.
    EXPECT_EQ(Sent<Interrupt>(all).empty(), outcome != Outcome::kInfraError) << OutcomeName(outcome);
  }
}

TEST_F(JudgingTest, CasesOfDifferentEnvironmentsShareNoProcess) {
  Start(Hosts(1));
  Add(0);
  CasesKnown known{.unit = UnitId(0)};
  const CasePolicy plain, utc{.env = {{"TZ", "UTC"}}}, slow_utc{.retries = 1, .env = {{"TZ", "UTC"}}};
  known.policies = {plain, utc, slow_utc};
  for (uint32_t i = 0; i < 6; ++i) {
    known.cases.push_back({.index = i, .expected = absl::Milliseconds(1), .policy = static_cast<uint16_t>(i / 2)});
    known.suite_of.push_back(0);
  }
  Do(known);
  Complete();
  Join(0, 1);
  RunToTheEnd();
  std::vector<std::string> ran(6);
  for (const Given& given : Leases(all)) {
    for (const uint32_t index : given.indices) ran[index] = given.lease.env.empty() ? "" : given.lease.env[0].second;
    EXPECT_FALSE(given.indices.front() < 2 && given.indices.back() >= 2);
  }
  EXPECT_THAT(ran, ElementsAre("", "", "UTC", "UTC", "UTC", "UTC"));
}

TEST_F(JudgingTest, CasesOfDifferentSandboxesShareNoProcess) {
  Start(Hosts(1));
  Add(0);
  CasesKnown known{.unit = UnitId(0)};
  known.policies = {CasePolicy(), {.sandbox = Sandbox::kNoNetwork}, {.retries = 1, .sandbox = Sandbox::kNoNetwork}};
  for (uint32_t i = 0; i < 6; ++i) {
    known.cases.push_back({.index = i, .expected = absl::Milliseconds(1), .policy = static_cast<uint16_t>(i / 2)});
    known.suite_of.push_back(0);
  }
  Do(known);
  Complete();
  Join(0, 1);
  RunToTheEnd();
  std::vector<Sandbox> ran(6);
  for (const Given& given : Leases(all)) {
    for (const uint32_t index : given.indices) ran[index] = given.lease.sandbox;
    EXPECT_TRUE(given.lease.may_follow);
    EXPECT_FALSE(given.indices.front() < 2 && given.indices.back() >= 2);
  }
  constexpr Sandbox kNone = Sandbox::kNone, kKept = Sandbox::kNoNetwork;
  EXPECT_THAT(ran, ElementsAre(kNone, kNone, kKept, kKept, kKept, kKept));
}

// As where a run is reproduced: what was one process stays one.
TEST_F(JudgingTest, WhereAllAreOneLeaseTheStrictestSandboxCounts) {
  SchedulerOptions options = Hosts(1);
  options.together = true;
  Start(options);
  Add(0);
  CasesKnown known{.unit = UnitId(0)};
  known.policies = {CasePolicy(), {.sandbox = Sandbox::kNoNetwork}};
  for (uint32_t i = 0; i < 2; ++i) {
    known.cases.push_back({.index = i, .expected = absl::Milliseconds(1), .policy = static_cast<uint16_t>(i)});
    known.suite_of.push_back(0);
  }
  Do(known);
  Complete();
  Join(0, 1);
  ASSERT_THAT(Leases(all), SizeIs(1));
  EXPECT_THAT(Leases(all)[0].indices, ElementsAre(0, 1));
  EXPECT_EQ(Leases(all)[0].lease.sandbox, Sandbox::kNoNetwork);
}

TEST_F(JudgingTest, ASlowCaseIsToldOnceAnAttempt) {
  policy_.retries = 1;
  policy_.slow_after = absl::Seconds(30);
  OneHost(Hosts(1), 1);
  for (size_t attempt = 1; attempt <= 2; ++attempt) {
    const Given given = Leases(all).back();
    const auto heartbeat = [&](absl::Duration elapsed) {
      now += absl::Seconds(1);
      From(0, Heartbeat{{given.lease.id}, {{SlotId(0), given.lease.id, 0, elapsed, UnitId(0)}}});
      return Of<CaseIsSlow>(turn);
    };
    EXPECT_THAT(heartbeat(absl::Seconds(29)), IsEmpty());
    const std::vector<CaseIsSlow> slow = heartbeat(absl::Seconds(30));
    ASSERT_THAT(slow, SizeIs(1));
    EXPECT_EQ(slow[0].attempt, attempt);
    EXPECT_EQ(slow[0].elapsed, absl::Seconds(30));
    EXPECT_THAT(heartbeat(absl::Seconds(31)), IsEmpty());
    RunAll(given, Outcome::kFailed);
  }
}

TEST_F(JudgingTest, ALimitByHistoryIsAppliedAsTheLeaseIsSent) {
  policy_.limit_by_history = true;
  policy_.time_limit = absl::Minutes(25);
  policy_.processes = Processes::kCase;
  Start(Hosts(1));
  Add(0);
  CasesKnown known{.unit = UnitId(0), .policies = {policy_}, .suite_of = {0, 0}};
  known.cases = {{.index = 0, .expected = absl::Seconds(10), .high = absl::Seconds(16)}, {.index = 1}};
  Do(known);
  Complete();
  Join(0, 2, 0.5);
  std::vector<absl::Duration> limits(2);
  for (const Given& given : Leases(all)) limits[given.indices[0]] = given.lease.cases[0].time_limit;
  EXPECT_THAT(limits, ElementsAre(absl::Seconds(320), absl::Minutes(25)));
}

TEST(CaseTimes, TheLimitByHistory) {
  CasePolicy policy{.time_limit = absl::Minutes(25), .limit_by_history = true};
  const auto limit = [&](double seconds, double speed = 1) {
    return absl::ToDoubleSeconds(schedule::TimeLimitOf(policy, absl::Seconds(seconds), speed));
  };
  EXPECT_EQ(limit(0), 1500) << "nothing is known";
  EXPECT_EQ(limit(0.001), 60) << "never below a minute";
  EXPECT_EQ(limit(20), 200);
  EXPECT_EQ(limit(20, 4), 200) << "a fast host gets no less";
  EXPECT_EQ(limit(200), 1500) << "no more than without history";
  EXPECT_EQ(limit(1000), 3000) << "but for what is known to take so long";
  policy.limit_by_history = false;
  EXPECT_EQ(limit(20), 1500);
}

TEST(CaseTimes, SlowByHistory) {
  CasePolicy policy;
  const auto after = [&](double seconds, double speed = 1) {
    return absl::ToDoubleSeconds(schedule::SlowAfter(policy, absl::Seconds(seconds), speed));
  };
  EXPECT_EQ(after(0), 60);
  EXPECT_EQ(after(0.1), 10);
  EXPECT_EQ(after(20), 40);
  EXPECT_EQ(after(20, 0.5), 80);
  policy.slow_after = absl::Seconds(3);
  EXPECT_EQ(after(20), 3);
}

}  // namespace
}  // namespace dtest
