#include "agent/frameworks/catch2.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "agent/frameworks/catch2_listing.h"
#include "unit/agent/dotted_cases.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

// ---- Listing --------------------------------------------------------------------------------------------------------

// As 2.13.10 prints it.
constexpr char kText[] = R"(Matching test cases:
  plain
    probe.cc:11
    (NO DESCRIPTION)
  commas, [brackets], "quotes", \ and *
    probe.cc:12
    (NO DESCRIPTION)
      [a][b c]
    leading and trailing  
    probe.cc:13
    (NO DESCRIPTION)
  hidden
    probe.cc:14
    told in
    words
      [!hide][.][slow]
  a name that is so very long that the text listing of Catch2 wraps it:
    somewhere in the middle, at a place that nobody knows-of
    probe.cc:24
    (NO DESCRIPTION)
      [a-tag-that-is-long][and-a-third-one-to-fill-the-line][another-tag-that-
      is-also-rather-long]
  new
    line
    probe.cc:28
    (NO DESCRIPTION)
  #hash
    probe.cc:32
    (NO DESCRIPTION)
7 matching test cases

plain	@probe.cc:11
commas, [brackets], "quotes", \ and *	@probe.cc:12
  leading and trailing  	@probe.cc:13
hidden	@probe.cc:14
a name that is so very long that the text listing of Catch2 wraps it:   somewhere in the middle, at a place that nobody knows-of	@probe.cc:24
new
line	@probe.cc:28
"#hash"	@probe.cc:32
)";

// As 3.7.1 writes it.
constexpr char kXml[] = R"(<?xml version="1.0" encoding="UTF-8"?>
<MatchingTests>
  <TestCase>
    <Name>plain</Name>
    <ClassName/>
    <Tags/>
    <SourceInfo>
      <File>probe.cc</File>
      <Line>11</Line>
    </SourceInfo>
  </TestCase>
  <TestCase>
    <Name>commas, [brackets], "quotes", \ &lt;and> *</Name>
    <ClassName/>
    <Tags>[a][b c]</Tags>
    <SourceInfo>
      <File>probe.cc</File>
      <Line>12</Line>
    </SourceInfo>
  </TestCase>
  <TestCase>
    <Name>  leading and trailing  </Name>
    <ClassName/>
    <Tags>[.][slow]</Tags>
    <SourceInfo>
      <File>probe.cc</File>
      <Line>13</Line>
    </SourceInfo>
  </TestCase>
  <TestCase>
    <Name>caf\xE9 \x41
x</Name>
    <ClassName>Fixture</ClassName>
    <Tags/>
    <SourceInfo>
      <File>probe.cc</File>
      <Line>14</Line>
    </SourceInfo>
  </TestCase>
</MatchingTests>
)";

TEST(Catch2ListingTest, TextOfVersion2) {
  const absl::StatusOr<CaseInfos> cases = Catch2Version2Framework().ParseListing(kText, {});
  ASSERT_TRUE(cases.ok()) << cases.status();
  EXPECT_THAT(NamesOf(*cases),
              ElementsAre("plain", "commas, [brackets], \"quotes\", \\ and *", "  leading and trailing  ", "hidden",
                          "a name that is so very long that the text listing of Catch2 wraps it:   somewhere in the "
                          "middle, at a place that nobody knows-of",
                          "new\nline", "#hash"));
  EXPECT_THAT((*cases)[1].labels, ElementsAre("a", "b c"));
  EXPECT_EQ((*cases)[1].file, "probe.cc");
  EXPECT_EQ((*cases)[1].line, 12u);
  EXPECT_THAT((*cases)[3].labels, ElementsAre("!hide", ".", "slow"));
  EXPECT_TRUE(IsHiddenCatch2Test((*cases)[3]));
  EXPECT_FALSE(IsHiddenCatch2Test((*cases)[2]));
  EXPECT_THAT((*cases)[4].labels, ElementsAre("a-tag-that-is-long", "and-a-third-one-to-fill-the-line",
                                              "another-tag-that-is-also-rather-long"));
}

TEST(Catch2ListingTest, WhatMainPrintsAroundTheText) {
  const auto cases = ParseCatch2Text(absl::StrCat("Loading... ", kText, "bye\n"));
  ASSERT_TRUE(cases.ok()) << cases.status();
  EXPECT_EQ(cases->size(), 7u);
}

TEST(Catch2ListingTest, NoTests) {
  const auto text = ParseCatch2Text("Matching test cases:\n0 matching test cases\n\n");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_TRUE(text->empty());
  const auto xml = ParseCatch2Xml("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<MatchingTests/>\n", "");
  ASSERT_TRUE(xml.ok()) << xml.status();
  EXPECT_TRUE(xml->empty());
}

