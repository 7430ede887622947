#include "coordinator/cli/rerun_cases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "dtest/labels.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class RerunCasesTest : public testing::Test {
 protected:
  void Tell(decltype(RunEvent::what) what) {
    const RunEvent event{absl::FromUnixSeconds(1000), std::move(what)};
    ASSERT_TRUE(summary_.Handle(event).ok());
    ASSERT_TRUE(record_.Handle(event).ok());
  }
  // Unit 0, named "t", has these cases, in this order.
  void Lists(const std::vector<std::string>& names) {
    Tell(UnitListed{UnitId(0), "t", static_cast<uint32_t>(names.size()), static_cast<uint32_t>(names.size()), "", ""});
    CasesSelected selected{UnitId(0), "t", {}};
    for (uint32_t i = 0; i < names.size(); ++i) selected.cases.push_back({i, {.name = names[i]}});
    Tell(selected);
    names_ = names;
  }
  CaseEnded Ended(uint32_t index, Outcome outcome) const {
    CaseEnded ended;
    ended.id = CaseId{UnitId(0), index};
    ended.unit = "t";
    ended.name = names_[index];
    ended.host = "h";
    ended.result.outcome = outcome;
    return ended;
  }
  static std::vector<std::string> Names(const std::vector<NamedCase>& cases) {
    std::vector<std::string> names;
    for (const NamedCase& one : cases) names.push_back(one.unit + "/" + one.name);
    return names;
  }

  RunSummary summary_;
  RunRecord record_ = RunRecord(&summary_);
  std::vector<std::string> names_;
};

TEST_F(RerunCasesTest, WhatFailedInTheEndAndWhatHasNoVerdict) {
  Lists({"passed", "failed", "crashed", "flaky", "skipped", "cut off", "silent"});
  Tell(Ended(0, Outcome::kPassed));
  Tell(Ended(2, Outcome::kCrashed));
  Tell(Ended(1, Outcome::kFailed));
  CaseEnded first = Ended(3, Outcome::kFailed);
  first.final = false;
  Tell(first);
  Tell(Ended(3, Outcome::kPassed));
  Tell(Ended(4, Outcome::kSkipped));
  Tell(Ended(5, Outcome::kNotRun));
  Tell(RunFinished{RunEnd::kInterrupted, ""});
  const RerunCases cases = CasesToRerun(record_);
  EXPECT_THAT(Names(cases.failed), ElementsAre("t/failed", "t/crashed"));
  EXPECT_THAT(Names(cases.unfinished), ElementsAre("t/cut off", "t/silent"));
  EXPECT_EQ(CountOf(cases.failed), "2 cases");
}

TEST_F(RerunCasesTest, ACaseThatPassedAndFailedAfterAllHasFailed) {
  Lists({"one"});
  Tell(Ended(0, Outcome::kPassed));
  CaseEnded late = Ended(0, Outcome::kFailed);
  late.replaces = Outcome::kPassed;
  Tell(late);
  Tell(RunFinished{});
  EXPECT_THAT(Names(CasesToRerun(record_).failed), ElementsAre("t/one"));
}

TEST_F(RerunCasesTest, OfSeveralIterationsOneThatFailedIsEnough) {
  RunStarted started;
  started.repeat = 3;
  started.units = {"t"};
  Tell(started);
  Lists({"one", "two", "three"});
  for (uint32_t iteration = 1; iteration <= 3; ++iteration) {
    for (uint32_t i = 0; i < 3; ++i) {
      if (i == 2 && iteration == 3) continue;
      CaseEnded ended = Ended(i, i == 1 && iteration == 2 ? Outcome::kTimedOut : Outcome::kPassed);
      ended.iteration = iteration;
      Tell(ended);
    }
  }
  Tell(RunFinished{RunEnd::kInterrupted, ""});
  const RerunCases cases = CasesToRerun(record_);
  EXPECT_THAT(Names(cases.failed), ElementsAre("t/two"));
  EXPECT_THAT(Names(cases.unfinished), ElementsAre("t/three"));
}

TEST_F(RerunCasesTest, AUnitWhoseCasesAreNotAllToldRunsAsAWhole) {
  Tell(UnitListed{UnitId(0), "t", 3, 3, "", ""});
  Tell(CasesSelected{UnitId(0), "t", {{0, {.name = "one"}}, {1, {.name = "two"}}}});
  names_ = {"one", "two"};
  Tell(Ended(0, Outcome::kFailed));
  Tell(RunFinished{RunEnd::kInterrupted, ""});
  const RerunCases cases = CasesToRerun(record_);
  EXPECT_THAT(Names(cases.failed), ElementsAre("t/one"));
  EXPECT_THAT(Names(cases.unfinished), ElementsAre("t/", "t/two"));
}

