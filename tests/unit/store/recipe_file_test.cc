#include "agent/store/recipe_file.h"

#include <sys/file.h>

#include "gmock/gmock.h"
#include "tests/unit/store/store_testing.h"

namespace dtest::store {
namespace {

class RecipeFileTest : public testing::Test {
 protected:
  ScratchDirectory scratch_;
  const std::string path_ = scratch_.path() + "/record";
  const std::string temporary_ = scratch_.path() + "/temporary";
  const FileRecipe recipe_ = ChunkFile(RandomBytes(1, 200000));
};

TEST_F(RecipeFileTest, FormatIsAsDocumented) {
  FileRecipe recipe;
  recipe.chunks = {{Sha256("a"), 1}, {Sha256("bb"), 0x01020304 & 0x3ffff}};
  recipe.id = FileId(recipe.chunks);
  ASSERT_TRUE(RecipeFile::Create(path_, temporary_, recipe).ok());
  Stamp stamp;
  stamp.inode = 0x0102;
  stamp.size = 0x0304;
  stamp.mtime_ns = -1;
  stamp.ctime_ns = 0x0506;
  stamp.boot = 7;
  RecipeFile::OpenLocked(path_, recipe.id)->SetStamp(Variant::kExecutable, stamp);

  std::string fields(
      "\x02\x01\0\0\0\0\0\0\x04\x03\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x06\x05\0\0\0\0\0\0"
      "\x07\0\0\0\0\0\0\0",
      40);
  std::string want("dtest recipe 1\n\0", 16);
  want += std::string(48, '\0') + fields;
  want.append(Sha256(fields).bytes().data(), 8);
  want.append("\x02\0\0\0", 4);
  want.append(Sha256("a").bytes().data(), 32).append("\x01\0\0\0", 4);
  want.append(Sha256("bb").bytes().data(), 32).append("\x04\x03\x02\0", 4);
  EXPECT_EQ(ReadFile(path_), want);
  EXPECT_EQ(StatOf(path_).st_mode & 07777, 0600u);
  EXPECT_FALSE(Exists(temporary_));

  std::optional<RecipeFile::Contents> read = RecipeFile::Read(path_, recipe.id);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->recipe, recipe);
  EXPECT_TRUE(read->stamps[0].empty());
  EXPECT_EQ(read->stamps[1], stamp);
}

TEST_F(RecipeFileTest, CreateLeavesAnExistingRecordAlone) {
  ASSERT_TRUE(RecipeFile::Create(path_, temporary_, recipe_).ok());
  Stamp stamp;
  stamp.inode = 1;
  RecipeFile::OpenLocked(path_, recipe_.id)->SetStamp(Variant::kData, stamp);
  ASSERT_TRUE(RecipeFile::Create(path_, temporary_, recipe_).ok());
  EXPECT_EQ(RecipeFile::OpenLocked(path_, recipe_.id)->stamp(Variant::kData), stamp);
}

TEST_F(RecipeFileTest, LockIsExclusiveWhileTheObjectLives) {
  ASSERT_TRUE(RecipeFile::Create(path_, temporary_, recipe_).ok());
  {
    std::optional<RecipeFile> held = RecipeFile::OpenLocked(path_, recipe_.id);
    ASSERT_TRUE(held.has_value());
    EXPECT_FALSE(RecipeFile::OpenLocked(path_, recipe_.id, false).has_value());
  }
  EXPECT_TRUE(RecipeFile::OpenLocked(path_, recipe_.id, false).has_value());
}

TEST_F(RecipeFileTest, EveryTruncationIsRefusedAndRemoved) {
  ASSERT_TRUE(RecipeFile::Create(path_, temporary_, recipe_).ok());
  const std::string good = ReadFile(path_);
  for (size_t size = 0; size < good.size(); ++size) {
    WriteFile(path_, good.substr(0, size));
    ASSERT_FALSE(RecipeFile::Read(path_, recipe_.id).has_value()) << size;
    ASSERT_FALSE(RecipeFile::OpenLocked(path_, recipe_.id).has_value()) << size;
    ASSERT_FALSE(Exists(path_)) << size;
  }
}

TEST_F(RecipeFileTest, EveryFlippedByteIsRefusedOrEmptiesAStamp) {
  ASSERT_TRUE(RecipeFile::Create(path_, temporary_, recipe_).ok());
  Stamp stamp;
  stamp.inode = 1;
  stamp.size = 200000;
  for (Variant variant : kVariants) RecipeFile::OpenLocked(path_, recipe_.id)->SetStamp(variant, stamp);
  const std::string good = ReadFile(path_);
  for (size_t at = 0; at < good.size(); ++at) {
    std::string damaged = good;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    WriteFile(path_, damaged);
    std::optional<RecipeFile::Contents> read = RecipeFile::Read(path_, recipe_.id);
    const bool in_stamps = at >= 16 && at < 112;
    ASSERT_EQ(read.has_value(), in_stamps) << at;
    if (in_stamps) {
      ASSERT_EQ(read->stamps[0].empty(), at < 64) << at;
      ASSERT_EQ(read->stamps[1].empty(), at >= 64) << at;
    } else {
      std::optional<RecipeFile> record = RecipeFile::OpenLocked(path_, recipe_.id);
      ASSERT_FALSE(record.has_value() && record->ReadRecipe().has_value()) << at;
      ASSERT_FALSE(Exists(path_)) << at;
    }
  }
}

TEST_F(RecipeFileTest, HugeCountIsNoHugeAllocation) {
  ASSERT_TRUE(RecipeFile::Create(path_, temporary_, recipe_).ok());
  std::string bytes = ReadFile(path_);
  bytes.replace(112, 4, "\xff\xff\xff\xff");
  WriteFile(path_, bytes);
  EXPECT_FALSE(RecipeFile::Read(path_, recipe_.id).has_value());
}

TEST_F(RecipeFileTest, RecordUnderAnotherNameIsRefused) {
  ASSERT_TRUE(RecipeFile::Create(path_, temporary_, recipe_).ok());
  EXPECT_FALSE(RecipeFile::Read(path_, Sha256("other")).has_value());
}

TEST_F(RecipeFileTest, MissingRecordIsNoRecord) {
  EXPECT_FALSE(RecipeFile::Read(path_, recipe_.id).has_value());
  EXPECT_FALSE(RecipeFile::OpenLocked(path_, recipe_.id).has_value());
}

}  // namespace
}  // namespace dtest::store
