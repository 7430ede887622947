#include "agent/store/recipe_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include <cstdio>
#include <cstring>
#include <utility>

#include "dtest/base/endian.h"
#include "dtest/base/io.h"
#include "protocol/chunking.h"

namespace dtest::store {
namespace {

constexpr char kMagic[17] = "dtest recipe 1\n";  // with its two zero bytes: 16 are written
constexpr size_t kMagicSize = 16;
constexpr size_t kStampSize = 48;
constexpr size_t kStampFields = 40;
constexpr size_t kCountOffset = kMagicSize + 2 * kStampSize;
constexpr size_t kHeaderSize = kCountOffset + 4;
constexpr size_t kChunkSize = Digest::kSize + 4;

std::string EncodeStamp(const Stamp& stamp) {
  if (stamp.empty()) return std::string(kStampSize, '\0');
  std::string bytes;
  AppendLittleEndian(stamp.inode, 8, &bytes);
  AppendLittleEndian(stamp.size, 8, &bytes);
  AppendLittleEndian(static_cast<uint64_t>(stamp.mtime_ns), 8, &bytes);
  AppendLittleEndian(static_cast<uint64_t>(stamp.ctime_ns), 8, &bytes);
  AppendLittleEndian(stamp.boot, 8, &bytes);
  const Digest check = Sha256(bytes);
  bytes.append(check.bytes().data(), kStampSize - kStampFields);
  return bytes;
}

Stamp DecodeStamp(absl::string_view bytes) {
  const Digest check = Sha256(bytes.substr(0, kStampFields));
  if (bytes.substr(kStampFields) != check.bytes().substr(0, kStampSize - kStampFields)) return Stamp();
  Stamp stamp;
  stamp.inode = ReadLittleEndian(bytes, 0, 8);
  stamp.size = ReadLittleEndian(bytes, 8, 8);
  stamp.mtime_ns = static_cast<int64_t>(ReadLittleEndian(bytes, 16, 8));
  stamp.ctime_ns = static_cast<int64_t>(ReadLittleEndian(bytes, 24, 8));
  stamp.boot = ReadLittleEndian(bytes, 32, 8);
  return stamp;
}

std::string EncodeRecord(const FileRecipe& recipe) {
  std::string bytes(kMagic, kMagicSize);
  bytes.append(2 * kStampSize, '\0');
  AppendLittleEndian(recipe.chunks.size(), 4, &bytes);
  for (const ChunkRef& chunk : recipe.chunks) {
    bytes.append(chunk.digest.bytes().data(), Digest::kSize);
    AppendLittleEndian(chunk.size, 4, &bytes);
  }
  return bytes;
}

// Stamps of a record whose magic number and length are right; nullopt otherwise.
std::optional<std::array<Stamp, 2>> ReadHeader(int fd) {
  struct stat st;
  std::string header(kHeaderSize, '\0');
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || ReadAt(fd, header.data(), header.size(), 0) != 0) {
    return std::nullopt;
  }
  const uint64_t count = ReadLittleEndian(header, kCountOffset, 4);
  if (header.compare(0, kMagicSize, kMagic, kMagicSize) != 0 ||
      static_cast<uint64_t>(st.st_size) != kHeaderSize + count * kChunkSize) {
    return std::nullopt;
  }
  const absl::string_view view = header;
  return std::array<Stamp, 2>{DecodeStamp(view.substr(kMagicSize, kStampSize)),
                              DecodeStamp(view.substr(kMagicSize + kStampSize, kStampSize))};
}

std::optional<FileRecipe> ReadChunks(int fd, const Digest& id) {
  struct stat st;
  if (fstat(fd, &st) != 0 || static_cast<uint64_t>(st.st_size) < kHeaderSize) return std::nullopt;
  std::string bytes(static_cast<uint64_t>(st.st_size) - kHeaderSize, '\0');
  if (ReadAt(fd, bytes.data(), bytes.size(), kHeaderSize) != 0) return std::nullopt;
  FileRecipe recipe;
  recipe.id = id;
  recipe.chunks.reserve(bytes.size() / kChunkSize);
  for (size_t at = 0; at + kChunkSize <= bytes.size(); at += kChunkSize) {
    const std::optional<Digest> digest = Digest::FromBytes(absl::string_view(bytes).substr(at, Digest::kSize));
    recipe.chunks.push_back({*digest, static_cast<uint32_t>(ReadLittleEndian(bytes, at + Digest::kSize, 4))});
  }
  if (!CheckRecipe(recipe).ok()) return std::nullopt;
  return recipe;
}

int64_t Nanoseconds(const timespec& time) { return time.tv_sec * int64_t{1000000000} + time.tv_nsec; }

}  // namespace