TEST(Catch2ListingTest, TextCutShortAnywhereIsAnError) {
  const absl::string_view whole = kText;
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseCatch2Text(whole.substr(0, size)).status())) << size;
  }
}

TEST(Catch2ListingTest, ListsThatDoNotAgreeAreAnError) {
  const auto problem = [](absl::string_view from, absl::string_view to) {
    return std::string(ParseCatch2Text(absl::StrReplaceAll(kText, {{from, to}})).status().message());
  };
  EXPECT_THAT(problem("  plain\n", "  plane\n"), HasSubstr("at the line '  plane'"));
  EXPECT_THAT(problem("probe.cc:24\n    (NO", "probe.cc:25\n    (NO"), HasSubstr("not of the same tests"));
  EXPECT_THAT(problem("7 matching", "8 matching"), HasSubstr("it says 8 tests and names 7"));
}

TEST(Catch2ListingTest, XmlOfVersion3) {
  const absl::StatusOr<CaseInfos> cases = Catch2Framework().ParseListing("noise of main\n", {kXml});
  ASSERT_TRUE(cases.ok()) << cases.status();
  EXPECT_THAT(NamesOf(*cases), ElementsAre("plain", "commas, [brackets], \"quotes\", \\ <and> *",
                                           "  leading and trailing  ", "caf\xe9 \\x41\nx"));
  EXPECT_THAT((*cases)[1].labels, ElementsAre("a", "b c"));
  EXPECT_EQ((*cases)[3].file, "probe.cc");
  EXPECT_EQ((*cases)[3].line, 14u);
  EXPECT_TRUE(IsHiddenCatch2Test((*cases)[2]));
}

TEST(Catch2ListingTest, XmlCutShortOrDamagedIsAnError) {
  const absl::string_view whole = kXml;
  for (size_t size = 0; size + 1 < whole.size(); ++size) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseCatch2Xml(whole.substr(0, size), "").status())) << size;
  }
  EXPECT_THAT(ParseCatch2Xml(absl::StrReplaceAll(kXml, {{"</Tags>", "</Tag>"}}), "").status().message(),
              HasSubstr("</Tag> where Tags is open"));
  EXPECT_THAT(ParseCatch2Xml("<html></html>", "").status().message(), HasSubstr("it begins with <html>"));
  EXPECT_FALSE(ParseCatch2Xml(absl::StrReplaceAll(kXml, {{"<Name>plain</Name>", ""}}), "").ok());
}

TEST(Catch2ListingTest, TwoTestsOfOneNameAreAnError) {
  const std::string twice = absl::StrReplaceAll(kXml, {{"  leading and trailing  ", "plain"}});
  EXPECT_THAT(ParseCatch2Xml(twice, "").status().message(),
              HasSubstr("two tests are named 'plain': at probe.cc:11 and probe.cc:13"));
  const std::string broken = absl::StrReplaceAll(twice, {{">plain<", ">plain\nand broken<"}});
  EXPECT_THAT(ParseCatch2Xml(broken, "").status().message(), HasSubstr("two tests are named 'plain\\nand broken': at"));
}

TEST(Catch2ListingTest, AProgramThatRunsItsTestsInstead) {
  const char passed[] = "====\nAll tests passed (3 assertions in 2 test cases)\n\n";
  const char failed[] = "====\ntest cases: 2 | 1 passed | 1 failed\nassertions: 3 | 2 passed | 1 failed\n\n";
  for (const char* output : {passed, failed}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(ParseCatch2Text(output).status()));
    EXPECT_TRUE(absl::IsFailedPrecondition(ParseCatch2Xml("", output).status()));
  }
  EXPECT_TRUE(absl::IsInvalidArgument(ParseCatch2Text("usage: x\n").status()));
  EXPECT_THAT(ParseCatch2Xml("", "usage: x\n").status().message(), HasSubstr("nothing to the file of --out"));
}

TEST(Catch2ListingTest, AVersionsWayToListAndToEnd) {
  EXPECT_THAT(Catch2Framework().ListInvocation("/t").read_back, ElementsAre("/t/listing.xml"));
  EXPECT_TRUE(Catch2Version2Framework().ListsWithStatus(14));
  EXPECT_FALSE(Catch2Framework().ListsWithStatus(14));
}

// ---- Selection ------------------------------------------------------------------------------------------------------

