#include "coordinator/bundle/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "protocol/chunking.h"
#include "unit/bundle/temp_tree.h"
#include "unit/protocol/chunk_file.h"

namespace dtest {
namespace {

using ::testing::HasSubstr;

Catalog::Options Cached(const TempTree& temp, absl::Duration settled_after = -absl::Hours(1)) {
  Catalog::Options options;
  options.cache_dir = temp.At("cache");
  options.settled_after = settled_after;
  return options;
}

TEST(CatalogTest, RecipeIsThatOfTheWholeFile) {
  const TempTree temp;
  Catalog catalog({});
  uint32_t seed = 0;
  // Around the borders of chunks and of what is read at once.
  for (const size_t size : {size_t{0}, size_t{1}, size_t{kMinChunk}, size_t{kMaxChunk}, size_t{kMaxChunk} + 1,
                            size_t{4 << 20}, size_t{(4 << 20) + 1}, size_t{9 << 20}}) {
    for (const bool zeros : {false, true}) {
      const std::string bytes = zeros ? std::string(size, '\0') : RandomBytes(size, ++seed);
      const absl::StatusOr<CatalogFile> file = catalog.Add(temp.Write(absl::StrCat(size, zeros), bytes));
      ASSERT_TRUE(file.ok()) << file.status();
      const FileRecipe expected = ChunkFile(bytes);
      EXPECT_EQ(file->id, expected.id) << size;
      EXPECT_EQ(file->size, size);
      EXPECT_FALSE(file->executable);
      EXPECT_EQ(catalog.Recipe(file->id), expected) << size;
    }
  }
  EXPECT_EQ(catalog.Recipe(Digest()), std::nullopt);
}

TEST(CatalogTest, ExecuteBitIsSeen) {
  const TempTree temp;
  Catalog catalog({});
  EXPECT_TRUE(catalog.Add(temp.Write("a", "x", 0755))->executable);
  EXPECT_FALSE(catalog.Add(temp.Write("b", "x", 0644))->executable);
}

TEST(CatalogTest, ChunksMakeUpTheFile) {
  const TempTree temp;
  const std::string bytes = RandomBytes(1 << 20, 3);
  Catalog catalog({});
  const absl::StatusOr<CatalogFile> file = catalog.Add(temp.Write("file", bytes));
  ASSERT_TRUE(file.ok());
  std::string joined;
  const FileRecipe recipe = *catalog.Recipe(file->id);
  for (const ChunkRef& chunk : recipe.chunks) {
    const auto zstd = catalog.CompressedChunk(chunk.digest);
    ASSERT_TRUE(zstd.ok()) << zstd.status();
    joined += *Decompress(**zstd);
  }
  EXPECT_EQ(joined, bytes);
}

TEST(CatalogTest, AChunkIsCompressedOnceForAllHosts) {
  const TempTree temp;
  Catalog catalog({});
  const Digest id = catalog.Add(temp.Write("file", RandomBytes(1 << 20, 3)))->id;
  const FileRecipe recipe = *catalog.Recipe(id);
  for (int host = 0; host < 5; ++host) {
    for (const ChunkRef& chunk : recipe.chunks) EXPECT_TRUE(catalog.CompressedChunk(chunk.digest).ok());
  }
  EXPECT_EQ(catalog.stats().chunks_compressed, recipe.chunks.size());
}

TEST(CatalogTest, ChunkMemoryIsBoundedAndKeepsTheMostRecent) {
  const TempTree temp;
  Catalog::Options options;
  options.chunk_memory = 600 << 10;
  Catalog catalog(options);
  // Random bytes do not compress, so each chunk takes about its own size: at most 256 KiB.
  const Digest id = catalog.Add(temp.Write("file", RandomBytes(4 << 20, 3)))->id;
  const FileRecipe recipe = *catalog.Recipe(id);
  const Digest favourite = recipe.chunks[0].digest;
  for (const ChunkRef& chunk : recipe.chunks) {
    ASSERT_TRUE(catalog.CompressedChunk(chunk.digest).ok());
    ASSERT_TRUE(catalog.CompressedChunk(favourite).ok());
  }
  EXPECT_EQ(catalog.stats().chunks_compressed, recipe.chunks.size()) << "the favourite was never dropped";
  ASSERT_TRUE(catalog.CompressedChunk(recipe.chunks[1].digest).ok());
  EXPECT_EQ(catalog.stats().chunks_compressed, recipe.chunks.size() + 1) << "an old one was";
}

TEST(CatalogTest, FileThatChangedMeanwhileYieldsNoWrongBytes) {
  const TempTree temp;
  Catalog catalog({});
  const std::string bytes = RandomBytes(1 << 20, 3);
  const FileRecipe recipe = *catalog.Recipe(catalog.Add(temp.Write("file", bytes))->id);
  ASSERT_TRUE(catalog.CompressedChunk(recipe.chunks[0].digest).ok());
  std::string changed = bytes;
  changed[recipe.chunks[0].size] ^= 1;  // the first byte of the second chunk
  temp.Write("file", changed);
  const absl::Status status = catalog.CompressedChunk(recipe.chunks[1].digest).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr(temp.At("file")));
  EXPECT_TRUE(catalog.CompressedChunk(recipe.chunks[0].digest).ok()) << "read before";
  EXPECT_TRUE(catalog.CompressedChunk(recipe.chunks[2].digest).ok()) << "not changed";
  temp.Write("file", bytes.substr(0, 100));
  EXPECT_EQ(catalog.CompressedChunk(recipe.chunks[3].digest).status().code(), absl::StatusCode::kDataLoss);
  unlink(temp.At("file").c_str());
  EXPECT_EQ(catalog.CompressedChunk(recipe.chunks[3].digest).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(catalog.CompressedChunk(Digest()).status().code(), absl::StatusCode::kNotFound);
}

TEST(CatalogTest, AddedAgainAfterAChangeItIsTheNewFile) {
  const TempTree temp;
  Catalog catalog({});
  const std::string one = RandomBytes(1 << 20, 3);
  ASSERT_TRUE(catalog.Add(temp.Write("file", one)).ok());
  const std::string two = RandomBytes(100000, 4) + one;
  const absl::StatusOr<CatalogFile> file = catalog.Add(temp.Write("file", two));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->id, ChunkFile(two).id);
  const FileRecipe recipe = *catalog.Recipe(file->id);
  for (const ChunkRef& chunk : recipe.chunks) {
    EXPECT_TRUE(catalog.CompressedChunk(chunk.digest).ok()) << "also those the old file had, at other offsets";
  }
}

TEST(CatalogTest, UnchangedFilesAreNotReadAgainInTheNextRun) {
  const TempTree temp;
  const std::string path = temp.Write("file", RandomBytes(300000, 1));
  Digest id;
  {
    Catalog first(Cached(temp));
    id = first.Add(path)->id;
    EXPECT_EQ(first.Add(path)->id, id);
    EXPECT_EQ(first.stats().files_hashed, 1u);
  }
  Catalog second(Cached(temp));
  EXPECT_EQ(second.Add(path)->id, id);
  EXPECT_EQ(second.stats().files_hashed, 0u);
  EXPECT_EQ(second.stats().files_known, 1u);
  EXPECT_TRUE(second.CompressedChunk(second.Recipe(id)->chunks[0].digest).ok());
  struct stat before, now;
  ASSERT_EQ(stat(path.c_str(), &before), 0);
  do {  // where timestamps have the resolution of a timer tick, until the tick has come
    temp.Write("file", RandomBytes(300000, 2));
    ASSERT_EQ(stat(path.c_str(), &now), 0);
  } while (now.st_ctim.tv_sec == before.st_ctim.tv_sec && now.st_ctim.tv_nsec == before.st_ctim.tv_nsec);
  EXPECT_EQ(second.Add(path)->id, ChunkFile(RandomBytes(300000, 2)).id);
  EXPECT_EQ(second.stats().files_hashed, 1u);
}

TEST(CatalogTest, FileThatHasJustChangedIsNotTrustedOverRuns) {
  const TempTree temp;
  const std::string path = temp.Write("file", "fresh");
  for (int run = 0; run < 2; ++run) {
    Catalog catalog(Cached(temp, absl::Hours(1)));
    ASSERT_TRUE(catalog.Add(path).ok());
    EXPECT_EQ(catalog.stats().files_hashed, 1u);
  }
}

TEST(CatalogTest, ThreadsShareTheWork) {
  const TempTree temp;
  constexpr int kFiles = 12;
  std::vector<std::string> paths;
  paths.reserve(kFiles);
  for (int i = 0; i < kFiles; ++i) paths.push_back(temp.Write(absl::StrCat("f", i), RandomBytes(400000, i)));
  Catalog catalog(Cached(temp));
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kFiles; ++i) {
        const absl::StatusOr<CatalogFile> file = catalog.Add(paths[(i + t * 3) % kFiles]);
        ASSERT_TRUE(file.ok());
        const FileRecipe recipe = *catalog.Recipe(file->id);
        for (const ChunkRef& chunk : recipe.chunks) {
          EXPECT_TRUE(catalog.CompressedChunk(chunk.digest).ok());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(catalog.stats().files_hashed, static_cast<uint64_t>(kFiles));
}

TEST(CatalogTest, ErrorsNameTheFile) {
  const TempTree temp;
  Catalog catalog({});
  const absl::Status missing = catalog.Add(temp.At("none")).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr(temp.At("none")));
  EXPECT_EQ(catalog.Add(temp.root()).status().code(), absl::StatusCode::kInvalidArgument);
  // A second try is not held up by the first one's failure.
  EXPECT_TRUE(catalog.Add(temp.Write("none", "now it is")).ok());
}

}  // namespace
}  // namespace dtest
