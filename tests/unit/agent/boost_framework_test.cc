#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "agent/frameworks/boost.h"
#include "agent/frameworks/boost_listing.h"
#include "unit/agent/dotted_cases.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// ---- Listing --------------------------------------------------------------------------------------------------------

constexpr char kUnit[] = "[shape=Mrecord,fontname=Helvetica,color=";

// A case or, with what is in it, a suite, as 1.74 writes them.
std::string Case(int id, int parent, absl::string_view label, absl::string_view color = "green") {
  return absl::StrCat("tu", id, kUnit, color, ",label=\"", label, "\"];\ntu", parent, " -> tu", id, ";\n");
}
std::string DependsOn(int id, int on) {
  return absl::StrCat("tu", id, " -> tu", on, "[color=red,style=dotted,constraint=false];\n");
}
std::string Braces(absl::string_view inside) { return absl::StrCat("{\n", inside, "}\n"); }
std::string List(absl::string_view inside) {
  return absl::StrCat("digraph G {rankdir=LR;\ntu1[shape=ellipse,peripheries=2,fontname=Helvetica,color=green,label=\"",
                      "the \"module\"\"];\n", Braces(inside), "}\n");
}
std::string Whole() {
  return List(absl::StrCat(
      Case(65536, 1, "passes|p.cc(6)"), Case(2, 1, "math|p.cc(8)|labels: @fast @of numbers"),
      Braces(absl::StrCat(Case(65537, 2, "adds|p.cc(9)|timeout=3|expected failures=2|labels: @a"),
                          Case(65538, 2, "off|p.cc(10)", "yellow"), Case(3, 2, "empty|p.cc(11)"), Braces(""))),
      Case(65539, 1, "sizes<std::pair<int_ char (1)>|d|p (2).cc(12)"), Case(65540, 1, "caf\xe9 \"];|(0)")));
}
std::string ProblemWith(absl::string_view dot) { return std::string(ParseBoostDot(dot, "").status().message()); }

TEST(BoostListingTest, WhatItTells) {
  const absl::StatusOr<CaseInfos> cases = BoostFramework().ParseListing("noise of main\n", {Whole()});
  ASSERT_TRUE(cases.ok()) << cases.status();
  EXPECT_THAT(NamesOf(*cases),
              ElementsAre("passes", "math/adds", "math/off", "sizes<std::pair<int_ char (1)>|d", "caf\xe9 \"];"));
  EXPECT_EQ((*cases)[0].suite, "");
  EXPECT_EQ((*cases)[1].suite, "math");
  EXPECT_EQ((*cases)[1].file, "p.cc");
  EXPECT_EQ((*cases)[1].line, 9u);
  EXPECT_THAT((*cases)[1].labels, ElementsAre("a", "fast", "of numbers", "expected_failures(2)"));
  EXPECT_EQ(ExpectedBoostFailures((*cases)[1]), 2u);
  EXPECT_EQ(ExpectedBoostFailures((*cases)[2]), 0u);
  EXPECT_TRUE(IsDisabledBoostTest((*cases)[2]));
  EXPECT_FALSE(IsDisabledBoostTest((*cases)[1]));
  EXPECT_EQ((*cases)[3].suite, "");
  EXPECT_EQ((*cases)[3].file, "p (2).cc");
  EXPECT_EQ((*cases)[4].file, "");
  EXPECT_EQ((*cases)[4].line, 0u);
  EXPECT_EQ(cases->group(1), "");
}

