#include "coordinator/bundle/catalog.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "coordinator/bundle/files.h"
#include "protocol/chunking.h"

namespace dtest {

namespace {

constexpr int kZstdLevel = 3;
constexpr size_t kWindow = 4 << 20;
static_assert(kWindow >= 2 * kMaxChunk);

absl::Status Changed(absl::string_view path) {
  return absl::DataLossError(absl::StrCat(Printable(path), " changed while dtest was reading it. Was it being built?"));
}

}  // namespace

Catalog::Catalog(Options options)
    : options_(std::move(options)),
      cache_(options_.cache_dir.empty() ? "" : absl::StrCat(options_.cache_dir, "/hashes")) {}

Catalog::~Catalog() {
  MutexLock lock(&mutex_);
  if (stored_) cache_.Prune();
}

absl::StatusOr<CatalogFile> Catalog::Add(const std::string& path) {
  absl::StatusOr<OpenedFile> file = OpenFile(path);
  if (!file.ok()) return file.status();
  const FileKey key = FileKey::Of(file->status);
  CatalogFile result;
  result.size = key.size;
  result.executable = (file->status.st_mode & 0111) != 0;
  {
    MutexLock lock(&mutex_);
    mutex_.Await([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return !hashing_.contains(key); });
    if (const auto known = files_.find(key); known != files_.end()) {
      result.id = known->second;
      return result;
    }
    hashing_.insert(key);
  }
  absl::StatusOr<FileRecipe> recipe = MakeRecipe(path, file->fd.get(), key);
  MutexLock lock(&mutex_);
  hashing_.erase(key);
  mutex_.NotifyAll();
  if (!recipe.ok()) return recipe.status();
  result.id = recipe->id;
  Remember(path, key, *recipe);
  return result;
}

bool Catalog::AddIfKnown(const std::string& path) {
  absl::StatusOr<OpenedFile> file = OpenFile(path);
  if (!file.ok()) return false;
  const FileKey key = FileKey::Of(file->status);
  {
    MutexLock lock(&mutex_);
    if (files_.contains(key)) return true;
    if (hashing_.contains(key)) return false;
  }
  const std::optional<FileRecipe> recipe = cache_.Find(key);
  if (!recipe.has_value()) return false;
  MutexLock lock(&mutex_);
  if (files_.contains(key)) return true;
  ++stats_.files_known;
  Remember(path, key, *recipe);
  return true;
}

// Streams rather than maps the file: one that shrinks while it is mapped would kill the coordinator with SIGBUS.
absl::StatusOr<FileRecipe> Catalog::MakeRecipe(const std::string& path, int fd, const FileKey& key) {
  if (std::optional<FileRecipe> known = cache_.Find(key); known.has_value()) {
    MutexLock lock(&mutex_);
    ++stats_.files_known;
    return *std::move(known);
  }
  const absl::Time before = absl::Now();
  FileRecipe recipe;
  std::string window;
  uint64_t read_to = 0;  // of the file
  size_t start = 0;      // in the window, of what is not cut yet
  while (read_to < key.size || start < window.size()) {
    if (read_to < key.size && window.size() - start < kMaxChunk) {
      window.erase(0, start);
      start = 0;
      const size_t kept = window.size();
      const size_t take = std::min<uint64_t>(key.size - read_to, kWindow - kept);
      window.resize(kept + take);
      absl::Status read = ReadAt(fd, read_to, take, &window[kept], path);
      if (absl::IsDataLoss(read)) return Changed(path);
      if (!read.ok()) return read;
      read_to += take;
    }
    const absl::string_view rest = absl::string_view(window).substr(start);
    const size_t size = NextCut(rest);
    recipe.chunks.push_back({Sha256(rest.substr(0, size)), static_cast<uint32_t>(size)});
    start += size;
  }
  recipe.id = FileId(recipe.chunks);
  struct stat status;
  if (fstat(fd, &status) != 0 || FileKey::Of(status) != key) return Changed(path);

  const absl::Time changed = absl::FromUnixNanos(std::max(key.mtime_ns, key.ctime_ns));
  const bool settled = before - changed >= options_.settled_after;
  if (settled) cache_.Store(key, recipe);
  MutexLock lock(&mutex_);
  stored_ |= settled;
  ++stats_.files_hashed;
  stats_.bytes_hashed += key.size;
  return recipe;
}

void Catalog::Remember(const std::string& path, const FileKey& key, const FileRecipe& recipe) {
  const auto shared_path = std::make_shared<const std::string>(path);
  uint64_t offset = 0;
  for (const ChunkRef& chunk : recipe.chunks) {
    // The newest file wins: an older one with the same chunk may have been rebuilt since.
    chunks_[chunk.digest] = {shared_path, offset, chunk.size};
    offset += chunk.size;
  }
  files_[key] = recipe.id;
  recipes_.try_emplace(recipe.id, recipe);
}

std::optional<FileRecipe> Catalog::Recipe(const Digest& id) const {
  MutexLock lock(&mutex_);
  const auto found = recipes_.find(id);
  if (found == recipes_.end()) return std::nullopt;
  return found->second;
}

absl::StatusOr<std::shared_ptr<const std::string>> Catalog::CompressedChunk(const Digest& chunk) {
  Location location;
  {
    MutexLock lock(&mutex_);
    if (const auto kept = compressed_index_.find(chunk); kept != compressed_index_.end()) {
      compressed_.splice(compressed_.begin(), compressed_, kept->second);
      return kept->second->zstd;
    }
    const auto found = chunks_.find(chunk);
    if (found == chunks_.end()) {
      return absl::NotFoundError(absl::StrCat("chunk ", chunk.Hex(), " belongs to no file of this run"));
    }
    location = found->second;
  }
  absl::StatusOr<OpenedFile> file = OpenFile(*location.path);
  if (!file.ok()) return file.status();
  std::string bytes(location.size, '\0');
  absl::Status read = ReadAt(file->fd.get(), location.offset, bytes.size(), bytes.data(), *location.path);
  if (!read.ok() && !absl::IsDataLoss(read)) return read;
  if (!read.ok() || Sha256(bytes) != chunk) {
    return absl::DataLossError(absl::StrCat(Printable(*location.path),
                                            " changed after the run had begun: was it rebuilt? Start the run again"));
  }
  auto zstd = std::make_shared<const std::string>(Compress(bytes, kZstdLevel));
  MutexLock lock(&mutex_);
  ++stats_.chunks_compressed;
  KeepChunk(chunk, zstd);
  return zstd;
}

void Catalog::KeepChunk(const Digest& digest, std::shared_ptr<const std::string> zstd) {
  if (compressed_index_.contains(digest)) return;  // another thread was faster
  compressed_bytes_ += zstd->size();
  compressed_.push_front({digest, std::move(zstd)});
  compressed_index_[digest] = compressed_.begin();
  while (compressed_bytes_ > options_.chunk_memory && !compressed_.empty()) {
    compressed_bytes_ -= compressed_.back().zstd->size();
    compressed_index_.erase(compressed_.back().digest);
    compressed_.pop_back();
  }
}

Catalog::Stats Catalog::stats() const {
  MutexLock lock(&mutex_);
  return stats_;
}

}  // namespace dtest
