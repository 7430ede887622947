#include "coordinator/bundle/file_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "protocol/chunking.h"
#include "unit/bundle/temp_tree.h"
#include "unit/protocol/chunk_file.h"

namespace dtest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// "path" for a file, "path*" for an executable one, "path -> target" for a link.
std::vector<std::string> Shape(const TreeBuilder& tree) {
  std::vector<std::string> shape;
  for (const ManifestEntry& entry : tree.entries()) {
    EXPECT_NE(entry.file.empty(), entry.symlink_target.empty()) << entry.path;
    shape.push_back(entry.path + (entry.symlink_target.empty() ? "" : " -> " + entry.symlink_target) +
                    (entry.executable ? "*" : ""));
  }
  return shape;
}

class FileTreeTest : public testing::Test {
 protected:
  std::vector<std::string> Glob(const std::string& pattern) {
    TreeBuilder tree(temp_.root(), catalog_);
    const absl::Status status = tree.AddGlob(pattern);
    EXPECT_TRUE(status.ok()) << status;
    return Shape(tree);
  }
  void ExpectRefused(const std::string& pattern, const std::string& reason) {
    TreeBuilder tree(temp_.root(), catalog_);
    const absl::Status status = tree.AddGlob(pattern);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << pattern << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(reason));
  }

  const TempTree temp_;
  Catalog catalog_{Catalog::Options()};
};

TEST_F(FileTreeTest, FilesCarryContentsSizeAndMode) {
  temp_.Write("data/a.txt", "hello");
  temp_.Write("data/run.sh", "#!", 0755);
  TreeBuilder tree(temp_.root(), catalog_);
  ASSERT_TRUE(tree.Add("data/a.txt").ok());
  ASSERT_TRUE(tree.Add("data/run.sh").ok());
  const std::vector<ManifestEntry> entries = tree.entries();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].path, "data/a.txt");
  EXPECT_EQ(entries[0].file, ChunkFile("hello").id);
  EXPECT_EQ(entries[0].size, 5u);
  EXPECT_FALSE(entries[0].executable);
  EXPECT_TRUE(entries[1].executable);
}

TEST_F(FileTreeTest, PatternsMatchAsInAShell) {
  for (const char* path : {"a.txt", "b.txt", "c.json", ".hidden.txt", "d/e.txt", "d/f/g.txt", "d/.h/i.txt", "d[1]"}) {
    temp_.Write(path, path);
  }
  EXPECT_THAT(Glob("*.txt"), ElementsAre("a.txt", "b.txt"));
  EXPECT_THAT(Glob("[bc].*"), ElementsAre("b.txt", "c.json"));
  EXPECT_THAT(Glob("?.txt"), ElementsAre("a.txt", "b.txt"));
  EXPECT_THAT(Glob("**/*.txt"), ElementsAre("a.txt", "b.txt", "d/e.txt", "d/f/g.txt"));
  EXPECT_THAT(Glob("d/**/g.txt"), ElementsAre("d/f/g.txt"));
  EXPECT_THAT(Glob("**/**/g.txt"), ElementsAre("d/f/g.txt"));
  EXPECT_THAT(Glob("d/**"), ElementsAre("d/e.txt", "d/f/g.txt"));
  EXPECT_THAT(Glob("d[1]"), ElementsAre("d[1]"));
  EXPECT_THAT(Glob("d\\[1\\]"), ElementsAre("d[1]"));
  EXPECT_THAT(Glob("./d//e.txt"), ElementsAre("d/e.txt"));
  EXPECT_THAT(Glob(temp_.At("d/e.*")), ElementsAre("d/e.txt"));
  EXPECT_THAT(Glob(".hidden.txt"), ElementsAre(".hidden.txt"));
}

