#include "agent/frameworks/googletest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "agent/frameworks/googletest_listing.h"
#include "agent/frameworks/googletest_xml.h"
#include "unit/agent/dotted_cases.h"

namespace dtest {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;

// ---- The list as text

std::vector<std::string> Listing(absl::string_view output) {
  const absl::StatusOr<CaseInfos> cases = GoogleTestFramework().ParseListing(output, {""});
  EXPECT_TRUE(cases.ok()) << cases.status();
  return cases.ok() ? NamesOf(*cases) : std::vector<std::string>();
}

TEST(GoogleTestText, SuitesAndCases) {
  EXPECT_THAT(Listing("Running main() from gtest_main.cc\nMath.\n  Adds\n  DISABLED_Divides\nText.\r\n  Joins\r\n"),
              ElementsAre("Math.Adds", "Math.DISABLED_Divides", "Text.Joins"));
  EXPECT_THAT(Listing(""), IsEmpty());
}

TEST(GoogleTestText, CommentsOfTypesAndParameters) {
  const absl::StatusOr<CaseInfos> cases = ParseGoogleTestText(
      "Typed/0.  # TypeParam = std::vector<int, std::allocator<int> >\n  Works\n"
      "Numbers/Primes.\n  IsPrime/0  # GetParam() = (2, \"  # GetParam() = \")\n  IsPrime/large\n"
      "Width/unsigned int.  # TypeParam = unsigned int\n  Fits/0  # GetParam() = 7\n");
  ASSERT_TRUE(cases.ok()) << cases.status();
  ASSERT_EQ(cases->size(), 4u);
  EXPECT_EQ(
      (*cases)[0],
      CaseInfo({.name = "Typed/0.Works", .suite = "Typed/0", .parameter = "std::vector<int, std::allocator<int> >"}));
  EXPECT_EQ((*cases)[1], CaseInfo({.name = "Numbers/Primes.IsPrime/0",
                                   .suite = "Numbers/Primes",
                                   .parameter = "(2, \"  # GetParam() = \")"}));
  EXPECT_EQ((*cases)[2], CaseInfo({.name = "Numbers/Primes.IsPrime/large", .suite = "Numbers/Primes"}));
  EXPECT_EQ(
      (*cases)[3],
      CaseInfo({.name = "Width/unsigned int.Fits/0", .suite = "Width/unsigned int", .parameter = "unsigned int, 7"}));
}

TEST(GoogleTestText, ALineThatFitsNowhereIsNamed) {
  for (const auto& [text, line] : std::vector<std::pair<const char*, const char*>>{
           {"  indented before any suite\nA.\n  B\n", "'  indented before any suite'"},
           {"Loading plugins: 3\nA.\n  B\n", "'Loading plugins: 3'"},
           {"Hello world.\nA.\n  B\n", "'Hello world.'"},
           {"Loading...\n  done\nA.\n  B\n", "'Loading...'"},
           {"A.\n  B\nRunning main() from gtest_main.cc\n", "'Running main() from gtest_main.cc'"},
           {"A.\n  \n", "'  '"},
           {"A.\n  B\nbye\n", "'bye'"},
           {"A.\n  B\nC.\n", "'C.'"},
           {".\n", "'.'"}}) {
    const auto cases = ParseGoogleTestText(text);
    EXPECT_TRUE(absl::IsInvalidArgument(cases.status())) << text;
    EXPECT_THAT(std::string(cases.status().message()), HasSubstr(line)) << text;
  }
}

TEST(GoogleTestText, TwoTestsOfOneNameAreAnError) {
  const auto cases = ParseGoogleTestText("A.\n  B.C\nA.B.\n  C\n");
  ASSERT_TRUE(absl::IsInvalidArgument(cases.status())) << cases.status();
  EXPECT_THAT(std::string(cases.status().message()),
              HasSubstr("two tests are named A.B.C: test B.C of suite A and test C of suite A.B; "));
  EXPECT_TRUE(absl::IsInvalidArgument(ParseGoogleTestText("A.\n  B\nA.\n  B\n").status()));
}

TEST(GoogleTestText, ProgramThatRanItsTestsInstead) {
  const auto cases = ParseGoogleTestText("Hello\n");
  EXPECT_TRUE(absl::IsInvalidArgument(cases.status()));
  const auto ran = ParseGoogleTestText("[==========] Running 1 test from 1 test suite.\n");
  ASSERT_TRUE(absl::IsFailedPrecondition(ran.status()));
  EXPECT_THAT(std::string(ran.status().message()), HasSubstr("ran its tests instead of listing them"));
}

// ---- The list as a file

// As release 1.12.1 writes it.
constexpr char kJson[] = R"({
  "tests": 4,
  "name": "AllTests",
  "testsuites": [
    {
      "name": "Width\/unsigned int",
      "tests": 1,
      "testsuite": [
        {
          "name": "Fits",
          "type_param": "unsigned int",
          "file": "\/src\/width.cc",
          "line": 12
        }
      ]
    },
    {
      "name": "I\/Q",
      "tests": 2,
      "testsuite": [
        {
          "name": "Ok\/0",
          "value_param": "\"hello\"\n\\",
          "file": "\/src\/q.cc",
          "line": 7
        },
        {
          "name": "DISABLED_\u00C3\u00A9\u0001",
          "file": "",
          "line": 0
        }
      ]
    },
    {
      "name": "",
      "tests": 0,
      "testsuite": [
      ]
    }
  ]
}
)";

