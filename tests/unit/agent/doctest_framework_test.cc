#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "agent/frameworks/doctest.h"
#include "agent/frameworks/doctest_listing.h"
#include "unit/agent/dotted_cases.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// ---- Listing --------------------------------------------------------------------------------------------------------

// As 2.4.9 writes it.
constexpr char kXml[] = R"(<?xml version="1.0" encoding="UTF-8"?>
<doctest binary="./d" version="2.4.9">
  <Options order_by="file" rand_seed="0" first="0" last="4294967295" abort_after="0" subcase_filter_levels="2147483647" case_sensitive="false" no_throw="false" no_skip="true"/>
  <TestCase name="passes" filename="d.cc" line="6" skipped="false"/>
  <TestCase name="fails, &quot;q&quot; \ &lt;x> ]]&gt; &amp; *" filename="d.cc" line="7" skipped="false"/>
  <TestCase name="dup" testsuite="s1" filename="d.cc" line="10" skipped="false"/>
  <TestCase name="skipped" testsuite="s1" filename="d.cc" line="10" skipped="true"/>
  <TestCase name="dup" testsuite="s2" filename="d.cc" line="11" skipped="false"/>
  <TestCase name="tmpl&lt;std::__cxx11::basic_string&lt;char>>" filename="d.cc" line="13" skipped="false"/>
  <TestCase name="caf\xE9 \x01" filename="d.cc" line="14" skipped="false"/>
  <TestCase filename="d.cc" line="15" skipped="false"/>
  <OverallResultsTestCases unskipped="8"/>
</doctest>
)";

std::string List(const std::string& tests, int count) {
  return absl::StrCat("<doctest version=\"2.4.9\"><Options/>", tests, "<OverallResultsTestCases unskipped=\"", count,
                      "\"/></doctest>");
}
std::string Entry(absl::string_view name, absl::string_view suite, int line) {
  return absl::StrCat("<TestCase name=\"", name, "\" testsuite=\"", suite, "\" filename=\"p.cc\" line=\"", line,
                      "\" skipped=\"false\"/>");
}

TEST(DoctestListingTest, WhatItTells) {
  const absl::StatusOr<CaseInfos> cases = DoctestFramework().ParseListing("noise of main\n", {kXml});
  ASSERT_TRUE(cases.ok()) << cases.status();
  EXPECT_THAT(NamesOf(*cases), ElementsAre("passes", "fails, \"q\" \\ <x> ]]> & *", "dup [s1]", "skipped", "dup [s2]",
                                           "tmpl<std::__cxx11::basic_string<char>>", "caf\xe9 \x01", "(d.cc:15)"));
  EXPECT_EQ((*cases)[2].suite, "s1");
  EXPECT_EQ((*cases)[2].file, "d.cc");
  EXPECT_EQ((*cases)[2].line, 10u);
  EXPECT_THAT((*cases)[3].labels, ElementsAre("skip"));
  EXPECT_TRUE(IsSkippedDoctest((*cases)[3]));
  EXPECT_FALSE(IsSkippedDoctest((*cases)[2]));
  EXPECT_EQ(DoctestName((*cases)[2]), "dup");
  EXPECT_EQ(DoctestName((*cases)[7]), "");
}

TEST(DoctestListingTest, NamesThatSeveralHave) {
  const std::string tests = absl::StrCat(Entry("a", "", 1), Entry("a", "s", 2), Entry("a", "s", 3), Entry("a", "t", 4),
                                         Entry("a [t]", "", 5), Entry("b [s]", "s", 6), Entry("c (p.cc:7)", "", 7));
  const auto cases = ParseDoctestXml(List(tests, 7), "");
  ASSERT_TRUE(cases.ok()) << cases.status();
  EXPECT_THAT(NamesOf(*cases), ElementsAre("a", "a (p.cc:2)", "a (p.cc:3)", "a (p.cc:4)", "a [t] (p.cc:5)", "b [s] [s]",
                                           "c (p.cc:7) (p.cc:7)"));
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(DoctestName((*cases)[i]), "a");
  EXPECT_EQ(DoctestName((*cases)[4]), "a [t]");
  EXPECT_EQ(DoctestName((*cases)[5]), "b [s]");
  EXPECT_EQ(DoctestName((*cases)[6]), "c (p.cc:7)");
  EXPECT_THAT(ParseDoctestXml(List(Entry("a", "s", 1) + Entry("a", "s", 1), 2), "").status().message(),
              HasSubstr("two tests are named 'a' at p.cc:1"));
}

TEST(DoctestListingTest, NoTests) {
  const auto cases = ParseDoctestXml(List("", 0), "");
  ASSERT_TRUE(cases.ok()) << cases.status();
  EXPECT_TRUE(cases->empty());
}

