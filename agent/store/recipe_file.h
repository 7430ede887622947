// The record of one stored file, <root>/recipes/ab/<file id>: its chunks, and for each of its two variants (mode 0444
// and mode 0555) the stamp of the stored file when its bytes were last known to be right.
//
// Format, version 1; integers are little-endian:
//
//   offset  bytes
//        0     16   "dtest recipe 1\n\0"
//       16     48   stamp of <id>.r; all zero: not stored
//       64     48   stamp of <id>.x
//      112      4   number of chunks
//      116   36 n   chunks: SHA-256 (32), size (4)
//
//   stamp: inode (8), size (8), mtime in ns (8), ctime in ns (8), boot (8), first 8 bytes of the SHA-256 of those 40
//
// The chunks never change and are checked against the file's name; a record appears complete, by link(2) from a
// temporary file, and so never replaces another. Stamps are overwritten in place under the record's flock: each use
// writes one, and a rename each time would make ext4 flush the file. A stamp torn by a crash fails its check sum and
// counts as empty. A record that is damaged in any other way is removed by whoever opens it.
//
// Why inode, size, mtime *and* ctime: mtime can be set back by anyone who may write (touch -d), ctime cannot. But
// link(2) and unlink(2) change the ctime of a file too, and every run links the files into its tree. So the store does
// both under the record's flock, and if the stamp held just before, takes the new ctime into it just after: what
// remains unnoticed is a change within those few microseconds that also sets size and mtime back. On kernels before
// 6.13 timestamps have the resolution of a timer tick (1..10 ms), and that is the size of the window there.
// Whoever dies between the two costs one verification, as do links made or removed by others.
//
// Why boot: after a power failure a file may have its right size, times and name, and yet zeros for bytes that never
// reached the disk. A stamp made in the boot that wrote the file holds only in that boot; once the file has been
// verified in a later one, it is known to be on the disk and the stamp has boot 0: any.
//
// One thread; locks are held as long as the object lives.

#ifndef DTEST_AGENT_STORE_RECIPE_FILE_H_
#define DTEST_AGENT_STORE_RECIPE_FILE_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "agent/store/fs.h"
#include "dtest/digest.h"
#include "dtest/messages.h"

namespace dtest::store {

// The two ways a file is stored; two inodes, because a mode belongs to the inode.
enum class Variant : uint8_t { kData = 0, kExecutable = 1 };
inline constexpr std::array<Variant, 2> kVariants = {Variant::kData, Variant::kExecutable};
constexpr Variant VariantOf(bool executable) { return executable ? Variant::kExecutable : Variant::kData; }
constexpr mode_t ModeOf(Variant variant) { return variant == Variant::kExecutable ? 0555 : 0444; }

struct Stamp {
  uint64_t inode = 0;
  uint64_t size = 0;
  int64_t mtime_ns = 0;
  int64_t ctime_ns = 0;
  uint64_t boot = 0;

  static Stamp Of(const struct stat& st, uint64_t boot);
  bool empty() const { return inode == 0; }
  // Equal but for ctime and boot.
  bool SameContents(const Stamp& other) const;
  friend bool operator==(const Stamp&, const Stamp&) = default;
};

// This boot of this machine: never 0, unless the system does not tell.
uint64_t CurrentBoot();

class RecipeFile {
 public:
  // Writes the record of `recipe` with empty stamps, through a new file at `temporary`, unless there is one already.
  static absl::Status Create(const std::string& path, const std::string& temporary, const FileRecipe& recipe);
  // Opens and locks the record of `id`. nullopt if there is none, if it is damaged (then it is removed), or if `wait`
  // is false and someone else has it locked.
  static std::optional<RecipeFile> OpenLocked(const std::string& path, const Digest& id, bool wait = true);
  // The chunks and stamps without a lock, and without removing anything: for the index of chunks.
  struct Contents {
    FileRecipe recipe;
    std::array<Stamp, 2> stamps;
  };
  static std::optional<Contents> Read(const std::string& path, const Digest& id);

  const Stamp& stamp(Variant variant) const { return stamps_[static_cast<size_t>(variant)]; }
  // Best effort: a stamp that cannot be written costs a verification at the next use.
  void SetStamp(Variant variant, const Stamp& stamp);
  // The chunks, checked against the id; nullopt if damaged (then the record is removed).
  std::optional<FileRecipe> ReadRecipe();
  // Notes that the file was used now (the record's mtime).
  void Touch();
  void Remove();

 private:
  RecipeFile(std::string path, const Digest& id, Fd fd) : path_(std::move(path)), id_(id), fd_(std::move(fd)) {}

  std::string path_;
  Digest id_;
  Fd fd_;
  std::array<Stamp, 2> stamps_;
};

}  // namespace dtest::store

#endif  // DTEST_AGENT_STORE_RECIPE_FILE_H_
