// Part of the coordinator's file tree below one directory, the root, as manifest entries: what an agent needs to put
// the same files at the same relative places.
//
// Symbolic links that stay inside the root are entries of their own, and what they lead to comes along. Links that lead
// out of it are replaced by what they lead to. Empty directories, and sockets, FIFOs and devices found in a directory,
// are left out. ".dtest" directly below the root is reserved and left out.
//
// One thread.

#ifndef DTEST_COORDINATOR_BUNDLE_FILE_TREE_H_
#define DTEST_COORDINATOR_BUNDLE_FILE_TREE_H_

#include <sys/types.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/bundle/catalog.h"
#include "dtest/messages.h"

namespace dtest {

class TreeBuilder {
 public:
  // `root`: absolute, no symbolic links. The catalog must outlive this object.
  TreeBuilder(std::string root, Catalog& catalog);
  // Hashes nothing: entries of files have no id. To see whether paths and patterns are good, and what they name.
  explicit TreeBuilder(std::string root);

  // Adds the file, link or directory (recursively) at this path below the root. InvalidArgument: a dangling link, a
  // loop of links, a special file, a path that leaves the root; else what Catalog::Add says. Errors name the file.
  absl::Status Add(absl::string_view relative);

  // Adds what matches a pattern, relative to the root or absolute inside it: '/'-separated components with *, ?, [...]
  // and \ as in glob(7), which do not match a leading dot; ** stands for any number of directories that are not hidden.
  // A component that exists as it is written is not a pattern. A directory that matches comes with all it holds.
  // InvalidArgument also if nothing matches.
  absl::Status AddGlob(const std::string& pattern);

  // Adds an entry as it is; a later one for the same path replaces it.
  void AddEntry(ManifestEntry entry);

  // Sorted by path, each path once.
  std::vector<ManifestEntry> entries() const;

 private:
  absl::Status AddResolved(const std::string& path, bool in_directory);
  absl::Status AddComponents(absl::string_view relative, bool in_directory);
  absl::Status Match(const std::string& directory, const std::vector<std::string>& pattern, size_t index,
                     std::vector<std::string>* matches) const;
  std::string Full(absl::string_view relative) const;

  const std::string root_;
  Catalog* const catalog_;  // may be null
  std::map<std::string, ManifestEntry> entries_;
  absl::flat_hash_set<std::string> directories_done_;
  std::vector<std::pair<dev_t, ino_t>> directories_open_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_FILE_TREE_H_
