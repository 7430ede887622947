#include "agent/frameworks/ctest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>

namespace dtest {
namespace {

using ::testing::HasSubstr;

class Recorder : public CaseSink {
 public:
  void Began(uint32_t index) override { began = index; }
  void Finished(CaseResult its_result, Standing its_standing) override {
    EXPECT_FALSE(result.has_value());
    result = std::move(its_result);
    standing = its_standing;
  }

  std::optional<uint32_t> began;
  std::optional<CaseResult> result;
  Standing standing = Standing::kTold;
};

class CTestFrameworkTest : public testing::Test {
 protected:
  // What becomes of a process that prints this and ends so, whole and byte by byte.
  CaseResult Run(const Judging& judging, const std::string& output, int status = 0, int signal = 0) {
    const CaseResult whole = RunIn(output.size() + 1, judging, output, status, signal);
    EXPECT_EQ(RunIn(1, judging, output, status, signal), whole);
    return whole;
  }
  Outcome OutcomeOf(const Judging& judging, const std::string& output, int status = 0) {
    return Run(judging, output, status).outcome;
  }

  CaseResult RunIn(size_t step, const Judging& judging, const std::string& output, int status, int signal) {
    const std::vector<LeasedCase> leased = {{.index = 0}};
    const BatchRequest request = {
        .listing = listing_, .cases = leased, .temp_dir = "/tmp", .output_cap = output_cap_, .judging = &judging};
    const std::unique_ptr<OutputReader> reader = CTestAdapter().NewReader(request);
    recorder_ = {};
    if (!reader->Start(&recorder_)) return recorder_.result.value_or(CaseResult());
    EXPECT_EQ(recorder_.began, 0u);
    for (size_t at = 0; at < output.size(); at += step) reader->Feed(output.substr(at, step), &recorder_);
    end_ = {};
    end_.exit_code = status;
    end_.signal = signal;
    reader->Ended({}, &end_, &recorder_);
    return recorder_.result.value_or(CaseResult());
  }

