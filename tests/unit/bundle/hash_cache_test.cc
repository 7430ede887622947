#include "coordinator/bundle/hash_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "protocol/chunking.h"
#include "unit/bundle/temp_tree.h"
#include "unit/protocol/chunk_file.h"

namespace dtest {
namespace {

constexpr FileKey kKey = {1, 2, 600000, 4, 5};

FileRecipe Recipe(uint32_t seed = 1) { return ChunkFile(RandomBytes(kKey.size, seed)); }

// The record that Store(kKey) made.
std::string OnlyFile(const TempTree& temp) {
  std::string path;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(temp.root())) {
    if (entry.is_regular_file()) {
      EXPECT_EQ(path, "") << "more than one";
      path = entry.path().string();
    }
  }
  return path;
}

TEST(HashCacheTest, WhatWasStoredIsFound) {
  const TempTree temp;
  const HashCache cache(temp.At("hashes"));
  EXPECT_EQ(cache.Find(kKey), std::nullopt);
  cache.Store(kKey, Recipe());
  EXPECT_EQ(HashCache(temp.At("hashes")).Find(kKey), Recipe());
  struct stat status;
  ASSERT_EQ(stat(temp.At("hashes").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
}

TEST(HashCacheTest, AnyChangeOfTheFileMakesItUnknown) {
  const TempTree temp;
  const HashCache cache(temp.At("hashes"));
  cache.Store(kKey, Recipe());
  for (const FileKey& key : std::vector<FileKey>{
           {9, 2, 600000, 4, 5}, {1, 9, 600000, 4, 5}, {1, 2, 9, 4, 5}, {1, 2, 600000, 9, 5}, {1, 2, 600000, 4, 9}}) {
    EXPECT_EQ(cache.Find(key), std::nullopt);
  }
  // A file that was rewritten in place takes the record over.
  const FileKey rewritten = {1, 2, 600000, 40, 50};
  cache.Store(rewritten, Recipe(2));
  EXPECT_EQ(cache.Find(rewritten), Recipe(2));
  EXPECT_EQ(cache.Find(kKey), std::nullopt);
  OnlyFile(temp);
}

TEST(HashCacheTest, EmptyFileHasARecord) {
  const TempTree temp;
  const HashCache cache(temp.At("hashes"));
  const FileKey key = {1, 2, 0, 3, 4};
  cache.Store(key, ChunkFile(""));
  EXPECT_EQ(cache.Find(key), ChunkFile(""));
}

TEST(HashCacheTest, EveryDamagedByteAndTruncationIsNoticed) {
  const TempTree temp;
  const HashCache cache(temp.At("hashes"));
  cache.Store(kKey, Recipe());
  const std::string path = OnlyFile(temp);
  const std::string whole = ReadBytes(path);
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string bytes = whole;
    bytes[i] = static_cast<char>(bytes[i] ^ 0x20);
    std::ofstream(path, std::ios::trunc) << bytes;
    ASSERT_EQ(cache.Find(kKey), std::nullopt) << "byte " << i;
    std::ofstream(path, std::ios::trunc) << whole.substr(0, i);
    ASSERT_EQ(cache.Find(kKey), std::nullopt) << "cut at " << i;
  }
  std::ofstream(path, std::ios::trunc) << whole << "more";
  EXPECT_EQ(cache.Find(kKey), std::nullopt);
  cache.Store(kKey, Recipe());
  EXPECT_EQ(cache.Find(kKey), Recipe()) << "a damaged record is replaced";
}

TEST(HashCacheTest, DirectoryThatCannotBeMadeIsNoError) {
  const TempTree temp;
  const HashCache cache(temp.Write("file", "") + "/hashes");
  cache.Store(kKey, Recipe());
  EXPECT_EQ(cache.Find(kKey), std::nullopt);
  const HashCache none("");
  none.Store(kKey, Recipe());
  EXPECT_EQ(none.Find(kKey), std::nullopt);
  none.Prune();
}

TEST(HashCacheTest, ConcurrentWritersLeaveAWholeRecord) {
  const TempTree temp;
  const FileRecipe recipe = Recipe();
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const HashCache cache(temp.At("hashes"));
      for (int round = 0; round < 50; ++round) {
        cache.Store(kKey, recipe);
        EXPECT_EQ(cache.Find(kKey), recipe);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  OnlyFile(temp);
}

TEST(HashCacheTest, OldRecordsAndLeftOversArePruned) {
  const TempTree temp;
  const HashCache cache(temp.At("hashes"));
  cache.Store(kKey, Recipe());
  const auto age = [](const std::string& path, int64_t seconds) {
    const timespec then = {time(nullptr) - seconds, 0};
    const timespec times[2] = {then, then};
    EXPECT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  };
  const std::string path = OnlyFile(temp);
  const std::string temporary = path + ".abcdef";
  std::ofstream(temporary) << "half";
  age(path, 29 * 86400);
  cache.Prune();
  EXPECT_TRUE(std::filesystem::exists(temporary)) << "somebody may be writing it";
  age(temporary, 7200);
  cache.Prune();
  EXPECT_FALSE(std::filesystem::exists(temporary));
  EXPECT_EQ(cache.Find(kKey), Recipe()) << "29 days old, and used now";
  cache.Prune();
  EXPECT_EQ(cache.Find(kKey), Recipe());
  age(path, 31 * 86400);
  cache.Prune();
  EXPECT_EQ(cache.Find(kKey), std::nullopt);
}

}  // namespace
}  // namespace dtest
