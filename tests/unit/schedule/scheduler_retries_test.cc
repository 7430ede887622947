// Cases that run more than once: retries, repeats, and cases that depend on what ran before them.

#include <set>

#include "scheduler_fixture.h"

namespace dtest {
namespace {

using testing::SizeIs;

using RetriesTest = SchedulerFixture;

TEST_F(RetriesTest, AFailedAttemptIsRetriedAloneOnAnotherHostBeforeNewWork) {
  SchedulerOptions options = OneProcessACase(2);
  policy_.retries = 1;
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

class RetryTest : public RetriesTest {
 protected:
  // One case, of a unit of so many bytes, fails on host 0.
  void FailOnHost0(uint64_t bytes, bool other_is_there) {
    SchedulerOptions options = Hosts(2);
    policy_.retries = 1;
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
  policy_.retries = 1;
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
    policy_.retries = 1;
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
  policy_.retries = 1;
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

TEST_F(RetriesTest, WithOneHostTheRetryGoesToTheSame) {
  SchedulerOptions options = Hosts(1);
  policy_.retries = 2;
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

TEST_F(RetriesTest, RepeatsAreIterationsWithAttemptsOfTheirOwn) {
  SchedulerOptions options = Hosts(1);
  options.repeat = 3;
  policy_.retries = 1;
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

// ---- Cases that depend on what ran before them

class OrderTest : public RetriesTest {
 protected:
  // Ends the first case given as failed behind two others.
  void FailBehind(SchedulerOptions options) {
    Start(options);
    Add(0);
    Complete();
    Cases(0, {1});
    Join(0, 1);
    Tell(Outcome::kFailed, 2);
  }
  void Tell(Outcome outcome, uint32_t place) {
    const Given given = Leases(all).back();
    CaseResult result = Result(given.lease.cases[0], outcome);
    result.place = place;
    result.message = "first words";
    From(given.host, Results{given.lease.id, given.lease.unit, {result}, true, kMs});
  }
  static SchedulerOptions Explaining() {
    SchedulerOptions options = Hosts(1);
    options.explain = true;
    return options;
  }
};

TEST_F(OrderTest, ARetryThatPassesAloneTells) {
  SchedulerOptions options = Hosts(1);
  policy_.retries = 1;
  FailBehind(options);
  After(absl::Seconds(10));
  Do(Tick{});
  Tell(Outcome::kPassed, 0);
  ASSERT_THAT(Ended(turn), SizeIs(1));
  EXPECT_TRUE(Ended(turn)[0].flaky);
  EXPECT_TRUE(Ended(turn)[0].order_dependent);
}

TEST_F(OrderTest, ExplainedByOneMoreAttemptThatDoesNotCount) {
  for (const Outcome alone : {Outcome::kPassed, Outcome::kFailed}) {
    all.clear();
    FailBehind(Explaining());
    EXPECT_THAT(Ended(all), SizeIs(0));
    After(absl::Seconds(10));
    Do(Tick{});
    Tell(alone, 0);
    ASSERT_THAT(Ended(all), SizeIs(1));
    const AttemptEnded ended = Ended(all)[0];
    EXPECT_TRUE(ended.final);
    EXPECT_FALSE(ended.flaky);
    EXPECT_EQ(ended.order_dependent, alone == Outcome::kPassed);
    EXPECT_EQ(ended.result.outcome, Outcome::kFailed);
    EXPECT_EQ(ended.result.attempt, 1u);
    EXPECT_EQ(Finished(), RunEnd::kCompleted);
  }
}

TEST_F(OrderTest, NothingToExplainOfACaseThatWasTheFirst) {
  Start(Explaining());
  Add(0);
  Complete();
  Cases(0, {1});
  Join(0, 1);
  Tell(Outcome::kFailed, 0);
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

TEST_F(OrderTest, AFailureIsToldThoughItsExplanationNeverCame) {
  FailBehind(Explaining());
  Do(StopRun{RunEnd::kInterrupted, /*force=*/true});
  Gone(0);
  ASSERT_THAT(Ended(all), SizeIs(1));
  EXPECT_EQ(Ended(all)[0].result.outcome, Outcome::kFailed);
  EXPECT_EQ(Ended(all)[0].result.message, "first words");
  EXPECT_FALSE(Ended(all)[0].order_dependent);
}

TEST_F(OrderTest, CasesThatAreToRunTogetherAreOneLease) {
  SchedulerOptions options = Hosts(1);
  options.together = true;
  Start(options);
  Add(0);
  Complete();
  Cases(0, std::vector<double>(3000, -1));
  Join(0, 4);
  ASSERT_THAT(Leases(all), SizeIs(1));
  EXPECT_THAT(Leases(all)[0].indices, SizeIs(3000));
}

}  // namespace
}  // namespace dtest
