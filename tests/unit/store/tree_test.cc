#include "agent/store/tree.h"

#include "gmock/gmock.h"
#include "tests/unit/store/store_testing.h"

namespace dtest::store {
namespace {

// Takes `entries` into the plan, as Tree does; the status of the check.
absl::Status Plan(TreePlan* plan, const std::vector<ManifestEntry>& entries) {
  absl::StatusOr<std::vector<const ManifestEntry*>> fresh = plan->NewEntries(entries);
  if (!fresh.ok()) return fresh.status();
  for (const ManifestEntry* entry : *fresh) plan->Add(*entry);
  return absl::OkStatus();
}

bool Accepts(const std::vector<ManifestEntry>& entries) {
  TreePlan plan;
  return Plan(&plan, entries).ok();
}

TEST(TreePathTest, AcceptsAnyBytesButZero) {
  for (const char* path : {"a", "a/b/c", "...", "..a", "a..", " ", "a b\n", "\xff\xfe", "-rf", "a\\b"}) {
    EXPECT_TRUE(CheckTreePath(path).ok()) << path;
  }
}

TEST(TreePathTest, RefusesWhatLeavesTheTreeOrIsNoPath) {
  for (const std::string& path :
       {std::string(), std::string("/"), std::string("/etc/passwd"), std::string(".."), std::string("../a"),
        std::string("a/../b"), std::string("a/.."), std::string("."), std::string("./a"), std::string("a/./b"),
        std::string("a//b"), std::string("a/"), std::string("a\0b", 3)}) {
    EXPECT_EQ(CheckTreePath(path).code(), absl::StatusCode::kInvalidArgument) << path;
  }
}

TEST(TreePlanTest, RefusesMalformedEntries) {
  ManifestEntry nothing, both = FileEntry("a", "x");
  nothing.path = "a";
  both.symlink_target = "b";
  EXPECT_FALSE(Accepts({nothing}));
  EXPECT_FALSE(Accepts({both}));
  EXPECT_FALSE(Accepts({SymlinkEntry("a", std::string("b\0c", 3))}));
}

TEST(TreePlanTest, ReturnsOnlyWhatIsNewAndEachOnce) {
  TreePlan plan;
  const ManifestEntry a = FileEntry("d/a", "a"), b = FileEntry("d/b", "b");
  ASSERT_TRUE(Plan(&plan, {a}).ok());
  const std::vector<ManifestEntry> entries = {a, b, b};
  absl::StatusOr<std::vector<const ManifestEntry*>> fresh = plan.NewEntries(entries);
  ASSERT_TRUE(fresh.ok());
  ASSERT_EQ(fresh->size(), 1u);
  EXPECT_EQ((*fresh)[0]->path, "d/b");
}

TEST(TreePlanTest, RefusesContradictions) {
  const ManifestEntry file = FileEntry("d/f", "a");
  EXPECT_FALSE(Accepts({file, FileEntry("d/f", "b")})) << "other contents";
  EXPECT_FALSE(Accepts({file, FileEntry("d/f", "a", true)})) << "other mode";
  EXPECT_FALSE(Accepts({file, SymlinkEntry("d/f", "g")})) << "other kind";
  EXPECT_FALSE(Accepts({file, FileEntry("d/f/below", "b")})) << "a file as a directory";
  EXPECT_FALSE(Accepts({file, FileEntry("d", "b")})) << "a directory as a file";
  EXPECT_FALSE(Accepts({SymlinkEntry("l", "d"), FileEntry("l/f", "b")})) << "through a symbolic link";
  TreePlan plan;
  ASSERT_TRUE(Plan(&plan, {file}).ok());
  EXPECT_FALSE(Plan(&plan, {FileEntry("d/f", "b")}).ok()) << "also from one call to the next";
  EXPECT_FALSE(Plan(&plan, {FileEntry("d", "b")}).ok());
  EXPECT_TRUE(Plan(&plan, {file, SymlinkEntry("d/g", "f")}).ok());
  EXPECT_FALSE(Plan(&plan, {SymlinkEntry("d/g", "other")}).ok());
}

TEST(TreePlanTest, AcceptsSymlinksThatStayInside) {
  EXPECT_TRUE(Accepts({SymlinkEntry("libx.so", "libx.so.1")}));
  EXPECT_TRUE(Accepts({SymlinkEntry("a/b/up", "../..")})) << "the root itself";
  EXPECT_TRUE(Accepts({SymlinkEntry("a/l", "../c/./d//e")}));
  EXPECT_TRUE(Accepts({FileEntry("a/b/f", "x"), SymlinkEntry("l", "a/b/../b/f")}));
  EXPECT_TRUE(Accepts({SymlinkEntry("loop", "loop")})) << "opens nothing";
  EXPECT_TRUE(Accepts({SymlinkEntry("p", "q"), SymlinkEntry("q", "p/..")}));
}

TEST(TreePlanTest, RefusesSymlinksThatLeave) {
  EXPECT_FALSE(Accepts({SymlinkEntry("l", "/etc")}));
  EXPECT_FALSE(Accepts({SymlinkEntry("l", "..")}));
  EXPECT_FALSE(Accepts({SymlinkEntry("a/l", "../..")}));
  EXPECT_FALSE(Accepts({SymlinkEntry("a/l", "../../tree/a")})) << "and come back";
  EXPECT_FALSE(Accepts({SymlinkEntry("l", "a/../../b")}));
}

TEST(TreePlanTest, RefusesSymlinksThatLeaveThroughOthers) {
  // Each by itself stays inside; `up` leads to a, so that `l` leads above the root.
  const ManifestEntry up = SymlinkEntry("a/b/up", ".."), l = SymlinkEntry("l", "a/b/up/../../etc");
  EXPECT_TRUE(Accepts({l}));
  EXPECT_TRUE(Accepts({up}));
  EXPECT_FALSE(Accepts({up, l}));
  EXPECT_FALSE(Accepts({l, up}));
  TreePlan plan;
  ASSERT_TRUE(Plan(&plan, {l}).ok());
  EXPECT_FALSE(Plan(&plan, {up}).ok()) << "an older link leaves because of a newer one";
  EXPECT_TRUE(Plan(&plan, {FileEntry("a/b/c", "x")}).ok()) << "the refused entry is not in the plan";
}

}  // namespace
}  // namespace dtest::store
