#include "coordinator/bundle/ld_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/bundle/files.h"

namespace dtest {
namespace {

using ::testing::ElementsAre;

struct Entry {
  std::string soname;
  std::string path;
  uint64_t hwcap = 0;
};

template <typename T>
void Put(T value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

std::string MakeCache(const std::vector<Entry>& entries) {
  std::string strings;
  std::string table;
  const size_t strings_at = 48 + 24 * entries.size();
  for (const Entry& entry : entries) {
    Put<int32_t>(0x0303, &table);
    Put<uint32_t>(static_cast<uint32_t>(strings_at + strings.size()), &table);
    strings += entry.soname + '\0';
    Put<uint32_t>(static_cast<uint32_t>(strings_at + strings.size()), &table);
    strings += entry.path + '\0';
    Put<uint32_t>(0, &table);
    Put<uint64_t>(entry.hwcap, &table);
  }
  std::string cache = "glibc-ld.so.cache1.1";
  Put<uint32_t>(static_cast<uint32_t>(entries.size()), &cache);
  Put<uint32_t>(static_cast<uint32_t>(strings.size()), &cache);
  cache.append(20, '\0');
  return cache + table + strings;
}

std::string WithOldPart(const std::string& cache, uint32_t old_entries) {
  std::string old = "ld.so-1.7.0";
  old.resize(12);
  Put<uint32_t>(old_entries, &old);
  old.append(12 * size_t{old_entries}, '\1');
  old.resize((old.size() + 7) / 8 * 8);
  return old + cache;
}

TEST(LdCacheTest, NewAndCombinedFormatsRead) {
  const std::string cache =
      MakeCache({{"liba.so.1", "/x/liba.so.1"}, {"libb.so", "/y/libb.so"}, {"liba.so.1", "/z/liba"}});
  for (const std::string& bytes : {cache, WithOldPart(cache, 2), WithOldPart(cache, 3)}) {
    const absl::StatusOr<LdCache> parsed = ParseLdCache(bytes);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->size(), 2u);
    EXPECT_THAT(parsed->at("liba.so.1"), ElementsAre("/x/liba.so.1", "/z/liba"));
    EXPECT_THAT(parsed->at("libb.so"), ElementsAre("/y/libb.so"));
  }
}

TEST(LdCacheTest, LibrariesForSpecialCpusAreLeftOut) {
  const absl::StatusOr<LdCache> parsed = ParseLdCache(MakeCache(
      {{"libm.so.6", "/lib/glibc-hwcaps/x86-64-v3/libm.so.6", uint64_t{1} << 62}, {"libm.so.6", "/lib/libm.so.6"}}));
  ASSERT_TRUE(parsed.ok());
  EXPECT_THAT(parsed->at("libm.so.6"), ElementsAre("/lib/libm.so.6"));
}

TEST(LdCacheTest, TheCacheOfThisMachineHasTheCLibrary) {
  const absl::StatusOr<std::string> bytes = ReadWholeFile("/etc/ld.so.cache", 1 << 26);
  if (!bytes.ok()) GTEST_SKIP() << bytes.status();
  const absl::StatusOr<LdCache> parsed = ParseLdCache(*bytes);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_TRUE(parsed->contains("libc.so.6"));
}

TEST(LdCacheTest, OtherBytesAreRefused) {
  std::string foreign = MakeCache({{"a", "b"}});
  uint16_t one = 1;
  foreign[28] = *reinterpret_cast<const char*>(&one) == 1 ? 3 : 2;
  std::string too_many = MakeCache({{"a", "b"}});
  too_many[23] = '\x7f';
  std::string outside = MakeCache({{"a", "b"}});
  outside[48 + 6] = '\x7f';
  for (const std::string& bytes : {std::string(), std::string("ld.so-1.7.0"), WithOldPart("", 1000000).substr(0, 30),
                                   std::string("glibc-ld.so.cache1.2"), foreign, too_many, outside}) {
    EXPECT_EQ(ParseLdCache(bytes).status().code(), absl::StatusCode::kDataLoss);
  }
}

TEST(LdCacheTest, DamagedBytesAreSafe) {
  const std::string cache = WithOldPart(MakeCache({{"liba.so.1", "/x/liba.so.1"}, {"libb.so", "/y/libb.so"}}), 1);
  std::mt19937 random(7);
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = cache;
    for (int change = 0; change < 3; ++change) bytes[random() % bytes.size()] = static_cast<char>(random());
    if (round % 4 == 0) bytes.resize(random() % bytes.size());
    refused += ParseLdCache(bytes).ok() ? 0 : 1;
  }
  EXPECT_GT(refused, 5000);
  EXPECT_LT(refused, 20000);
}

}  // namespace
}  // namespace dtest
