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

TEST(Paths, APathInATextIsReplaced) {
  const auto replaced = [](absl::string_view text) { return ReplacePath(text, "/w/p", "/tree"); };
  EXPECT_EQ(replaced("/w/p"), "/tree");
  EXPECT_EQ(replaced("/w/p/a b"), "/tree/a b");
  EXPECT_EQ(replaced("--in=/w/p/a"), "--in=/tree/a");
  EXPECT_EQ(replaced("-I/w/p/a"), "-I/tree/a");
  EXPECT_EQ(replaced("/w/p/a:/w/p:/w/pq"), "/tree/a:/tree:/w/pq");
  EXPECT_EQ(replaced("'/w/p'"), "'/tree'");
  for (const char* other : {"", "/w/p2/a", "/w/p.old", "/x/w/p/a", "a/w/p", "..//w/p", "/w", "w/p"}) {
    EXPECT_EQ(replaced(other), other);
  }
  EXPECT_EQ(ReplacePath("/a/a/a", "/a/a", "/b"), "/b/a");
  EXPECT_EQ(ReplacePath("/a", "", "/b"), "/a");
  EXPECT_EQ(ReplacePath("/a", "/", "/b"), "/a");
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