TEST(DoctestListingTest, CutShortAnywhereIsAnError) {
  const absl::string_view whole = kXml;
  for (size_t size = 0; size + 1 < whole.size(); ++size) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseDoctestXml(whole.substr(0, size), "").status())) << size;
  }
}

TEST(DoctestListingTest, WhatIsNotUnderstoodIsAnError) {
  const auto problem = [](absl::string_view from, absl::string_view to) {
    return std::string(ParseDoctestXml(absl::StrReplaceAll(kXml, {{from, to}}), "").status().message());
  };
  EXPECT_THAT(problem("unskipped=\"8\"", "unskipped=\"9\""), HasSubstr("says 9 tests and names 8"));
  EXPECT_THAT(problem("unskipped=\"8\"", ""), HasSubstr("how many tests"));
  EXPECT_THAT(problem("  <OverallResultsTestCases unskipped=\"8\"/>\n", ""), HasSubstr("cut short after 8 tests"));
  EXPECT_THAT(problem("line=\"14\"", "line=\"x\""), HasSubstr("is no number"));
  EXPECT_THAT(problem("skipped=\"true\"", "skipped=\"maybe\""), HasSubstr("neither true nor false"));
  EXPECT_THAT(problem("<TestCase filename", "<Test filename"), HasSubstr("<Test> is nothing that a list has"));
  EXPECT_THAT(problem("  <TestCase filename", "words<TestCase filename"), HasSubstr("words' stands between"));
  EXPECT_THAT(problem("</doctest>", "</list>"), HasSubstr("</list> where doctest is open"));
  EXPECT_THAT(ParseDoctestXml("<html></html>", "").status().message(), HasSubstr("it begins with <html>"));
}

TEST(DoctestListingTest, WhatIsRunAsOneCase) {
  const char ran[] = "[doctest] test cases: 1 | 1 passed | 0 failed | 0 skipped\n[doctest] Status: SUCCESS!\n";
  EXPECT_EQ(ParseDoctestXml("", ran).status(), absl::FailedPreconditionError("it ran its tests"));
  EXPECT_THAT(ParseDoctestXml("", "usage: x\n").status().message(), HasSubstr("nothing to the file of --dt-out"));
  EXPECT_EQ(ParseDoctestXml("<doctest><TestSuite><TestCase name=\"a\"/></TestSuite></doctest>", "").status(),
            absl::FailedPreconditionError("it ran its tests"));
  EXPECT_TRUE(absl::IsFailedPrecondition(ParseDoctestXml(List("<TestCase name=\"a\"/>", 1), "").status()));
}

// ---- Selection ------------------------------------------------------------------------------------------------------

class DoctestSelectionTest : public testing::Test {
 protected:
  DoctestSelectionTest() {
    Add("plain");
    Add("a, \"b\" \\");
    Add("slow", "", {kDoctestSkip});
    Add("Plain");
    Add("twin [left]", "left");
    Add("pl*n");
    Add("twin [right]", "right");
    Add("a; \"b\" \\");
  }
  void Add(absl::string_view name, absl::string_view suite = "", std::vector<absl::string_view> labels = {}) {
    listing_.Add({.name = name, .suite = suite, .file = "p.cc", .line = ++line_, .labels = std::move(labels)});
  }
  BatchRequest Request(const std::vector<uint32_t>& indices, bool run_disabled = false) {
    cases_.clear();
    for (const uint32_t index : indices) cases_.push_back({index, 1});
    return {.listing = listing_, .cases = cases_, .temp_dir = "/x", .run_disabled = run_disabled, .output_cap = 100};
  }
  std::vector<std::string> Arguments(const std::vector<uint32_t>& indices, bool run_disabled = false) {
    const DoctestSelection selection = SelectDoctests(Request(indices, run_disabled));
    EXPECT_TRUE(selection.exact);
    return selection.arguments;
  }
  CaseInfos listing_;
  uint32_t line_ = 0;
  std::vector<LeasedCase> cases_;
};

TEST_F(DoctestSelectionTest, NamesAreWildcards) {
  EXPECT_THAT(Arguments({0}), ElementsAre("--dt-test-case=plain"));
  EXPECT_THAT(Arguments({0, 3}), ElementsAre("--dt-test-case=plain,Plain"));
  EXPECT_THAT(Arguments({0, 1}), ElementsAre("--dt-test-case=plain,a? ?b? ?", "--dt-test-case-exclude=a; ?b? ?"));
}

