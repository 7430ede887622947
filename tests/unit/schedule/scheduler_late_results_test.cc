// What is known of a case only after its result: properties, and failures as its process ended.

#include <algorithm>
#include <set>

#include "scheduler_fixture.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

using LateTest = SchedulerFixture;

class LatePropertiesTest : public LateTest {
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
  std::vector<AttemptEnded> Fail(const Given& given, size_t k, Outcome told, uint32_t place = 0) {
    Results results{given.lease.id, given.lease.unit, {}, false, kMs};
    results.late_failures = {{told, Result(given.lease.cases[k], Outcome::kFailed)}};
    results.late_failures[0].result.place = place;
    From(given.host, results);
    return Ended(turn);
  }
};

TEST_F(LateFailuresTest, TakeThePlaceOfWhatTheLeaseHasTold) {
  SchedulerOptions options = Hosts(2);
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

TEST_F(LateFailuresTest, AreTriedAgainAsAnyOther) {
  SchedulerOptions options = Hosts(2);
  policy_.retries = 1;
  options.max_fail = 1;
  const Given given = Batch(options);
  Tell(given, 0);
  Tell(given, 1, Outcome::kFailed);
  EXPECT_THAT(Fail(given, 1, Outcome::kFailed), SizeIs(1)) << "a remark";
  const auto ended = Fail(given, 0, Outcome::kPassed);
  ASSERT_THAT(ended, SizeIs(1));
  EXPECT_EQ(ended[0].replaces, Outcome::kPassed);
  EXPECT_FALSE(ended[0].final);
  EXPECT_EQ(ended[0].result.attempt, 1u);
  EXPECT_THAT(Fail(given, 0, Outcome::kPassed), SizeIs(1)) << "said twice it is a remark, too";
  RunToTheEnd();
  std::vector<uint32_t> again;
  for (const Given& lease : Leases(all)) {
    for (const LeasedCase& c : lease.lease.cases) {
      if (c.attempt == 2) again.push_back(c.index);
    }
  }
  EXPECT_THAT(again, testing::UnorderedElementsAre(given.indices[0], given.indices[1])) << "once each";
  for (const AttemptEnded& attempt : Ended(all)) {
    if (attempt.result.attempt == 1) continue;
    EXPECT_TRUE(attempt.final && attempt.flaky && !attempt.order_dependent);
  }
  EXPECT_EQ(Finished(), RunEnd::kCompleted);
}

TEST_F(LateFailuresTest, OneThatItsProcessBroughtAboutDependsOnTheOrder) {
  policy_.retries = 1;
  const Given given = Batch(Hosts(2));
  Tell(given, 0);
  Tell(given, 1);
  ASSERT_THAT(Fail(given, 1, Outcome::kPassed, /*place=*/1), SizeIs(1));
  RunToTheEnd();
  uint32_t second_attempts = 0;
  for (const AttemptEnded& attempt : Ended(all)) {
    EXPECT_EQ(attempt.flaky && attempt.order_dependent, attempt.result.attempt == 2) << attempt.id.index;
    second_attempts += attempt.result.attempt == 2;
  }
  EXPECT_EQ(second_attempts, 1u);
}

TEST_F(LatePropertiesTest, AreOfTheAttemptThatTheLeaseRan) {
  SchedulerOptions options = Hosts(2);
  policy_.retries = 1;
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
  policy_.retries = 1;
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

}  // namespace
}  // namespace dtest
