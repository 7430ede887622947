// Recipes of files that were hashed before, on disk, so that an unchanged suite is not read again.
//
// <dir>/<aa>/<62 hex digits>: one record a file, named by the SHA-256 of its device and inode numbers, so a file that
// is rewritten in place replaces its own record. Its bytes, numbers little-endian:
//   "dtest hash 1\n"; u64 device, inode, size, mtime ns, ctime ns; u32 chunks; for each, 32 bytes digest and u32 size;
//   32 bytes SHA-256 of all before.
// A record is believed only if its checksum, its whole key and the recipe hold; anything else is as if it were not
// there. Records appear by rename from a temporary name, so coordinators may share the directory. Those not used for 30
// days are removed. Failures to write are ignored: it is a cache.
//
// Thread-safe: no state but the directory.

#ifndef DTEST_COORDINATOR_BUNDLE_HASH_CACHE_H_
#define DTEST_COORDINATOR_BUNDLE_HASH_CACHE_H_

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "dtest/messages.h"

namespace dtest {

// A file as it was at one time: any write to it, or a replacement, changes one of these.
struct FileKey {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;
  int64_t mtime_ns = 0;
  int64_t ctime_ns = 0;

  static FileKey Of(const struct stat& status);
  friend bool operator==(const FileKey&, const FileKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const FileKey& key) {
    return H::combine(std::move(h), key.device, key.inode, key.size, key.mtime_ns, key.ctime_ns);
  }
};

class HashCache {
 public:
  // `dir` is made (0700) when the first record is written. Empty: nothing is ever found or kept.
  explicit HashCache(std::string dir);

  std::optional<FileRecipe> Find(const FileKey& key) const;
  void Store(const FileKey& key, const FileRecipe& recipe) const;
  // Removes old records and left-over temporary files. Called once by whoever writes, after the run's hashing.
  void Prune() const;

 private:
  std::string PathOf(const FileKey& key) const;

  const std::string dir_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_HASH_CACHE_H_
