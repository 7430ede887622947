#include "agent/frameworks/gotest_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "unit/agent/case_recorder.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Every test is read whole and byte by byte.
class GoReaderTest : public testing::TestWithParam<size_t> {
 protected:
  void Batch(const std::vector<uint32_t>& indices, bool marked = true, bool keep_all_output = true) {
    cases_.clear();
    for (const uint32_t index : indices) cases_.push_back({index, 1});
    const BatchRequest request = {.listing = listing_,
                                  .cases = cases_,
                                  .temp_dir = "/x",
                                  .keep_all_output = keep_all_output,
                                  .output_cap = 1 << 20};
    reader_ = std::make_unique<GoTestReader>(request, marked);
    EXPECT_TRUE(reader_->Start(&recorder_));
  }
  // With '@' for the marker.
  std::vector<std::string> Print(absl::string_view shown) {
    const std::string bytes = absl::StrReplaceAll(shown, {{"@", "\x16"}});
    for (absl::string_view text = bytes; !text.empty(); text.remove_prefix(std::min(GetParam(), text.size()))) {
      reader_->Feed(text.substr(0, GetParam()), &recorder_);
    }
    return std::exchange(recorder_.events, {});
  }
  std::vector<std::string> Ended(int exit_code = 0, int signal = 0) {
    end_ = ProcessEnd();
    end_.exit_code = exit_code;
    end_.signal = signal;
    reader_->Ended({}, &end_, &recorder_);
    return std::exchange(recorder_.events, {});
  }
  std::string Corrections() const {
    std::string text;
    for (const auto& [index, message] : end_.corrections) absl::StrAppend(&text, index, ": ", message, "\n");
    return text;
  }

  const CaseInfos listing_ = {"TestA", "TestB", "TestC", "ExampleD"};
  std::vector<LeasedCase> cases_;
  CaseRecorder recorder_;
  std::unique_ptr<GoTestReader> reader_;
  ProcessEnd end_;
};
INSTANTIATE_TEST_SUITE_P(Pieces, GoReaderTest, testing::Values(size_t{1}, size_t{7}, size_t{1} << 20),
                         [](const auto& info) { return absl::StrCat("Of", info.param); });

TEST_P(GoReaderTest, EachEndIsToldWhenItHappens) {
  Batch({0, 1, 2, 3});
  EXPECT_THAT(Print("@=== RUN   TestA\n"), ElementsAre("began 0"));
  EXPECT_THAT(Print("said@--- PASS: TestA (0.25s)\n"), IsEmpty());
  EXPECT_THAT(Print("@=== NAME  \n"), ElementsAre("0 passed <said>"));
  EXPECT_EQ(recorder_.duration, absl::Milliseconds(250));
  EXPECT_THAT(Print("@=== RUN   TestB\n    a_test.go:10: a log\n    a_test.go:11: got 1,\n        want 2\n"
                    "@--- FAIL: TestB (0.00s)\n@=== NAME  \n"),
              ElementsAre("began 1",
                          "1 failed (a_test.go:10: a log\na_test.go:11: got 1,\n    want 2) <    "
                          "a_test.go:10: a log\n    a_test.go:11: got 1,\n        want 2\n>"));
  EXPECT_THAT(
      Print("@=== RUN   TestC\n    a_test.go:11: needs a network\n@--- SKIP: TestC (0.00s)\n@=== NAME  \n"),
      ElementsAre("began 2", "2 skipped (a_test.go:11: needs a network) <    a_test.go:11: needs a network\n>"));
  EXPECT_THAT(Print("@=== RUN   ExampleD\n@--- FAIL: ExampleD (0.00s)\ngot:\nhi\nwant:\nho\n@=== NAME   \n"),
              ElementsAre("began 3", "3 failed (got:\nhi\nwant:\nho) <got:\nhi\nwant:\nho\n>"));
  EXPECT_THAT(Print("@FAIL\n"), IsEmpty());
  EXPECT_THAT(Ended(1), IsEmpty());
  EXPECT_EQ(end_.exit_code, 0);
  EXPECT_FALSE(end_.premature);
  EXPECT_EQ(end_.listing_wrong, "");
}

