#include "coordinator/run/listing_cache.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "protocol/chunking.h"

namespace dtest {
namespace {

namespace fs = std::filesystem;

class ListingCacheTest : public testing::Test {
 protected:
  ListingCacheTest()
      : directory_(fs::path(testing::TempDir()) / absl::StrCat("listing_cache_test", getpid())),
        cache_(directory_.string()) {
    fs::remove_all(directory_);
  }
  ~ListingCacheTest() override { fs::remove_all(directory_); }
  fs::path OnlyFile() const {
    for (const auto& entry : fs::recursive_directory_iterator(directory_)) {
      if (entry.is_regular_file()) return entry.path();
    }
    return {};
  }

  const fs::path directory_;
  const ListingCache cache_;
  const Digest key_ = Sha256("key");
  static CaseInfos Cases() {
    CaseInfos cases = {"A.B", std::string("odd\n\0name\xff", 10), ""};
    cases.Add({.name = "S.C/0", .suite = "S", .parameter = "\n7\n", .file = "/s.cc", .line = 3, .labels = {"slow"}});
    return cases;
  }
  const CachedListing listing_ = {Cases(), absl::Milliseconds(7), true};
};

TEST_F(ListingCacheTest, GivesBackWhatWasPut) {
  EXPECT_FALSE(cache_.Find(key_).has_value());
  cache_.Put(key_, listing_);
  const std::optional<CachedListing> found = cache_.Find(key_);
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(found->cases == listing_.cases);
  EXPECT_EQ(found->startup, listing_.startup);
  EXPECT_TRUE(found->prints_all);
  EXPECT_FALSE(cache_.Find(Sha256("another")).has_value());
}

TEST_F(ListingCacheTest, EveryDamagedByteAndEveryTruncationIsNoListing) {
  cache_.Put(key_, listing_);
  const fs::path file = OnlyFile();
  std::string whole;
  {
    std::ifstream in(file, std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(in), {});
  }
  ASSERT_FALSE(whole.empty());
  const auto write = [&](const std::string& bytes) { std::ofstream(file, std::ios::binary) << bytes; };
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] ^= 0x20;
    write(damaged);
    EXPECT_FALSE(cache_.Find(key_).has_value()) << "byte " << i;
    write(whole.substr(0, i));
    EXPECT_FALSE(cache_.Find(key_).has_value()) << "cut at " << i;
  }
  write(whole);
  EXPECT_TRUE(cache_.Find(key_).has_value());
}

TEST_F(ListingCacheTest, TheKeyChangesWithWhateverMayChangeTheListing) {
  fs::create_directories(directory_);
  const std::string program = (directory_ / "program").string();
  std::ofstream(program) << "one";
  UnitSpec spec;
  spec.path = program;
  spec.in_place = true;
  const std::optional<Digest> key = ListingCache::Key(spec, {}, {}, "");
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(ListingCache::Key(spec, {}, {}, ""), key);
  EXPECT_NE(ListingCache::Key(spec, {}, {{"A", "1"}}, ""), key);
  EXPECT_NE(ListingCache::Key(spec, {program}, {}, ""), key);
  EXPECT_NE(ListingCache::Key(spec, {}, {}, "other files"), key);
  spec.arguments = {"--db", "web"};
  const std::optional<Digest> with_arguments = ListingCache::Key(spec, {}, {}, "");
  EXPECT_NE(with_arguments, key);
  spec.arguments = {"--db web"};
  EXPECT_NE(ListingCache::Key(spec, {}, {}, ""), with_arguments);
  spec.arguments = {};
  std::ofstream(program) << "other";
  EXPECT_NE(ListingCache::Key(spec, {}, {}, ""), key);
  fs::remove(program);
  EXPECT_EQ(ListingCache::Key(spec, {}, {}, ""), std::nullopt);
  UnitSpec shipped;
  shipped.files.resize(1);
  shipped.files[0].path = "t";
  shipped.files[0].file = Sha256("1");
  const std::optional<Digest> shipped_key = ListingCache::Key(shipped, {}, {}, "");
  shipped.files[0].file = Sha256("2");
  EXPECT_NE(ListingCache::Key(shipped, {}, {}, ""), shipped_key);
}

// Cases may be made of the files of a directory: one more, and there is one more case.
TEST_F(ListingCacheTest, SurroundingsChangeWithEveryDataFileAndTheWorkingDirectory) {
  fs::create_directories(directory_);
  const std::string one = (directory_ / "one").string(), two = (directory_ / "two").string();
  std::ofstream(one) << "1";
  std::ofstream(two) << "1";
  const std::string before = ListingCache::Surroundings("/work", {one});
  EXPECT_EQ(ListingCache::Surroundings("/work", {one}), before);
  EXPECT_NE(ListingCache::Surroundings("/home", {one}), before);
  EXPECT_NE(ListingCache::Surroundings("/work", {one, two}), before);
  EXPECT_NE(ListingCache::Surroundings("/work", {two}), before);
  std::ofstream(one) << "22";
  EXPECT_NE(ListingCache::Surroundings("/work", {one}), before);
}

TEST(ListingCache, ADirectoryThatCannotBeWrittenIsNoError) {
  const ListingCache cache("/proc/no-such-place");
  cache.Put(Sha256("k"), {{"A.B"}, absl::ZeroDuration()});
  EXPECT_FALSE(cache.Find(Sha256("k")).has_value());
}

}  // namespace
}  // namespace dtest