// As with --stress: how often each case is to run is not known before.
TEST_F(RerunCasesTest, ACaseJudgedOftenMakesUpForNoOther) {
  Lists({"often", "never"});
  for (uint32_t iteration = 1; iteration <= 3; ++iteration) {
    CaseEnded ended = Ended(0, Outcome::kPassed);
    ended.iteration = iteration;
    Tell(ended);
  }
  Tell(RunFinished{RunEnd::kInterrupted, ""});
  EXPECT_THAT(Names(CasesToRerun(record_).unfinished), ElementsAre("t/never"));
}

TEST_F(RerunCasesTest, SoManyIterationsThatTheRecordNamesNoneLackTheirVerdictsAllTheSame) {
  RunStarted started;
  started.repeat = 1 << 25;
  started.units = {"t"};
  Tell(started);
  Lists({"begun", "not begun"});
  Tell(Ended(0, Outcome::kPassed));
  Tell(RunFinished{RunEnd::kInterrupted, ""});
  EXPECT_THAT(Names(CasesToRerun(record_).unfinished), ElementsAre("t/begun", "t/not begun"));
}

TEST_F(RerunCasesTest, UnitsWhoseCasesAreNotKnownRunAsAWhole) {
  Lists({"one"});
  Tell(Ended(0, Outcome::kPassed));
  Tell(UnitListed{UnitId(1), "broken", 0, 0, "exited with 3", ""});
  Tell(UnitListed{UnitId(2), "late", 0, 0, "", "", /*unreached=*/true});
  Tell(RunFinished{RunEnd::kInterrupted, ""});
  const RerunCases cases = CasesToRerun(record_);
  EXPECT_THAT(Names(cases.failed), ElementsAre("broken/"));
  EXPECT_THAT(Names(cases.unfinished), ElementsAre("late/"));
  EXPECT_EQ(CountOf({{"t", "one"}, {"broken", ""}}), "1 case and 1 executable");
  EXPECT_EQ(CountOf(cases.failed), "1 executable");
}

TEST_F(RerunCasesTest, WhatTheRunBeforeLeftAndThisOneDidNotRunIsTakenUp) {
  Tell(CasesLeft{"t", {{"passes"}, {"cut off"}, {"not asked", "S"}}, "it failed", true});
  Tell(CasesLeft{"t", {{"silent"}, {"gone"}}, "it has none", false});
  Tell(CasesLeft{"late", {{"one"}}, "it failed", true});
  Tell(CasesLeft{"late", {{"two"}}, "a filter leaves it out", false, /*left_out=*/true});
  Lists({"passes", "cut off", "silent"});
  Tell(Ended(0, Outcome::kPassed));
  Tell(Ended(1, Outcome::kNotRun));
  Tell(UnitListed{UnitId(1), "late", 0, 0, "", "", /*unreached=*/true});
  Tell(RunFinished{RunEnd::kInterrupted, ""});
  const RerunCases cases = CasesToRerun(record_);
  EXPECT_THAT(Names(cases.failed), ElementsAre("t/cut off", "t/not asked", "late/one"));
  EXPECT_THAT(Names(cases.unfinished), ElementsAre("t/silent", "t/gone", "late/two"));
  EXPECT_EQ(cases.failed[1].suite, "S");
}

TEST(LeftTold, ALogThatEndsWithinWhatWasLeftLacksSome) {
  LeftTold left;
  left.Note({absl::UnixEpoch(), RunStarted{}});
  EXPECT_TRUE(left.all());
  RunStarted started;
  started.left = 3;
  left.Note({absl::UnixEpoch(), started});
  left.Note({absl::UnixEpoch(), CasesLeft{"t", {{"one"}, {"two"}}, "it failed", true}});
  EXPECT_FALSE(left.all());
  left.Note({absl::UnixEpoch(), CasesLeft{"u", {{"one"}}, "it has none"}});
  EXPECT_TRUE(left.all());
}

TEST_F(RerunCasesTest, AFileThatCouldNotBeCollectedStandsForItsCases) {
  Tell(UnitListed{UnitId(0), "t", 1, 1, "", ""});
  Tell(CasesSelected{UnitId(0), "t", {{0, {.name = "a.py", .labels = {kUncollectedLabel}}}}});
  names_ = {"a.py"};
  Tell(Ended(0, Outcome::kFailed));
  Tell(RunFinished{});
  const RerunCases cases = CasesToRerun(record_);
  ASSERT_THAT(Names(cases.failed), ElementsAre("t/a.py"));
  EXPECT_TRUE(cases.failed[0].stands_for);
}

TEST_F(RerunCasesTest, AGreenRunHasNothing) {
  Lists({"one"});
  Tell(Ended(0, Outcome::kPassed));
  Tell(RunFinished{});
  const RerunCases cases = CasesToRerun(record_);
  EXPECT_THAT(Names(cases.failed), IsEmpty());
  EXPECT_THAT(Names(cases.unfinished), IsEmpty());
}

}  // namespace
}  // namespace dtest