TEST_P(GoReaderTest, WithoutMarkers) {
  Batch({0, 1, 2, 3}, false);
  EXPECT_THAT(Print("=== RUN   TestA\nunfinished--- PASS: TestA (0.00s)\n=== RUN   TestB\n"),
              ElementsAre("began 0", "0 passed <unfinished>", "began 1"));
  EXPECT_THAT(Print("=== RUN   TestB/one\n    a_test.go:14: two is wrong\n--- FAIL: TestB (0.00s)\n"
                    "    --- FAIL: TestB/one (0.00s)\n    --- PASS: TestB/two (0.00s)\n=== RUN   TestC\n"),
              ElementsAre("1 failed (one: a_test.go:14: two is wrong) <    a_test.go:14: two is wrong\n>", "began 2"));
  EXPECT_THAT(Print("--- PASS: TestC (0.00s)\n    --- PASS: TestC/one (0.00s)\n=== RUN   ExampleD\n"
                    "--- FAIL: ExampleD (0.00s)\ngot:\nhi\nwant:\nho\nFAIL\n"),
              ElementsAre("2 passed", "began 3", "3 failed (got:\nhi\nwant:\nho) <got:\nhi\nwant:\nho\n>"));
  EXPECT_THAT(Ended(1), IsEmpty());
  EXPECT_EQ(end_.exit_code, 0);
  EXPECT_EQ(end_.listing_wrong, "");
}

TEST_P(GoReaderTest, Subtests) {
  Batch({0});
  EXPECT_THAT(
      Print("@=== RUN   TestA\n@=== RUN   TestA/one\n    a.go:1: of one\n@--- PASS: TestA/one (0.00s)\n"
            "@=== NAME  TestA\n@=== RUN   TestA/two\n    a.go:2: wrong\n@--- FAIL: TestA/two (0.00s)\n@=== NAME  "
            "TestA\n    a.go:3: of the test\n@=== RUN   TestA/three\n@--- FAIL: TestA/three (0.00s)\n@=== NAME  TestA\n"
            "@--- FAIL: TestA (0.00s)\n@=== NAME  \n"),
      ElementsAre("began 0",
                  "0 failed (two: a.go:2: wrong\na.go:3: of the test\nthree: failed) <    a.go:1: of one\n  "
                  "  a.go:2: wrong\n    a.go:3: of the test\n>"));
}

TEST_P(GoReaderTest, TestsThatWaitArePaused) {
  Batch({0, 1});
  EXPECT_THAT(Print("@=== RUN   TestA\nbefore\n@=== PAUSE TestA\n@=== NAME  \n@=== RUN   TestB\n@=== PAUSE TestB\n"),
              ElementsAre("began 0", "paused 0", "began 1", "paused 1"));
  EXPECT_THAT(Print("@=== CONT  TestA\nafter\n@=== RUN   TestA/s1\n@=== PAUSE TestA/s1\n@=== NAME  TestA\n@=== CONT  "
                    "TestB\n"),
              ElementsAre("began 0", "paused 0", "began 1"));
  EXPECT_THAT(Print("@--- PASS: TestB (0.00s)\n@=== CONT  TestA/s1\nof s1\n@--- PASS: TestA/s1 (0.00s)\n@--- PASS: "
                    "TestA (0.00s)\n@PASS\n"),
              ElementsAre("1 passed", "began 0", "0 passed <before\nafter\nof s1\n>"));
  EXPECT_THAT(Ended(0), IsEmpty());
  EXPECT_FALSE(end_.premature);
}

TEST_P(GoReaderTest, APanicWhileOthersWait) {
  Batch({0, 1});
  Print("@=== RUN   TestA\n@=== PAUSE TestA\n@=== NAME  \n@=== RUN   TestB\n    b.go:1: a log\n");
  EXPECT_THAT(Print("@--- FAIL: TestB (0.00s)\npanic: boom [recovered]\n\tpanic: boom\n\ngoroutine 7 [running]:\n"),
              IsEmpty());
  EXPECT_THAT(Ended(2), ElementsAre(HasSubstr("1 crashed (panic: boom [recovered]\nb.go:1: a log) <")));
  EXPECT_EQ(end_.exit_code, 0) << "the other goes on in a fresh process";
  EXPECT_FALSE(end_.premature);
  EXPECT_EQ(end_.listing_wrong, "");
}

TEST_P(GoReaderTest, DeathsWithoutAVerdict) {
  Batch({0, 1});
  Print("@=== RUN   TestA\nfatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\n");
  EXPECT_THAT(Ended(2), ElementsAre(HasSubstr("0 crashed (fatal error: all goroutines are asleep - deadlock!) <")));
  EXPECT_EQ(end_.exit_code, 0);
  Batch({0, 1});
  Print("@=== RUN   TestA\npanic: only said\n");
  EXPECT_THAT(Ended(3), IsEmpty());
  EXPECT_TRUE(end_.premature);
  EXPECT_EQ(end_.exit_code, 3);
  EXPECT_EQ(end_.output, "panic: only said\n");
  Batch({0, 1});
  Print("@=== RUN   TestA\nx");
  EXPECT_THAT(Ended(0, 11), IsEmpty());
  EXPECT_EQ(end_.signal, 11);
  EXPECT_EQ(end_.output, "x");
}

