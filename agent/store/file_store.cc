#include "agent/store/file_store.h"

#include <errno.h>
#include <fcntl.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dtest/base/io.h"
#include "protocol/chunking.h"

namespace dtest::store {
namespace {

// Right in everything that can be seen without reading it, and unchanged since the stamp.
bool Holds(const Stamp& stamp, const struct stat& st, uint64_t boot) {
  return !stamp.empty() && (stamp.boot == 0 || stamp.boot == boot) && Stamp::Of(st, stamp.boot) == stamp;
}

bool IsOurs(const struct stat& st, Variant variant) {
  return S_ISREG(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 07777) == ModeOf(variant);
}

bool HasChunks(int fd, const FileRecipe& recipe) {
  std::string bytes(kMaxChunk, '\0');
  uint64_t offset = 0;
  for (const ChunkRef& chunk : recipe.chunks) {
    if (ReadAt(fd, bytes.data(), chunk.size, offset) != 0) return false;
    if (Sha256(absl::string_view(bytes).substr(0, chunk.size)) != chunk.digest) return false;
    offset += chunk.size;
  }
  struct stat st;
  return fstat(fd, &st) == 0 && static_cast<uint64_t>(st.st_size) == offset;
}

// Reads the file; its state as of before the first byte was read, if every byte is right. A change while reading shows
// in the times: read again, but not for ever.
std::optional<struct stat> Verify(const std::string& path, const FileRecipe& recipe) {
  const Fd fd = Open(path, O_RDONLY);
  if (!fd.ok()) return std::nullopt;
  for (int attempt = 0; attempt < 3; ++attempt) {
    struct stat before, after;
    if (fstat(fd.get(), &before) != 0 || !HasChunks(fd.get(), recipe) || fstat(fd.get(), &after) != 0) break;
    if (Stamp::Of(before, 0) == Stamp::Of(after, 0)) return before;
  }
  return std::nullopt;
}

// "<64 hex digits>.r" or ".x".
std::optional<std::pair<Digest, Variant>> ParseFileName(absl::string_view name) {
  if (name.size() != 2 * Digest::kSize + 2) return std::nullopt;
  const std::optional<Digest> id = Digest::FromHex(name.substr(0, 2 * Digest::kSize));
  const absl::string_view suffix = name.substr(2 * Digest::kSize);
  if (!id.has_value() || (suffix != ".r" && suffix != ".x")) return std::nullopt;
  return std::make_pair(*id, VariantOf(suffix == ".x"));
}

}  // namespace

FileStore::FileStore(std::string root, std::string temporary)
    : root_(std::move(root)), temporary_(std::move(temporary)) {}

absl::Status FileStore::MakeDirectories() {
  absl::Status status = MakeDirectory(absl::StrCat(root_, "/files"), 0700);
  if (status.ok()) status = MakeDirectory(absl::StrCat(root_, "/recipes"), 0700);
  return status;
}

std::string FileStore::FilePath(const Digest& id, Variant variant) const {
  const std::string hex = id.Hex();
  return absl::StrCat(root_, "/files/", hex.substr(0, 2), "/", hex, variant == Variant::kExecutable ? ".x" : ".r");
}

std::string FileStore::RecipePath(const Digest& id) const {
  const std::string hex = id.Hex();
  return absl::StrCat(root_, "/recipes/", hex.substr(0, 2), "/", hex);
}

bool FileStore::CheckLocked(RecipeFile& record, const Digest& id, Variant variant) {
  const std::string path = FilePath(id, variant);
  const Stamp stamp = record.stamp(variant);
  struct stat st;
  if (lstat(path.c_str(), &st) != 0) {
    if (!stamp.empty()) record.SetStamp(variant, Stamp());
    return false;
  }
  const std::optional<FileRecipe> recipe = record.ReadRecipe();
  if (recipe.has_value() && IsOurs(st, variant)) {
    if (Holds(stamp, st, boot_)) return true;
    if (const std::optional<struct stat> verified = Verify(path, *recipe)) {
      const bool survived_a_boot = !stamp.empty() && stamp.inode == verified->st_ino && stamp.boot != boot_;
      record.SetStamp(variant, Stamp::Of(*verified, survived_a_boot ? 0 : boot_));
      return true;
    }
  }
  unlink(path.c_str());
  record.SetStamp(variant, Stamp());
  return false;
}

bool FileStore::Check(const Digest& id, Variant variant) {
  std::optional<RecipeFile> record = RecipeFile::OpenLocked(RecipePath(id), id);
  if (!record.has_value() || !CheckLocked(*record, id, variant)) return false;
  record->Touch();
  return true;
}

absl::Status FileStore::PutOnce(const std::string& path, const FileRecipe& recipe, Variant variant, bool* placed) {
  const std::string recipe_path = RecipePath(recipe.id);
  const std::string temporary = absl::StrCat(temporary_, "/recipe-", next_temporary_++);
  if (absl::Status status = RecipeFile::Create(recipe_path, temporary, recipe); !status.ok()) return status;
  std::optional<RecipeFile> record = RecipeFile::OpenLocked(recipe_path, recipe.id);
  // Damaged, and removed by that; or evicted in between.
  if (!record.has_value() || !record->ReadRecipe().has_value()) return absl::OkStatus();
  if (CheckLocked(*record, recipe.id, variant)) {
    unlink(path.c_str());
  } else {
    const std::string target = FilePath(recipe.id, variant);
    if (rename(path.c_str(), target.c_str()) != 0) return ErrnoStatus(errno, "rename a file to", target);
    struct stat st;  // after the rename, which changes ctime
    if (lstat(target.c_str(), &st) != 0) return ErrnoStatus(errno, "stat file", target);
    record->SetStamp(variant, Stamp::Of(st, boot_));
  }
  record->Touch();
  *placed = true;
  return absl::OkStatus();
}

absl::Status FileStore::Put(const std::string& path, const FileRecipe& recipe, Variant variant) {
  for (const std::string& sub : {FilePath(recipe.id, variant), RecipePath(recipe.id)}) {
    absl::Status status = MakeDirectory(sub.substr(0, sub.rfind('/')), 0700);
    if (!status.ok()) return status;
  }
  {
    const Fd fd = Open(path, O_RDONLY);
    if (!fd.ok()) return ErrnoStatus(errno, "open file", path);
    if (fchmod(fd.get(), ModeOf(variant)) != 0) return ErrnoStatus(errno, "set the mode of file", path);
    // Where boots cannot be told apart, a stamp cannot tell what a power failure took away: see recipe_file.h.
    if (boot_ == 0 && fdatasync(fd.get()) != 0) return ErrnoStatus(errno, "flush file", path);
  }
  for (int attempt = 0; attempt < 3; ++attempt) {
    bool placed = false;
    absl::Status status = PutOnce(path, recipe, variant, &placed);
    if (!status.ok()) return status;
    if (placed) {
      if (indexed_) Index(recipe, variant);
      return absl::OkStatus();
    }
  }
  return absl::UnavailableError(absl::StrCat("cannot write the store's record ", RecipePath(recipe.id),
                                             ": it is damaged again each time; check the file system"));
}

absl::Status FileStore::Link(const Digest& id, Variant variant, int directory, const char* name,
                             absl::string_view shown) {
  std::optional<RecipeFile> record = RecipeFile::OpenLocked(RecipePath(id), id);
  if (!record.has_value() || !CheckLocked(*record, id, variant)) {
    return absl::NotFoundError(absl::StrCat("cannot put ", shown, " into place: file ", id.Hex(),
                                            " is not in the store ", root_, " (any more); fetch it again"));
  }
  const std::string path = FilePath(id, variant);
  if (linkat(AT_FDCWD, path.c_str(), directory, name, 0) != 0) {
    if (errno == EEXIST) return absl::InvalidArgumentError(absl::StrCat(shown, " is in the tree already"));
    return ErrnoStatus(errno, "link (the store needs a file system with hard links) a stored file to", shown);
  }
  struct stat st;
  if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return ErrnoStatus(errno, "stat file", shown);
  const Stamp& before = record->stamp(variant);
  const Stamp now = Stamp::Of(st, before.boot);
  if (!now.SameContents(before)) {
    unlinkat(directory, name, 0);
    return absl::NotFoundError(
        absl::StrCat("cannot put ", shown, " into place: ", path, " was changed just now; fetch it again"));
  }
  record->SetStamp(variant, now);
  linked_[now.inode] = {id, variant};
  return absl::OkStatus();
}

void FileStore::Unlink(int directory, const char* name) {
  struct stat st;
  if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return;
  const auto it = linked_.find(st.st_ino);
  if (it == linked_.end()) {
    unlinkat(directory, name, 0);
    return;
  }
  const auto& [id, variant] = it->second;
  std::optional<RecipeFile> record = RecipeFile::OpenLocked(RecipePath(id), id);
  // Looked at again under the lock: another run may have changed ctime and stamp since.
  const bool held = record.has_value() && fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                    Holds(record->stamp(variant), st, boot_);
  if (unlinkat(directory, name, 0) != 0 || !held) return;
  if (lstat(FilePath(id, variant).c_str(), &st) != 0) return;
  const Stamp now = Stamp::Of(st, record->stamp(variant).boot);
  if (now.SameContents(record->stamp(variant))) record->SetStamp(variant, now);
}

void FileStore::Index(const FileRecipe& recipe, Variant variant) {
  const uint32_t file = static_cast<uint32_t>(source_files_.size());
  source_files_.emplace_back(recipe.id, variant);
  uint64_t offset = 0;
  for (const ChunkRef& chunk : recipe.chunks) {
    index_.insert_or_assign(chunk.digest, Source{file, chunk.size, offset});
    offset += chunk.size;
  }
}

void FileStore::IndexAll() {
  indexed_ = true;
  const std::string recipes = absl::StrCat(root_, "/recipes");
  for (const std::string& directory : ListDirectory(recipes)) {
    for (const std::string& name : ListDirectory(absl::StrCat(recipes, "/", directory))) {
      const std::optional<Digest> id = Digest::FromHex(name);
      if (!id.has_value()) continue;
      const std::optional<RecipeFile::Contents> contents =
          RecipeFile::Read(absl::StrCat(recipes, "/", directory, "/", name), *id);
      if (!contents.has_value()) continue;
      for (Variant variant : kVariants) {
        if (!contents->stamps[static_cast<size_t>(variant)].empty()) Index(contents->recipe, variant);
      }
    }
  }
}

std::optional<std::string> FileStore::ReadChunk(const Digest& digest) {
  if (!indexed_) IndexAll();
  const auto it = index_.find(digest);
  if (it == index_.end()) return std::nullopt;
  const Source source = it->second;
  const FileKey key = source_files_[source.file];
  if (!source_.ok() || source_file_ != source.file) {
    source_ = Open(FilePath(key.first, key.second), O_RDONLY);
    struct stat st;
    if (!source_.ok() || fstat(source_.get(), &st) != 0) {
      source_ = Fd();
      index_.erase(it);
      return std::nullopt;
    }
    source_file_ = source.file;
    source_inode_ = st.st_ino;
  }
  std::string bytes(source.size, '\0');
  if (ReadAt(source_.get(), bytes.data(), bytes.size(), source.offset) == 0 && Sha256(bytes) == digest) {
    return bytes;
  }
  source_ = Fd();
  index_.erase(it);
  ThrowAway(key, source_inode_);
  return std::nullopt;
}

void FileStore::ThrowAway(const FileKey& key, uint64_t inode) {
  const std::string path = FilePath(key.first, key.second);
  std::optional<RecipeFile> record = RecipeFile::OpenLocked(RecipePath(key.first), key.first);
  struct stat st;
  if (lstat(path.c_str(), &st) != 0 || st.st_ino != inode) return;  // another agent put a good one there
  unlink(path.c_str());
  if (record.has_value()) record->SetStamp(key.second, Stamp());
}

uint64_t FileStore::Evict(uint64_t limit, uint64_t wanted, const std::function<bool(const Digest&)>& in_use) {
  struct Candidate {
    Digest id;
    uint64_t bytes = 0;
    int files = 0;
    bool recorded = false;
    timespec used = {0, 0};
  };
  absl::flat_hash_map<Digest, Candidate> candidates;
  uint64_t total = 0;
  struct stat st;
  for (const char* kind : {"/recipes", "/files"}) {
    for (const std::string& directory : ListDirectory(absl::StrCat(root_, kind))) {
      const std::string path = absl::StrCat(root_, kind, "/", directory);
      for (const std::string& name : ListDirectory(path)) {
        const auto file = ParseFileName(name);
        const std::optional<Digest> id = file.has_value() ? file->first : Digest::FromHex(name);
        if (!id.has_value() || lstat(absl::StrCat(path, "/", name).c_str(), &st) != 0) continue;
        Candidate& candidate = candidates[*id];
        candidate.id = *id;
        if (file.has_value()) {
          ++candidate.files;
          candidate.bytes += static_cast<uint64_t>(st.st_size);
          total += static_cast<uint64_t>(st.st_size);
        } else {
          candidate.recorded = true;
          candidate.used = st.st_mtim;
        }
      }
    }
  }
  std::vector<Candidate> order;
  for (const auto& [id, candidate] : candidates) {
    if (!in_use(id)) order.push_back(candidate);
  }
  std::sort(order.begin(), order.end(), [](const Candidate& a, const Candidate& b) {
    return std::tie(a.used.tv_sec, a.used.tv_nsec, a.id) < std::tie(b.used.tv_sec, b.used.tv_nsec, b.id);
  });
  uint64_t freed = 0;
  for (const Candidate& candidate : order) {
    const bool orphan = candidate.files == 0 || !candidate.recorded;
    if (!orphan && total <= limit && freed >= wanted) continue;
    std::optional<RecipeFile> record = RecipeFile::OpenLocked(RecipePath(candidate.id), candidate.id, false);
    if (!record.has_value() && access(RecipePath(candidate.id).c_str(), F_OK) == 0) continue;  // someone reads it
    // The record last: a file without one is found by the next eviction.
    bool removed = true;
    for (Variant variant : kVariants) {
      if (unlink(FilePath(candidate.id, variant).c_str()) != 0 && errno != ENOENT) removed = false;
    }
    if (removed && record.has_value()) record->Remove();
    if (removed) {
      freed += candidate.bytes;
      total -= candidate.bytes;
    }
  }
  return freed;
}

}  // namespace dtest::store
