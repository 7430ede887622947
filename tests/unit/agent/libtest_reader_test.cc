#include "agent/frameworks/libtest_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "unit/agent/case_recorder.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kOpening[] = "warning: `--logfile` is deprecated\n\nrunning 3 tests\n";

// Every test is read whole and byte by byte.
class LibtestReaderTest : public testing::TestWithParam<size_t> {
 protected:
  void Batch(const std::vector<uint32_t>& indices, bool keep_all_output = true) {
    cases_.clear();
    for (const uint32_t index : indices) cases_.push_back({index, 1});
    reader_ = std::make_unique<LibtestReader>(BatchRequest{.listing = listing_,
                                                           .cases = cases_,
                                                           .temp_dir = "/x",
                                                           .keep_all_output = keep_all_output,
                                                           .output_cap = 1 << 20});
    EXPECT_TRUE(reader_->Start(&recorder_));
  }
  std::vector<std::string> Log(absl::string_view text) {
    for (; !text.empty(); text.remove_prefix(std::min(GetParam(), text.size()))) {
      reader_->FeedReport(text.substr(0, GetParam()), &recorder_);
    }
    return std::exchange(recorder_.events, {});
  }
  std::vector<std::string> Print(absl::string_view text) {
    for (; !text.empty(); text.remove_prefix(std::min(GetParam(), text.size()))) {
      reader_->Feed(text.substr(0, GetParam()), &recorder_);
    }
    return std::exchange(recorder_.events, {});
  }
  void Ended(int exit_code = 0, int signal = 0) {
    end_ = ProcessEnd();
    end_.exit_code = exit_code;
    end_.signal = signal;
    reader_->Ended({}, &end_, &recorder_);
    EXPECT_THAT(recorder_.events, IsEmpty());
  }

  const CaseInfos listing_ = {"a", "m::a", "m::b", "m::bc"};
  std::vector<LeasedCase> cases_;
  CaseRecorder recorder_;
  std::unique_ptr<LibtestReader> reader_;
  ProcessEnd end_;
};
INSTANTIATE_TEST_SUITE_P(Pieces, LibtestReaderTest, testing::Values(size_t{1}, size_t{7}, size_t{1} << 20),
                         [](const auto& info) { return absl::StrCat("Of", info.param); });

TEST_P(LibtestReaderTest, EachEndIsToldWhenItHappens) {
  Batch({0, 1, 2});
  EXPECT_THAT(Print(kOpening), IsEmpty());
  EXPECT_THAT(Print("test a ... "), ElementsAre("began 0"));
  EXPECT_THAT(Print("said\nmore"), IsEmpty());
  EXPECT_THAT(Log("ok a\n"), ElementsAre("0 passed <said\nmore>"));
  EXPECT_THAT(Print("ok\ntest m::a - should panic ... "), ElementsAre("began 1"));
  EXPECT_THAT(Log("failed: test did not panic as expected at a.rs:9:32 m::a\n"),
              ElementsAre("1 failed (test did not panic as expected at a.rs:9:32)"));
  EXPECT_THAT(Print("FAILED\ntest m::b ... "), ElementsAre("began 2"));
  EXPECT_THAT(Print("thread 'm::b' panicked at a.rs:1:2:\none\n"), IsEmpty());
  EXPECT_THAT(Log("failed m::b\n"),
              ElementsAre("2 failed (a.rs:1:2: one) <thread 'm::b' panicked at a.rs:1:2:\none\n>"));
  Print("FAILED\n\nfailures:\n\nfailures:\n    m::a\n\ntest result: FAILED. 1 passed; 2 failed\n");
  Ended(101);
  EXPECT_EQ(end_.exit_code, 0);
  EXPECT_FALSE(end_.premature);
  EXPECT_EQ(end_.listing_wrong, "");
}