TEST(BoostListingTest, WhatOthersDependOnRunsBefore) {
  // As they are registered: a, s/b, s/c, d, t/e, f. a needs s/c, t all of s, d needs a.
  const std::string dot =
      List(absl::StrCat(Case(10, 1, "a|p.cc(1)"), DependsOn(10, 12), Case(2, 1, "s|p.cc(2)"),
                        Braces(absl::StrCat(Case(11, 2, "b|p.cc(3)"), DependsOn(11, 12), Case(12, 2, "c|p.cc(4)"))),
                        Case(13, 1, "d|p.cc(5)"), DependsOn(13, 10), Case(3, 1, "t|p.cc(6)"), DependsOn(3, 2),
                        Braces(Case(14, 3, "e|p.cc(7)")), Case(15, 1, "f|p.cc(8)")));
  const auto cases = ParseBoostDot(dot, "");
  ASSERT_TRUE(cases.ok()) << cases.status();
  EXPECT_THAT(NamesOf(*cases), ElementsAre("s/c", "s/b", "f", "a", "t/e", "d"));
  EXPECT_THAT((*cases)[4].labels, ElementsAre("depends_on(s)"));
  for (const uint32_t i : {0, 1, 3, 4, 5}) EXPECT_EQ(cases->group(i), "s/c") << i;
  EXPECT_EQ(cases->group(2), "");
  EXPECT_TRUE(BoostDependsOn(*cases, 5, 0)) << "by way of a";
  EXPECT_TRUE(BoostDependsOn(*cases, 4, 1));
  EXPECT_FALSE(BoostDependsOn(*cases, 3, 1));
  EXPECT_FALSE(BoostDependsOn(*cases, 0, 5));
}

TEST(BoostListingTest, ATimeoutOfASuiteIsOfAllItsCases) {
  const auto cases =
      ParseBoostDot(List(absl::StrCat(Case(2, 1, "s|p.cc(1)|timeout=3"),
                                      Braces(Case(10, 2, "a|p.cc(2)|timeout=1") + Case(11, 2, "b|p.cc(3)")),
                                      Case(12, 1, "c|p.cc(4)|timeout=1"))),
                    "");
  ASSERT_TRUE(cases.ok()) << cases.status();
  EXPECT_EQ(cases->group(0), "s/a");
  EXPECT_EQ(cases->group(1), "s/a");
  EXPECT_EQ(cases->group(2), "");
}

TEST(BoostListingTest, NoTests) {
  const auto cases = ParseBoostDot(List(""), "");
  ASSERT_TRUE(cases.ok()) << cases.status();
  EXPECT_TRUE(cases->empty());
}

TEST(BoostListingTest, CutShortAnywhereIsAnError) {
  const std::string whole = Whole();
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseBoostDot(absl::string_view(whole).substr(0, size), "").status())) << size;
  }
}

TEST(BoostListingTest, WhatIsNotUnderstoodIsAnError) {
  const auto problem = [](absl::string_view from, absl::string_view to) {
    const std::string dot = absl::StrReplaceAll(Whole(), {{from, to}});
    EXPECT_NE(dot, Whole());
    return ProblemWith(dot);
  };
  EXPECT_THAT(problem("color=yellow", "color=blue"),
              HasSubstr("line 11 of its list is nothing that a list has there: 'tu65538"));
  EXPECT_THAT(problem("adds|p.cc(9)", "adds"), HasSubstr("line 9"));
  EXPECT_THAT(problem("|timeout=3", "|time=3"), HasSubstr("line 9"));
  EXPECT_THAT(problem("expected failures=2", "expected failures="), HasSubstr("line 9"));
  EXPECT_THAT(problem("tu2 -> tu65537", "tu1 -> tu65537"), HasSubstr("line 9"));
  EXPECT_THAT(problem("tu65538", "tu65537"), HasSubstr("line 11")) << "two of one number";
  EXPECT_THAT(problem("digraph", "graph"), HasSubstr("line 1"));
  EXPECT_THAT(ProblemWith(Whole() + "}\n"), HasSubstr("line 23"));
  EXPECT_THAT(ProblemWith(List(Case(2, 1, "a|p.cc(1)") + DependsOn(2, 9))),
              HasSubstr("depends on tu9, which its list does not"));
  EXPECT_THAT(ProblemWith(List(
                  absl::StrCat(Case(2, 1, "a|p.cc(1)"), DependsOn(2, 3), Case(3, 1, "b|p.cc(1)"), DependsOn(3, 2)))),
              HasSubstr("'a' depends on itself"));
}

