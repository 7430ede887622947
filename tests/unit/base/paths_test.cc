#include "dtest/base/paths.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>

namespace dtest {
namespace {

TEST(Paths, InTwo) {
  EXPECT_EQ(DirectoryOf("/a/b/c"), "/a/b");
  EXPECT_EQ(BaseName("/a/b/c"), "c");
  EXPECT_EQ(DirectoryOf("c"), ".");
  EXPECT_EQ(BaseName("c"), "c");
  EXPECT_EQ(DirectoryOf("/c"), "/");
  EXPECT_EQ(BaseName("/c"), "c");
  EXPECT_EQ(BaseName("a/"), "");
}

TEST(Paths, BelowADirectory) {
  EXPECT_EQ(PathBelow("/a", "/a/b/c"), "b/c");
  EXPECT_EQ(PathBelow("/a/", "/a/b/c"), "b/c");
  EXPECT_EQ(PathBelow("/a", "/ab/c"), "/ab/c");
  EXPECT_EQ(PathBelow("/a", "/a"), "/a");
  EXPECT_EQ(PathBelow("/a", "/a/"), "/a/");
  EXPECT_EQ(PathBelow("/a", "b/c"), "b/c");
  EXPECT_EQ(PathBelow("", "/b"), "/b");
  EXPECT_EQ(PathBelow("/", "/b"), "/b");
}

TEST(Paths, RealPathFollowsLinksAndSaysWhyItCannot) {
  std::string made = ::testing::TempDir() + "/paths-XXXXXX";
  ASSERT_NE(mkdtemp(made.data()), nullptr);
  const std::string link = made + "/link";
  ASSERT_EQ(symlink(".", link.c_str()), 0);
  EXPECT_EQ(RealPath(link), RealPath(made));
  ASSERT_EQ(unlink(link.c_str()), 0);
  EXPECT_EQ(RealPath(link), std::nullopt);
  EXPECT_EQ(errno, ENOENT);
  rmdir(made.c_str());
}

}  // namespace
}  // namespace dtest
