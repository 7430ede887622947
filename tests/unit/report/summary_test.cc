#include "coordinator/report/summary.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/unit/report/run_fixture.h"

namespace dtest {
namespace {

constexpr absl::Time kTime = absl::FromUnixSeconds(1795262400);

RunSummary::Options Keeping(size_t slowest, size_t failures = 1000) { return {slowest, failures}; }

CaseEnded Case(uint32_t index, Outcome outcome, absl::Duration duration = absl::ZeroDuration()) {
  CaseEnded ended;
  ended.id = CaseId{UnitId(0), index};
  ended.unit = "t";
  ended.name = "Suite.Case";
  ended.host = "h";
  ended.result.outcome = outcome;
  ended.result.duration = duration;
  return ended;
}

// The exit status of a run of one unit with `selected` cases that ended so.
int ExitOf(uint32_t selected, const std::vector<Outcome>& outcomes, RunEnd end, const std::string& listing_error = "") {
  RunSummary summary;
  (void)summary.Handle({kTime, RunStarted{}});
  (void)summary.Handle({kTime, UnitListed{UnitId(0), "t", selected, selected, listing_error, ""}});
  for (size_t i = 0; i < outcomes.size(); ++i) {
    (void)summary.Handle({kTime, Case(static_cast<uint32_t>(i), outcomes[i])});
  }
  (void)summary.Handle({kTime, RunFinished{end, ""}});
  return summary.ExitStatus();
}

TEST(RunSummary, WhatIsCoveredFailsARunThatWentWell) {
  const auto exit_of = [](const CoverageMeasured& coverage, Outcome outcome) {
    RunSummary summary;
    (void)summary.Handle({kTime, UnitListed{UnitId(0), "t", 1, 1, "", ""}});
    (void)summary.Handle({kTime, Case(0, outcome)});
    (void)summary.Handle({kTime, coverage});
    (void)summary.Handle({kTime, RunFinished{RunEnd::kCompleted, ""}});
    EXPECT_NE(summary.coverage(), nullptr);
    return summary.ExitStatus();
  };
  RunSummary missed;
  EXPECT_EQ(missed.CoverageFault(), "");
  (void)missed.Handle({kTime, CoverageMeasured{79.98, 80, true}});
  EXPECT_EQ(missed.CoverageFault(), "coverage 79.98 %, less than the 80 % that are required");
  EXPECT_EQ(exit_of({90.0, 80, false}, Outcome::kPassed), kExitPassed);
  EXPECT_EQ(exit_of({70.0, 80, true}, Outcome::kPassed), kExitFailed);
  EXPECT_EQ(exit_of({std::nullopt, 0, false, "", "no disk"}, Outcome::kPassed), kExitBroken);
  EXPECT_EQ(exit_of({std::nullopt, 0, false, "", "no disk"}, Outcome::kFailed), kExitFailed);
}

TEST(RunSummary, AReportOfPytestThatIsNotThereFailsARunThatWentWell) {
  const auto exit_of = [](const std::string& error, Outcome outcome) {
    RunSummary summary;
    (void)summary.Handle({kTime, UnitListed{UnitId(0), "t", 1, 1, "", ""}});
    (void)summary.Handle({kTime, Case(0, outcome)});
    (void)summary.Handle({kTime, ReportsMade{UnitId(0), "t", "text", error}});
    (void)summary.Handle({kTime, ReportsMade{UnitId(1), "u", "", ""}});
    (void)summary.Handle({kTime, RunFinished{RunEnd::kCompleted, ""}});
    EXPECT_EQ(summary.ReportsFault(), error.empty() ? "" : "pytest's reports of t: no disk");
    return summary.ExitStatus();
  };
  EXPECT_EQ(exit_of("", Outcome::kPassed), kExitPassed);
  EXPECT_EQ(exit_of("no disk", Outcome::kPassed), kExitBroken);
  EXPECT_EQ(exit_of("no disk", Outcome::kFailed), kExitFailed);
}

TEST(RunSummary, ACaseThatFailedAfterAllCountsOnce) {
  RunSummary summary;
  (void)summary.Handle({kTime, UnitListed{UnitId(0), "t", 1, 1, "", ""}});
  (void)summary.Handle({kTime, Case(0, Outcome::kPassed)});
  CaseEnded after_all = Case(0, Outcome::kFailed);
  after_all.replaces = Outcome::kPassed;
  (void)summary.Handle({kTime, after_all});
  (void)summary.Handle({kTime, RunFinished{RunEnd::kCompleted, ""}});
  EXPECT_EQ(summary.cases(), 1u);
  EXPECT_EQ(summary.failures(), 1u);
  EXPECT_EQ(summary.failed().size(), 1u);
  EXPECT_EQ(summary.ExitStatus(), kExitFailed);
}

TEST(RunSummary, AnAttemptThatIsJudgedAnewCountsOnceWhateverBecomesOfIt) {
  RunSummary summary(Keeping(5));
  (void)summary.Handle({kTime, UnitListed{UnitId(0), "t", 1, 1, "", ""}});
  CaseEnded passed = Case(0, Outcome::kPassed, absl::Seconds(2));
  passed.quarantine = "rain";
  passed.flaky = passed.result.leaky = true;
  (void)summary.Handle({kTime, passed});
  ASSERT_EQ(summary.quarantined().size(), 1u);
  CaseEnded late = passed;
  late.result.outcome = Outcome::kFailed;
  late.replaces = Outcome::kPassed;
  late.flaky = late.final = false;  // it is tried again
  (void)summary.Handle({kTime, late});
  EXPECT_TRUE(summary.quarantined().empty());
  EXPECT_EQ(summary.flaky(), 0u);
  EXPECT_EQ(summary.cases(), 0u);
  CaseEnded again = late;
  again.final = true;
  again.replaces.reset();
  again.result.attempt = 2;
  again.result.leaky = false;
  again.result.duration = absl::Seconds(1);
  (void)summary.Handle({kTime, again});
  (void)summary.Handle({kTime, RunFinished{RunEnd::kCompleted, ""}});
  ASSERT_EQ(summary.quarantined().size(), 1u);
  EXPECT_TRUE(summary.quarantined()[0].forgiven);
  EXPECT_EQ(summary.cases(), 1u);
  EXPECT_EQ(summary.leaky(), 1u);
  EXPECT_EQ(summary.busy_time(), absl::Seconds(3));
  ASSERT_EQ(summary.Slowest().size(), 2u);
  EXPECT_EQ(summary.Slowest()[0].outcome, Outcome::kFailed);
  EXPECT_EQ(summary.ExitStatus(), kExitPassed);
}

TEST(RunSummary, AListingThatProvesWrongIsOneExecutableThatFails) {
  RunSummary summary;
  (void)summary.Handle({kTime, UnitListed{UnitId(0), "t", 1, 1, "", ""}});
  (void)summary.Handle({kTime, Case(0, Outcome::kPassed)});
  (void)summary.Handle({kTime, UnitListed{UnitId(0), "t", 0, 0, "it listed 1 and runs 2", ""}});
  (void)summary.Handle({kTime, RunFinished{RunEnd::kCompleted, ""}});
  EXPECT_EQ(summary.units(), 1u);
  EXPECT_EQ(summary.listed(), 1u);
  EXPECT_EQ(summary.ExitStatus(), kExitFailed);
}

TEST(RunSummary, CountsWhatTheTableSays) {
  RunSummary summary(Keeping(3));
  for (const RunEvent& event : FixtureEvents()) ASSERT_TRUE(summary.Handle(event).ok());
  std::map<Outcome, uint64_t> counts;
  uint64_t flaky = 0, leaky = 0, failures = 0;
  absl::Duration busy;
  std::vector<std::string> failed;
  for (const FixtureCase& one : FixtureCases()) {
    ++counts[one.outcome()];
    flaky += one.flaky;
    bool leaks = false;
    for (const FixtureAttempt& attempt : one.attempts) {
      leaks |= attempt.leaky;
      busy += attempt.duration;
    }
    leaky += leaks;
    if (IsFailure(one.outcome())) {
      ++failures;
      failed.push_back(one.name);
    }
  }
  for (int i = 0; i < kOutcomeCount; ++i) {
    const auto outcome = static_cast<Outcome>(i);
    EXPECT_EQ(summary.count(outcome), counts[outcome]) << OutcomeName(outcome);
    EXPECT_GT(counts[outcome], 0u) << "the table lacks " << OutcomeName(outcome);
  }
  EXPECT_EQ(summary.cases(), FixtureCases().size());
  EXPECT_EQ(summary.failures(), failures);
  EXPECT_EQ(summary.flaky(), flaky);
  EXPECT_EQ(summary.leaky(), leaky);
  EXPECT_EQ(summary.busy_time(), busy);
  ASSERT_EQ(summary.failed().size(), failed.size());
  for (size_t i = 0; i < failed.size(); ++i) EXPECT_EQ(summary.failed()[i].name, failed[i]);
  EXPECT_EQ(summary.failed()[0].headline,
            "math_test.cc:12: Expected equality of these values: Add(1, 1) Which is: 3 2");
  ASSERT_EQ(summary.interrupted().size(), 1u);
  EXPECT_EQ(summary.interrupted()[0].name, "Read.Endless");
  EXPECT_EQ(summary.interrupted()[0].host, "build02");
  EXPECT_EQ(summary.interrupted_count(), 1u);

  EXPECT_EQ(summary.units(), 4u);
  EXPECT_EQ(summary.selected(), 14u);
  EXPECT_EQ(summary.listed(), 16u);
  ASSERT_EQ(summary.unlisted().size(), 1u);
  EXPECT_EQ(summary.unlisted()[0].unit, "broken_test");

  EXPECT_EQ(summary.hosts_up(), 2u);
  EXPECT_EQ(summary.hosts_used(), 3u);
  EXPECT_EQ(summary.slots_used(), 52u);
  EXPECT_EQ(summary.shipped_bytes(), 17'000'000u);
  EXPECT_EQ(summary.shipped_hosts(), 2u);
  EXPECT_EQ(summary.hosts()[2].reason, "cannot connect to build03:22: connection refused\nis sshd running there?");
  EXPECT_FALSE(summary.hosts()[2].was_up);
  EXPECT_TRUE(summary.hosts()[3].was_up);

  ASSERT_EQ(summary.Slowest().size(), 3u);
  EXPECT_EQ(summary.Slowest()[0].name, "Read.Forever");
  EXPECT_EQ(summary.Slowest()[1].name, "Inst/Typed/0.Case/1");
  EXPECT_EQ(summary.Slowest()[2].name, "smoke.sh");
  EXPECT_EQ(summary.wall_time(), absl::Milliseconds(2204));
  EXPECT_EQ(summary.ExitStatus(), kExitFailed);
}

TEST(RunSummary, ExitStatusNamesTheCause) {
  const auto passed = Outcome::kPassed, failed = Outcome::kFailed;
  EXPECT_EQ(ExitOf(1, {passed}, RunEnd::kCompleted), 0);
  EXPECT_EQ(ExitOf(1, {Outcome::kSkipped}, RunEnd::kCompleted), 0);
  for (const Outcome bad : {failed, Outcome::kCrashed, Outcome::kTimedOut, Outcome::kInfraError}) {
    EXPECT_EQ(ExitOf(2, {passed, bad}, RunEnd::kCompleted), 1) << OutcomeName(bad);
  }
  EXPECT_EQ(ExitOf(2, {failed, Outcome::kNotRun}, RunEnd::kFailFast), 1);
  EXPECT_EQ(ExitOf(2, {passed, Outcome::kNotRun}, RunEnd::kTimedOut), 1);
  EXPECT_EQ(ExitOf(2, {failed, Outcome::kNotRun}, RunEnd::kInterrupted), 2);
  EXPECT_EQ(ExitOf(0, {}, RunEnd::kInterrupted), 2);
  EXPECT_EQ(ExitOf(2, {failed, Outcome::kInfraError}, RunEnd::kNoHosts), 3);
  EXPECT_EQ(ExitOf(0, {}, RunEnd::kNoHosts), 3);
  EXPECT_EQ(ExitOf(1, {passed}, RunEnd::kInternal), 3);
  EXPECT_EQ(ExitOf(0, {}, RunEnd::kCompleted), 5);
  EXPECT_EQ(ExitOf(0, {}, RunEnd::kCompleted, "crashed"), 1) << "not listed is a failure, not an empty selection";
}

TEST(RunSummary, ARunThatDidNotFinishIsNoSuccess) {
  RunSummary summary;
  (void)summary.Handle({kTime, Case(0, Outcome::kPassed)});
  EXPECT_EQ(summary.ExitStatus(), kExitBroken);
}

TEST(RunSummary, ASelectedCaseWithoutVerdictIsNoSuccess) {
  EXPECT_EQ(ExitOf(2, {Outcome::kPassed}, RunEnd::kCompleted), kExitBroken);
}

TEST(RunSummary, WhatHasNoVerdictIsCountedOnceTheRunIsOver) {
  RunSummary summary;
  RunStarted started;
  started.repeat = 3;
  (void)summary.Handle({kTime, started});
  (void)summary.Handle({kTime, UnitListed{UnitId(0), "t", 30, 20, "", ""}});
  for (uint32_t i = 0; i < 24; ++i) {
    CaseEnded ended = Case(i % 20, Outcome::kPassed);
    ended.iteration = 1 + i / 20;
    (void)summary.Handle({kTime, ended});
  }
  EXPECT_EQ(summary.without_verdict(), 0u) << "they may yet come";
  (void)summary.Handle({kTime, RunFinished{RunEnd::kInterrupted, "the coordinator died"}});
  EXPECT_EQ(summary.expected(), 60u);
  EXPECT_EQ(summary.without_verdict(), 36u);
  EXPECT_EQ(summary.ExitStatus(), kExitInterrupted);
}

// A rerun's summary, of unit "t" with cases "a" and "b", of which it selects "a", after `left` was told.
RunSummary Rerun(const std::vector<CasesLeft>& left, const UnitListed& listed = {UnitId(0), "t", 2, 1, "", ""}) {
  RunSummary summary;
  (void)summary.Handle({kTime, RunStarted{}});
  for (const CasesLeft& one : left) (void)summary.Handle({kTime, one});
  (void)summary.Handle({kTime, listed});
  if (listed.selected == 1) {
    (void)summary.Handle({kTime, CasesSelected{UnitId(0), "t", {{0, {.name = "a"}}}}});
    (void)summary.Handle({kTime, Case(0, Outcome::kPassed)});
  }
  (void)summary.Handle({kTime, RunFinished{RunEnd::kCompleted, ""}});
  return summary;
}

TEST(RunSummary, WhatARerunLeavesIsNoSuccess) {
  EXPECT_EQ(Rerun({{"t", {{"a"}}, "it failed", true}}).ExitStatus(), kExitPassed);
  const RunSummary summary = Rerun({{"t", {{"a"}, {"b"}}, "it failed", true}, {"other", {{"c"}}, "it failed", true}});
  EXPECT_EQ(summary.ExitStatus(), kExitFailed);
  EXPECT_EQ(summary.left().count(), 2u);
  EXPECT_TRUE(summary.left().Failed("t", "a"));
  EXPECT_FALSE(summary.left().Failed("t", "c"));
  // Somebody has said so.
  EXPECT_EQ(Rerun({{"t", {{"a"}, {"b"}}, "it failed", true}, {"t", {{"b"}}, "a filter", true, true}}).ExitStatus(),
            kExitPassed);
}

TEST(RunSummary, AWholeUnitIsLeftUntilItIsListed) {
  const CasesLeft whole{"t", {{""}}, "it could not be listed", true};
  EXPECT_EQ(Rerun({whole}).left().count(), 0u);
  EXPECT_TRUE(Rerun({whole}).left().Failed("t", "any"));
  const RunSummary unreached = Rerun({whole}, {UnitId(0), "t", 0, 0, "", "", /*unreached=*/true});
  EXPECT_TRUE(unreached.left().Has("t"));
  EXPECT_EQ(unreached.ExitStatus(), kExitFailed);
}

TEST(RunSummary, ALaterIterationWithoutVerdictIsNoSuccess) {
  RunSummary summary;
  RunStarted started;
  started.repeat = 2;
  (void)summary.Handle({kTime, started});
  (void)summary.Handle({kTime, UnitListed{UnitId(0), "t", 1, 1, "", ""}});
  (void)summary.Handle({kTime, Case(0, Outcome::kPassed)});
  (void)summary.Handle({kTime, RunFinished{}});
  EXPECT_EQ(summary.ExitStatus(), kExitBroken);
}

TEST(RunSummary, ACaseLeakyInAnEarlierAttemptIsLeakyOnce) {
  RunSummary summary;
  CaseEnded first = Case(0, Outcome::kFailed);
  first.final = false;
  first.result.leaky = true;
  (void)summary.Handle({kTime, first});
  EXPECT_EQ(summary.leaky(), 1u);
  CaseEnded second = Case(0, Outcome::kPassed);
  second.result.leaky = true;
  (void)summary.Handle({kTime, second});
  (void)summary.Handle({kTime, Case(1, Outcome::kPassed)});
  EXPECT_EQ(summary.leaky(), 1u);
}

TEST(RunSummary, KeepsTheSlowestOfManyInOrder) {
  RunSummary summary(Keeping(3));
  for (const int milliseconds : {5, 1, 9, 7, 9, 2, 8, 3}) {
    (void)summary.Handle({kTime, Case(0, Outcome::kPassed, absl::Milliseconds(milliseconds))});
  }
  std::vector<absl::Duration> durations;
  for (const auto& attempt : summary.Slowest()) durations.push_back(attempt.duration);
  EXPECT_EQ(durations,
            (std::vector<absl::Duration>{absl::Milliseconds(9), absl::Milliseconds(9), absl::Milliseconds(8)}));
}

TEST(RunSummary, KeepsNoMoreFailuresThanAsked) {
  RunSummary summary(Keeping(0, 2));
  for (uint32_t i = 0; i < 5; ++i) (void)summary.Handle({kTime, Case(i, Outcome::kFailed)});
  EXPECT_EQ(summary.failed().size(), 2u);
  EXPECT_EQ(summary.failures(), 5u);
  EXPECT_TRUE(summary.Slowest().empty());
}

TEST(RunSummary, AHostThatComesBackIsCountedOnce) {
  RunSummary summary;
  (void)summary.Handle({kTime, RunStarted{"", "", {}, "", {"a"}}});
  (void)summary.Handle({kTime, HostUp{HostId(0), 4, "", ""}});
  (void)summary.Handle({kTime, HostUp{HostId(0), 4, "", ""}});
  (void)summary.Handle({kTime, HostDown{HostId(0), true, "lost"}});
  (void)summary.Handle({kTime, HostDown{HostId(0), true, "lost"}});
  EXPECT_EQ(summary.hosts_up(), 0u);
  (void)summary.Handle({kTime, HostUp{HostId(0), 8, "", ""}});
  EXPECT_EQ(summary.hosts_up(), 1u);
  EXPECT_EQ(summary.hosts_used(), 1u);
  EXPECT_EQ(summary.slots_used(), 8u);
  EXPECT_EQ(summary.hosts()[0].reason, "");
}

TEST(RunSummary, HostsOutOfAnyRangeAreIgnored) {
  RunSummary summary;
  (void)summary.Handle({kTime, HostUp{HostId(UINT32_MAX), 4, "", ""}});
  (void)summary.Handle({kTime, HostShipped{HostId(UINT32_MAX), 4, 1}});
  EXPECT_EQ(summary.hosts_used(), 0u);
}

}  // namespace
}  // namespace dtest