class Catch2SelectionTest : public testing::Test {
 protected:
  Catch2SelectionTest() {
    listing_.Add({.name = "plain"});
    listing_.Add({.name = "a, \"b\" \\ [c]"});
    listing_.Add({.name = "slow", .labels = {".", "slow"}});
    listing_.Add({.name = "exclude:me"});
    listing_.Add({.name = "Pla*"});
  }
  BatchRequest Request(const std::vector<uint32_t>& indices, bool run_disabled = false) {
    cases_.clear();
    for (const uint32_t index : indices) cases_.push_back({index, 1});
    return {.listing = listing_, .cases = cases_, .temp_dir = "/x", .run_disabled = run_disabled, .output_cap = 100};
  }
  CaseInfos listing_;
  std::vector<LeasedCase> cases_;
};

TEST_F(Catch2SelectionTest, NamesAreQuoted) {
  EXPECT_EQ(Catch2Filter(Request({0})), "\"plain\"");
  EXPECT_EQ(Catch2Filter(Request({1, 3})), "\"a\\, \\\"b\\\" \\\\ [c]\",\"*xclude:me\"");
}

TEST_F(Catch2SelectionTest, WhatAStarWouldSelectBesideIsExcluded) {
  EXPECT_EQ(Catch2Filter(Request({4})), "\"Pla*\" ~\"plain\"");
  EXPECT_EQ(Catch2Filter(Request({0, 4})), "\"plain\",\"Pla*\"");
}

TEST_F(Catch2SelectionTest, WhatWasNotListedIsLeftInWhereItMayRun) {
  const auto filter = [this](const std::vector<uint32_t>& indices, bool run_disabled = false) {
    BatchRequest request = Request(indices, run_disabled);
    request.unlisted_too = true;
    return std::make_pair(Catch2Filter(request), std::string(Catch2FilterOfTheOthers(request).status().message()));
  };
  EXPECT_THAT(filter({0, 4}), Pair("~[.] ~\"a\\, \\\"b\\\" \\\\ [c]\" ~\"*xclude:me\"", ""));
  EXPECT_THAT(filter({0, 1, 4}, true), Pair("\"*\" ~\"slow\" ~\"*xclude:me\"", ""));
  EXPECT_THAT(filter({1, 3}), Pair("~[.] ~\"plain\" ~\"Pla*\"", ""));
  EXPECT_THAT(filter({0, 1, 2, 3, 4}).first, "");
  EXPECT_THAT(filter({0}), Pair("\"plain\"", HasSubstr("no filter leaves out 'Pla*' and runs 'plain'")));
  listing_.Add({.name = "PLAIN "});
  EXPECT_THAT(filter({0, 4}),
              Pair(HasSubstr("\"plain\""), HasSubstr("no filter leaves out 'PLAIN ' and runs 'plain'")));
  listing_ = CaseInfos();
  for (uint32_t i = 0; i < 200; ++i) listing_.Add({.name = absl::StrCat(std::string(1000, 'n'), i)});
  EXPECT_THAT(filter({7}), Pair(testing::EndsWith("n7\""), HasSubstr("do not fit into one argument")));
}

TEST_F(Catch2SelectionTest, AllNeedNoFilterButHiddenOnes) {
  EXPECT_EQ(Catch2Filter(Request({0, 1, 2, 3, 4})), "");
  EXPECT_EQ(Catch2Filter(Request({0, 1, 2, 3, 4}, true)), "*");
  EXPECT_EQ(Catch2Filter(Request({2}, true)), "\"slow\"");
}

TEST_F(Catch2SelectionTest, ABatchWhoseFilterDoesNotFitIsCut) {
  listing_ = CaseInfos();
  std::vector<uint32_t> indices;
  for (uint32_t i = 0; i < 1000; ++i) {
    listing_.Add({.name = absl::StrCat(std::string(1000, 'n'), i)});
    if (i > 0) indices.push_back(i);
  }
  BatchRequest request = Request(indices);
  const size_t fits = Catch2Framework().CasesAProcess(request);
  EXPECT_LT(fits, 999u);
  request.cases = request.cases.first(fits);
  EXPECT_LE(Catch2Framework().RunInvocation(request).arguments.back().size(), Catch2Framework::kLongestFilterArgument);
}

TEST_F(Catch2SelectionTest, ResultsComeByTheReportChannel) {
  const Invocation invocation = Catch2Framework().RunInvocation(Request({0}));
  EXPECT_TRUE(invocation.report);
  EXPECT_THAT(invocation.arguments, ElementsAre("--reporter", "xml", "--out", kReportPath, "--order", "decl",
                                                "--durations", "yes", "\"plain\""));
}

}  // namespace
}  // namespace dtest
