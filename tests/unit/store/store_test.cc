#include "agent/store/store.h"

#include <sys/resource.h>

#include <algorithm>

#include "gmock/gmock.h"
#include "tests/unit/store/store_testing.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// At most 64 descriptors while it lives.
class FewDescriptors {
 public:
  FewDescriptors() {
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &old_), 0);
    const rlimit few = {64, old_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  }
  ~FewDescriptors() { setrlimit(RLIMIT_NOFILE, &old_); }

 private:
  rlimit old_;
};

class StoreTest : public testing::Test {
 protected:
  ScratchDirectory scratch_;
  const std::string root_ = scratch_.path() + "/cache/store";
  Coordinator coordinator_;
};

TEST_F(StoreTest, OpenMakesAPrivateRootAndAnEmptyTree) {
  std::unique_ptr<Store> store = OpenStore(root_, "run-1");
  EXPECT_EQ(StatOf(root_).st_mode & 07777, 0700u);
  EXPECT_EQ(StatOf(store->tree()).st_mode & 07777, 0700u);
  EXPECT_EQ(store->tree(), root_ + "/trees/run-1");
  EXPECT_EQ(EntriesIn(store->tree()), 0u);
  EXPECT_GT(store->FreeDisk(), 0u);
}

TEST_F(StoreTest, ShipsAndMaterialisesWhateverTheUmask) {
  const std::string program = RandomBytes(1, 700000), data = "hello\n";
  coordinator_.Add(program);
  coordinator_.Add(data);
  coordinator_.Add("");
  const std::vector<ManifestEntry> entries = {FileEntry("bin/program", program, true),
                                              FileEntry("data/a b\nc\xff", data), FileEntry("data/empty", ""),
                                              SymlinkEntry("bin/link", "../data/empty")};
  const mode_t old_umask = umask(0777);
  std::unique_ptr<Store> store = OpenStore(root_, "run");
  EXPECT_EQ(coordinator_.Ship(store.get(), entries), program.size() + data.size());
  const absl::Status status = store->Materialise(entries);
  umask(old_umask);
  ASSERT_TRUE(status.ok()) << status;

  const std::string tree = store->tree();
  EXPECT_TRUE(ReadFile(tree + "/bin/program") == program);
  EXPECT_EQ(ReadFile(tree + "/data/a b\nc\xff"), data);
  EXPECT_EQ(StatOf(tree + "/data/empty").st_size, 0);
  EXPECT_EQ(std::filesystem::read_symlink(tree + "/bin/link"), "../data/empty");
  EXPECT_EQ(StatOf(tree + "/bin/program").st_mode, S_IFREG | 0555u);
  EXPECT_EQ(StatOf(tree + "/data/empty").st_mode, S_IFREG | 0444u);
  EXPECT_EQ(StatOf(tree + "/bin").st_mode, S_IFDIR | 0755u);
  EXPECT_EQ(StatOf(tree + "/bin/program").st_ino, StatOf(StoredPath(root_, entries[0].file, true)).st_ino);
  EXPECT_EQ(StatOf(RecordPath(root_, entries[0].file)).st_mode, S_IFREG | 0600u);
  for (const char* sub : {"/files", "/recipes", "/tmp", "/trees", "/runs"}) {
    EXPECT_EQ(StatOf(root_ + sub).st_mode, S_IFDIR | 0700u) << sub;
  }
}

TEST_F(StoreTest, SecondRunFetchesNothingAndLeavesNoTrace) {
  const std::string program = RandomBytes(2, 300000);
  coordinator_.Add(program);
  const std::vector<ManifestEntry> entries = {FileEntry("p", program, true)};
  EXPECT_EQ(coordinator_.Ship(OpenStore(root_, "one").get(), entries), program.size());
  {
    std::unique_ptr<Store> store = OpenStore(root_, "two");
    EXPECT_THAT(store->Missing(entries), IsEmpty());
    EXPECT_TRUE(store->Has(entries[0].file, true));
    EXPECT_FALSE(store->Has(entries[0].file, false));
    EXPECT_TRUE(store->Materialise(entries).ok());
  }
  for (const char* sub : {"/tmp", "/trees", "/runs"}) EXPECT_EQ(EntriesIn(root_ + sub), 0u) << sub;
  EXPECT_EQ(StatOf(StoredPath(root_, entries[0].file, true)).st_nlink, 1u);
}

TEST_F(StoreTest, MissingNamesEachFileOnce) {
  std::unique_ptr<Store> store = OpenStore(root_, "run");
  const Digest a = ChunkFile("a").id, b = ChunkFile("b").id;
  EXPECT_THAT(store->Missing({FileEntry("1", "a"), FileEntry("2", "a"), FileEntry("3", "a", true), FileEntry("4", "b"),
                              SymlinkEntry("5", "4")}),
              ElementsAre(a, b));
}

