#include "dtest/base/whole_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"

namespace dtest {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class WholeFileTest : public ::testing::Test {
 protected:
  ~WholeFileTest() override { std::filesystem::remove_all(directory_); }

  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream contents;
    contents << file.rdbuf();
    return contents.str();
  }
  int FilesThere() const {
    int count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory_)) ++count;
    return count;
  }

  const std::string directory_ = [] {
    std::string path = ::testing::TempDir() + "/whole-file-XXXXXX";
    EXPECT_NE(mkdtemp(path.data()), nullptr);
    return path;
  }();
  const std::string path_ = directory_ + "/file";
};

TEST_F(WholeFileTest, ReplacesAndLeavesNothingElse) {
  ASSERT_TRUE(ReplaceFile("it", path_, "one").ok());
  ASSERT_TRUE(ReplaceFile("it", path_, "two").ok());
  EXPECT_EQ(Read(path_), "two");
  EXPECT_EQ(FilesThere(), 1);
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  const mode_t mask = umask(0);
  umask(mask);
  EXPECT_EQ(info.st_mode & 0777, 0666 & ~mask);
}

TEST_F(WholeFileTest, WhatCannotBeReplacedStays) {
  ASSERT_EQ(mkdir(path_.c_str(), 0700), 0);
  const absl::Status status = ReplaceFile("--junit file", path_, "one");
  EXPECT_THAT(std::string(status.message()), StartsWith("--junit file: cannot rename "));
  EXPECT_EQ(FilesThere(), 1);
}

TEST_F(WholeFileTest, TellsBeforehandWhatCannotBeMade) {
  EXPECT_TRUE(CheckReplaceable("it", path_).ok());
  EXPECT_EQ(FilesThere(), 0);
  const absl::Status status = CheckReplaceable("it", directory_ + "/none/file");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("does its directory exist"));
}

TEST_F(WholeFileTest, ALeftTemporaryFileIsNoObstacle) {
  // Whatever number the next one gets, it is not the first of this name.
  for (int i = 0; i < 100; ++i) std::ofstream(absl::StrCat(path_, ".tmp-", getpid(), "-", i)) << "left";
  EXPECT_TRUE(ReplaceFile("it", path_, "whole").ok());
  EXPECT_EQ(Read(path_), "whole");
}

TEST_F(WholeFileTest, ThreadsThatReplaceOneFileNeverMixTheirContents) {
  std::vector<std::thread> threads;
  for (const char letter : {'a', 'b', 'c', 'd'}) {
    threads.emplace_back([this, letter] {
      for (int i = 0; i < 50; ++i) EXPECT_TRUE(ReplaceFile("it", path_, std::string(100'000, letter)).ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string contents = Read(path_);
  EXPECT_EQ(contents, std::string(100'000, contents.front()));
  EXPECT_EQ(FilesThere(), 1);
}

}  // namespace
}  // namespace dtest
