#include "agent/execute/trash.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

namespace fs = std::filesystem;

class TrashTest : public testing::Test {
 protected:
  TrashTest() { fs::create_directory(path_); }

  void File(const std::string& name, size_t size = 1) {
    fs::create_directories(fs::path(path_ + "/" + name).parent_path());
    std::ofstream(path_ + "/" + name) << std::string(size, 'x');
  }
  bool Gone() const { return !fs::exists(fs::symlink_status(path_)); }
  ino_t Inode() const {
    struct stat info = {};
    return stat(path_.c_str(), &info) == 0 ? info.st_ino : 0;
  }
  // What was moved aside is removed sooner or later.
  void WaitUntilNothingIsAside() const {
    while (!fs::is_empty(aside_)) sched_yield();
  }

  ScratchDirectory scratch_;
  const std::string path_ = scratch_.path() + "/slot";
  const std::string aside_ = [this] {
    fs::create_directory(scratch_.path() + "/aside");
    return scratch_.path() + "/aside";
  }();
};

TEST_F(TrashTest, AnEmptyDirectoryAndOneOfAFewSmallFilesStayTheSame) {
  Trash trash(aside_);
  const ino_t inode = Inode();
  trash.Empty(path_);
  EXPECT_EQ(Inode(), inode);
  File("a");
  File("b", 4096);
  fs::create_symlink("/nowhere", path_ + "/link");
  trash.Empty(path_);
  EXPECT_EQ(Inode(), inode);
  EXPECT_TRUE(fs::is_empty(path_));
  EXPECT_TRUE(fs::is_empty(aside_));
}

TEST_F(TrashTest, ATreeALargeFileAndManyFilesAreRemovedAside) {
  Trash trash(aside_);
  File("a/b/c");
  trash.Empty(path_);
  EXPECT_TRUE(Gone());
  fs::create_directory(path_);
  File("large", (1 << 20) + 1);
  trash.Empty(path_);
  EXPECT_TRUE(Gone());
  fs::create_directory(path_);
  for (int i = 0; i < 100; ++i) File(absl::StrCat("file", i));
  trash.Empty(path_);
  EXPECT_TRUE(Gone());
  WaitUntilNothingIsAside();
}

TEST_F(TrashTest, ManyTreesInARow) {
  Trash trash(aside_);
  for (int i = 0; i < 200; ++i) {
    if (Gone()) fs::create_directory(path_);
    File("a/b/c");
    trash.Empty(path_);
    EXPECT_TRUE(Gone() || fs::is_empty(path_)) << i;
  }
  WaitUntilNothingIsAside();
}

TEST_F(TrashTest, WhatIsNoDirectoryIsRemovedAndNotFollowed) {
  Trash trash(aside_);
  trash.Empty(scratch_.path() + "/missing");
  File("kept/file");
  fs::create_directory(scratch_.path() + "/linked");
  fs::rename(path_ + "/kept", scratch_.path() + "/linked/kept");
  fs::remove_all(path_);
  fs::create_directory_symlink(scratch_.path() + "/linked", path_);
  trash.Empty(path_);
  EXPECT_TRUE(Gone());
  WaitUntilNothingIsAside();
  EXPECT_TRUE(fs::exists(scratch_.path() + "/linked/kept/file"));
}

TEST_F(TrashTest, ADirectoryOnAnotherFileSystemIsEmptiedAtOnce) {
  if (!fs::exists("/dev/shm") || fs::space("/dev/shm").free < (8 << 20)) GTEST_SKIP() << "/dev/shm has no room";
  const std::string other = absl::StrCat("/dev/shm/dtest-trash-test-", getpid());
  fs::create_directories(other + "/a/b");
  Trash trash(aside_);
  trash.Empty(other);
  EXPECT_FALSE(fs::exists(other));
}

}  // namespace
}  // namespace dtest
