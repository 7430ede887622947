#include "dtest/base/private_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

namespace fs = std::filesystem;

class PrivateDirectoryTest : public testing::Test {
 protected:
  const ScratchDirectory scratch_;
  const std::string& parent_ = scratch_.path();
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
  std::vector<std::string> told;
  absl::StatusOr<PrivateDirectory> next =
      PrivateDirectory::Make(parent_, "x-", [&](const std::string& path) { told.push_back(path); });
  ASSERT_TRUE(next.ok());
  EXPECT_EQ(told, std::vector<std::string>{abandoned});
  EXPECT_FALSE(fs::exists(abandoned));
  EXPECT_TRUE(fs::exists(live->path()));
}

// Agents of one user that began together used to remove each other's directory between its mkdir and its lock.
TEST_F(PrivateDirectoryTest, ProcessesThatBeginTogetherLeaveEachOthersAlone) {
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      int lost = 0;
      for (int turn = 0; turn < 300; ++turn) {
        absl::StatusOr<PrivateDirectory> mine = PrivateDirectory::Make(parent_, "x-");
        if (!mine.ok() || mkdir((mine->path() + "/slot-0").c_str(), 0700) != 0) ++lost;
      }
      _exit(lost == 0 ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_TRUE(fs::is_empty(parent_));
}

TEST_F(PrivateDirectoryTest, AMissingParentIsAClearError) {
  const absl::Status status = PrivateDirectory::Make(parent_ + "/none", "x-").status();
  EXPECT_NE(status.message().find("No such file"), absl::string_view::npos) << status;
}

}  // namespace
}  // namespace dtest
