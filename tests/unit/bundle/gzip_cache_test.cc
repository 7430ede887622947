#include "coordinator/bundle/gzip_cache.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

#include "coordinator/bundle/gzip.h"
#include "protocol/chunking.h"
#include "unit/bundle/temp_tree.h"

namespace dtest {
namespace {

TEST(GzipCache, KeepsWhatItMadeAndMakesAnewWhatIsDamaged) {
  const TempTree temp;
  const std::string directory = temp.At("agents");
  const std::string bytes = RandomBytes(100'000, 1);
  const Digest digest = Sha256(bytes);
  const std::string file = directory + "/" + digest.Hex() + ".gz";
  EXPECT_EQ(CachedGzip(directory, digest, bytes), Gzip(bytes));
  // What is given is what is kept: under this name something else is, whole.
  const std::string other = RandomBytes(1000, 2);
  CachedGzip(directory, Sha256(other), other);
  std::filesystem::rename(directory + "/" + Sha256(other).Hex() + ".gz", file);
  EXPECT_EQ(CachedGzip(directory, digest, bytes), Gzip(other));

  const std::string kept = ReadBytes(file);
  for (const std::string& damaged : {kept.substr(0, kept.size() - 1), std::string(), "x" + kept.substr(1)}) {
    std::ofstream(file, std::ios::binary) << damaged;
    EXPECT_EQ(CachedGzip(directory, digest, bytes), Gzip(bytes));
  }
}

TEST(GzipCache, ForgetsWhatIsOldAsItKeepsAnother) {
  const TempTree temp;
  const std::string directory = temp.At("agents");
  CachedGzip(directory, Sha256("old"), "old");
  CachedGzip(directory, Sha256("new"), "new");
  const std::string old = directory + "/" + Sha256("old").Hex() + ".gz";
  std::filesystem::last_write_time(old, std::filesystem::file_time_type::clock::now() - std::chrono::hours(24 * 31));
  CachedGzip(directory, Sha256("another"), "another");
  EXPECT_FALSE(std::filesystem::exists(old));
  EXPECT_TRUE(std::filesystem::exists(directory + "/" + Sha256("new").Hex() + ".gz"));
}

TEST(GzipCache, IsOptional) {
  const TempTree temp;
  std::ofstream(temp.At("file")) << "in the way";
  EXPECT_EQ(CachedGzip(temp.At("file/agents"), Sha256("a"), "a"), Gzip("a"));
}

}  // namespace
}  // namespace dtest