TEST_F(FileTreeTest, DirectoriesComeWithAllTheyHold) {
  for (const char* path : {"d/e.txt", "d/f/g.txt", "d/.h/i.txt"}) temp_.Write(path, path);
  mkdir(temp_.At("d/empty").c_str(), 0755);
  mkfifo(temp_.At("d/fifo").c_str(), 0600);
  EXPECT_THAT(Glob("d"), ElementsAre("d/.h/i.txt", "d/e.txt", "d/f/g.txt"));
  EXPECT_THAT(Glob("."), ElementsAre("d/.h/i.txt", "d/e.txt", "d/f/g.txt"));
  EXPECT_THAT(Glob("d/empty"), IsEmpty());
}

TEST_F(FileTreeTest, LinksInsideStayLinksAndBringWhatTheyLeadTo) {
  temp_.Write("store/v2/data.bin", "x");
  temp_.Link("v2", "store/current");
  temp_.Link("../store/current/data.bin", "use/data.bin");
  temp_.Link(temp_.At("store"), "use/all");
  EXPECT_THAT(Glob("use/data.bin"),
              ElementsAre("store/current -> v2", "store/v2/data.bin", "use/data.bin -> ../store/current/data.bin"));
  EXPECT_THAT(Glob("use/all/current/data.bin"),
              ElementsAre("store/current -> v2", "store/v2/data.bin", "use/all -> ../store"));
  EXPECT_THAT(Glob("use"), ElementsAre("store/current -> v2", "store/v2/data.bin", "use/all -> ../store",
                                       "use/data.bin -> ../store/current/data.bin"));
}

TEST_F(FileTreeTest, LinkToADirectoryAroundItIsOnlyALink) {
  temp_.Write("d/a", "a");
  temp_.Write("big", "not shipped");
  temp_.Link(".", "d/self");
  temp_.Link("..", "d/up");
  EXPECT_THAT(Glob("d"), ElementsAre("d/a", "d/self -> .", "d/up -> .."));
}

TEST_F(FileTreeTest, LinksOutOfTheRootAreReplacedByWhatTheyLeadTo) {
  const TempTree other;
  other.Write("deep/file", "y", 0755);
  other.Link("deep/file", "alias");
  temp_.Link(other.root(), "vendor");
  temp_.Link(other.At("deep/file"), "tool");
  EXPECT_THAT(Glob("vendor"), ElementsAre("vendor/alias*", "vendor/deep/file*"));
  EXPECT_THAT(Glob("tool"), ElementsAre("tool*"));
  // Absolute, and through the parent of the root: both lead out.
  other.Link(other.root(), "deep/loop");
  ExpectRefused("vendor", "a loop");
}

TEST_F(FileTreeTest, DanglingLinksAreNamed) {
  temp_.Write("d/a", "a");
  temp_.Link("../gone", "d/broken");
  ExpectRefused("d", temp_.At("d/broken") + " is a dangling symbolic link to ../gone");
  ExpectRefused("d/bro*", "dangling");
  temp_.Link("two", "one");
  temp_.Link("one", "two");
  ExpectRefused("one", "symbolic link");
}

TEST_F(FileTreeTest, WhatCannotBeShippedIsRefused) {
  temp_.Write("a", "a");
  temp_.Write(".dtest/b", "b");
  mkfifo(temp_.At("fifo").c_str(), 0600);
  ExpectRefused("nothing", "matches nothing in " + temp_.root());
  ExpectRefused("*.none", "matches nothing");
  ExpectRefused("a/b", "matches nothing");
  ExpectRefused("/etc/passwd", "outside of " + temp_.root());
  ExpectRefused("../x", "\"..\"");
  ExpectRefused("fifo", "neither a file nor a directory");
  ExpectRefused(".dtest", "dtest's own directory");
  EXPECT_THAT(Glob("."), ElementsAre("a"));
}

TEST_F(FileTreeTest, AnyBytesWorkInNames) {
  temp_.Write("d/new\nline \xff", "x");
  EXPECT_THAT(Glob("d"), ElementsAre("d/new\nline \xff"));
}

}  // namespace
}  // namespace dtest