TEST_F(StoreTest, ExecutableAndDataAreTwoInodesAndTheSecondCostsNoTransfer) {
  const std::string contents = RandomBytes(3, 200000);
  coordinator_.Add(contents);
  std::unique_ptr<Store> store = OpenStore(root_, "run");
  const std::vector<ManifestEntry> both = {FileEntry("x", contents, true), FileEntry("r", contents, false)};
  EXPECT_EQ(coordinator_.Ship(store.get(), {both[0]}), contents.size());
  EXPECT_THAT(store->Missing(both), ElementsAre(both[0].file));
  EXPECT_EQ(coordinator_.Ship(store.get(), {both[1]}), 0u);
  ASSERT_TRUE(store->Materialise(both).ok());
  EXPECT_NE(StatOf(store->tree() + "/x").st_ino, StatOf(store->tree() + "/r").st_ino);
}

TEST_F(StoreTest, RebuiltFileFetchesOnlyChangedChunks) {
  const std::string before = RandomBytes(4, 4 << 20);
  std::string after = before;
  after.insert(2 << 20, "something new");
  coordinator_.Add(before);
  coordinator_.Add(after);
  coordinator_.Ship(OpenStore(root_, "one").get(), {FileEntry("p", before, true)});
  std::unique_ptr<Store> store = OpenStore(root_, "two");
  const uint64_t sent = coordinator_.Ship(store.get(), {FileEntry("p", after, true)});
  EXPECT_GT(sent, 0u);
  EXPECT_LE(sent, 4 * kMaxChunk);
  ASSERT_TRUE(store->Materialise({FileEntry("p", after, true)}).ok());
  EXPECT_TRUE(ReadFile(store->tree() + "/p") == after);
}

TEST_F(StoreTest, SharedChunksAreAskedForOnceAndWrittenToAll) {
  const std::string shared = RandomBytes(5, 16000);  // less than kMinChunk: one chunk
  FileRecipe first = ChunkFile(shared), second;
  const std::string tail = RandomBytes(6, 16000);
  second.chunks = {first.chunks[0], ChunkFile(tail).chunks[0], first.chunks[0]};
  second.id = FileId(second.chunks);

  std::unique_ptr<Store> store = OpenStore(root_, "run");
  absl::StatusOr<std::vector<ChunkRef>> wanted = store->AddRecipe(first, false);
  ASSERT_TRUE(wanted.ok());
  EXPECT_THAT(*wanted, ElementsAre(first.chunks[0]));
  wanted = store->AddRecipe(second, true);
  ASSERT_TRUE(wanted.ok());
  EXPECT_THAT(*wanted, ElementsAre(second.chunks[1]));
  EXPECT_THAT(*store->AddRecipe(second, true), IsEmpty()) << "a doubled recipe asks for nothing";

  EXPECT_TRUE(store->AddChunk(second.chunks[1].digest, tail).ok());
  EXPECT_FALSE(store->Has(second.id, true));
  EXPECT_TRUE(store->AddChunk(first.chunks[0].digest, shared).ok());
  EXPECT_TRUE(store->Has(first.id, false));
  EXPECT_TRUE(store->Has(second.id, true));
  EXPECT_TRUE(ReadFile(StoredPath(root_, second.id, true)) == shared + tail + shared);
  EXPECT_TRUE(store->AddChunk(first.chunks[0].digest, shared).ok()) << "a doubled chunk is ignored";
  EXPECT_THAT(*store->AddRecipe(second, true), IsEmpty());
}