TEST(GoogleTestJson, NamesParametersFilesAndLines) {
  const absl::StatusOr<CaseInfos> cases =
      GoogleTestFramework().ParseListing("rank 0/1 Width/unsigned int.\n  Fits\n", {kJson});
  ASSERT_TRUE(cases.ok()) << cases.status();
  ASSERT_EQ(cases->size(), 3u);
  EXPECT_EQ((*cases)[0], CaseInfo({.name = "Width/unsigned int.Fits",
                                   .suite = "Width/unsigned int",
                                   .parameter = "unsigned int",
                                   .file = "/src/width.cc",
                                   .line = 12}));
  EXPECT_EQ(
      (*cases)[1],
      CaseInfo({.name = "I/Q.Ok/0", .suite = "I/Q", .parameter = "\"hello\"\n\\", .file = "/src/q.cc", .line = 7}));
  // Bytes, as the program has them, not code points.
  EXPECT_EQ((*cases)[2], CaseInfo({.name = "I/Q.DISABLED_\xc3\xa9\x01", .suite = "I/Q"}));
}

TEST(GoogleTestJson, BytesThatAreNotEscaped) {
  const auto cases =
      ParseGoogleTestJson("{\"testsuites\":[{\"name\":\"\xff\",\"testsuite\":[{\"name\":\"\xc3\xa9\"}]}]}");
  ASSERT_TRUE(cases.ok()) << cases.status();
  EXPECT_THAT(NamesOf(*cases), ElementsAre("\xff.\xc3\xa9"));
}

TEST(GoogleTestJson, EveryTruncationIsAnErrorOfTheListing) {
  const std::string json = kJson;
  for (size_t size = 1; size + 2 < json.size(); ++size) {
    const auto cases = ParseGoogleTestJson(json.substr(0, size));
    ASSERT_TRUE(absl::IsInvalidArgument(cases.status())) << size << ": " << cases.status();
    ASSERT_THAT(std::string(cases.status().message()), HasSubstr("cut short or damaged")) << size;
  }
}

TEST(GoogleTestJson, WhatContradictsItselfIsAnError) {
  for (const auto& [part, damaged] :
       std::vector<std::pair<const char*, const char*>>{{"\"tests\": 4", "\"tests\": 2"},
                                                        {"\"tests\": 1", "\"tests\": 2"},
                                                        {"\"tests\": 0", "\"tests\": 1"},
                                                        {"\"name\": \"Fits\"", "\"nome\": \"Fits\""},
                                                        {"\"name\": \"I", "\"nome\": \"I"},
                                                        {"\"testsuites\"", "\"suites\""},
                                                        {"\"line\": 12", "\"line\": -12"},
                                                        {"\"line\": 12", "\"line\": 5000000000"},
                                                        {"\\u00C3", "\\u01C3"},
                                                        {"\\u00C3", "\\x00C3"},
                                                        {"\n}\n", "\n}\n{"}}) {
    const auto cases = ParseGoogleTestJson(absl::StrReplaceAll(kJson, {{part, damaged}}));
    EXPECT_TRUE(absl::IsInvalidArgument(cases.status())) << damaged << ": " << cases.status();
  }
}

TEST(GoogleTestJson, FieldsOfOtherReleasesArePassedOver) {
  const auto cases = ParseGoogleTestJson(absl::StrReplaceAll(
      kJson, {{"\"name\": \"Fits\",", "\"name\": \"Fits\", \"more\": [1.5e3, {\"a\": [], \"b\": {}}, true, null],"}}));
  ASSERT_TRUE(cases.ok()) << cases.status();
  EXPECT_EQ(cases->size(), 3u);
  EXPECT_FALSE(ParseGoogleTestJson("{\"more\":" + std::string(1 << 20, '[')).ok()) << "without recursion";
}

TEST(GoogleTestJson, WhatTheProgramItselfLeavesOutIsCounted) {
  const GoogleTestFramework framework;
  EXPECT_THAT(framework.ListingNotes("", {kJson}), ElementsAre(HasSubstr("1 test is left out by a filter of its own")));
  EXPECT_THAT(framework.ListingNotes("", {absl::StrReplaceAll(kJson, {{"\"tests\": 4", "\"tests\": 3"}})}), ElementsAre());
  EXPECT_THAT(framework.ListingNotes("", {}), ElementsAre());
  EXPECT_EQ(GoogleTestsLeftOut("{\"tests\": 4, "), 0u);
}