Stamp Stamp::Of(const struct stat& st, uint64_t boot) {
  Stamp stamp;
  stamp.inode = st.st_ino;
  stamp.size = static_cast<uint64_t>(st.st_size);
  stamp.mtime_ns = Nanoseconds(st.st_mtim);
  stamp.ctime_ns = Nanoseconds(st.st_ctim);
  stamp.boot = boot;
  return stamp;
}

bool Stamp::SameContents(const Stamp& other) const {
  return inode == other.inode && size == other.size && mtime_ns == other.mtime_ns;
}

uint64_t CurrentBoot() {
  static const uint64_t boot = [] {
    // A random UUID, e.g. 3f2c7a34-....
    char text[37] = {};
    const Fd fd = Open("/proc/sys/kernel/random/boot_id", O_RDONLY);
    if (!fd.ok() || ReadAt(fd.get(), text, 36, 0) != 0) return uint64_t{0};
    const uint64_t value = ReadLittleEndian(Sha256(absl::string_view(text, 36)).bytes(), 0, 8);
    return value == 0 ? 1 : value;
  }();
  return boot;
}

absl::Status RecipeFile::Create(const std::string& path, const std::string& temporary, const FileRecipe& recipe) {
  if (access(path.c_str(), F_OK) == 0) return absl::OkStatus();
  Fd fd = Open(temporary, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (!fd.ok()) return ErrnoStatus(errno, "create file", temporary);
  int error = WriteAt(fd.get(), EncodeRecord(recipe), 0);
  if (const int close_error = fd.Close(); error == 0) error = close_error;
  absl::Status status = error == 0 ? absl::OkStatus() : ErrnoStatus(error, "write file", temporary);
  if (status.ok() && link(temporary.c_str(), path.c_str()) != 0 && errno != EEXIST) {
    status = ErrnoStatus(errno, "link (the store needs a file system with hard links) file", path);
  }
  unlink(temporary.c_str());
  return status;
}

std::optional<RecipeFile> RecipeFile::OpenLocked(const std::string& path, const Digest& id, bool wait) {
  while (true) {
    Fd fd = Open(path, O_RDWR);
    if (!fd.ok()) {
      if (errno == ELOOP) unlink(path.c_str());  // a symbolic link: no record of ours
      return std::nullopt;
    }
    if (Lock(fd.get(), LOCK_EX | (wait ? 0 : LOCK_NB)) != 0) return std::nullopt;
    // Whoever had the lock may have removed the record.
    struct stat opened, named;
    if (fstat(fd.get(), &opened) != 0 || opened.st_nlink == 0) continue;
    if (lstat(path.c_str(), &named) != 0 || named.st_ino != opened.st_ino) continue;
    RecipeFile file(path, id, std::move(fd));
    const std::optional<std::array<Stamp, 2>> stamps = ReadHeader(file.fd_.get());
    if (!stamps.has_value()) {
      file.Remove();
      return std::nullopt;
    }
    file.stamps_ = *stamps;
    return file;
  }
}

std::optional<RecipeFile::Contents> RecipeFile::Read(const std::string& path, const Digest& id) {
  const Fd fd = Open(path, O_RDONLY);
  if (!fd.ok()) return std::nullopt;
  const std::optional<std::array<Stamp, 2>> stamps = ReadHeader(fd.get());
  if (!stamps.has_value()) return std::nullopt;
  std::optional<FileRecipe> recipe = ReadChunks(fd.get(), id);
  if (!recipe.has_value()) return std::nullopt;
  return Contents{*std::move(recipe), *stamps};
}

void RecipeFile::SetStamp(Variant variant, const Stamp& stamp) {
  stamps_[static_cast<size_t>(variant)] = stamp;
  WriteAt(fd_.get(), EncodeStamp(stamp), kMagicSize + static_cast<size_t>(variant) * kStampSize);
}

std::optional<FileRecipe> RecipeFile::ReadRecipe() {
  std::optional<FileRecipe> recipe = ReadChunks(fd_.get(), id_);
  if (!recipe.has_value()) Remove();
  return recipe;
}

void RecipeFile::Touch() {
  const timespec times[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
  futimens(fd_.get(), times);
}

void RecipeFile::Remove() { unlink(path_.c_str()); }

}  // namespace dtest::store
