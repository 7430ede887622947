#include "coordinator/bundle/ctest_units.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/bundle/ctest_folding.h"
#include "unit/bundle/temp_tree.h"

namespace dtest {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Texts = std::vector<std::string>;

// The name that is asked for, with further arguments behind it; empty: it is not folded.
Texts Asked(bool (*asks)(const Texts&, const Judging&, AskedCase*), const Texts& arguments,
            const Judging& judging = {}) {
  AskedCase asked;
  if (!asks(arguments, judging, &asked)) return {};
  asked.further.insert(asked.further.begin(), asked.name);
  return asked.further;
}

TEST(CTestFoldingTest, GoogleTest) {
  const auto asked = [](const Texts& arguments, const Judging& judging = {}) {
    return Asked(&GoogleTestAskedCase, arguments, judging);
  };
  const std::string also = "--gtest_also_run_disabled_tests";
  EXPECT_THAT(asked({"--gtest_filter=Inst/S.C/0", also, "--x", "y"}), ElementsAre("Inst/S.C/0", "--x", "y"));
  EXPECT_THAT(asked({"--gtest_filter=S.C"}, {.skip = {"\\[  SKIPPED \\]"}}), ElementsAre("S.C"));
  EXPECT_THAT(asked({"--gtest_filter=S.DISABLED_C", also}, {.disabled = true}), ElementsAre("S.DISABLED_C"));
  EXPECT_THAT(asked({"--gtest_filter=S.DISABLED_C", also}), IsEmpty()) << "CTest would run it";
  EXPECT_THAT(asked({"--gtest_filter=S.C"}, {.disabled = true}), IsEmpty());
  for (const Judging& judging : {Judging{.pass = {"x"}}, Judging{.fail = {"x"}}, Judging{.skip = {"x"}},
                                 Judging{.skip_status = 4}, Judging{.will_fail = true}}) {
    EXPECT_THAT(asked({"--gtest_filter=S.C"}, judging), IsEmpty());
  }
  for (const char* filter : {"S.*", "*", "S.C:S.D", "-S.C", "S.C-S.D", "S.?", "S", ""}) {
    EXPECT_THAT(asked({absl::StrCat("--gtest_filter=", filter)}), IsEmpty()) << filter;
  }
  EXPECT_THAT(asked({"--gtest_filter=S.C", "--gtest_output=xml:x"}), IsEmpty());
  EXPECT_THAT(asked({"--gtest_filter=S.C", "--gtest_filter=S.D"}), IsEmpty());
  EXPECT_THAT(asked({}), IsEmpty());
  EXPECT_THAT(asked({"--x"}), IsEmpty());
}

TEST(CTestFoldingTest, Catch2) {
  const auto asked = [](const Texts& arguments, const Judging& judging = {}) {
    return Asked(&Catch2AskedCase, arguments, judging);
  };
  EXPECT_THAT(asked({"adds \\[a\\]\\, b", "--order", "rand"}), ElementsAre("adds [a], b", "--order", "rand"));
  EXPECT_THAT(asked({"adds"}, {.skip_status = 4}), ElementsAre("adds"));
  for (const char* name : {"-x", "~adds", "adds*", "*adds", "[tag]", "a,b", "\"adds\"", "exclude:a", ""}) {
    EXPECT_THAT(asked({name}), IsEmpty()) << name;
  }
  EXPECT_THAT(asked({"adds", "subtracts"}), IsEmpty());
  EXPECT_THAT(asked({"adds", "--reporter", "xml"}), IsEmpty());
  EXPECT_THAT(asked({"adds", "-o", "x"}), IsEmpty());
  EXPECT_THAT(asked({"adds"}, {.will_fail = true}), IsEmpty());
  EXPECT_THAT(asked({}), IsEmpty());
}

TEST(CTestFoldingTest, Doctest) {
  const auto asked = [](const Texts& arguments, const Judging& judging = {}) {
    return Asked(&DoctestAskedCase, arguments, judging);
  };
  EXPECT_THAT(asked({"--test-case=a\\, b", "--x"}), ElementsAre("a, b", "--x"));
  EXPECT_THAT(asked({"--test-case=a*"}), IsEmpty());
  EXPECT_THAT(asked({"--test-case=a,b"}), IsEmpty());
  EXPECT_THAT(asked({"--test-case=a", "--reporters=junit"}), IsEmpty());
  EXPECT_THAT(asked({"--test-case=a", "--test-suite=s"}), IsEmpty());
  EXPECT_THAT(asked({"--test-case=a"}, {.disabled = true}), IsEmpty());
  EXPECT_THAT(asked({}), IsEmpty());
}

CTestEntry Entry(const std::string& name, Texts command) {
  CTestEntry entry;
  entry.name = name;
  entry.command = std::move(command);
  entry.working_directory = "/w";
  return entry;
}

// Programs called g... are GoogleTests.
std::vector<CTestUnits::Unit> UnitsOf(std::vector<CTestEntry> entries) {
  CTestUnits units;
  CTestTree tree{"/w/build", "/w/build", {std::move(entries), {}}};
  return units.Add(tree, [](const std::string& path) {
    return absl::StrContains(path, "/g") ? std::string("googletest") : std::string(kPlainFramework);
  });
}

std::vector<std::string> CasesOf(const CTestUnits::Unit& unit) {
  std::vector<std::string> names;
  for (const auto& [name, unused] : unit.unit.declarations.cases) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

TEST(CTestUnitsTest, OneUnitAProgram) {
  CTestEntry slow = Entry("S.C", {"/b/g", "--gtest_filter=S.C"});
  slow.declaration.time_limit = absl::Seconds(9);
  const auto units =
      UnitsOf({slow, Entry("own", {"/b/x", "--gtest_filter=S.C"}), Entry("S.D", {"/b/g", "--gtest_filter=S.D"}),
               Entry("T.E", {"/b/g2", "--gtest_filter=T.E"})});
  ASSERT_THAT(units, SizeIs(3));
  EXPECT_EQ(units[0].path, "/b/g");
  EXPECT_EQ(units[0].framework, "googletest");
  EXPECT_EQ(units[0].variant, "");
  EXPECT_THAT(CasesOf(units[0]), ElementsAre("S.C", "S.D"));
  EXPECT_EQ(units[0].unit.declarations.cases.at("S.C").time_limit, absl::Seconds(9));
  EXPECT_FALSE(units[0].unit.declarations.cases.at("S.D").time_limit.has_value());
  EXPECT_EQ(units[1].test, "own");
  EXPECT_EQ(units[1].framework, "ctest");
  EXPECT_THAT(units[1].unit.arguments, ElementsAre("--gtest_filter=S.C"));
  EXPECT_THAT(CasesOf(units[2]), ElementsAre("T.E"));
}

TEST(CTestUnitsTest, WhatIsStartedOtherwiseIsAnother) {
  CTestEntry env = Entry("env", {"/b/g", "--gtest_filter=S.C"});
  env.env_changes = {{"A", EnvChange::Kind::kSet, "1", ""}};
  CTestEntry directory = Entry("directory", {"/b/g", "--gtest_filter=S.C"});
  directory.working_directory = "/elsewhere";
  const auto units = UnitsOf({Entry("S.C", {"/b/g", "--gtest_filter=S.C"}), env, directory,
                              Entry("argument", {"/b/g", "--gtest_filter=S.C", "-x"}),
                              Entry("twice", {"/b/g", "--gtest_filter=S.C"}), Entry("whole", {"/b/g"})});
  ASSERT_THAT(units, SizeIs(6));
  absl::flat_hash_set<std::string> variants;
  for (const CTestUnits::Unit& unit : units) variants.insert(unit.variant);
  EXPECT_THAT(variants, SizeIs(6));
  EXPECT_EQ(units[0].variant, "");
  EXPECT_THAT(units[3].unit.arguments, ElementsAre("-x"));
  EXPECT_TRUE(units[5].unit.declarations.each.has_value());
  // Another copy of the tree, and what stands before them, change no name.
  EXPECT_EQ(UnitsOf({Entry("S.C", {"/b/g", "--gtest_filter=S.C"}), directory})[1].variant, units[2].variant);
}

TEST(CTestUnitsTest, WhatCannotRunAndWhatIsThereTwice) {
  CTestEntry broken = Entry("S.C", {"/b/g", "--gtest_filter=S.C"});
  broken.problems = {"is broken", "more so"};
  const auto units = UnitsOf({broken, Entry("one", {"/b/x"}), Entry("one", {"/b/y"})});
  ASSERT_THAT(units, SizeIs(3));
  EXPECT_EQ(units[0].problem, "the test S.C of the CTest tree /w/build is broken, and more so");
  EXPECT_EQ(units[1].test, "one");
  EXPECT_EQ(units[2].test, "one@2");
}

TEST(CTestUnitsTest, WhatCommandsName) {
  TempTree temp;
  for (const char* name : {"prog", "script.py", "data", "other"}) temp.Write(name, "x");
  CTestUnits units;
  CTestEntry entry = Entry("t", {temp.At("prog"), "script.py", absl::StrCat("--in=", temp.At("data"))});
  entry.working_directory = temp.At("");
  units.Add({"/w/build", "/w/build", {{entry}, {}}}, [](const std::string&) { return std::string(kPlainFramework); });
  EXPECT_TRUE(units.IsNamed(temp.At("prog")));
  EXPECT_TRUE(units.IsNamed(temp.At("script.py")));
  EXPECT_TRUE(units.IsNamed(temp.At("data")));
  EXPECT_FALSE(units.IsNamed(temp.At("other")));
  EXPECT_TRUE(units.Holds("/w/build"));
  EXPECT_TRUE(units.Holds("/w/build/x"));
  EXPECT_FALSE(units.Holds("/w/build2"));
}

TEST(CTestUnitsTest, PathsInTexts) {
  EXPECT_THAT(AbsolutePathsIn("/a b"), ElementsAre("/a b", "/a"));
  EXPECT_THAT(AbsolutePathsIn("--x=/a"), ElementsAre("/a"));
  EXPECT_THAT(AbsolutePathsIn("-I/a"), ElementsAre("/a"));
  EXPECT_THAT(AbsolutePathsIn("/a:/b:c"), ElementsAre("/a:/b:c", "/a", "/b"));
  EXPECT_THAT(AbsolutePathsIn("a/b"), IsEmpty());
}

}  // namespace
}  // namespace dtest
