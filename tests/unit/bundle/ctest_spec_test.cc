#include "coordinator/bundle/ctest_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "unit/bundle/temp_tree.h"

namespace dtest {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;

class CTestSpecTest : public testing::Test {
 protected:
  CTestSpecTest() {
    temp_.Write("root/build/CMakeCache.txt", "");
    temp_.Write("root/build/sub/run.sh", "#!/bin/sh\n", 0755);
    temp_.Write("root/data/a.txt", "a");
    temp_.Write("root/data/deep/b.txt", "b");
    temp_.Write("root/big/c.txt", "c");
    temp_.Write("elsewhere/d.txt", "d");
    program_.path = temp_.At("root/build/sub/run.sh");
    program_.name = "build/run";
    program_.framework = "ctest";
    program_.script = true;
    program_.ctest.emplace();
    program_.ctest->top = temp_.At("root/build");
    program_.ctest->working_directory = temp_.At("root/build/sub");
  }

  absl::StatusOr<UnitSpec> Make() {
    LibraryLayout layout;
    warnings_.clear();
    return MakeCTestSpec(UnitId(1), program_,
                         {.root = temp_.At("root"), .data = {}, .layout = &layout, .warnings = &warnings_}, resolver_,
                         catalog_);
  }
  std::vector<std::string> Shipped() {
    const absl::StatusOr<UnitSpec> spec = Make();
    EXPECT_TRUE(spec.ok()) << spec.status();
    std::vector<std::string> paths;
    if (spec.ok()) {
      for (const ManifestEntry& entry : spec->files) paths.push_back(entry.path);
    }
    return paths;
  }

