#include "coordinator/run/selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "dtest/labels.h"
#include "unit/agent/dotted_cases.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const CaseInfos& Cases() {
  static const auto* const cases =
      new CaseInfos(DottedCases({"Net.Connect", "Net.ConnectSlow", "Net.Close", "Disk.Read", "P/Disk.Read/0"}));
  return *cases;
}

std::vector<uint32_t> Select(const std::vector<std::string>& filters) {
  absl::StatusOr<Selection> selection = Selection::Make(filters);
  EXPECT_TRUE(selection.ok()) << selection.status();
  return selection->Select("io_test", Cases());
}

TEST(Selection, WithoutFiltersEverything) { EXPECT_THAT(Select({}), ElementsAre(0, 1, 2, 3, 4)); }

TEST(Selection, PlainTextIsFoundAnywhereInTheFullName) {
  EXPECT_THAT(Select({"Connect"}), ElementsAre(0, 1));
  EXPECT_THAT(Select({"io_test.Net"}), ElementsAre(0, 1, 2));
  EXPECT_THAT(Select({"nothing"}), IsEmpty());
}

TEST(Selection, WhatCouldNotBeCollectedIsSelectedUnlessItIsExcluded) {
  CaseInfos cases;
  cases.Add({.name = "a.py::b"});
  cases.Add({.name = "broken.py", .labels = {kUncollectedLabel}});
  const auto select = [&](const std::vector<std::string>& filters) {
    return Selection::Make(filters)->Select("unit", cases);
  };
  EXPECT_THAT(select({"a.py"}), ElementsAre(0, 1));
  EXPECT_THAT(select({"-broken.py"}), ElementsAre(0));
  Selection reproduced = *Selection::Make({});
  reproduced.TakeOnly({{"unit", "a.py::b"}});
  EXPECT_THAT(reproduced.Select("unit", cases), ElementsAre(0));
}

TEST(Selection, WhatIsBroughtAlongIsSelectedWhateverElseIsSaid) {
  Selection selection = *Selection::Make({"user", "-*"});
  selection.TakeOnly({{"user", "user"}, {"stop", "no such case"}});
  EXPECT_FALSE(selection.MayTake("start"));
  selection.BringAlong("start");
  selection.BringAlong("stop");
  EXPECT_TRUE(selection.MayTake("start"));
  EXPECT_THAT(selection.Select("start", {"start"}), ElementsAre(0));
  EXPECT_THAT(selection.Select("stop", {"stop"}), ElementsAre(0)) << "TakeOnly names another case of it";
  EXPECT_THAT(selection.Select("user", {"user"}), IsEmpty());
}

TEST(Selection, TakesSaysWhatSelectWouldDo) {
  const auto takes = [](const Selection& selection, absl::string_view unit) {
    FilterSubject subject;
    subject.unit = subject.info.name = unit;
    return selection.Takes(subject);
  };
  Selection selection = *Selection::Make({"a", "-ab"});
  EXPECT_TRUE(takes(selection, "a"));
  EXPECT_FALSE(takes(selection, "ab"));
  EXPECT_FALSE(takes(selection, "b"));
  selection.TakeOnly({{"aa", "aa"}, {"ac", ""}, {"ad", "other"}});
  EXPECT_FALSE(takes(selection, "a"));
  EXPECT_TRUE(takes(selection, "aa"));
  EXPECT_TRUE(takes(selection, "ac"));
  EXPECT_FALSE(takes(selection, "ad"));
}

TEST(Selection, GlobsMatchTheWholeNameWithOrWithoutTheExecutable) {
  EXPECT_THAT(Select({"Net.*"}), ElementsAre(0, 1, 2));
  EXPECT_THAT(Select({"Disk.*"}), ElementsAre(3));
  EXPECT_THAT(Select({"io_*.Disk.?ead"}), ElementsAre(3));
  EXPECT_THAT(Select({"Connect*"}), IsEmpty());
}