  const CaseInfos listing_ = {"build/one"};
  uint64_t output_cap_ = 1000;
  Recorder recorder_;
  ProcessEnd end_;
};

constexpr Outcome kPassed = Outcome::kPassed, kFailed = Outcome::kFailed, kSkipped = Outcome::kSkipped;

TEST_F(CTestFrameworkTest, ByItsStatus) {
  EXPECT_EQ(OutcomeOf({}, ""), kPassed);
  EXPECT_EQ(end_.exit_code, 0);
  const CaseResult failed = Run({}, "what\n", 77);
  EXPECT_EQ(failed.outcome, kFailed) << "unlike a plain program's, 77 means nothing";
  EXPECT_EQ(failed.message, "exited with status 77");
  EXPECT_EQ(failed.output, "what\n");
  EXPECT_EQ(end_.exit_code, 0) << "it is a verdict";
  EXPECT_EQ(OutcomeOf({.skip_status = 77}, "", 77), kSkipped);
  EXPECT_EQ(OutcomeOf({.skip_status = 0}, "", 0), kSkipped);
  EXPECT_EQ(OutcomeOf({.will_fail = true}, "", 1), kPassed);
  EXPECT_EQ(OutcomeOf({.will_fail = true}, "", 0), kFailed);
}

TEST_F(CTestFrameworkTest, ByWhatItPrints) {
  EXPECT_EQ(OutcomeOf({.pass = {"no", "all good"}}, "it is all good\n", 3), kPassed);
  const CaseResult in_vain = Run({.pass = {"no", "never"}}, "it is all good\n");
  EXPECT_EQ(in_vain.outcome, kFailed);
  EXPECT_EQ(in_vain.message, "exited with status 0, and its output has not 'no', 'never'");
  const CaseResult failed = Run({.fail = {"no", "go+d"}}, "it is all good\n");
  EXPECT_EQ(failed.outcome, kFailed);
  EXPECT_EQ(failed.message, "its output has 'go+d'");
  EXPECT_EQ(OutcomeOf({.fail = {"never"}}, "it is all good\n", 3), kFailed);
  EXPECT_EQ(Run({.skip = {"no gpu"}}, "no gpu\n", 1).message, "its output has 'no gpu'");
}

TEST_F(CTestFrameworkTest, InTheOrderOfCTest) {
  EXPECT_EQ(OutcomeOf({.pass = {"good"}, .fail = {"bad"}}, "good bad"), kFailed);
  EXPECT_EQ(OutcomeOf({.pass = {"good"}, .skip = {"bad"}}, "good bad"), kSkipped);
  EXPECT_EQ(OutcomeOf({.fail = {"bad"}, .skip_status = 4}, "bad", 4), kSkipped);
  EXPECT_EQ(OutcomeOf({.skip_status = 4, .will_fail = true}, "", 4), kSkipped);
  EXPECT_EQ(OutcomeOf({.fail = {"bad"}, .will_fail = true}, "bad"), kPassed);
  EXPECT_EQ(OutcomeOf({.pass = {"good"}, .will_fail = true}, "good", 1), kFailed);
  EXPECT_EQ(OutcomeOf({.pass = {"good"}, .will_fail = true}, "", 0), kPassed);
}

TEST_F(CTestFrameworkTest, ACrashIsOneWhateverElseIsSaid) {
  Run({.pass = {"good"}, .will_fail = true}, "good", 0, 11);
  EXPECT_FALSE(recorder_.result.has_value());
  EXPECT_EQ(end_.signal, 11);
  EXPECT_EQ(end_.output, "good");
}

TEST_F(CTestFrameworkTest, LinesEndAsCTestJoinsThem) {
  EXPECT_EQ(OutcomeOf({.pass = {"^one\ntwo\n$"}}, "one\ntwo"), kPassed) << "the last line gets its end";
  EXPECT_EQ(OutcomeOf({.pass = {"^one\ntwo\n$"}}, "one\r\r\ntwo\n"), kPassed);
  EXPECT_EQ(OutcomeOf({.pass = {"^one\ntwo\n$"}}, std::string("one\r\0two\0", 9)), kPassed);
  EXPECT_EQ(OutcomeOf({.pass = {"^o\rne\r\n$"}}, "o\rne\r"), kPassed) << "a CR before no end of a line stays";
  EXPECT_EQ(OutcomeOf({.pass = {"^$"}}, ""), kPassed);
  EXPECT_EQ(OutcomeOf({.pass = {"^$"}}, "\n"), kFailed);
}

TEST_F(CTestFrameworkTest, AllOfTheOutputIsLookedAt) {
  output_cap_ = 10;
  const CaseResult result =
      RunIn(7, {.fail = {"in the middle"}}, std::string(500, 'a') + "in the middle" + std::string(500, 'b'), 0, 0);
  EXPECT_EQ(result.outcome, kFailed);
  EXPECT_EQ(result.output, "aaaaabbbbb");
  EXPECT_GT(result.output_cut, 1000u);
}

TEST_F(CTestFrameworkTest, WhatNeverRuns) {
  const CaseResult disabled = Run({.disabled = true}, "");
  EXPECT_EQ(disabled.outcome, kSkipped);
  EXPECT_THAT(disabled.message, HasSubstr("DISABLED"));
  EXPECT_EQ(recorder_.standing, Standing::kNeverRuns);
  const CaseResult broken = Run({.fail = {"ok", "a**"}}, "");
  EXPECT_EQ(broken.outcome, Outcome::kInfraError);
  EXPECT_THAT(broken.message, HasSubstr("'a**'"));
}

TEST_F(CTestFrameworkTest, SanitizersAreHeard) {
  const std::string headline = "a.cc:3:1: runtime error: signed integer overflow";
  EXPECT_THAT(Run({}, headline + "\n").warning, HasSubstr("signed integer overflow"));
}

}  // namespace
}  // namespace dtest
