// The tree of one run, <root>/trees/<run>/: real directories of mode 0755 made by us, hard links to stored files, and
// symbolic links as the manifests say.
//
// Nothing a manifest says can reach out of the tree: paths are checked, directories are opened one component at a time
// without following links, and a symbolic link is resolved in the tree as planned, through other links, before anything
// is made. Tests own what they do to their tree while they run: they may break it, but a later Materialise still writes
// nowhere else.
//
// One thread.

#ifndef DTEST_AGENT_STORE_TREE_H_
#define DTEST_AGENT_STORE_TREE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/store/file_store.h"
#include "agent/store/fs.h"
#include "dtest/digest.h"
#include "dtest/messages.h"

namespace dtest::store {

// InvalidArgument unless `path` is relative, of non-empty components that are neither "." nor "..", without NUL bytes.
absl::Status CheckTreePath(absl::string_view path);

// What is in a tree, or will be: pure bookkeeping, all paths valid.
class TreePlan {
 public:
  // Of `entries`, those that are not in the plan yet, each once (pointers into `entries`). InvalidArgument, and no
  // change, for an entry that is malformed, leaves the tree, or contradicts the plan or another entry. What is returned
  // becomes part of the plan with Add.
  absl::StatusOr<std::vector<const ManifestEntry*>> NewEntries(const std::vector<ManifestEntry>& entries) const;
  void Add(const ManifestEntry& entry);

 private:
  struct Node {
    enum Kind { kDirectory, kFile, kSymlink } kind = kDirectory;
    Digest file;
    bool executable = false;
    std::string target;
    friend bool operator==(const Node&, const Node&) = default;
  };
  using Nodes = absl::flat_hash_map<std::string, Node>;
  static absl::StatusOr<Node> NodeOf(const ManifestEntry& entry);
  static void AddParents(absl::string_view path, Nodes* nodes);
  const Node* Find(const Nodes& added, absl::string_view path) const;
  absl::Status CheckParents(const Nodes& added, absl::string_view path) const;
  absl::Status CheckSymlink(const Nodes& added, const std::string& path, absl::string_view target) const;

  Nodes nodes_;
  std::map<std::string, std::string>
      symlinks_;  // path -> target; ordered, so that the same error comes first each time
};

class Tree {
 public:
  // `root` exists and is empty. `files` must outlive this object.
  Tree(std::string root, FileStore* files);

  // See Store::Materialise. NotFound: a file is not in the store, or was not right any more. After an error the entries
  // made so far stay and a second call goes on from there.
  absl::Status Materialise(const std::vector<ManifestEntry>& entries);
  // Removes the tree, with what tests left in it. Best effort.
  void Remove();

 private:
  absl::Status Make(const ManifestEntry& entry);
  absl::Status OpenParent(absl::string_view directory);

  const std::string root_;
  FileStore* const files_;
  TreePlan plan_;
  Fd top_;
  Fd parent_;  // open on <root>/<parent_path_>
  std::string parent_path_;
};

}  // namespace dtest::store

#endif  // DTEST_AGENT_STORE_TREE_H_