TEST(GoogleTestJson, TwoTestsOfOneNameAreAnError) {
  const auto cases = ParseGoogleTestJson(absl::StrReplaceAll(kJson, {{"DISABLED_\\u00C3\\u00A9\\u0001", "Ok\\/0"}}));
  ASSERT_TRUE(absl::IsInvalidArgument(cases.status())) << cases.status();
  EXPECT_THAT(
      std::string(cases.status().message()),
      HasSubstr("two tests are named I/Q.Ok/0: test Ok/0 of suite I/Q (/src/q.cc:7) and test Ok/0 of suite I/Q"));
  // A message's lines are its own.
  const auto broken = ParseGoogleTestJson(
      absl::StrReplaceAll(kJson, {{"DISABLED_\\u00C3\\u00A9\\u0001", "Br\\noken"}, {"Ok\\/0", "Br\\noken"}}));
  EXPECT_THAT(std::string(broken.status().message()),
              HasSubstr("two tests are named I/Q.Br\\noken: test Br\\noken of"));
}

TEST(GoogleTestJson, AReportOfARunIsNone) {
  const auto cases = ParseGoogleTestJson(
      absl::StrReplaceAll(kJson, {{"\"line\": 12", "\"line\": 12, \"status\": \"RUN\", \"time\": \"0s\""}}));
  EXPECT_TRUE(absl::IsFailedPrecondition(cases.status())) << cases.status();
}

// ---- Names and filters

bool IsDisabled(const std::string& name) {
  const CaseInfos cases = DottedCases({name});
  return IsDisabledGoogleTest(cases.name(0), cases.suite(0));
}

TEST(GoogleTestNames, Disabled) {
  for (const char* name : {"A.DISABLED_B", "DISABLED_A.B", "P/DISABLED_A.B/0", "DISABLED_P/A.B/0"}) {
    EXPECT_TRUE(IsDisabled(name)) << name;
  }
  for (const char* name : {"A.B", "A.NotDISABLED_B", "ADISABLED_.B"}) EXPECT_FALSE(IsDisabled(name)) << name;
}

class GoogleTestFilterTest : public testing::Test {
 protected:
  std::string Filter(const std::vector<uint32_t>& indices) {
    cases_.clear();
    for (uint32_t index : indices) cases_.push_back({index, 1});
    return GoogleTestFilter(Request());
  }
  BatchRequest Request() {
    return {.listing = listing_ = DottedCases(names_),
            .cases = cases_,
            .temp_dir = "/tmp/x",
            .run_disabled = run_disabled_};
  }
  std::vector<std::string> names_ = {"A.One", "A.Two", "A.DISABLED_Three", "B.One", "B.Two", "C.Only"};
  CaseInfos listing_;
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

TEST_F(GoogleTestFilterTest, WhatWasNotListedIsLeftInWhereItMayRun) {
  const auto filter = [this](const std::vector<uint32_t>& indices) {
    Filter(indices);
    BatchRequest request = Request();
    request.unlisted_too = true;
    return GoogleTestFilter(request);
  };
  EXPECT_EQ(filter({0, 3}), "-A.Two:A.DISABLED_Three:B.Two:C.Only");
  EXPECT_EQ(filter({0, 1, 2, 3, 4, 5}), "");
  names_ = {"A.x", "A.x:y", "A.x-y", "A.*", "A.b?"};
  EXPECT_EQ(filter({1}), "-A.x:A.x-y:A.?:A.b?");
  EXPECT_EQ(filter({0, 1, 3, 4}), "-A.x-y") << "behind the first '-' another has no meaning";
}

TEST_F(GoogleTestFilterTest, WhyWhatWasNotListedCannotBeLeftIn) {
  const auto filter = [this](const std::vector<uint32_t>& indices) {
    Filter(indices);
    BatchRequest request = Request();
    request.unlisted_too = true;
    const auto others = GoogleTestFilterOfTheOthers(request);
    return std::make_pair(GoogleTestFilter(request), std::string(others.status().message()));
  };
  names_ = {"A.x", "A.x:y", "A.x-y"};
  EXPECT_THAT(filter({0, 2}), Pair("A.x:A.x?y", HasSubstr("no filter leaves out A.x:y and runs A.x-y")));
  names_.clear();
  for (uint32_t i = 0; i < 20000; ++i) names_.push_back(absl::StrCat("Suite.CaseNumber", i));
  EXPECT_THAT(filter({7}), Pair("Suite.CaseNumber7", HasSubstr("do not fit into one argument")));
}

// An argument of so many bytes, with the zero at its end, is the longest that Linux takes (MAX_ARG_STRLEN).
TEST_F(GoogleTestFilterTest, WhatWasNotListedIsLeftInWhereTheFilterJustFits) {
  const size_t fits = (128 << 10) - 1 - absl::string_view("--gtest_filter=").size() - absl::string_view("-A.").size();
  for (const size_t size : {fits, fits + 1}) {
    names_ = {"A.One", absl::StrCat("A.", std::string(size, 'x'))};
    Filter({0});
    BatchRequest request = Request();
    request.unlisted_too = true;
    EXPECT_EQ(GoogleTestFilter(request) == "A.One", size > fits);
  }
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