TEST(Selection, ExactNamesMatchCaseSuiteOrExecutable) {
  EXPECT_THAT(Select({"=Net.Connect"}), ElementsAre(0));
  EXPECT_THAT(Select({"=Disk"}), ElementsAre(3));
  EXPECT_THAT(Select({"=io_test"}), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(Select({"=io_test.Disk.Read"}), ElementsAre(3));
}

TEST(Selection, ASuiteIsWhatTheListingCallsSo) {
  CaseInfos cases;
  cases.Add({.name = "Width/unsigned int.Fits", .suite = "Width/unsigned int"});
  cases.Add({.name = "a.b.c", .suite = "a.b"});
  cases.Add({.name = "a.d"});
  const auto select = [&](const char* filter) { return Selection::Make({filter})->Select("t", cases); };
  EXPECT_THAT(select("=Width/unsigned int"), ElementsAre(0));
  EXPECT_THAT(select("=a.b"), ElementsAre(1));
  EXPECT_THAT(select("=a"), IsEmpty());
}

TEST(Selection, ALeadingDashExcludesAndWins) {
  EXPECT_THAT(Select({"-Slow"}), ElementsAre(0, 2, 3, 4));
  EXPECT_THAT(Select({"Net.*", "-*Slow"}), ElementsAre(0, 2));
  EXPECT_THAT(Select({"-Net.*", "Net.Connect"}), IsEmpty());
}

TEST(Selection, GoogleTestsOwnFilterSyntaxWorks) {
  EXPECT_THAT(Select({"Net.*:Disk.*-*Slow"}), ElementsAre(0, 1, 2)) << "a dash inside a pattern is part of it";
  EXPECT_THAT(Select({"Net.*:Disk.*:-*Slow"}), ElementsAre(0, 2, 3));
}

TEST(Selection, AnExecutableIsMeantByItsPathOrItsBaseName) {
  const auto selects = [](const std::string& filter, absl::string_view name = "Net.Connect") {
    return Selection::Make({filter})->Matches({.unit = "build/io/io_test", .info = {.name = name}, .has_info = false});
  };
  for (const char* filter :
       {"io_test.Net", "io/io_test", "*io_test.Net.*", "io_test.*", "build/io/io_test.*", "=io_test",
        "=build/io/io_test", "=io_test.Net.Connect", "=build/io/io_test.Net.Connect"}) {
    EXPECT_TRUE(selects(filter)) << filter;
    EXPECT_FALSE(selects(std::string("-") + filter)) << filter;
  }
  for (const char* filter : {"build", "io/io_tests", "io_test", "=io/io_test", "io/*"}) {
    EXPECT_EQ(selects(filter), filter == absl::string_view("io_test")) << filter;
  }
  for (const char* filter : {"io_test", "=io_test", "io_*", "=build/io/io_test", "build/*"}) {
    EXPECT_TRUE(selects(filter, "build/io/io_test")) << "a plain unit, by " << filter;
  }
}

TEST(Selection, SeveralFiltersAreAUnion) { EXPECT_THAT(Select({"Close", "Read"}), ElementsAre(2, 3, 4)); }

TEST(Selection, APlainExecutableIsItsOwnCase) {
  absl::StatusOr<Selection> selection = Selection::Make({"=check.sh"});
  ASSERT_TRUE(selection.ok());
  EXPECT_TRUE(selection->Matches({.unit = "check.sh", .info = {.name = "check.sh"}}));
  EXPECT_FALSE(selection->Matches({.unit = "other.sh", .info = {.name = "other.sh"}}));
}

TEST(Selection, AnEmptyPatternIsAnError) {
  for (const char* filter : {"", "-", "=", "a:"}) {
    absl::StatusOr<Selection> selection = Selection::Make({filter});
    EXPECT_FALSE(selection.ok()) << filter;
    EXPECT_THAT(std::string(selection.status().message()), HasSubstr("empty pattern"));
  }
}

TEST(Selection, AFilterThatMatchesNothingIsNamed) {
  Selection selection = *Selection::Make({"Net", "Nte", "-Slow", "-Solw"});
  (void)selection.Select("io_test", Cases());
  EXPECT_THAT(selection.Unmatched(), ElementsAre("Nte", "-Solw"));
  CaseInfos others;
  others.Add({.name = "Nte.x", .suite = "Nte"});
  (void)selection.Select("other_test", others);
  EXPECT_THAT(selection.Unmatched(), ElementsAre("-Solw")) << "in any unit";
}

TEST(Selection, LocksAreNamedByAllCases) {
  Selection selection = *Selection::Make({"Net.Connect"});
  CaseInfos cases;
  cases.Add({.name = "Net.Connect", .suite = "Net", .locks = {"port"}});
  cases.Add({.name = "Disk.Write", .suite = "Disk", .locks = {"disk"}});
  (void)selection.Select("io_test", cases);
  EXPECT_TRUE(selection.IsLockNamed("port"));
  EXPECT_TRUE(selection.IsLockNamed("disk")) << "though its case is not selected";
  EXPECT_FALSE(selection.IsLockNamed("prot"));
}

TEST(Selection, AWatchedFilterChoosesNothingAndIsNamedIfItMatchesNothing) {
  Selection selection = *Selection::Make({"Net.Connect"});
  selection.Watch("Disk", *Filter::Parse("Disk"));
  selection.Watch("Disc", *Filter::Parse("Disc"));
  EXPECT_THAT(selection.Select("io_test", Cases()), ElementsAre(0, 1));
  EXPECT_THAT(selection.UnmatchedWatched(), ElementsAre("Disc")) << "the other's cases are there, though not selected";
  EXPECT_THAT(selection.Unmatched(), IsEmpty());
}

TEST(Selection, WhatHistoryKnows) {
  std::vector<std::optional<CaseHistory>> known(Cases().size());
  CaseHistory history;
  history.runs = 3;
  known[1] = history;
  history.last_outcome = Outcome::kFailed;
  known[0] = history;
  const auto select = [&](const char* filter) { return Selection::Make({filter})->Select("io_test", Cases(), known); };
  EXPECT_THAT(select("failed()"), ElementsAre(0));
  EXPECT_THAT(select("new()"), ElementsAre(2, 3, 4));
  EXPECT_THAT(select("failed() | new() & Disk"), ElementsAre(0, 3, 4));
  EXPECT_TRUE(Selection::Make({"a", "-new()"})->NeedsHistory());
  EXPECT_FALSE(Selection::Make({"a"})->NeedsHistory());
}

TEST(Selection, OnlyTheCasesThatAreNamed) {
  Selection selection = *Selection::Make({"-Slow", "Net*"});
  selection.TakeOnly({{"io_test", "Net.Connect"},
                      {"io_test", "Net.ConnectSlow"},
                      {"io_test", "Net.Gone"},
                      {"io_test", "Net.GoneSlow"},
                      {"other_test", "Net.Close"},
                      {"whole_test", ""}});
  EXPECT_TRUE(selection.MayTake("io_test"));
  EXPECT_FALSE(selection.MayTake("no_test"));
  EXPECT_FALSE(selection.TakesAll()) << "what is not listed is missed by nobody";
  EXPECT_THAT(selection.RestOf("whole_test").missing, ElementsAre("")) << "nobody has come upon it";
  EXPECT_THAT(selection.Select("io_test", Cases()), ElementsAre(0));
  EXPECT_THAT(selection.Select("no_test", Cases()), IsEmpty());
  EXPECT_THAT(selection.Select("whole_test", Cases()), ElementsAre(0, 2));
  EXPECT_THAT(selection.RestOf("io_test").missing, ElementsAre("Net.Gone"));
  EXPECT_THAT(selection.RestOf("io_test").left_out, ElementsAre("Net.ConnectSlow", "Net.GoneSlow"));
  EXPECT_THAT(selection.RestOf("other_test").missing, ElementsAre("Net.Close"));
  EXPECT_THAT(selection.RestOf("whole_test").missing, IsEmpty());
  EXPECT_THAT(selection.RestOf("whole_test").left_out, SizeIs(Cases().size() - 2)) << "what a filter leaves out of it";
  EXPECT_THAT(selection.RestOf("no_test").missing, IsEmpty());
  EXPECT_THAT(selection.WantedUnits(), ElementsAre("io_test", "other_test", "whole_test"));
}

TEST(Selection, AFilterThatNamesDoNotAnswerMakesNoCaseThatIsGoneGood) {
  Selection selection = *Selection::Make({"label(slow)"});
  selection.TakeOnly({{"io_test", "Net.Gone"}});
  EXPECT_THAT(selection.Select("io_test", Cases()), IsEmpty());
  EXPECT_THAT(selection.RestOf("io_test").missing, ElementsAre("Net.Gone"));
}

TEST(Selection, TheSuiteOfACaseThatIsGoneIsWhatItsFrameworkSaid) {
  for (const char* filter : {"suite(tests/test_m.py)", "=tests/test_m.py", "suite(*.py)"}) {
    Selection selection = *Selection::Make({filter});
    selection.TakeOnly({{"t", "tests/test_m.py::test_x", "tests/test_m.py"}, {"t", "net::idle", "net"}});
    EXPECT_THAT(selection.RestOf("t").missing, ElementsAre("tests/test_m.py::test_x")) << filter;
    EXPECT_THAT(selection.RestOf("t").left_out, ElementsAre("net::idle")) << filter;
  }
}

TEST(Selection, AWholeUnitThatIsGoneIsLeftOutByAFilterThatNamesIt) {
  Selection selection = *Selection::Make({"-unit(io_test)"});
  selection.TakeOnly({{"io_test", ""}, {"other_test", ""}});
  EXPECT_THAT(selection.RestOf("io_test").left_out, ElementsAre(""));
  EXPECT_THAT(selection.RestOf("other_test").missing, ElementsAre(""));
  for (const char* filter : {"unit(other_test)", "!unit(io_test) & all()"}) {
    Selection chosen = *Selection::Make({filter});
    chosen.TakeOnly({{"io_test", ""}, {"other_test", ""}});
    EXPECT_THAT(chosen.RestOf("io_test").left_out, ElementsAre("")) << filter;
    EXPECT_THAT(chosen.RestOf("other_test").missing, ElementsAre("")) << filter;
  }
  for (const char* filter : {"other_test", "unit(other_test) | name(Net*)"}) {
    Selection unsure = *Selection::Make({filter});
    unsure.TakeOnly({{"io_test", ""}});
    EXPECT_THAT(unsure.RestOf("io_test").missing, ElementsAre("")) << filter << ": it may have such cases";
  }
}

TEST(Selection, CasesOfAFileThatCanBeCollectedByNow) {
  CaseInfos cases;
  for (const char* name : {"a.py::one", "a.py::two[x]", "a.pyc::three", "b.py", "dir/c.py::four", "f.py::G::six"}) {
    cases.Add({.name = name});
  }
  Selection selection = *Selection::Make({"-two"});
  selection.TakeOnly({{"t", "a.py", "", true},
                      {"t", "b.py", "", true},
                      {"t", "dir", "", true},
                      {"t", "e.py", "", true},
                      {"t", "f.py::G", "", true}});
  EXPECT_THAT(selection.Select("t", cases), ElementsAre(0, 3, 4, 5));
  EXPECT_THAT(selection.RestOf("t").missing, ElementsAre("e.py"));
  EXPECT_THAT(selection.RestOf("t").left_out, ElementsAre("a.py::two[x]"));
  Selection gone = *Selection::Make({"two", "-x.py"});
  gone.TakeOnly({{"t", "d.py", "", true}, {"t", "x.py", "", true}, {"t", "a.py::five"}});
  EXPECT_THAT(gone.Select("t", cases), IsEmpty());
  EXPECT_THAT(gone.RestOf("t").missing, ElementsAre("d.py")) << "what is asked for may have been in it";
  EXPECT_THAT(gone.RestOf("t").left_out, ElementsAre("a.py::five", "x.py"));
  Selection all = *Selection::Make({});
  all.TakeOnly({{"t", ".", "", true}});
  EXPECT_THAT(all.Select("t", cases), SizeIs(6));
}

TEST(Selection, ShardsPartitionTheCases) {
  std::vector<std::string> names;
  for (int i = 0; i < 3000; ++i) names.push_back(absl::StrCat("Suite.Case", i));
  std::multiset<uint32_t> seen;
  for (uint32_t shard = 1; shard <= 3; ++shard) {
    absl::StatusOr<Selection> selection = Selection::Make({}, shard, 3);
    ASSERT_TRUE(selection.ok());
    const std::vector<uint32_t> part = selection->Select("t", DottedCases(names));
    EXPECT_GT(part.size(), 800u) << "shard " << shard;
    EXPECT_LT(part.size(), 1200u) << "shard " << shard;
    seen.insert(part.begin(), part.end());
  }
  EXPECT_EQ(seen.size(), names.size());
  EXPECT_EQ(std::set<uint32_t>(seen.begin(), seen.end()).size(), names.size());
}

TEST(Selection, ShardsNeverChange) {
  EXPECT_EQ(ShardOf("io_test", "Net.Connect", 1000), 35u);
  EXPECT_EQ(ShardOf("io_test", "Net.Close", 1000), 681u);
}

TEST(Selection, AGroupIsInOneShard) {
  CaseInfos cases;
  for (int k = 0; k < 40; ++k) {
    const std::string name = absl::StrCat("test_", k), group = absl::StrCat("g", k % 8);
    cases.Add({.name = name, .group = group});
  }
  std::set<uint32_t> all;
  for (uint32_t shard = 1; shard <= 3; ++shard) {
    std::set<uint32_t> groups;
    const std::vector<uint32_t> selected = Selection::Make({}, shard, 3)->Select("t", cases);
    for (const uint32_t index : selected) groups.insert(index % 8);
    EXPECT_EQ(selected.size(), groups.size() * 5) << shard;
    EXPECT_LT(groups.size(), 8u);
    all.insert(selected.begin(), selected.end());
  }
  EXPECT_EQ(all.size(), 40u);
}

}  // namespace
}  // namespace dtest