TEST(BoostListingTest, WhatCannotBeRunByItsName) {
  EXPECT_THAT(ProblemWith(List(Case(2, 1, "two\nlines|p.cc(1)"))), HasSubstr("'two\\nlines' has a line feed"));
  EXPECT_THAT(ProblemWith(List(Case(2, 1, "a|p.cc(1)") + Case(3, 1, "a|p.cc(2)"))),
              HasSubstr("two cases are named 'a'"));
  EXPECT_THAT(ProblemWith(List(Case(2, 1, "a|p.cc(1)|labels: @disabled()"))),
              HasSubstr("the label 'disabled()' of 'a'"));
  EXPECT_THAT(ProblemWith(List(Case(2, 1, "s|p.cc(1)|labels: @depends_on(b)") + Braces(Case(3, 2, "a|p.cc(2)")))),
              HasSubstr("the label 'depends_on(b)' of 's/a'"));
  EXPECT_THAT(
      ProblemWith(List(absl::StrCat(Case(2, 1, "a|p.cc(1)"), DependsOn(2, 3), Case(3, 1, "b,c|p.cc(2)", "yellow")))),
      HasSubstr("'b,c' is disabled and others depend on it"));
}

TEST(BoostListingTest, WhatIsWrongWithTheProgram) {
  EXPECT_EQ(ParseBoostDot("Test setup error: 'a' registered multiple times\n", "").status(),
            absl::AbortedError("Test setup error: 'a' registered multiple times"));
}

TEST(BoostListingTest, WhatIsRunAsOneCase) {
  EXPECT_EQ(ParseBoostDot("", "Loading...\nRunning 2 test cases...\n").status(),
            absl::FailedPreconditionError("it ran its tests"));
  EXPECT_EQ(ParseBoostDot("", "ready Running 1 test case...").status(),
            absl::FailedPreconditionError("it ran its tests"));
  EXPECT_THAT(ParseBoostDot("", "Running away...\n").status().message(),
              HasSubstr("nothing to the file of --report_sink"));
}

// ---- Selection ------------------------------------------------------------------------------------------------------

class BoostSelectionTest : public testing::Test {
 protected:
  BoostSelectionTest() {
    Add("plain");
    Add("math/adds", "math");
    Add("math/deep/one", "math/deep");
    Add("off", "", "", {kBoostDisabled});
    Add("math/subtracts", "math");
    Add("base", "", "base");
    Add("needs base", "", "base", {"depends_on(base)"});
    Add("off base", "", "base", {kBoostDisabled});
  }
  void Add(absl::string_view name, absl::string_view suite = "", absl::string_view group = "",
           std::vector<absl::string_view> labels = {}) {
    listing_.Add(
        {.name = name, .suite = suite, .file = "p.cc", .line = 1, .group = group, .labels = std::move(labels)});
  }
  BatchRequest Request(const std::vector<uint32_t>& indices, bool run_disabled = false, bool unlisted_too = false) {
    cases_.clear();
    for (const uint32_t index : indices) cases_.push_back({index, 1});
    return {.listing = listing_,
            .cases = cases_,
            .temp_dir = "/x",
            .run_disabled = run_disabled,
            .output_cap = 100,
            .unlisted_too = unlisted_too};
  }
  CaseInfos listing_;
  std::vector<LeasedCase> cases_;
};

TEST_F(BoostSelectionTest, CasesOfASuiteAreOneFilter) {
  EXPECT_THAT(BoostFilters(Request({0})), ElementsAre("--run_test=plain"));
  EXPECT_THAT(BoostFilters(Request({0, 1, 2, 4})),
              ElementsAre("--run_test=plain", "--run_test=math/adds,subtracts", "--run_test=math/deep/one"));
}

TEST_F(BoostSelectionTest, DisabledOnesRunWhenAskedFor) {
  EXPECT_THAT(BoostFilters(Request({0, 1, 2, 4, 5, 6})), IsEmpty()) << "all that run";
  EXPECT_THAT(BoostFilters(Request({0, 1, 2, 3, 4, 5, 6, 7}, true)), ElementsAre("--run_test=*"));
  EXPECT_THAT(BoostFilters(Request({3}, true)), ElementsAre("--run_test=off"));
}