TEST_F(StoreTest, DamagedChunkIsRefusedAndCanComeAgain) {
  const std::string contents = RandomBytes(7, 16000);
  const FileRecipe recipe = ChunkFile(contents);
  std::unique_ptr<Store> store = OpenStore(root_, "run");
  ASSERT_TRUE(store->AddRecipe(recipe, false).ok());
  std::string damaged = contents;
  damaged[15999] ^= 1;
  const Digest chunk = recipe.chunks[0].digest;
  EXPECT_EQ(store->AddChunk(chunk, damaged).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(store->AddChunk(chunk, contents.substr(1)).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(store->AddChunk(chunk, "").code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(store->Has(recipe.id, false));
  EXPECT_TRUE(store->AddChunk(chunk, contents).ok());
  EXPECT_TRUE(store->Has(recipe.id, false));
}

TEST_F(StoreTest, LyingRecipesAreRefused) {
  const std::string contents = RandomBytes(8, 16000);
  std::unique_ptr<Store> store = OpenStore(root_, "run");
  FileRecipe wrong_id = ChunkFile(contents);
  wrong_id.id = Sha256("other");
  EXPECT_EQ(store->AddRecipe(wrong_id, false).status().code(), absl::StatusCode::kInvalidArgument);

  FileRecipe wrong_size = ChunkFile(contents);
  wrong_size.chunks[0].size += 1;
  wrong_size.id = FileId(wrong_size.chunks);
  ASSERT_TRUE(store->AddRecipe(wrong_size, false).ok());
  const absl::Status status = store->AddChunk(wrong_size.chunks[0].digest, contents);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("16001"));
  EXPECT_FALSE(store->Has(wrong_size.id, false));
  EXPECT_EQ(EntriesIn(root_ + "/tmp/run"), 0u);
}

TEST_F(StoreTest, ZerosTakeNoDisk) {
  const std::string contents(8 << 20, '\0');
  coordinator_.Add(contents);
  std::unique_ptr<Store> store = OpenStore(root_, "run");
  coordinator_.Ship(store.get(), {FileEntry("sparse", contents)});
  const struct stat st = StatOf(StoredPath(root_, ChunkFile(contents).id));
  EXPECT_EQ(st.st_size, 8 << 20);
  EXPECT_LT(st.st_blocks * 512, 1 << 20);
  EXPECT_TRUE(ReadFile(StoredPath(root_, ChunkFile(contents).id)) == contents);
}

TEST_F(StoreTest, UnfinishedFileIsMissingInTheNextRun) {
  const std::string contents = RandomBytes(9, 500000);
  const FileRecipe recipe = ChunkFile(contents);
  {
    std::unique_ptr<Store> store = OpenStore(root_, "one");
    ASSERT_TRUE(store->AddRecipe(recipe, false).ok());
    ASSERT_TRUE(store->AddChunk(recipe.chunks[0].digest, contents.substr(0, recipe.chunks[0].size)).ok());
    EXPECT_EQ(EntriesIn(root_ + "/tmp/one"), 1u);
  }
  std::unique_ptr<Store> store = OpenStore(root_, "two");
  EXPECT_THAT(store->Missing({FileEntry("f", contents)}), ElementsAre(recipe.id));
  EXPECT_EQ(EntriesIn(root_ + "/tmp/two"), 0u);
}

TEST_F(StoreTest, ManyFilesBeingAssembledNeedNoDescriptors) {
  const FewDescriptors few;
  std::unique_ptr<Store> store = OpenStore(root_, "run");
  std::vector<ChunkRef> all;
  for (int i = 0; i < 200; ++i) {
    absl::StatusOr<std::vector<ChunkRef>> wanted = store->AddRecipe(ChunkFile(absl::StrCat("file ", i)), false);
    ASSERT_TRUE(wanted.ok()) << wanted.status();
    all.insert(all.end(), wanted->begin(), wanted->end());
  }
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(store->AddChunk(Sha256(absl::StrCat("file ", i)), absl::StrCat("file ", i)).ok());
  }
  EXPECT_EQ(all.size(), 200u);
  EXPECT_EQ(EntriesIn(root_ + "/tmp/run"), 0u);
}

TEST_F(StoreTest, MaterialiseTwiceKeepsWhatIsThere) {
  coordinator_.Add("a");
  coordinator_.Add("b");
  std::unique_ptr<Store> store = OpenStore(root_, "run");
  const ManifestEntry a = FileEntry("dir/a", "a"), b = FileEntry("dir/b", "b");
  coordinator_.Ship(store.get(), {a, b});
  ASSERT_TRUE(store->Materialise({a}).ok());
  const absl::Status status = store->Materialise({a, b, a});
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(ReadFile(store->tree() + "/dir/b"), "b");
  EXPECT_EQ(store->Materialise({FileEntry("dir/a", "b")}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store->Materialise({FileEntry("dir/a", "a", true)}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadFile(store->tree() + "/dir/a"), "a");
}

TEST_F(StoreTest, MaterialiseWithoutTheFileNamesIt) {
  std::unique_ptr<Store> store = OpenStore(root_, "run");
  const absl::Status status = store->Materialise({FileEntry("dir/a", "absent")});
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr(ChunkFile("absent").id.Hex()));
  EXPECT_THAT(std::string(status.message()), HasSubstr("dir/a"));
  coordinator_.Add("absent");
  coordinator_.Ship(store.get(), {FileEntry("dir/a", "absent")});
  EXPECT_TRUE(store->Materialise({FileEntry("dir/a", "absent")}).ok()) << "goes on after the error";
}

TEST_F(StoreTest, RefusedManifestMakesNothing) {
  coordinator_.Add("a");
  std::unique_ptr<Store> store = OpenStore(root_, "run");
  coordinator_.Ship(store.get(), {FileEntry("a", "a")});
  const absl::Status status = store->Materialise({FileEntry("good", "a"), FileEntry("../bad", "a")});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("../bad"));
  EXPECT_EQ(EntriesIn(store->tree()), 0u);
}

TEST_F(StoreTest, WhatTestsDoToTheTreeLeadsNowhereElse) {
  coordinator_.Add("a");
  std::unique_ptr<Store> store = OpenStore(root_, "run");
  coordinator_.Ship(store.get(), {FileEntry("a", "a")});
  ASSERT_TRUE(store->Materialise({FileEntry("dir/a", "a")}).ok());
  const std::string outside = scratch_.path() + "/outside";
  std::filesystem::create_directory(outside);
  std::filesystem::rename(store->tree() + "/dir", store->tree() + "/moved");
  std::filesystem::create_symlink(outside, store->tree() + "/dir");
  EXPECT_EQ(store->Materialise({FileEntry("dir/b", "a")}).code(), absl::StatusCode::kInvalidArgument);
  WriteFile(store->tree() + "/taken", "by a test");
  EXPECT_EQ(store->Materialise({FileEntry("taken", "a")}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store->Materialise({FileEntry("taken/below", "a")}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(EntriesIn(outside), 0u);
}

TEST_F(StoreTest, TreeIsRemovedWhateverTestsLeftInIt) {
  const FewDescriptors few;
  coordinator_.Add("a");
  const std::string outside = scratch_.path() + "/outside";
  std::filesystem::create_directory(outside);
  WriteFile(outside + "/precious", "x");
  std::string tree;
  {
    std::unique_ptr<Store> store = OpenStore(root_, "run");
    tree = store->tree();
    coordinator_.Ship(store.get(), {FileEntry("a", "a")});
    ASSERT_TRUE(store->Materialise({FileEntry("d/a", "a")}).ok());
    std::filesystem::create_directory_symlink(outside, tree + "/d/link");
    std::filesystem::create_directories(tree + "/locked/inner");
    WriteFile(tree + "/locked/inner/file", "x");
    ASSERT_EQ(chmod((tree + "/locked/inner").c_str(), 0), 0);
    ASSERT_EQ(chmod((tree + "/locked").c_str(), 0), 0);
    ASSERT_EQ(mkfifo((tree + "/fifo").c_str(), 0600), 0);
    // Deeper than there are descriptors, and longer than PATH_MAX.
    int at = open(tree.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int depth = 0; depth < 100; ++depth) {
      const std::string name(50, 'd');
      ASSERT_EQ(mkdirat(at, name.c_str(), 0755), 0);
      const int next = openat(at, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      close(at);
      at = next;
    }
    close(at);
  }
  EXPECT_FALSE(Exists(tree));
  EXPECT_EQ(ReadFile(outside + "/precious"), "x");
}

TEST_F(StoreTest, RunIdsThatAreNoNamesAreRefused) {
  for (const std::string& run_id : {std::string(), std::string(".."), std::string("a/b"), std::string(".hidden"),
                                    std::string("a\0b", 3), std::string(101, 'x'), std::string("a b")}) {
    EXPECT_EQ(Store::Open({root_, run_id}).status().code(), absl::StatusCode::kInvalidArgument) << run_id;
  }
}

TEST_F(StoreTest, RootOfOthersOrWritableByOthersIsRefused) {
  std::filesystem::create_directories(root_);
  ASSERT_EQ(chmod(root_.c_str(), 0777), 0);
  absl::Status status = Store::Open({root_, "run"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(status.message()), HasSubstr(root_));
  ASSERT_EQ(chmod(root_.c_str(), 0755), 0);
  EXPECT_TRUE(Store::Open({root_, "run"}).ok());
  if (geteuid() == 0) {
    ASSERT_EQ(chown(root_.c_str(), 65534, 65534), 0);
    status = Store::Open({root_, "run"}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
    EXPECT_THAT(std::string(status.message()), HasSubstr("65534"));
  }
}

TEST_F(StoreTest, ReadOnlyDirectoryIsOneClearError) {
  const std::string home = scratch_.path() + "/home";
  std::filesystem::create_directory(home);
  ASSERT_EQ(chmod(home.c_str(), 0555), 0);
  ASSERT_EQ(chmod(scratch_.path().c_str(), 0755), 0);
  InChild([&] {
    if (geteuid() == 0 && seteuid(65534) != 0) return 1;
    const absl::Status status = Store::Open({home + "/.cache/store", "run"}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(home + "/.cache: Permission denied; make it writable"));
    return 0;
  });
  WriteFile(scratch_.path() + "/file", "");
  EXPECT_EQ(Store::Open({scratch_.path() + "/file/store", "run"}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Store::Open({"relative", "run"}).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace dtest
