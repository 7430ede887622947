// The files a run ships: their recipes, and their chunks on demand, read again from the files when a host asks.
//
// Thread-safe. Add may run in several threads at once (hashing is most of the time); a file given twice is hashed once.

#ifndef DTEST_COORDINATOR_BUNDLE_CATALOG_H_
#define DTEST_COORDINATOR_BUNDLE_CATALOG_H_

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/bundle/hash_cache.h"
#include "dtest/digest.h"
#include "dtest/messages.h"
#include "dtest/mutex.h"

namespace dtest {

struct CatalogFile {
  Digest id;
  uint64_t size = 0;        // bytes
  bool executable = false;  // has an execute bit
};

class Catalog {
 public:
  struct Options {
    std::string cache_dir;                 // hashes are kept in <cache_dir>/hashes/ over runs; empty: not kept
    uint64_t chunk_memory = 256ull << 20;  // bytes of compressed chunks kept, the least recently used go first
    // A hash is kept over runs only if the file had not changed for this long when it was hashed: within one tick of
    // the file system's clock, a write after the hashing could leave the times as they were.
    absl::Duration settled_after = absl::Seconds(2);
  };
  explicit Catalog(Options options);
  ~Catalog();
  Catalog(const Catalog&) = delete;
  Catalog& operator=(const Catalog&) = delete;

  // Hashes a regular file (symbolic links are followed), or knows it from before by device, inode, size, mtime and
  // ctime. Errors name the file: errno's, InvalidArgument if it is not a regular file, DataLoss if it changed while it
  // was read.
  absl::StatusOr<CatalogFile> Add(const std::string& path);

  // As Add, but without reading the file: false, and nothing happens, unless it is known from before.
  bool AddIfKnown(const std::string& path);

  // Of a file that was added.
  std::optional<FileRecipe> Recipe(const Digest& id) const;

  // A chunk of a file that was added, as a zstd frame. NotFound: of no such file; DataLoss: the file has changed since
  // it was added; else errno's, with the path.
  absl::StatusOr<std::shared_ptr<const std::string>> CompressedChunk(const Digest& chunk);

  struct Stats {
    uint64_t files_hashed = 0;  // read from beginning to end
    uint64_t bytes_hashed = 0;
    uint64_t files_known = 0;  // taken from the cache on disk
    uint64_t chunks_compressed = 0;
  };
  Stats stats() const;

 private:
  struct Location {
    std::shared_ptr<const std::string> path;
    uint64_t offset = 0;
    uint32_t size = 0;
  };
  struct Chunk {
    Digest digest;
    std::shared_ptr<const std::string> zstd;
  };

  absl::StatusOr<FileRecipe> MakeRecipe(const std::string& path, int fd, const FileKey& key);
  void Remember(const std::string& path, const FileKey& key, const FileRecipe& recipe)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void KeepChunk(const Digest& digest, std::shared_ptr<const std::string> zstd) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  const HashCache cache_;

  mutable Mutex mutex_;
  absl::flat_hash_map<FileKey, Digest> files_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<FileKey> hashing_ ABSL_GUARDED_BY(mutex_);  // by some thread, right now
  absl::flat_hash_map<Digest, FileRecipe> recipes_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<Digest, Location> chunks_ ABSL_GUARDED_BY(mutex_);
  std::list<Chunk> compressed_ ABSL_GUARDED_BY(mutex_);  // most recently used first
  absl::flat_hash_map<Digest, std::list<Chunk>::iterator> compressed_index_ ABSL_GUARDED_BY(mutex_);
  uint64_t compressed_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stored_ ABSL_GUARDED_BY(mutex_) = false;  // something was written to the cache on disk
  Stats stats_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_CATALOG_H_
