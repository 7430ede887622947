#include "agent/frameworks/gotest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/frameworks/gotest_listing.h"
#include "unit/agent/dotted_cases.h"

namespace dtest {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// ---- Listing --------------------------------------------------------------------------------------------------------

TEST(GoListingTest, WhatItTells) {
  const std::string output =
      "set up\r\nTestA\nTest\nTest_x\nTest\xc3\x84rger\nBenchmarkX\nBenchmarkY\nFuzzX\nExample\nExample_a\n";
  const absl::StatusOr<CaseInfos> cases = GoTestAdapter().ParseListing(output, {});
  ASSERT_TRUE(cases.ok()) << cases.status();
  EXPECT_THAT(NamesOf(*cases),
              ElementsAre("TestA", "Test", "Test_x", "Test\xc3\x84rger", "FuzzX", "Example", "Example_a"));
  EXPECT_THAT(
      GoTestAdapter().ListingNotes(output, {}),
      ElementsAre("2 benchmarks are left out", "its listing has 1 more line, which is no names of tests: 'set up'"));
  EXPECT_THAT(GoTestAdapter().ListingNotes("TestA\n", {}), IsEmpty());
}

TEST(GoListingTest, BenchmarksAreNoMistake) {
  const auto listing = ParseGoListing("BenchmarkX\n");
  ASSERT_TRUE(listing.ok()) << listing.status();
  EXPECT_TRUE(listing->cases.empty());
  EXPECT_EQ(listing->benchmarks, 1u);
}

TEST(GoListingTest, ANameThatMayBeHiddenIsAnError) {
  for (const char* line : {"set up...TestA", "it is at TestA", "oneTestA", "of Example_a", "xFuzz", "aBenchmarkB"}) {
    EXPECT_THAT(ParseGoListing(absl::StrCat("TestB\n", line, "\n")).status().message(),
                HasSubstr(absl::StrCat("may hide the name of a test, in the line '", line, "'")));
  }
  for (const char* line : {"Testing", "latest", "TestA is here", "Fuzzy", "TestA."}) {
    const auto listing = ParseGoListing(absl::StrCat("TestB\n", line, "\n"));
    ASSERT_TRUE(listing.ok()) << listing.status();
    EXPECT_EQ(listing->other_lines, 1u) << line;
  }
}

TEST(GoListingTest, NothingOrANameTwiceIsAnError) {
  EXPECT_THAT(ParseGoListing("").status().message(), HasSubstr("does its TestMain call m.Run?"));
  EXPECT_THAT(ParseGoListing("set up\n").status().message(), HasSubstr("lists no test"));
  EXPECT_THAT(ParseGoListing("TestA\nTestA\n").status().message(), HasSubstr("it lists 'TestA' twice"));
}

// ---- What is started ------------------------------------------------------------------------------------------------

class GoRunTest : public testing::Test {
 protected:
  BatchRequest Request(const std::vector<uint32_t>& indices, bool unlisted_too = false) {
    cases_.clear();
    for (const uint32_t index : indices) cases_.push_back({index, 1});
    return {.listing = listing_, .cases = cases_, .temp_dir = "/x", .unlisted_too = unlisted_too};
  }
  CaseInfos listing_ = {"TestA", "TestB", "ExampleC"};
  std::vector<LeasedCase> cases_;
};

TEST_F(GoRunTest, WholeNames) {
  EXPECT_THAT(
      GoTestAdapter().RunInvocation(Request({0, 2})).arguments,
      ElementsAre("-test.v=test2json", "-test.parallel=1", "-test.paniconexit0", "-test.run=^(TestA|ExampleC)$"));
  EXPECT_THAT(GoTest119Adapter().RunInvocation(Request({1})).arguments,
              ElementsAre("-test.v=true", "-test.parallel=1", "-test.paniconexit0", "-test.run=^(TestB)$"));
  EXPECT_THAT(GoTestAdapter().RunInvocation(Request({0, 1, 2})).arguments,
              ElementsAre("-test.v=test2json", "-test.parallel=1", "-test.paniconexit0"));
}

TEST_F(GoRunTest, WhatIsNotListedMayRunWithTheFirst) {
  EXPECT_THAT(GoTestAdapter().RunInvocation(Request({1}, true)).arguments, Contains("-test.skip=^(TestA|ExampleC)$"));
  EXPECT_THAT(GoTest119Adapter().RunInvocation(Request({1}, true)).arguments, Contains("-test.run=^(TestB)$"));
}

TEST_F(GoRunTest, NamesOfManyBytesTakeSeveralProcesses) {
  listing_ = {};
  std::vector<uint32_t> all;
  for (uint32_t i = 0; i < 400; ++i) {
    listing_.Add({.name = absl::StrCat("Test", std::string(994, 'X'), i % 10)});
    all.push_back(i);
  }
  all.pop_back();
  EXPECT_EQ(GoTestAdapter().CasesAProcess(Request(all)), GoTestFramework::kMostNameBytes / 1000);
  all.push_back(399);
  EXPECT_EQ(GoTestAdapter().CasesAProcess(Request(all)), 400u) << "that takes no name";
}

}  // namespace
}  // namespace dtest
