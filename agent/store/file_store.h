// The stored files and their records: what is in place, whether it is still right, and how a file gets into a tree and
// out of it without losing its stamp (see recipe_file.h for what a stamp is and why ctime needs this care).
//
// A file is only ever handed out after Check (or Link, which includes it) has found its stamp right or every byte of
// it right. One that is wrong in content, type, owner or mode is unlinked and counts as absent: it is never repaired
// in place, since whoever changed it may still hold it open for writing.
//
// One thread; several processes may work on one root.

#ifndef DTEST_AGENT_STORE_FILE_STORE_H_
#define DTEST_AGENT_STORE_FILE_STORE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "agent/store/fs.h"
#include "agent/store/recipe_file.h"
#include "dtest/digest.h"
#include "dtest/messages.h"

namespace dtest::store {

class FileStore {
 public:
  // `temporary` is an existing directory of this process alone, on the same file system as `root`.
  FileStore(std::string root, std::string temporary);

  // Makes <root>/files and <root>/recipes.
  absl::Status MakeDirectories();

  // True if the file is in place and right. Its stamp makes that a few system calls; without a good one it is read.
  bool Check(const Digest& id, Variant variant);

  // Takes the complete, verified file at `path` (mode 0600, made by us) into the store; `path` is gone afterwards. If
  // another agent was faster, its file stays. May be called again after ResourceExhausted.
  absl::Status Put(const std::string& path, const FileRecipe& recipe, Variant variant);

  // Hard-links the file as `name` into a directory; `shown` is that path for messages. NotFound if the file is not in
  // the store, or not right any more; InvalidArgument if `name` is taken.
  absl::Status Link(const Digest& id, Variant variant, int directory, const char* name, absl::string_view shown);
  // Removes an entry that may have been made by Link, keeping the stored file's stamp good.
  void Unlink(int directory, const char* name);

  // The chunk's bytes from any stored file that has them, verified. nullopt if none does. The first call reads all
  // records; files that came from other agents after that are not seen. A file with a wrong chunk is thrown away.
  std::optional<std::string> ReadChunk(const Digest& digest);
  // Closes the file that ReadChunk read last: call it after a series.
  void CloseSource() { source_ = Fd(); }

  // Removes files, least recently used first, until at most `limit` bytes are stored and `wanted` bytes were freed, or
  // nothing is left but what `in_use` names. Also files without a record and records without a file. Returns the bytes
  // freed. Nobody may claim files meanwhile: see runs.h.
  uint64_t Evict(uint64_t limit, uint64_t wanted, const std::function<bool(const Digest&)>& in_use);

 private:
  struct Source {
    uint32_t file;  // in source_files_
    uint32_t size;
    uint64_t offset;
  };
  using FileKey = std::pair<Digest, Variant>;

  std::string FilePath(const Digest& id, Variant variant) const;
  std::string RecipePath(const Digest& id) const;
  bool CheckLocked(RecipeFile& record, const Digest& id, Variant variant);
  absl::Status PutOnce(const std::string& path, const FileRecipe& recipe, Variant variant, bool* placed);
  void ThrowAway(const FileKey& key, uint64_t inode);
  void IndexAll();
  void Index(const FileRecipe& recipe, Variant variant);

  // Constant after construction.
  const std::string root_;
  const std::string temporary_;
  const uint64_t boot_ = CurrentBoot();

  uint64_t next_temporary_ = 0;
  absl::flat_hash_map<uint64_t, FileKey> linked_;  // by inode

  bool indexed_ = false;
  std::vector<FileKey> source_files_;
  absl::flat_hash_map<Digest, Source> index_;
  Fd source_;  // open on source_files_[source_file_], with source_inode_
  uint32_t source_file_ = 0;
  uint64_t source_inode_ = 0;
};

}  // namespace dtest::store

#endif  // DTEST_AGENT_STORE_FILE_STORE_H_
