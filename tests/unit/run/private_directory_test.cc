#include "coordinator/run/private_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>

namespace dtest {
namespace {

namespace fs = std::filesystem;

class PrivateDirectoryTest : public testing::Test {
 protected:
  PrivateDirectoryTest() : parent_(testing::TempDir() + "/private_directory_test") {
    fs::remove_all(parent_);
    fs::create_directories(parent_);
  }
  ~PrivateDirectoryTest() override { fs::remove_all(parent_); }
  const std::string parent_;
};

TEST_F(PrivateDirectoryTest, IsPrivateAndGoesWithItsOwner) {
  std::string path;
  {
    absl::StatusOr<PrivateDirectory> directory = PrivateDirectory::Make(parent_, "x-");
    ASSERT_TRUE(directory.ok()) << directory.status();
    path = directory->path();
    struct stat info;
    ASSERT_EQ(stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700u);
    std::ofstream(path + "/file") << "x";
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(PrivateDirectoryTest, WhatAKilledProcessLeftIsRemovedAndALiveOnesIsNot) {
  absl::StatusOr<PrivateDirectory> live = PrivateDirectory::Make(parent_, "x-");
  ASSERT_TRUE(live.ok());
  int to_parent[2];
  ASSERT_EQ(pipe(to_parent), 0);
  const pid_t child = fork();
  if (child == 0) {
    absl::StatusOr<PrivateDirectory> doomed = PrivateDirectory::Make(parent_, "x-");
    [[maybe_unused]] const ssize_t n = write(to_parent[1], doomed->path().c_str(), doomed->path().size());
    pause();
    _exit(0);
  }
  char buffer[4096] = {};
  ASSERT_GT(read(to_parent[0], buffer, sizeof buffer - 1), 0);
  const std::string abandoned = buffer;
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  ASSERT_TRUE(fs::exists(abandoned));
  absl::StatusOr<PrivateDirectory> next = PrivateDirectory::Make(parent_, "x-");
  ASSERT_TRUE(next.ok());
  EXPECT_FALSE(fs::exists(abandoned));
  EXPECT_TRUE(fs::exists(live->path()));
}

TEST_F(PrivateDirectoryTest, AMissingParentIsAClearError) {
  const absl::Status status = PrivateDirectory::Make(parent_ + "/none", "x-").status();
  EXPECT_NE(status.message().find("No such file"), absl::string_view::npos) << status;
}

}  // namespace
}  // namespace dtest
