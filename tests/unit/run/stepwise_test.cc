#include "coordinator/run/stepwise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "unit/agent/dotted_cases.h"
#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr absl::Time kTime = absl::FromUnixSeconds(1795262400);
constexpr Outcome kPassed = Outcome::kPassed, kFailed = Outcome::kFailed, kNotRun = Outcome::kNotRun;

class StepwiseTest : public testing::Test {
 protected:
  StepwiseTest() : history_(*History::Open(scratch_.File("history.db"))) {}

  std::unique_ptr<Stepwise> Begin(Stepwise::Options options = {}) {
    if (options.directory.empty()) options.directory = "/project";
    if (options.units.empty()) options.units = {"t"};
    return *Stepwise::Make(history_.get(), std::move(options));
  }
  // Of the cases of `unit`, those that run.
  std::vector<std::string> Selected(Stepwise& run, const std::vector<std::string>& names,
                                    const std::string& unit = "t") {
    const CaseInfos cases = DottedCases(names);
    std::vector<uint32_t> selected;
    for (uint32_t i = 0; i < names.size(); ++i) selected.push_back(i);
    run.LeaveOutPassed(unit, cases, &selected);
    std::vector<std::string> left;
    for (const uint32_t i : selected) left.push_back(names[i]);
    return left;
  }
  static void End(Stepwise& run, const std::string& name, Outcome outcome, CaseEnded ended = {}) {
    ended.unit = "t";
    ended.name = name;
    ended.result.outcome = outcome;
    ASSERT_TRUE(run.Handle({kTime, ended}).ok());
  }
  static void Finish(Stepwise& run, RunEnd end = RunEnd::kFailFast) {
    const absl::Status status = run.Handle({kTime, RunFinished{end, ""}});
    ASSERT_TRUE(status.ok()) << status;
  }
  // A run of all of it, in which these cases end so.
  void Run(const std::map<std::string, Outcome>& outcomes, RunEnd end = RunEnd::kFailFast,
           Stepwise::Options options = {}) {
    const std::unique_ptr<Stepwise> run = Begin(std::move(options));
    for (const auto& [name, outcome] : outcomes) End(*run, name, outcome);
    Finish(*run, end);
  }

  const std::vector<std::string> names_ = {"S.a", "S.b", "S.c", "S.d"};
  ScratchDirectory scratch_;
  std::unique_ptr<History> history_;
};

TEST_F(StepwiseTest, ARunGoesOnWhereTheOneBeforeHasFailed) {
  {
    const std::unique_ptr<Stepwise> first = Begin();
    EXPECT_FALSE(first->goes_on());
    EXPECT_EQ(first->max_fail(), 1u);
    EXPECT_EQ(Selected(*first, names_), names_);
    EXPECT_EQ(first->BeginText(), "");
    EXPECT_EQ(first->EndText(/*listed=*/false), "");
  }
  Run({{"S.a", kPassed}, {"S.b", kFailed}, {"S.c", Outcome::kSkipped}, {"S.d", kNotRun}});
  const std::unique_ptr<Stepwise> second = Begin();
  EXPECT_TRUE(second->goes_on());
  EXPECT_EQ(second->BeginText(),
            "stepwise: goes on with t.S.b, which failed in the run before; what has passed since the series began is "
            "left out (--stepwise-reset begins anew)");
  EXPECT_THAT(Selected(*second, {"S.a", "S.b", "S.c", "S.d", "S.new"}), ElementsAre("S.b", "S.d", "S.new"));
  EXPECT_EQ(second->EndText(/*listed=*/false),
            "stepwise: 2 cases that passed in the runs before did not run again; without --stepwise all run");
  EXPECT_EQ(second->EndText(/*listed=*/true),
            "stepwise: 2 cases that passed in the runs before would not run again; without --stepwise all would");
  EXPECT_TRUE(second->IsFirst("t", "S.b"));
  EXPECT_FALSE(second->IsFirst("t", "S.d"));
  EXPECT_FALSE(second->IsSkipped("t", "S.b"));
  End(*second, "S.b", kPassed);
  End(*second, "S.d", kFailed);
  Finish(*second);
  EXPECT_THAT(Selected(*Begin(), names_), ElementsAre("S.d"));
}

