#include "agent/frameworks/libtest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/frameworks/libtest_listing.h"
#include "agent/frameworks/libtest_panic.h"
#include "unit/agent/dotted_cases.h"

namespace dtest {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// ---- Listing --------------------------------------------------------------------------------------------------------

// As 1.63 and 1.95 write them.
constexpr char kLog[] = "test adds\ntest parser::deep::reads\nbenchmark parser::speed\ntest parser::\xc3\xa4\n";
constexpr char kOutput[] = "adds: test\nparser::deep::reads: test\nparser::speed: benchmark\n\n3 tests, 1 benchmark\n";

TEST(LibtestListingTest, WhatItTells) {
  const absl::StatusOr<CaseInfos> cases = LibtestFramework().ParseListing(kOutput, {kLog});
  ASSERT_TRUE(cases.ok()) << cases.status();
  EXPECT_THAT(NamesOf(*cases), ElementsAre("adds", "parser::deep::reads", "parser::speed", "parser::\xc3\xa4"));
  EXPECT_EQ((*cases)[0].suite, "");
  EXPECT_EQ((*cases)[1].suite, "parser::deep");
  EXPECT_THAT((*cases)[1].labels, IsEmpty());
  EXPECT_THAT((*cases)[2].labels, ElementsAre("benchmark"));
}

TEST(LibtestListingTest, NoTests) {
  const auto cases = ParseLibtestListing("", "\n0 tests, 0 benchmarks\n");
  ASSERT_TRUE(cases.ok()) << cases.status();
  EXPECT_TRUE(cases->empty());
}

TEST(LibtestListingTest, CutShortAnywhereIsAnError) {
  const absl::string_view log = kLog, output = kOutput;
  for (size_t size = 0; size < log.size(); ++size) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseLibtestListing(log.substr(0, size), output).status())) << size;
  }
  for (size_t size = 0; size + 1 < output.size(); ++size) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseLibtestListing(log, output.substr(0, size)).status())) << size;
  }
}

TEST(LibtestListingTest, WhatIsNotUnderstoodIsAnError) {
  EXPECT_THAT(ParseLibtestListing("test a\nok b\n", "2 tests, 0 benchmarks\n").status().message(),
              HasSubstr("neither a test nor a benchmark: 'ok b'"));
  EXPECT_THAT(ParseLibtestListing("test \n", "1 test, 0 benchmarks\n").status().message(), HasSubstr("neither"));
  EXPECT_THAT(ParseLibtestListing("test a\ntest a\n", "2 tests, 0 benchmarks\n").status().message(),
              HasSubstr("it lists 'a' twice"));
  EXPECT_THAT(ParseLibtestListing("test a\n", "2 tests, 1 benchmark\n").status().message(),
              HasSubstr("it says 2 tests and 1 benchmarks, and names 1 and 0"));
  EXPECT_THAT(ParseLibtestListing("", "usage\n").status().message(), HasSubstr("no list of libtest's"));
}

// ---- What is started ------------------------------------------------------------------------------------------------

class LibtestRunTest : public testing::Test {
 protected:
  std::vector<std::string> Arguments(const std::vector<uint32_t>& indices, bool run_disabled = false) {
    cases_.clear();
    for (const uint32_t index : indices) cases_.push_back({index, 1});
    return LibtestFramework().RunInvocation(Request(run_disabled)).arguments;
  }
  BatchRequest Request(bool run_disabled = false) {
    return {.listing = listing_, .cases = cases_, .temp_dir = "/x", .run_disabled = run_disabled};
  }
  CaseInfos listing_ = {"a", "b::c", "b::d"};
  std::vector<LeasedCase> cases_;
};

TEST_F(LibtestRunTest, ExactNames) {
  EXPECT_THAT(Arguments({0, 2}), ElementsAre("--test-threads=1", "--nocapture", "--color=never",
                                             "--logfile=/proc/self/fd/3", "--exact", "a", "b::d"));
  EXPECT_THAT(Arguments({0, 1, 2}), Not(Contains("--exact"))) << "what is not listed shows";
  EXPECT_THAT(Arguments({0}, true), Contains("--include-ignored"));
}

TEST_F(LibtestRunTest, NamesOfManyBytesTakeSeveralProcesses) {
  listing_ = {};
  const std::string module(1000, 'm');
  for (int i = 0; i < 1000; ++i) listing_.Add({.name = absl::StrCat(module, "::", i)});
  std::vector<uint32_t> all;
  for (uint32_t i = 0; i < 999; ++i) all.push_back(i);
  Arguments(all);
  EXPECT_EQ(LibtestFramework().CasesAProcess(Request()), LibtestFramework::kMostNameBytes / 1006);
  all.push_back(999);
  Arguments(all);
  EXPECT_EQ(LibtestFramework().CasesAProcess(Request()), 1000u) << "that takes no name";
}

// ---- What it failed of ----------------------------------------------------------------------------------------------

TEST(LibtestFailureTest, Panics) {
  EXPECT_EQ(
      LibtestFailure("said\nthread 'main' panicked at 'assertion failed: `(left == right)`\n  left: `1`,\n right: "
                     "`2`: no', src/a.rs:4:51\nnote: run with `RUST_BACKTRACE=1` environment variable\n",
                     "a::b"),
      "src/a.rs:4:51: assertion failed: `(left == right)`\n  left: `1`,\n right: `2`: no");
  EXPECT_EQ(LibtestFailure("\nthread 'a::b' (12) panicked at src/a.rs:4:51:\nassertion `left == right` failed\n  left: "
                           "1\n right: 2\nstack backtrace:\n   0: x\n",
                           "a::b"),
            "src/a.rs:4:51: assertion `left == right` failed\n  left: 1\n right: 2");
  EXPECT_EQ(LibtestFailure("thread 'a::b' panicked at a.rs:1:2:\none\n", "a::b"), "a.rs:1:2: one");
}

TEST(LibtestFailureTest, TheLastPanicOfItsThreadCounts) {
  const std::string text =
      "thread 'a::b' panicked at a.rs:1:2:\ncaught\nnote: run with `RUST_BACKTRACE=1`\n"
      "thread 'a::b' panicked at a.rs:3:4:\nnot caught\n"
      "thread '<unnamed>' panicked at a.rs:5:6:\nof another\nthread 'a::bc' panicked at a.rs:7:8:\nas well\n";
  EXPECT_EQ(LibtestFailure(text, "a::b"), "a.rs:3:4: not caught");
  EXPECT_EQ(LibtestFailure("it said: thread 'main' panicked at 'no', a.rs:1:2\n", "a::b"), "");
}

TEST(LibtestFailureTest, ErrorsThatATestReturns) {
  EXPECT_EQ(LibtestFailure("Error: \"went wrong\"\n", "a"), "Error: \"went wrong\"");
  EXPECT_EQ(LibtestFailure("Error: \"went wrong\"\nthread 'main' panicked at 'assertion failed', "
                           "/usr/src/rustc-1.63.0/library/test/src/lib.rs:184:5\n",
                           "a"),
            "Error: \"went wrong\"");
  EXPECT_EQ(LibtestFailure("nothing\n", "a"), "");
  EXPECT_EQ(LibtestFailure("", "a"), "");
}

}  // namespace
}  // namespace dtest