// A program keeps a line without its end, and writes it with "ok", when the result is told.
TEST_P(LibtestReaderTest, AnUnfinishedLineIsNotTheNextTests) {
  Batch({0, 1});
  Print(absl::StrCat(kOpening, "test a ... "));
  EXPECT_THAT(Log("ok a\n"), ElementsAre(testing::StartsWith("0 passed")));
  EXPECT_THAT(Print("no line feedok\ntest m::a ... before it exits\n"), ElementsAre("began 1"));
  Ended(3);
  EXPECT_EQ(end_.output, "before it exits\n");
}

// As it is read where the agent had something else to do.
TEST_P(LibtestReaderTest, AllAtOnce) {
  Batch({0, 1, 2});
  EXPECT_THAT(Print(absl::StrCat(kOpening, "test a ... of a\nok\ntest m::a ... thread 'm::a' panicked at a.rs:1:2:\n",
                                 "one\nFAILED\ntest m::b ... of b\nok\n\nfailures:\n\nfailures:\n    m::a\n\n",
                                 "test result: FAILED. 2 passed\n")),
              ElementsAre("began 0"));
  EXPECT_THAT(Log("ok a\nfailed m::a\nok m::b\n"),
              ElementsAre("0 passed <of a\n>", "began 1",
                          "1 failed (a.rs:1:2: one) <thread 'm::a' panicked at a.rs:1:2:\none\n>", "began 2",
                          "2 passed <of b\n>"));
  Ended(101);
  EXPECT_EQ(end_.exit_code, 0);
  EXPECT_EQ(end_.listing_wrong, "");
}

TEST_P(LibtestReaderTest, IgnoredTestsSayWhy) {
  Batch({0, 1, 2});
  Print(kOpening);
  EXPECT_THAT(Print("test a ... ignored\n"), ElementsAre("began 0"));
  EXPECT_THAT(Log("ignored a\n"), ElementsAre("0 skipped (ignored)"));
  Print("test m::a ... ignored, needs a network\n");
  EXPECT_THAT(Log("ignored: needs\na network m::a\n"), ElementsAre("1 skipped (ignored: needs\na network)"));
}

TEST_P(LibtestReaderTest, MessagesHaveLineFeeds) {
  Batch({1, 2});
  Print(absl::StrCat(kOpening, "test m::a - should panic ... "));
  EXPECT_THAT(
      Log("failed: panic did not contain expected string\n      panic message: `\"other\"`,\n expected "
          "substring: `\"f(x)\"` m::a\n"),
      ElementsAre("1 failed (panic did not contain expected string\n      panic message: `\"other\"`,\n expected "
                  "substring: `\"f(x)\"`)"));
  EXPECT_THAT(Log("failed (time limit exceeded) m::b\n"), ElementsAre("began 2", "2 failed ((time limit exceeded))"));
}

TEST_P(LibtestReaderTest, WhatATestPrintsGivesNobodyAVerdict) {
  Batch({0, 1});
  EXPECT_THAT(Print(absl::StrCat(kOpening, "test a ... ")), ElementsAre("began 0"));
  EXPECT_THAT(Print("test a ... ok\ntest m::a ... ok\n\ntest result: ok. 2 passed\n"), IsEmpty());
  Ended(0);
  EXPECT_TRUE(end_.premature) << "it is in the first test";
  EXPECT_EQ(end_.listing_wrong, "");
}

TEST_P(LibtestReaderTest, PaddedNamesAndNamesThatBeginLikeOthers) {
  Batch({2, 3});
  EXPECT_THAT(Print("test m::bc ... test m::b, test m::b.. test m::b   - should panic ... "), ElementsAre("began 2"));
  EXPECT_THAT(Log("ok m::b\n"), ElementsAre("2 passed"));
  EXPECT_THAT(Print("ok\nlate\ntest m::bc    ... x"), ElementsAre("began 3"));
  EXPECT_THAT(Log("ok m::bc\n"), ElementsAre("3 passed <late\nx>"));
}