TEST_F(BoostSelectionTest, WhatIsDisabledDoesNotRunSinceAnotherDependsOnIt) {
  EXPECT_THAT(BoostFilters(Request({6})), ElementsAre("--run_test=needs base", "--run_test=!off base"));
  EXPECT_THAT(BoostFilters(Request({6}, true)), ElementsAre("--run_test=needs base"));
}

TEST_F(BoostSelectionTest, NamesThatNoFilterSays) {
  for (const char* name : {"two words", "p*s", "a@b", "a!", "quo\"te", "|", "--option"}) {
    EXPECT_TRUE(IsExactBoostFilter(name)) << name;
  }
  for (const char* name : {"", "*", "pa*", "*pa", "a,b", "a:b", "a/b", "!not", "+more", "@label", " ", " a", "a\t"}) {
    EXPECT_FALSE(IsExactBoostFilter(name)) << name;
  }
  Add("a,b");
  Add("pa*", "", "base");
  EXPECT_THAT(BoostFilters(Request({8})), ElementsAre("--run_test=!plain,base,needs base",
                                                      "--run_test=!math/adds,subtracts", "--run_test=!math/deep/one"));
  EXPECT_THAT(BoostFilters(Request({0, 9}, true)), ElementsAre("--run_test=*", "--run_test=!math/adds,subtracts",
                                                               "--run_test=!math/deep/one", "--run_test=!off"));
}

TEST_F(BoostSelectionTest, WhatWasNotListedIsLeftInWhereItMayRun) {
  const auto problem = [this](const std::vector<uint32_t>& indices) {
    return std::string(BoostFiltersOfTheOthers(Request(indices)).status().message());
  };
  EXPECT_THAT(BoostFilters(Request({0, 1}, false, true)),
              ElementsAre("--run_test=!math/deep/one", "--run_test=!math/subtracts", "--run_test=!base,needs base"));
  EXPECT_THAT(BoostFilters(Request({0, 1, 2, 3, 4}, true, true)).front(), "--run_test=*");
  EXPECT_THAT(BoostFilters(Request({6}, false, true)), ElementsAre("--run_test=needs base", "--run_test=!off base"));
  EXPECT_THAT(problem({6}), HasSubstr("depends_on joins 'base' to those that run"));
  Add("a,b");
  EXPECT_THAT(problem({0}), HasSubstr("no filter says the name 'a,b'"));
  listing_ = CaseInfos();
  for (uint32_t i = 0; i < 200; ++i) Add(absl::StrCat(std::string(1000, 'n'), i));
  EXPECT_THAT(problem({7}), HasSubstr("do not fit onto one command line"));
}

TEST_F(BoostSelectionTest, ABatchWhoseFiltersDoNotFitIsCut) {
  listing_ = CaseInfos();
  std::vector<uint32_t> indices;
  for (uint32_t i = 0; i < 1000; ++i) {
    Add(absl::StrCat(std::string(1000, 'n'), i));
    if (i > 0) indices.push_back(i);
  }
  BatchRequest request = Request(indices);
  const size_t fits = BoostFramework().CasesAProcess(request);
  EXPECT_LT(fits, 999u);
  request.cases = request.cases.first(fits);
  EXPECT_LE(BoostFramework().RunInvocation(request).arguments.back().size(), BoostFramework::kLongestFilters);
}

TEST_F(BoostSelectionTest, ResultsComeByTheReportChannel) {
  const Invocation invocation = BoostFramework().RunInvocation(Request({0}));
  EXPECT_TRUE(invocation.report);
  EXPECT_THAT(invocation.arguments,
              ElementsAre("--output_format=HRF", "--log_level=test_suite", absl::StrCat("--log_sink=", kReportPath),
                          "--report_level=no", absl::StrCat("--report_sink=", kReportPath), "--color_output=no",
                          "--catch_system_errors=no", "--result_code=yes", "--run_test=plain"));
}

}  // namespace
}  // namespace dtest