TEST_F(DoctestSelectionTest, OneIsSelectedByItsPosition) {
  EXPECT_THAT(Arguments({1}), ElementsAre("--dt-test-case=a? ?b? ?", "--dt-first=1", "--dt-last=1"));
  EXPECT_THAT(Arguments({7}), ElementsAre("--dt-test-case=a; ?b? ?"));
  EXPECT_THAT(Arguments({5}), ElementsAre("--dt-test-case=pl*n", "--dt-first=2", "--dt-last=2"));
  EXPECT_THAT(Arguments({4}), ElementsAre("--dt-test-case=twin", "--dt-first=1", "--dt-last=1"));
  EXPECT_THAT(Arguments({6}), ElementsAre("--dt-test-case=twin", "--dt-first=2", "--dt-last=2"));
}

TEST_F(DoctestSelectionTest, WhatAWildcardWouldSelectBesideIsExcluded) {
  EXPECT_THAT(Arguments({3, 5}), ElementsAre("--dt-test-case=Plain,pl*n", "--dt-test-case-exclude=plain"));
}

TEST_F(DoctestSelectionTest, ABatchThatNoFilterSelectsIsCut) {
  EXPECT_THAT(Arguments({0, 4}), ElementsAre("--dt-test-case=plain,twin", "--dt-first=1", "--dt-last=2"));
  const BatchRequest apart = Request({0, 6});
  EXPECT_FALSE(SelectDoctests(apart).exact) << "the other twin is between them";
  EXPECT_EQ(DoctestFramework().CasesAProcess(apart), 1u);
}

TEST_F(DoctestSelectionTest, SkippedOnesRunWhenAskedFor) {
  EXPECT_THAT(Arguments({0, 1, 3, 4, 5, 6, 7}), IsEmpty()) << "all that run";
  EXPECT_THAT(Arguments({0, 1, 2, 3, 4, 5, 6, 7}, true), IsEmpty());
  EXPECT_THAT(Arguments({2}, true), ElementsAre("--dt-test-case=slow"));
  EXPECT_THAT(DoctestFramework().RunInvocation(Request({2}, true)).arguments, testing::Contains("--dt-no-skip=true"));
}

TEST_F(DoctestSelectionTest, WhatWasNotListedIsLeftInWhereItMayRun) {
  const auto arguments = [this](const std::vector<uint32_t>& indices) {
    BatchRequest request = Request(indices);
    request.unlisted_too = true;
    return SelectDoctests(request).arguments;
  };
  const auto problem = [this](const std::vector<uint32_t>& indices) {
    return std::string(DoctestFilterOfTheOthers(Request(indices)).status().message());
  };
  EXPECT_THAT(arguments({0, 5}), ElementsAre("--dt-test-case-exclude=a? ?b? ?,Plain,twin,a; ?b? ?"));
  EXPECT_THAT(arguments({0}), ElementsAre("--dt-test-case=plain"));
  EXPECT_THAT(problem({0}), HasSubstr("no filter leaves out 'pl*n' and runs 'plain'"));
  EXPECT_THAT(problem({4, 5}), HasSubstr("no filter leaves out 'twin [right]' and runs 'twin [left]'"));
  listing_ = CaseInfos();
  for (uint32_t i = 0; i < 200; ++i) Add(absl::StrCat(std::string(1000, 'n'), i));
  EXPECT_THAT(problem({7}), HasSubstr("do not fit into one argument"));
}

TEST_F(DoctestSelectionTest, ABatchWhoseFilterDoesNotFitIsCut) {
  listing_ = CaseInfos();
  std::vector<uint32_t> indices;
  for (uint32_t i = 0; i < 1000; ++i) {
    Add(absl::StrCat(std::string(1000, 'n'), i));
    if (i > 0) indices.push_back(i);
  }
  BatchRequest request = Request(indices);
  const size_t fits = DoctestFramework().CasesAProcess(request);
  EXPECT_LT(fits, 999u);
  request.cases = request.cases.first(fits);
  EXPECT_LE(DoctestFramework().RunInvocation(request).arguments.back().size(), DoctestFramework::kLongestArgument);
}

TEST_F(DoctestSelectionTest, ResultsComeByTheReportChannel) {
  const Invocation invocation = DoctestFramework().RunInvocation(Request({0}));
  EXPECT_TRUE(invocation.report);
  EXPECT_THAT(invocation.arguments, ElementsAre("--dt-reporters=xml", absl::StrCat("--dt-out=", kReportPath),
                                                "--dt-order-by=file", "--dt-case-sensitive=true", "--dt-duration=true",
                                                "--dt-no-skipped-summary=true", "--dt-test-case=plain"));
}

}  // namespace
}  // namespace dtest