TEST_P(LibtestReaderTest, OutputThatATestHasTakenAway) {
  Batch({0, 1, 2});
  EXPECT_THAT(Log("ok a\nfailed m::a\n"),
              ElementsAre("began 0", "0 passed", "began 1", "1 failed (failed without naming a reason)"));
  EXPECT_THAT(Print("test m::b ... x"), ElementsAre("began 2"));
  EXPECT_THAT(Log("ok m::b\n"), ElementsAre("2 passed <x>"));
  Ended(101);
  EXPECT_EQ(end_.exit_code, 101) << "no summary says that it had finished";
}

TEST_P(LibtestReaderTest, OutputIsKeptOfWhatFailedAndOfTheLast) {
  Batch({0, 1}, false);
  Print(absl::StrCat(kOpening, "test a ... said"));
  EXPECT_THAT(Log("ok a\n"), ElementsAre("0 passed"));
  Print("ok\ntest m::a ... said");
  EXPECT_THAT(Log("ok m::a\n"), ElementsAre("1 passed <said>"));
}

TEST_P(LibtestReaderTest, ACrashAndAnExit) {
  Batch({0, 1});
  Print(absl::StrCat(kOpening, "test a ... \nthread 'a' has overflowed its stack\n"));
  Ended(0, 6);
  EXPECT_EQ(end_.signal, 6);
  EXPECT_EQ(end_.output, "\nthread 'a' has overflowed its stack\n");
  EXPECT_EQ(end_.listing_wrong, "");
  Batch({0, 1});
  Print(absl::StrCat(kOpening, "test a ... "));
  Log("ok a\n");
  Print("ok\ntest m::a ... leaves");
  Log("");
  Ended(0);
  EXPECT_TRUE(end_.premature);
  EXPECT_EQ(end_.output, "leaves");
}

TEST_P(LibtestReaderTest, AStatusThatNoFailureExplains) {
  Batch({0});
  Print(absl::StrCat(kOpening, "test a ... "));
  Log("ok a\n");
  Print("ok\n\ntest result: ok. 1 passed\n");
  Ended(101);
  EXPECT_EQ(end_.exit_code, 101);
  Batch({0});
  Print(absl::StrCat(kOpening, "test a ... "));
  Log("failed a\n");
  Print("FAILED\n\ntest result: FAILED.\n==1==ERROR: LeakSanitizer: detected memory leaks\n");
  Ended(101);
  EXPECT_EQ(end_.exit_code, 101);
  EXPECT_EQ(end_.warning, "ERROR: LeakSanitizer: detected memory leaks");
}

TEST_P(LibtestReaderTest, AListingThatIsNotWhatRuns) {
  Batch({0, 1});
  Print("\nrunning 1 test\ntest m::a ... ");
  EXPECT_THAT(Log("ok m::a\n"), ElementsAre("began 1", "1 passed"));
  Print("ok\n\ntest result: ok. 1 passed\n");
  Ended(0);
  EXPECT_EQ(end_.listing_wrong, "it listed 'a', and a later process does not run it by that name");
  Batch({0});
  Print(absl::StrCat(kOpening, "test a ... "));
  EXPECT_THAT(Log("ok a\nok strange\n"), ElementsAre("0 passed"));
  Print("ok\ntest strange ... ok\n\ntest result: ok. 2 passed\n");
  Ended(0);
  EXPECT_EQ(end_.listing_wrong, "it was asked for 1 and runs also 'strange', which is not in its listing");
}

TEST_P(LibtestReaderTest, ALogThatCannotBeReadIsNoPass) {
  for (const absl::string_view log : {"passed a\n", "ok a\nok a\n", "ok m::a\nok a\n", "failed: cut"}) {
    Batch({0, 1});
    Print(absl::StrCat(kOpening, "test a ... "));
    Log(log);
    Print("ok\n\ntest result: ok.\n");
    Ended(0);
    recorder_.events.clear();
    EXPECT_TRUE(end_.premature) << log;
    EXPECT_THAT(end_.output, HasSubstr("dtest: what libtest writes to its log cannot be read: ")) << log;
  }
}

}  // namespace
}  // namespace dtest
