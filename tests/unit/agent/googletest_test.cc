#include "agent/frameworks/googletest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "agent/frameworks/googletest_xml.h"

namespace dtest {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> Listing(absl::string_view output) {
  auto names = GoogleTestFramework().ParseListing(output);
  EXPECT_TRUE(names.ok()) << names.status();
  return names.ok() ? *names : std::vector<std::string>();
}

TEST(GoogleTestListing, SuitesAndCases) {
  EXPECT_THAT(Listing("Running main() from gtest_main.cc\nMath.\n  Adds\n  DISABLED_Divides\nText.\n  Joins\n"),
              ElementsAre("Math.Adds", "Math.DISABLED_Divides", "Text.Joins"));
}

TEST(GoogleTestListing, CommentsOfTypesAndParameters) {
  EXPECT_THAT(Listing("Typed/0.  # TypeParam = std::vector<int, std::allocator<int> >\n  Works\n"
                      "Numbers/Primes.\n  IsPrime/0  # GetParam() = (2, \"  # GetParam() = \")\n  IsPrime/large\n"),
              ElementsAre("Typed/0.Works", "Numbers/Primes.IsPrime/0", "Numbers/Primes.IsPrime/large"));
}

TEST(GoogleTestListing, NoiseIsNoCase) {
  EXPECT_THAT(Listing("  indented before any suite\nLoading plugins: 3\n  loaded\nHello world.\n  nobody\n\r\n"
                      "Math.\r\n  Adds\r\n    deeper\nbye\n  after\nLoading...\n  done\n"),
              ElementsAre("Math.Adds"));
}

TEST(GoogleTestListing, SameNameTwiceIsOneCase) { EXPECT_THAT(Listing("A.\n  B\nA.\n  B\n"), ElementsAre("A.B")); }

TEST(GoogleTestListing, NothingListed) {
  EXPECT_THAT(Listing(""), IsEmpty());
  EXPECT_THAT(Listing("\n\n  \n.\n"), IsEmpty());
}

TEST(GoogleTestListing, ProgramThatRanItsTestsInstead) {
  const auto names = GoogleTestFramework().ParseListing("[==========] Running 1 test from 1 test suite.\n");
  ASSERT_FALSE(names.ok());
  EXPECT_THAT(std::string(names.status().message()), HasSubstr("ran its tests instead of listing them"));
}

TEST(GoogleTestNames, Disabled) {
  for (const char* name : {"A.DISABLED_B", "DISABLED_A.B", "P/DISABLED_A.B/0", "DISABLED_P/A.B/0"}) {
    EXPECT_TRUE(IsDisabledGoogleTest(name)) << name;
  }
  for (const char* name : {"A.B", "A.NotDISABLED_B", "ADISABLED_.B"}) EXPECT_FALSE(IsDisabledGoogleTest(name)) << name;
}

class GoogleTestFilterTest : public testing::Test {
 protected:
  std::string Filter(const std::vector<uint32_t>& indices) {
    cases_.clear();
    for (uint32_t index : indices) cases_.push_back({index, 1});
    return GoogleTestFilter(Request());
  }
  BatchRequest Request() {
    return {.names = names_, .cases = cases_, .temp_dir = "/tmp/x", .run_disabled = run_disabled_};
  }
  std::vector<std::string> names_ = {"A.One", "A.Two", "A.DISABLED_Three", "B.One", "B.Two", "C.Only"};
  std::vector<LeasedCase> cases_;
  bool run_disabled_ = false;
};

TEST_F(GoogleTestFilterTest, AllNeedsNone) { EXPECT_EQ(Filter({0, 1, 3, 4, 5}), ""); }
TEST_F(GoogleTestFilterTest, DisabledOnesAreNotMissed) { EXPECT_EQ(Filter({0, 1, 2, 3, 4, 5}), ""); }
TEST_F(GoogleTestFilterTest, WholeSuites) { EXPECT_EQ(Filter({4, 3, 1, 0}), "A.*:B.*"); }
TEST_F(GoogleTestFilterTest, SomeOfASuite) { EXPECT_EQ(Filter({0, 3, 4}), "A.One:B.*"); }
TEST_F(GoogleTestFilterTest, SuiteOfOneIsNamed) { EXPECT_EQ(Filter({5}), "C.Only"); }
TEST_F(GoogleTestFilterTest, DisabledCountWhereTheyRun) {
  run_disabled_ = true;
  EXPECT_EQ(Filter({0, 1, 3, 4, 5}), "A.One:A.Two:B.*:C.Only");
  EXPECT_EQ(Filter({2}), "A.DISABLED_Three");
}
TEST_F(GoogleTestFilterTest, SpecialCharacters) {
  names_ = {"-A.x:y", "-A.x*y", "B-1.z", "B-1.w", "C.c"};
  EXPECT_EQ(Filter({0, 2, 3}), "?A.x?y:B?1.z:B?1.w");
}

TEST_F(GoogleTestFilterTest, ShortFilterIsAnArgument) {
  Filter({0, 3});
  const Invocation invocation = GoogleTestFramework().RunInvocation(Request());
  EXPECT_THAT(invocation.arguments, Contains("--gtest_filter=A.One:B.One"));
  EXPECT_THAT(invocation.unset, Contains("GTEST_FILTER"));
  EXPECT_THAT(invocation.arguments, Not(Contains("--gtest_also_run_disabled_tests")));
}

TEST_F(GoogleTestFilterTest, ReportOnlyWhereWanted) {
  Filter({0, 3});
  BatchRequest request = Request();
  Invocation invocation = GoogleTestFramework().RunInvocation(request);
  EXPECT_THAT(invocation.arguments, Contains("--gtest_output=xml:/tmp/x/googletest.xml"));
  EXPECT_THAT(invocation.read_back, ElementsAre("/tmp/x/premature_exit", "/tmp/x/googletest.xml"));
  request.report = false;
  invocation = GoogleTestFramework().RunInvocation(request);
  EXPECT_THAT(invocation.arguments, Not(Contains(testing::HasSubstr("gtest_output"))));
  EXPECT_THAT(invocation.read_back, ElementsAre("/tmp/x/premature_exit"));
}

// MAX_ARG_STRLEN is 128 KiB.
TEST_F(GoogleTestFilterTest, BatchIsCutWhereItsFilterWouldNotFit) {
  names_.clear();
  std::vector<uint32_t> even;
  for (uint32_t i = 0; i < 20000; ++i) {
    names_.push_back(absl::StrCat("Suite.CaseNumber", i));
    if (i % 2 == 0) even.push_back(i);
  }
  Filter(even);
  const GoogleTestFramework framework;
  std::vector<uint32_t> ran;
  for (BatchRequest request = Request(); !request.cases.empty();) {
    BatchRequest process = request;
    const size_t fits = framework.CasesAProcess(request);
    ASSERT_GT(fits, 0u);
    process.cases = request.cases.first(fits);
    request.cases.remove_prefix(fits);
    for (const LeasedCase& leased : process.cases) ran.push_back(leased.index);
    for (const std::string& argument : framework.RunInvocation(process).arguments) {
      EXPECT_LT(argument.size(), 128u << 10);
      EXPECT_THAT(argument, Not(HasSubstr("flagfile")));
    }
  }
  EXPECT_EQ(ran, even);
}

TEST_F(GoogleTestFilterTest, WholeSuitesFitHoweverLongTheirNamesAre) {
  names_ = {std::string(150000, 'x') + "Suite.One", "B.One", "A.One"};
  Filter({0, 1, 2});
  EXPECT_EQ(GoogleTestFramework().CasesAProcess(Request()), 3u);
}

// ---- The XML report

TEST(GoogleTestXml, PropertiesOfCases) {
  const auto cases = ParseGoogleTestXml(
      "<?xml version=\"1.0\"?>\n<testsuites>\n<testsuite name=\"A\"><properties><property name=\"suite\" value=\"no\"/>"
      "</properties><testcase name=\"One\" value_param=\"&lt;1&gt;\" status=\"run\" classname=\"P/A\"><properties>\n"
      "<property name=\"k\" value=\"a &amp; &quot;b&quot;&#x0A;&unknown;\"/><property name=\"k2\" value=\"\"/>"
      "</properties></testcase><testcase name=\"Two\" classname=\"P/A\" /><property name=\"x\" value=\"y\"/>"
      "<testcase name=\"Three\" classname=\"P/A\"><failure><![CDATA[<property name=\"fake\" "
      "value=\"fake\"/>]]></failure>"
      "</testcase></testsuite>");
  ASSERT_EQ(cases.size(), 3u);
  EXPECT_EQ(cases[0].name, "P/A.One");
  EXPECT_THAT(cases[0].properties, ElementsAre(testing::Pair("k", "a & \"b\"\n&unknown;"), testing::Pair("k2", "")));
  EXPECT_THAT(cases[1].properties, IsEmpty());
  EXPECT_THAT(cases[2].properties, IsEmpty());
}

TEST(GoogleTestXml, Outcomes) {
  const auto cases = ParseGoogleTestXml(
      "<testcase name=\"P\" status=\"run\" result=\"completed\" time=\"0.25\" timestamp=\"2026-11-21T02:11:46.046\" "
      "classname=\"A\" />"
      "<testcase name=\"S\" status=\"run\" result=\"skipped\" timestamp=\"2026-11-21T02:11:46.046\" classname=\"A\">"
      "<skipped message=\"a.cc:2&#x0A;why\"><![CDATA[a.cc:2\nwhy]]></skipped></testcase>"
      "<testcase name=\"F\" status=\"run\" result=\"completed\" timestamp=\"2026-11-21T02:11:46.046\" classname=\"A\">"
      "<failure message=\"first\" type=\"\"></failure><failure message=\"second\" type=\"\"></failure></testcase>"
      "<testcase name=\"N\" status=\"run\" result=\"completed\" timestamp=\"1970-01-01T00:00:00.000\" classname=\"A\" "
      "/>"
      "<testcase name=\"D\" status=\"notrun\" result=\"suppressed\" timestamp=\"2026-11-21T02:11:46.046\" "
      "classname=\"A\"/>");
  ASSERT_EQ(cases.size(), 5u);
  EXPECT_TRUE(cases[0].ran);
  EXPECT_EQ(cases[0].outcome, Outcome::kPassed);
  EXPECT_EQ(cases[0].duration, absl::Milliseconds(250));
  EXPECT_EQ(cases[1].outcome, Outcome::kSkipped);
  EXPECT_EQ(cases[1].message, "a.cc:2\nwhy");
  EXPECT_EQ(cases[2].outcome, Outcome::kFailed);
  EXPECT_EQ(cases[2].message, "first\nsecond");
  EXPECT_FALSE(cases[3].ran);
  EXPECT_FALSE(cases[4].ran);
}

TEST(GoogleTestXml, DamagedFilesAreHarmless) {
  const std::string whole =
      "<testcase name=\"One\" classname=\"A\"><property name=\"k\" value=\"&#x0A;\"/><![CDATA[x]]></testcase>";
  for (size_t i = 0; i <= whole.size(); ++i) {
    EXPECT_LE(ParseGoogleTestXml(whole.substr(0, i)).size(), 1u);
    std::string damaged = whole;
    if (i < damaged.size()) damaged[i] = '\0';
    EXPECT_LE(ParseGoogleTestXml(damaged).size(), 1u);
  }
}

}  // namespace
}  // namespace dtest