TEST_P(GoReaderTest, TheLastVerdictIsTheTrueOne) {
  for (const bool marked : {true, false}) {
    const absl::string_view m = marked ? "@" : "";
    Batch({0, 1}, marked, false);
    EXPECT_THAT(Print(absl::StrCat(m, "=== RUN   TestA\n", m, "--- PASS: TestA (0.00s)\n    a.go:1: it lied\n", m,
                                   "--- FAIL: TestA (0.00s)\n", m, "=== RUN   TestB\n")),
                ElementsAre("began 0", HasSubstr("0 failed (a.go:1: it lied)"), "began 1"));
    EXPECT_THAT(Print(absl::StrCat(m, "--- FAIL: TestB (0.00s)\n", m, "--- PASS: TestB (0.00s)\n", m, "FAIL\n")),
                ElementsAre("1 passed"));
    Ended(1);
    EXPECT_EQ(end_.exit_code, 0);
    EXPECT_EQ(Corrections(), "");
  }
}

TEST_P(GoReaderTest, AFailureAfterAPassWasToldIsCorrected) {
  const char text[] =
      "@=== RUN   TestA\n@--- PASS: TestA (0.00s)\n@=== RUN   TestB\n@--- FAIL: TestA (0.00s)\n@--- PASS: TestB "
      "(0.00s)\n@PASS\n";
  Batch({0, 1}, true, false);
  EXPECT_THAT(Print(text), ElementsAre("began 0", "0 passed", "began 1", "1 passed"));
  Ended(0);
  EXPECT_EQ(Corrections(), "") << "nothing has failed";
  Batch({0, 1});
  Print(text);
  Ended(1);
  EXPECT_EQ(Corrections(), "0: a later line of its process says that it failed\n");
  EXPECT_EQ(end_.exit_code, 0);
}

TEST_P(GoReaderTest, WhatOnlyLooksLikeAFrameIsOutput) {
  Batch({0, 1});
  const std::string text =
      "--- FAIL: TestA (0.00s)\n@=== RUN\n@--- FAIL: TestA (soon)\n@@more@\nPASS\n@PASS\n@=== RUN   TestX\n"
      "@=== RUN   TestX/y\n@=== CONT  TestB\n@=== PAUSE TestB\n@--- FAIL: TestB (0.00s)\n@--- FAIL: TestX (0.00s)\n"
      "@=== ATTR  TestX a b\n === RUN   TestX\n";
  EXPECT_THAT(Print(absl::StrCat("@=== RUN   TestA\n", text, "@--- PASS: TestA (0.00s)\n@=== NAME  \n")),
              ElementsAre("began 0", absl::StrCat("0 passed <", absl::StrReplaceAll(text, {{"@", "\x16"}}), ">")));
}

TEST_P(GoReaderTest, AStatusThatNoFailureExplains) {
  Batch({0});
  Print("@=== RUN   TestA\n@--- PASS: TestA (0.00s)\n@=== NAME  \n@PASS\nsomething is left\n");
  Ended(1);
  EXPECT_EQ(end_.exit_code, 1);
  EXPECT_EQ(end_.output, "something is left\n");
  Batch({0});
  Print("@=== RUN   TestA\n@--- FAIL: TestA (0.00s)\n@=== NAME  \n@FAIL\n");
  Ended(66);
  EXPECT_EQ(end_.exit_code, 0) << "the race detector's";
  Batch({0});
  Print("@=== RUN   TestA\n@--- FAIL: TestA (0.00s)\n@=== NAME  \n@FAIL\n");
  Ended(3);
  EXPECT_EQ(end_.exit_code, 3);
  Batch({0});
  Print("no data base\n");
  Ended(1);
  EXPECT_TRUE(end_.premature);
  EXPECT_EQ(end_.output, "no data base\n");
}

TEST_P(GoReaderTest, AListingThatIsNotWhatRuns) {
  Batch({0, 1});
  Print("@=== RUN   TestA\n@--- PASS: TestA (0.00s)\n@=== NAME  \n@PASS\n");
  Ended(0);
  EXPECT_EQ(end_.listing_wrong, "it listed 'TestB', and a later process does not run it by that name");
  Batch({0});
  Print("@=== RUN   TestA\n@--- PASS: TestA (0.00s)\n@=== RUN   TestHidden\n@--- PASS: TestHidden (0.00s)\n@PASS\n");
  Ended(0);
  EXPECT_EQ(end_.listing_wrong, "it was asked for 1 and runs also 'TestHidden', which is not in its listing");
}

TEST_P(GoReaderTest, AttributesAreProperties) {
  Batch({0});
  EXPECT_THAT(Print("@=== RUN   TestA\n@=== ATTR  TestA key a value\n@--- PASS: TestA (0.00s)\n@=== NAME  \n"),
              ElementsAre("began 0", "0 passed key=a value"));
}

}  // namespace
}  // namespace dtest
