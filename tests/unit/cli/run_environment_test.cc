// What hosts are told of [environment], and what they are given for it.

#include "coordinator/cli/run_environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class RunEnvironmentTest : public testing::Test {
 protected:
  RunEnvironmentTest() {
    settings_.command = "make it";
    settings_.key = {"deep/requirements.txt"};
    settings_.directory = scratch_.path();
    std::filesystem::create_directory(scratch_.path() + "/deep");
    Write("first");
  }
  void Write(const std::string& contents) const {
    std::ofstream(scratch_.path() + "/deep/requirements.txt") << contents;
  }
  static std::string Contents(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  RunEnvironment Made() {
    absl::StatusOr<RunEnvironment> made = MakeRunEnvironment(settings_, env_, interpreter_, true);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *std::move(made) : RunEnvironment();
  }

  ScratchDirectory scratch_;
  EnvironmentSettings settings_;
  std::vector<std::pair<std::string, std::string>> env_;
  std::optional<std::string> interpreter_;
};

TEST_F(RunEnvironmentTest, WhatIsHashedIsWhatTheCommandSees) {
  const RunEnvironment made = Made();
  Write("second");
  ASSERT_THAT(made.files, SizeIs(1));
  EXPECT_EQ(made.files[0].place, ".dtest/environment/deep/requirements.txt");
  EXPECT_EQ(Contents(made.files[0].file), "first");
  EXPECT_EQ(made.there.working_directory, ".dtest/environment");
  EXPECT_EQ(made.here.working_directory + "/deep/requirements.txt", made.files[0].file);
  EXPECT_NE(Made().here.key, made.here.key);
  Write("first");
  EXPECT_EQ(Made().here.key, made.here.key);
}

TEST_F(RunEnvironmentTest, WithoutFilesTheDirectoryOfTheCommandIsEmpty) {
  settings_.key = {};
  const RunEnvironment made = Made();
  EXPECT_TRUE(std::filesystem::is_empty(made.here.working_directory));
  EXPECT_NE(made.here.working_directory, scratch_.path());
  EXPECT_EQ(made.there.working_directory, ".dtest/environment");
}

TEST_F(RunEnvironmentTest, CopiesGoWithIt) {
  std::string path;
  {
    const RunEnvironment made = Made();
    path = made.here.working_directory;
    EXPECT_TRUE(std::filesystem::exists(path));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(RunEnvironmentTest, KeyIsOfAllThatTheCommandSees) {
  const Digest first = Made().here.key;
  EXPECT_EQ(Made().here.key, first);
  env_ = {{"INDEX", "a"}};
  const Digest with_variable = Made().here.key;
  EXPECT_NE(with_variable, first);
  env_ = {{"INDEX", "b"}};
  EXPECT_NE(Made().here.key, with_variable);
  env_ = {};
  ASSERT_EQ(chmod((scratch_.path() + "/deep/requirements.txt").c_str(), 0755), 0);
  EXPECT_NE(Made().here.key, first);
}

TEST_F(RunEnvironmentTest, TestsOfPytestWantItsPython) {
  EXPECT_EQ(Made().here.check, "");
  interpreter_ = "/usr/bin/python3";  // of the host
  EXPECT_EQ(Made().here.check, "");
  interpreter_ = "it's";
  settings_.check = "echo checked; false";
  const RunEnvironment made = Made();
  EXPECT_EQ(made.there.check, made.here.check);
  const std::string environment = scratch_.path() + "/environment", out = scratch_.path() + "/out";
  const auto run = [&] {
    setenv("DTEST_ENVIRONMENT", environment.c_str(), 1);
    setenv("CHECK", made.here.check.c_str(), 1);
    const int status = std::system(absl::StrCat("sh -c \"$CHECK\" > ", out, " 2>&1").c_str());
    unsetenv("DTEST_ENVIRONMENT");
    unsetenv("CHECK");
    EXPECT_NE(status, 0);
    return Contents(out);
  };
  EXPECT_EQ(run(), "checked\n");  // no programs at all are none of pytest's either
  std::filesystem::create_directories(environment + "/bin");
  EXPECT_THAT(run(), HasSubstr(absl::StrCat("no Python that starts: ", environment, "/bin/it's;")));
  std::filesystem::create_symlink("/gone/python", environment + "/bin/it's");
  EXPECT_THAT(run(), HasSubstr("no Python that starts"));
  std::filesystem::remove(environment + "/bin/it's");
  std::filesystem::create_symlink("/bin/true", environment + "/bin/it's");
  EXPECT_EQ(run(), "checked\n");
}

TEST_F(RunEnvironmentTest, ShippedPackagesAreForTheirPythonAlone) {
  const std::string site = scratch_.path() + "/venv/lib/python3.11/site-packages";
  std::filesystem::create_directories(site + "/inner");
  std::ofstream(scratch_.path() + "/venv/pyvenv.cfg").flush();
  std::ofstream(site + "/a.pth") << "inner\n";
  settings_ = EnvironmentSettings();
  settings_.ship = scratch_.path() + "/venv";
  for (const char* const good : {"", "python3.11", "/opt/bin/python3.11"}) {
    interpreter_ = good;
    EXPECT_EQ(Made().there.packages, ".dtest/packages:.dtest/packages/inner") << good;
  }
  for (const char* const bad : {"python3", "/opt/bin/python3.12"}) {
    interpreter_ = bad;
    const absl::Status refused = MakeRunEnvironment(settings_, env_, interpreter_, true).status();
    EXPECT_THAT(refused.message(), HasSubstr(absl::StrCat("--pytest ", bad, ": the packages that ")));
    EXPECT_TRUE(MakeRunEnvironment(settings_, env_, interpreter_, false).ok()) << "nothing is shipped";
  }
}

}  // namespace
}  // namespace dtest
