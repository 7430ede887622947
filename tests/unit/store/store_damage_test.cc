// What someone else does to the stored files: nothing wrong is ever linked, and nothing right is read again.

#include <algorithm>

#include "agent/store/recipe_file.h"
#include "agent/store/store.h"
#include "gmock/gmock.h"
#include "tests/unit/store/store_testing.h"

namespace dtest {
namespace {

using store::RecipeFile;
using store::Stamp;
using store::Variant;
using testing::ElementsAre;
using testing::IsEmpty;

class StoreDamageTest : public testing::Test {
 protected:
  void SetUp() override {
    coordinator_.Add(contents_);
    coordinator_.Ship(OpenStore(root_, "first").get(), {entry_});
    ASSERT_TRUE(Exists(stored_));
  }

  Stamp StampNow() const {
    std::optional<RecipeFile::Contents> contents = RecipeFile::Read(record_, entry_.file);
    EXPECT_TRUE(contents.has_value());
    return contents.has_value() ? contents->stamps[static_cast<size_t>(Variant::kExecutable)] : Stamp();
  }
  // True if the next use trusts the file without reading it: its stamp says what stat(2) says.
  bool StampHolds() const { return Stamp::Of(StatOf(stored_), StampNow().boot) == StampNow(); }

  // What `dd conv=notrunc` does, on a file that root or its owner made writable and read-only again.
  void Flip(off_t offset) {
    const struct stat before = StatOf(stored_);
    ASSERT_EQ(chmod(stored_.c_str(), 0755), 0);
    const int fd = open(stored_.c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(fd, 0) << std::strerror(errno);
    char byte = 0;
    ASSERT_EQ(pread(fd, &byte, 1, offset), 1);
    byte = static_cast<char>(byte ^ 1);
    ASSERT_EQ(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
    AwaitTick(before);
  }
  // Where timestamps have the resolution of a timer tick, until the tick has come: so that the change shows in ctime.
  void AwaitTick(const struct stat& before) {
    do {
      ASSERT_EQ(chmod(stored_.c_str(), 0555), 0);
    } while (Stamp::Of(StatOf(stored_), 0).ctime_ns == Stamp::Of(before, 0).ctime_ns);
  }
  void Resize(off_t size) {
    ASSERT_EQ(chmod(stored_.c_str(), 0755), 0);
    ASSERT_EQ(truncate(stored_.c_str(), size), 0);
    ASSERT_EQ(chmod(stored_.c_str(), 0555), 0);
  }
  // `touch -d`. Where timestamps have the resolution of a timer tick, until the tick has come.
  void RestoreTimes(const struct stat& before) {
    const timespec times[2] = {before.st_atim, before.st_mtim};
    do {
      ASSERT_EQ(utimensat(AT_FDCWD, stored_.c_str(), times, 0), 0);
    } while (Stamp::Of(StatOf(stored_), 0).ctime_ns == Stamp::Of(before, 0).ctime_ns);
  }

  // A new run finds that the file is not right, and puts a good one in its place.
  void ExpectFoundAndReplaced() {
    std::unique_ptr<Store> store = OpenStore(root_, "next");
    EXPECT_THAT(store->Missing({entry_}), ElementsAre(entry_.file));
    EXPECT_EQ(store->Materialise({entry_}).code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(coordinator_.Ship(store.get(), {entry_}), contents_.size());
    ASSERT_TRUE(store->Materialise({entry_}).ok());
    EXPECT_TRUE(ReadFile(store->tree() + "/p") == contents_);
  }

  ScratchDirectory scratch_;
  const std::string root_ = scratch_.path() + "/store";
  Coordinator coordinator_;
  const std::string contents_ = RandomBytes(1, 300000);
  const ManifestEntry entry_ = FileEntry("p", contents_, true);
  const std::string stored_ = StoredPath(root_, entry_.file, true);
  const std::string record_ = RecordPath(root_, entry_.file);
};

TEST_F(StoreDamageTest, FlippedByteIsFoundAndReplaced) {
  Flip(123456);
  ExpectFoundAndReplaced();
}

TEST_F(StoreDamageTest, FlippedByteWithRestoredTimesIsFound) {
  const struct stat before = StatOf(stored_);
  Flip(123456);
  RestoreTimes(before);
  ASSERT_TRUE(Stamp::Of(StatOf(stored_), 0).SameContents(Stamp::Of(before, 0))) << "nothing but ctime tells";
  ExpectFoundAndReplaced();
}

TEST_F(StoreDamageTest, FlippedByteInALiveTreeIsFoundByTheNextRun) {
  std::unique_ptr<Store> live = OpenStore(root_, "live");
  ASSERT_TRUE(live->Materialise({entry_}).ok());
  const struct stat before = StatOf(stored_);
  Flip(0);
  RestoreTimes(before);
  live.reset();  // unlinking the tree must not make the damage look right
  ExpectFoundAndReplaced();
}

TEST_F(StoreDamageTest, FlippedByteBetweenMissingAndMaterialiseIsNotLinked) {
  std::unique_ptr<Store> store = OpenStore(root_, "next");
  ASSERT_THAT(store->Missing({entry_}), IsEmpty());
  const struct stat before = StatOf(stored_);
  Flip(299999);
  RestoreTimes(before);
  EXPECT_EQ(store->Materialise({entry_}).code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(Exists(store->tree() + "/p"));
  EXPECT_FALSE(Exists(stored_)) << "thrown away";
  EXPECT_FALSE(store->Has(entry_.file, true));
}

TEST_F(StoreDamageTest, TruncatedExtendedReplacedOrReopenedFilesAreFound) {
  Resize(299999);
  ExpectFoundAndReplaced();
  Resize(300001);
  ExpectFoundAndReplaced();
  ASSERT_EQ(chmod(stored_.c_str(), 0755), 0);  // right bytes, but somebody may be writing
  ExpectFoundAndReplaced();
  const struct stat right = StatOf(stored_);
  std::filesystem::remove(stored_);
  WriteFile(stored_, std::string(300000, 'x'));
  AwaitTick(right);
  ExpectFoundAndReplaced();
  WriteFile(scratch_.path() + "/elsewhere", contents_);
  ASSERT_EQ(chmod((scratch_.path() + "/elsewhere").c_str(), 0555), 0);
  std::filesystem::remove(stored_);
  std::filesystem::create_symlink(scratch_.path() + "/elsewhere", stored_);
  ExpectFoundAndReplaced();
  std::filesystem::remove(stored_);
  ExpectFoundAndReplaced();
}

TEST_F(StoreDamageTest, CopiedStoreIsVerifiedOnceThenTrusted) {
  // Restored from a backup: other inodes and times, right bytes.
  std::filesystem::copy_file(stored_, stored_ + ".copy");
  ASSERT_EQ(rename((stored_ + ".copy").c_str(), stored_.c_str()), 0);
  ASSERT_FALSE(StampHolds());
  std::unique_ptr<Store> store = OpenStore(root_, "next");
  EXPECT_THAT(store->Missing({entry_}), IsEmpty());
  EXPECT_TRUE(StampHolds());
}

TEST_F(StoreDamageTest, StampHoldsThroughLinkingAndUnlinking) {
  ASSERT_TRUE(StampHolds());
  const int64_t at_first = StampNow().ctime_ns;
  {
    std::unique_ptr<Store> store = OpenStore(root_, "next");
    ASSERT_TRUE(store->Materialise({entry_, FileEntry("again", contents_, true)}).ok());
    EXPECT_EQ(StatOf(stored_).st_nlink, 3u);
    EXPECT_TRUE(StampHolds());
  }
  EXPECT_EQ(StatOf(stored_).st_nlink, 1u);
  EXPECT_TRUE(StampHolds());
  EXPECT_GE(StampNow().ctime_ns, at_first);
}

TEST_F(StoreDamageTest, StampHoldsThroughTwoRunsSideBySide) {
  std::unique_ptr<Store> one = OpenStore(root_, "one"), two = OpenStore(root_, "two");
  ASSERT_TRUE(one->Materialise({entry_}).ok());
  EXPECT_TRUE(StampHolds());
  ASSERT_TRUE(two->Materialise({entry_}).ok());
  EXPECT_TRUE(StampHolds());
  one.reset();
  EXPECT_TRUE(StampHolds());
  two.reset();
  EXPECT_TRUE(StampHolds());
}

TEST_F(StoreDamageTest, StampHoldsWhenATestMovesItsFile) {
  {
    std::unique_ptr<Store> store = OpenStore(root_, "next");
    ASSERT_TRUE(store->Materialise({entry_}).ok());
    // rename(2) and link(2) change ctime too: the stamp is lost to them, but not the file.
    std::filesystem::rename(store->tree() + "/p", store->tree() + "/moved");
  }
  std::unique_ptr<Store> store = OpenStore(root_, "later");
  EXPECT_THAT(store->Missing({entry_}), IsEmpty());
  EXPECT_TRUE(StampHolds()) << "verified again";
}

TEST_F(StoreDamageTest, StampOfAnotherBootHoldsOnceVerified) {
  // As if written before the last power failure: the stamp is right in all but the boot.
  Stamp stamp = StampNow();
  ASSERT_EQ(stamp.boot, store::CurrentBoot());
  const auto write = [&](uint64_t boot) {
    std::optional<RecipeFile> record = RecipeFile::OpenLocked(record_, entry_.file);
    ASSERT_TRUE(record.has_value());
    stamp.boot = boot;
    record->SetStamp(Variant::kExecutable, stamp);
  };
  write(stamp.boot ^ 1);
  EXPECT_THAT(OpenStore(root_, "next")->Missing({entry_}), IsEmpty());
  EXPECT_EQ(StampNow().boot, 0u) << "it is on the disk: any boot will do";
  EXPECT_TRUE(StampHolds());
  // With wrong bytes under the right stamp, as a lost write leaves them.
  Flip(5);
  stamp = Stamp::Of(StatOf(stored_), 0);
  write(store::CurrentBoot() ^ 1);
  ExpectFoundAndReplaced();
}

TEST_F(StoreDamageTest, DamagedRecordsCountAsMissing) {
  const std::string good = ReadFile(record_);
  const size_t chunks = ChunkFile(contents_).chunks.size();
  ASSERT_EQ(good.size(), 116 + 36 * chunks);
  std::vector<std::string> damaged = {std::string(),       good.substr(0, 10),
                                      good.substr(0, 115), good.substr(0, good.size() - 1),
                                      good + "x",          std::string(good.size(), '\0')};
  for (size_t at : {size_t{0}, size_t{112}, size_t{116}, good.size() - 1}) {
    damaged.push_back(good);
    damaged.back()[at] = static_cast<char>(damaged.back()[at] ^ 1);
  }
  for (const std::string& bytes : damaged) {
    SCOPED_TRACE(bytes.size());
    WriteFile(record_, bytes);
    ExpectFoundAndReplaced();
  }
}

TEST_F(StoreDamageTest, RecordOfAnotherFileCountsAsMissing) {
  const std::string other = "another file";
  coordinator_.Add(other);
  coordinator_.Ship(OpenStore(root_, "other").get(), {FileEntry("o", other, true)});
  std::filesystem::copy_file(RecordPath(root_, ChunkFile(other).id), record_,
                             std::filesystem::copy_options::overwrite_existing);
  ExpectFoundAndReplaced();
}

TEST_F(StoreDamageTest, DanglingEntriesCountAsMissing) {
  std::filesystem::remove(record_);  // a file without a record
  {
    std::unique_ptr<Store> store = OpenStore(root_, "next");
    EXPECT_THAT(store->Missing({entry_}), ElementsAre(entry_.file));
    EXPECT_EQ(coordinator_.Ship(store.get(), {entry_}), contents_.size()) << "without a record it gives no chunks";
    EXPECT_TRUE(store->Has(entry_.file, true));
  }
  std::filesystem::remove(record_);
  std::filesystem::create_symlink("/nonexistent", record_);
  coordinator_.Ship(OpenStore(root_, "later").get(), {entry_});
  EXPECT_TRUE(std::filesystem::is_regular_file(std::filesystem::symlink_status(record_)));
}

TEST_F(StoreDamageTest, TornStampCostsAVerificationOnly) {
  std::string bytes = ReadFile(record_);
  bytes[64 + 30] = static_cast<char>(bytes[64 + 30] ^ 1);
  WriteFile(record_, bytes);
  EXPECT_TRUE(StampNow().empty());
  EXPECT_THAT(OpenStore(root_, "next")->Missing({entry_}), IsEmpty());
  EXPECT_TRUE(StampHolds());
}

TEST_F(StoreDamageTest, WrongChunkIsNotReusedAndItsFileThrownAway) {
  // The second build shares all chunks but the last; the first build's copy of chunk 0 is damaged.
  const std::string second = contents_ + "x";
  coordinator_.Add(second);
  const ManifestEntry entry = FileEntry("q", second, true);
  const struct stat before = StatOf(stored_);
  Flip(10);
  RestoreTimes(before);
  const FileRecipe recipe = ChunkFile(second);
  std::unique_ptr<Store> store = OpenStore(root_, "next");
  absl::StatusOr<std::vector<ChunkRef>> wanted = store->AddRecipe(recipe, true);
  ASSERT_TRUE(wanted.ok());
  EXPECT_THAT(*wanted, testing::Contains(recipe.chunks[0]));
  EXPECT_FALSE(Exists(stored_));
  EXPECT_THAT(store->Missing({entry_}), ElementsAre(entry_.file));
}

}  // namespace
}  // namespace dtest