  TempTree temp_;
  TestProgram program_;
  LibraryResolver resolver_{LibraryResolver::Options()};
  Catalog catalog_{{.cache_dir = temp_.At("cache")}};
  std::vector<std::string> warnings_;
};

TEST_F(CTestSpecTest, WhereItIs) {
  program_.ctest->arguments = {temp_.At("root/data/a.txt")};
  program_.ctest->env_changes = {{"A", EnvChange::Kind::kSet, "1", ""}};
  program_.ctest->judging.will_fail = true;
  const absl::StatusOr<UnitSpec> spec = InPlaceCTestSpec(UnitId(1), program_);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_TRUE(spec->in_place);
  EXPECT_EQ(spec->path, program_.path);
  EXPECT_EQ(spec->working_directory, program_.ctest->working_directory);
  EXPECT_EQ(spec->arguments, program_.ctest->arguments);
  EXPECT_EQ(spec->env_changes, program_.ctest->env_changes);
  EXPECT_EQ(spec->judging, program_.ctest->judging);
  EXPECT_EQ(spec->mirrors, "");
}

TEST_F(CTestSpecTest, OnHostsItsTreeStandsForTheRoot) {
  program_.ctest->arguments = {"-x", temp_.At("root/data/a.txt")};
  const absl::StatusOr<UnitSpec> spec = Make();
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_FALSE(spec->in_place);
  EXPECT_EQ(spec->path, "build/sub/run.sh");
  EXPECT_EQ(spec->working_directory, "build/sub");
  EXPECT_EQ(spec->mirrors, temp_.At("root"));
  EXPECT_EQ(spec->arguments, program_.ctest->arguments) << "a host puts its own tree there";
  EXPECT_THAT(Shipped(), ElementsAre("build/sub/run.sh", "data/a.txt"));
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(CTestSpecTest, WhatIsNamedComesAlong) {
  program_.ctest->arguments = {absl::StrCat("--data=", temp_.At("root/data")), "../../big/c.txt"};
  EXPECT_THAT(Shipped(), ElementsAre("big/c.txt", "build/sub/run.sh", "data/a.txt", "data/deep/b.txt"));
  program_.ctest->arguments = {temp_.At("root"), temp_.At("root/build"), temp_.At("root/made/later")};
  EXPECT_THAT(Shipped(), ElementsAre("build/sub/run.sh")) << "what holds the build tree does not";
  program_.ctest->arguments.clear();
  program_.ctest->env_changes = {{"X", EnvChange::Kind::kAppend, absl::StrCat("y:", temp_.At("root/data/deep")), ":"}};
  program_.ctest->required_files = {temp_.At("root/big/c.txt")};
  EXPECT_THAT(Shipped(), ElementsAre("big/c.txt", "build/sub/run.sh", "data/deep/b.txt"));
  program_.ctest->env_changes.clear();
  program_.ctest->working_directory = temp_.At("root/data");
  EXPECT_THAT(Shipped(), ElementsAre("big/c.txt", "build/sub/run.sh", "data/a.txt", "data/deep/b.txt"));
  program_.ctest->working_directory = temp_.At("root");
  EXPECT_THAT(Shipped(), ElementsAre("big/c.txt", "build/sub/run.sh"));
}

TEST_F(CTestSpecTest, ProgramsThatAreNamedBringTheirLibraries) {
  program_.ctest->working_directory = std::string(FIXTURES);
  program_.ctest->arguments = {"/bin/true"};
  program_.path = temp_.At("root/build/sub/run.sh");
  program_.ctest->working_directory = temp_.At("root/build");
  std::filesystem::copy("/proc/self/exe", temp_.At("root/build/tool"));
  program_.ctest->arguments = {temp_.At("root/build/tool")};
  EXPECT_THAT(Shipped(), IsSupersetOf({"build/tool", ".dtest/base/libc.so.6"}));
}

TEST_F(CTestSpecTest, WhatOnlyThisMachineHasIsTold) {
  program_.ctest->arguments = {temp_.At("elsewhere/d.txt"), "/usr/include"};
  EXPECT_THAT(Shipped(), ElementsAre("build/sub/run.sh"));
  EXPECT_THAT(warnings_, ElementsAre(AllOf(HasSubstr(temp_.At("elsewhere/d.txt")), Not(HasSubstr("/usr/include")))));
}

TEST_F(CTestSpecTest, ProgramsOfPathAreTheHostsOwn) {
  program_.path = "/bin/sh";
  program_.ctest->arguments = {temp_.At("root/build/sub/run.sh")};
  const absl::StatusOr<UnitSpec> spec = Make();
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->path, "sh");
  EXPECT_THAT(Shipped(), ElementsAre("build/sub/run.sh"));
  EXPECT_FALSE(IsHosts(temp_.At("root"), temp_.At("root/build/sub/run.sh")));
  EXPECT_FALSE(IsHosts(temp_.At("root"), temp_.At("elsewhere/d.txt")));
}

TEST_F(CTestSpecTest, WhatKeepsItFromRunning) {
  program_.ctest->required_files = {temp_.At("root/nothing")};
  EXPECT_THAT(Make().status().message(), HasSubstr("REQUIRED_FILES"));
  EXPECT_THAT(InPlaceCTestSpec(UnitId(1), program_).status().message(), HasSubstr(temp_.At("root/nothing")));
  program_.ctest->required_files.clear();
  program_.ctest->working_directory = temp_.At("elsewhere");
  EXPECT_THAT(Make().status().message(), HasSubstr("run dtest from a directory that holds both"));
  program_.ctest->judging.disabled = true;
  program_.path = "/nowhere";
  const absl::StatusOr<UnitSpec> spec = Make();
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_THAT(spec->files, IsEmpty());
}

TEST_F(CTestSpecTest, LibraryPath) {
  CTestUnit unit;
  EXPECT_EQ(LibraryPathOf(unit, "/ours"), "/ours");
  unit.env_changes = {{"LD_LIBRARY_PATH", EnvChange::Kind::kPrepend, "/a", ":"}, {"B", EnvChange::Kind::kSet, "x", ""}};
  EXPECT_EQ(LibraryPathOf(unit, "/ours"), "/a:/ours");
  EXPECT_EQ(LibraryPathOf(unit, ""), "/a");
  unit.env_changes.push_back({"LD_LIBRARY_PATH", EnvChange::Kind::kUnset, "", ""});
  EXPECT_EQ(LibraryPathOf(unit, "/ours"), "");
}

}  // namespace
}  // namespace dtest
