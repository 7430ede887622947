#include "protocol/chunking.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "unit/protocol/chunk_file.h"

namespace dtest {
namespace {

// The same bytes on every machine: SplitMix64's outputs, little-endian.
std::string PseudoRandom(uint64_t seed, size_t size) {
  std::string bytes;
  while (bytes.size() < size) {
    uint64_t z = seed += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;
    for (int shift = 0; shift < 64; shift += 8) bytes.push_back(static_cast<char>(z >> shift & 0xff));
  }
  bytes.resize(size);
  return bytes;
}

std::vector<uint32_t> Sizes(const FileRecipe& recipe) {
  std::vector<uint32_t> sizes;
  for (const ChunkRef& chunk : recipe.chunks) sizes.push_back(chunk.size);
  return sizes;
}

size_t ChunksOnlyInSecond(const FileRecipe& first, const FileRecipe& second) {
  std::set<Digest> known;
  for (const ChunkRef& chunk : first.chunks) known.insert(chunk.digest);
  return std::count_if(second.chunks.begin(), second.chunks.end(),
                       [&](const ChunkRef& chunk) { return known.count(chunk.digest) == 0; });
}

TEST(Sha256Test, MatchesFips180Examples) {
  EXPECT_EQ(Sha256("").Hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256("abc").Hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq").Hex(),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256Test, ThreadsDoNotDisturbEachOther) {
  const std::string a(100000, 'a'), b(100000, 'b');
  const Digest digest_a = Sha256(a), digest_b = Sha256(b);
  auto check = [](const std::string& bytes, const Digest& want) {
    for (int i = 0; i < 200; ++i) ASSERT_EQ(Sha256(bytes), want);
  };
  std::thread first(check, std::cref(a), std::cref(digest_a)), second(check, std::cref(b), std::cref(digest_b));
  first.join();
  second.join();
}

// The values come from a second implementation (Python), written from the header's comment alone. If this test fails,
// every host fetches everything once more: do not update the values lightly.
TEST(ChunkingTest, CutPointsAndDigestsNeverChange) {
  const FileRecipe recipe = ChunkFile(PseudoRandom(1, 1 << 20));
  EXPECT_THAT(Sizes(recipe), testing::ElementsAre(86398, 36640, 78081, 86600, 70067, 61009, 100649, 110633, 44367,
                                                  71015, 107306, 70472, 78865, 46474));
  EXPECT_EQ(recipe.chunks.front().digest.Hex(), "f085029cdc9fd41424dc1d54296c2d420d69bf46dddc1529d56b8b637e74af5b");
  EXPECT_EQ(recipe.chunks.back().digest.Hex(), "67ce2da13d9c3c297c6432a5c6c103eb19925d37bc014e74eed0346e824e2246");
  EXPECT_EQ(recipe.id.Hex(), "82bf65b15db4ded0e7fa1324afa42729ca42c8020030b6842ee721be2e9b8122");
}

TEST(ChunkingTest, ZerosAreCutAtTheMaximum) {
  const FileRecipe recipe = ChunkFile(std::string(600000, '\0'));
  EXPECT_THAT(Sizes(recipe), testing::ElementsAre(kMaxChunk, kMaxChunk, 75712));
  EXPECT_EQ(recipe.chunks[0], recipe.chunks[1]);
  EXPECT_EQ(recipe.id.Hex(), "9d0a5a4926e45e0f3ef2e382b52b89b18fe56309a7ea034bbe508b0e6dfc17e6");
}

TEST(ChunkingTest, EmptyFileHasNoChunksAndAnId) {
  const FileRecipe recipe = ChunkFile("");
  EXPECT_TRUE(recipe.chunks.empty());
  EXPECT_EQ(recipe.id.Hex(), "ea998bc55ef9299c700ab7b3c52d9ac1d41fe59119decdaca2f23b29dd5de35e");
  EXPECT_TRUE(CheckRecipe(recipe).ok());
}

TEST(ChunkingTest, FileUpToTheMinimumIsOneChunk) {
  for (size_t size : {size_t{1}, size_t{kMinChunk} - 1, size_t{kMinChunk}}) {
    EXPECT_THAT(Sizes(ChunkFile(PseudoRandom(7, size))), testing::ElementsAre(size));
  }
}

TEST(ChunkingTest, SizesStayInBoundsAndNearTheAverage) {
  const std::string data = PseudoRandom(3, 32 << 20);
  const FileRecipe recipe = ChunkFile(data);
  uint64_t total = 0;
  for (size_t i = 0; i < recipe.chunks.size(); ++i) {
    const ChunkRef& chunk = recipe.chunks[i];
    EXPECT_GE(chunk.size, i + 1 < recipe.chunks.size() ? kMinChunk : 1);
    EXPECT_LE(chunk.size, kMaxChunk);
    EXPECT_EQ(chunk.digest, Sha256(absl::string_view(data).substr(total, chunk.size)));
    total += chunk.size;
  }
  EXPECT_EQ(total, data.size());
  const double average = static_cast<double>(total) / recipe.chunks.size();
  EXPECT_GT(average, 0.75 * kAverageChunk);
  EXPECT_LT(average, 1.5 * kAverageChunk);
}

TEST(ChunkingTest, NextCutLooksNoFurtherThanTheMaximum) {
  const std::string data = PseudoRandom(5, 4 << 20);
  for (size_t at = 0; at + kMaxChunk < data.size(); at += 300000) {
    const absl::string_view rest = absl::string_view(data).substr(at);
    EXPECT_EQ(NextCut(rest), NextCut(rest.substr(0, kMaxChunk)));
  }
}

TEST(ChunkingTest, InsertionInTheMiddleChangesFewChunks) {
  const std::string before = PseudoRandom(11, 8 << 20);
  for (size_t length : {1, 13, 4096}) {
    std::string after = before;
    after.insert(4 << 20, PseudoRandom(12, length));
    const FileRecipe old_recipe = ChunkFile(before), new_recipe = ChunkFile(after);
    const size_t changed = ChunksOnlyInSecond(old_recipe, new_recipe);
    EXPECT_GE(changed, 1u);
    EXPECT_LE(changed, 4u) << "of " << new_recipe.chunks.size() << " after inserting " << length << " bytes";
  }
}

TEST(ChunkingTest, DeletionAndOverwriteChangeFewChunks) {
  const std::string before = PseudoRandom(13, 8 << 20);
  std::string deleted = before, overwritten = before;
  deleted.erase(1 << 20, 100);
  overwritten[5 << 20] ^= 1;
  EXPECT_LE(ChunksOnlyInSecond(ChunkFile(before), ChunkFile(deleted)), 4u);
  EXPECT_LE(ChunksOnlyInSecond(ChunkFile(before), ChunkFile(overwritten)), 4u);
  EXPECT_GE(ChunksOnlyInSecond(ChunkFile(before), ChunkFile(overwritten)), 1u);
}

TEST(CheckRecipeTest, AcceptsWhatChunkFileMakes) { EXPECT_TRUE(CheckRecipe(ChunkFile(PseudoRandom(17, 500000))).ok()); }

TEST(CheckRecipeTest, RefusesEveryDamage) {
  const FileRecipe good = ChunkFile(PseudoRandom(17, 500000));
  ASSERT_GE(good.chunks.size(), 2u);

  FileRecipe wrong_id = good;
  wrong_id.id = Sha256("something else");
  EXPECT_EQ(CheckRecipe(wrong_id).code(), absl::StatusCode::kInvalidArgument);

  FileRecipe swapped = good;
  std::swap(swapped.chunks[0], swapped.chunks[1]);
  EXPECT_EQ(CheckRecipe(swapped).code(), absl::StatusCode::kInvalidArgument);

  FileRecipe resized = good;
  ++resized.chunks[0].size;
  EXPECT_EQ(CheckRecipe(resized).code(), absl::StatusCode::kInvalidArgument);

  for (uint32_t size : {0u, kMaxChunk + 1, ~0u}) {  // even where the id fits
    FileRecipe bad_size = good;
    bad_size.chunks[0].size = size;
    bad_size.id = FileId(bad_size.chunks);
    EXPECT_EQ(CheckRecipe(bad_size).code(), absl::StatusCode::kInvalidArgument) << size;
  }
}

TEST(CompressionTest, RoundTrips) {
  for (const std::string& chunk :
       {std::string(), std::string("x"), std::string(kMaxChunk, 'a'), PseudoRandom(19, kMaxChunk)}) {
    for (int level : {1, 3, 19}) {
      absl::StatusOr<std::string> back = Decompress(Compress(chunk, level));
      ASSERT_TRUE(back.ok()) << back.status();
      EXPECT_TRUE(*back == chunk);
    }
  }
}

TEST(CompressionTest, RefusesMoreThanAChunk) {
  EXPECT_EQ(Decompress(Compress(std::string(kMaxChunk + 1, 'a'), 1)).status().code(),
            absl::StatusCode::kInvalidArgument);
  // A bomb: 256 MiB in a few KiB.
  EXPECT_EQ(Decompress(Compress(std::string(1 << 28, 'a'), 1)).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(CompressionTest, RefusesMoreThanAChunkWhereTheFrameDoesNotSayItsSize) {
  // Hand-made after RFC 8878, 3.1.1: magic, descriptor 0 (no content size), window 1 MiB, then RLE blocks of 128 KiB.
  auto frame = [](int blocks) {
    std::string bytes("\x28\xb5\x2f\xfd\x00\x50", 6);
    for (int i = 0; i < blocks; ++i) {
      const uint32_t header = (i + 1 == blocks ? 1 : 0) | 1 << 1 | (128 << 10) << 3;
      for (int shift = 0; shift < 24; shift += 8) bytes.push_back(static_cast<char>(header >> shift & 0xff));
      bytes.push_back('z');
    }
    return bytes;
  };
  absl::StatusOr<std::string> fits = Decompress(frame(2));
  ASSERT_TRUE(fits.ok()) << fits.status();
  EXPECT_TRUE(*fits == std::string(256 << 10, 'z'));
  EXPECT_EQ(Decompress(frame(3)).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(CompressionTest, RefusesDamagedFrames) {
  const std::string good = Compress(PseudoRandom(23, 10000) + std::string(10000, 'b'), 3);
  EXPECT_FALSE(Decompress("").ok());
  EXPECT_FALSE(Decompress("not zstd at all").ok());
  EXPECT_FALSE(Decompress(good + good).ok()) << "two frames";
  EXPECT_FALSE(Decompress(good + "x").ok()) << "trailing byte";
  EXPECT_FALSE(Decompress(std::string("\x50\x2a\x4d\x18\x04\x00\x00\x00", 8) + "skip").ok()) << "skippable frame";
  for (size_t size = 0; size < good.size(); size += 97) {
    EXPECT_EQ(Decompress(good.substr(0, size)).status().code(), absl::StatusCode::kInvalidArgument) << size;
  }
  // Bits flipped anywhere give an error or other bytes within the bound; sanitizers watch the rest.
  for (size_t i = 0; i < good.size(); i += 31) {
    std::string damaged = good;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x41);
    absl::StatusOr<std::string> result = Decompress(damaged);
    EXPECT_TRUE(!result.ok() || result->size() <= kMaxChunk);
  }
}

}  // namespace
}  // namespace dtest