TEST_F(StepwiseTest, TheSeriesIsOverWhenNothingFails) {
  Run({{"S.a", kPassed}, {"S.b", kFailed}});
  Run({{"S.b", kPassed}, {"S.c", kPassed}, {"S.d", kPassed}}, RunEnd::kCompleted);
  EXPECT_FALSE(Begin()->goes_on());
  Run({{"S.a", kPassed}, {"S.b", kFailed}});
  // What fails and does not stop the run is not through either.
  Run({{"S.b", kFailed}, {"S.c", kPassed}}, RunEnd::kCompleted, {.skip = true});
  EXPECT_THAT(Selected(*Begin(), names_), ElementsAre("S.b", "S.d"));
  // A unit that cannot be listed has cases that nobody knows.
  const std::unique_ptr<Stepwise> broken = Begin();
  ASSERT_TRUE(broken->Handle({kTime, UnitListed{UnitId(1), "u", 0, 0, "no", ""}}).ok());
  End(*broken, "S.b", kPassed);
  Finish(*broken, RunEnd::kCompleted);
  EXPECT_FALSE(Begin()->goes_on()) << "nothing of what is known failed";
  Run({{"S.a", kPassed}, {"S.b", kFailed}});
  Run({{"S.b", kPassed}}, RunEnd::kInterrupted);
  EXPECT_FALSE(Begin()->goes_on()) << "as pytest";
}

TEST_F(StepwiseTest, WhatFailedBeforeDoesNotStopOneThatSkips) {
  EXPECT_EQ(Begin({.skip = true})->max_fail(), 2u);
  Run({{"S.a", kFailed}});
  const std::unique_ptr<Stepwise> run = Begin({.skip = true});
  EXPECT_EQ(run->max_fail(), 1u);
  EXPECT_TRUE(run->IsSkipped("t", "S.a"));
  EXPECT_FALSE(run->IsSkipped("t", "S.b"));
  EXPECT_THAT(run->BeginText(),
              HasSubstr("goes on with t.S.a, which failed in the run before, and does not stop this"));
  End(*run, "S.a", kFailed);
  End(*run, "S.b", kFailed);
  Finish(*run);
  const std::unique_ptr<Stepwise> next = Begin();
  EXPECT_TRUE(next->IsFirst("t", "S.a") && next->IsFirst("t", "S.b"));
  EXPECT_THAT(next->BeginText(), HasSubstr("goes on with 2 cases, t.S.a first, which failed"));
}

TEST_F(StepwiseTest, AnotherDirectoryOtherUnitsAndAResetHaveASeriesOfTheirOwn) {
  Run({{"S.a", kPassed}, {"S.b", kFailed}});
  EXPECT_FALSE(Begin({.directory = "/other"})->goes_on());
  EXPECT_FALSE(Begin({.units = {"u"}})->goes_on());
  EXPECT_TRUE(Begin()->goes_on());
  Run({}, RunEnd::kInterrupted, {.anew = true});
  EXPECT_FALSE(Begin()->goes_on());
}

TEST_F(StepwiseTest, OnlyAVerdictThatHoldsIsAPass) {
  const std::unique_ptr<Stepwise> run = Begin();
  CaseEnded again;
  again.final = false;
  End(*run, "S.a", kFailed, again);
  End(*run, "S.a", kPassed);  // at its second attempt
  End(*run, "S.b", kPassed);
  CaseEnded late;
  late.replaces = kPassed;
  End(*run, "S.b", kFailed, late);
  CaseEnded second;
  second.iteration = 2;
  End(*run, "S.c", kPassed);
  End(*run, "S.c", kNotRun, second);
  CaseEnded forgiven;
  forgiven.quarantine = "known";
  End(*run, "S.d", kFailed, forgiven);
  Finish(*run);
  const std::unique_ptr<Stepwise> next = Begin();
  EXPECT_THAT(Selected(*next, names_), ElementsAre("S.b", "S.c", "S.d"));
  EXPECT_FALSE(next->IsFirst("t", "S.d"));
}

TEST_F(StepwiseTest, OfEqualNamesNoneIsLeftOut) {
  Run({{"S.a", kPassed}, {"S.b", kFailed}});
  EXPECT_THAT(Selected(*Begin(), {"S.a", "S.b", "S.a"}), ElementsAre("S.a", "S.b", "S.a"));
}

TEST_F(StepwiseTest, WhatIsForgottenOrOldRunsAgain) {
  Run({{"S.a", kPassed}, {"S.b", kFailed}, {"S.c", kPassed}});
  ASSERT_TRUE(history_->Forget({{.unit = "t", .name = "S.a", .history = {}}}).ok());
  EXPECT_THAT(Selected(*Begin(), names_), ElementsAre("S.a", "S.b", "S.d"));
  ASSERT_TRUE(history_->KeepStepwise("/other", {}, /*anew=*/false, kTime + absl::Hours(24 * 91)).ok());
  EXPECT_THAT(*history_->Stepwise("/project"), IsEmpty());
}

}  // namespace
}  // namespace dtest
