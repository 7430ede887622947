#include "coordinator/bundle/hash_cache.h"

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "coordinator/bundle/files.h"
#include "dtest/base/endian.h"
#include "dtest/base/whole_file.h"
#include "protocol/chunking.h"

namespace dtest {

namespace {

constexpr absl::string_view kMagic = "dtest hash 1\n";
constexpr size_t kHeader = 13 + 5 * 8 + 4;
constexpr size_t kChunk = Digest::kSize + 4;
constexpr uint64_t kMaxRecord = 1ull << 30;
constexpr absl::Duration kKeep = absl::Hours(30 * 24);

std::string EncodeKey(const FileKey& key) {
  std::string out;
  for (const uint64_t value :
       {key.device, key.inode, key.size, static_cast<uint64_t>(key.mtime_ns), static_cast<uint64_t>(key.ctime_ns)}) {
    AppendLittleEndian(value, 8, &out);
  }
  return out;
}

std::string EncodeRecord(const FileKey& key, const FileRecipe& recipe) {
  std::string out = absl::StrCat(kMagic, EncodeKey(key));
  AppendLittleEndian(recipe.chunks.size(), 4, &out);
  for (const ChunkRef& chunk : recipe.chunks) {
    absl::StrAppend(&out, chunk.digest.bytes());
    AppendLittleEndian(chunk.size, 4, &out);
  }
  absl::StrAppend(&out, Sha256(out).bytes());
  return out;
}

std::optional<FileRecipe> DecodeRecord(const FileKey& key, absl::string_view bytes) {
  if (bytes.size() < kHeader + Digest::kSize) return std::nullopt;
  const absl::string_view body = bytes.substr(0, bytes.size() - Digest::kSize);
  if (!absl::StartsWith(body, absl::StrCat(kMagic, EncodeKey(key)))) return std::nullopt;
  const uint64_t count = ReadLittleEndian(body, kHeader - 4, 4);
  if (body.size() != kHeader + count * kChunk) return std::nullopt;
  if (Sha256(body).bytes() != bytes.substr(body.size())) return std::nullopt;
  FileRecipe recipe;
  uint64_t size = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const size_t at = kHeader + i * kChunk;
    ChunkRef chunk;
    chunk.digest = *Digest::FromBytes(body.substr(at, Digest::kSize));
    chunk.size = static_cast<uint32_t>(ReadLittleEndian(body, at + Digest::kSize, 4));
    size += chunk.size;
    recipe.chunks.push_back(chunk);
  }
  recipe.id = FileId(recipe.chunks);
  if (size != key.size || !CheckRecipe(recipe).ok()) return std::nullopt;
  return recipe;
}

int64_t Nanoseconds(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

}  // namespace

FileKey FileKey::Of(const struct stat& status) {
  return {static_cast<uint64_t>(status.st_dev), static_cast<uint64_t>(status.st_ino),
          static_cast<uint64_t>(status.st_size), Nanoseconds(status.st_mtim), Nanoseconds(status.st_ctim)};
}

HashCache::HashCache(std::string dir) : dir_(std::move(dir)) {}

std::string HashCache::PathOf(const FileKey& key) const {
  std::string name;
  AppendLittleEndian(key.device, 8, &name);
  AppendLittleEndian(key.inode, 8, &name);
  const std::string hex = Sha256(name).Hex();
  return absl::StrCat(dir_, "/", hex.substr(0, 2), "/", hex.substr(2));
}

std::optional<FileRecipe> HashCache::Find(const FileKey& key) const {
  if (dir_.empty()) return std::nullopt;
  const std::string path = PathOf(key);
  absl::StatusOr<std::string> bytes = ReadWholeFile(path, kMaxRecord);
  if (!bytes.ok()) return std::nullopt;
  std::optional<FileRecipe> recipe = DecodeRecord(key, *bytes);
  // Used: keep it from being pruned. Its modification time is all the bookkeeping there is.
  if (recipe.has_value()) utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
  return recipe;
}

void HashCache::Store(const FileKey& key, const FileRecipe& recipe) const {
  if (dir_.empty()) return;
  const std::string path = PathOf(key);
  std::error_code error;
  const std::filesystem::path parent(std::string(DirectoryOf(path)));
  if (!std::filesystem::is_directory(parent, error)) {
    std::filesystem::create_directories(parent, error);
    std::filesystem::permissions(dir_, std::filesystem::perms::owner_all, error);
  }
  // If this fails the file is hashed again next time.
  ReplaceFile(path, path, EncodeRecord(key, recipe)).IgnoreError();
}

void HashCache::Prune() const {
  if (dir_.empty()) return;
  const absl::Time now = absl::Now();
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator entry(dir_, error), end; !error && entry != end;
       entry.increment(error)) {
    struct stat status;
    const std::string path = entry->path().string();
    if (lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    // A temporary file is renamed within moments; one this old belongs to a coordinator that died.
    const bool temporary = absl::StrContains(BaseName(path), ".");
    const absl::Duration age = now - absl::TimeFromTimespec(status.st_mtim);
    if (age > (temporary ? absl::Hours(1) : kKeep)) unlink(path.c_str());
  }
}

}  // namespace dtest
