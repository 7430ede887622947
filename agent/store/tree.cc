#include "agent/store/tree.h"

#include <errno.h>
#include <fcntl.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace dtest::store {
namespace {

constexpr int kMaxSymlinks = 40;  // the kernel's own limit: beyond it nothing opens the path (path_resolution(7))

absl::Status Refuse(absl::string_view path, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("manifest entry \"", absl::CHexEscape(path), "\" ", why));
}

absl::string_view ParentOf(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? absl::string_view() : path.substr(0, slash);
}

}  // namespace

absl::Status CheckTreePath(absl::string_view path) {
  if (path.empty()) return Refuse(path, "is an empty path");
  if (path[0] == '/') return Refuse(path, "is absolute: paths are relative to the tree");
  if (path.find('\0') != absl::string_view::npos) return Refuse(path, "contains a zero byte");
  for (absl::string_view component : absl::StrSplit(path, '/')) {
    if (component.empty()) return Refuse(path, "has an empty component");
    if (component == "." || component == "..") return Refuse(path, "has a component \".\" or \"..\"");
  }
  return absl::OkStatus();
}

absl::StatusOr<TreePlan::Node> TreePlan::NodeOf(const ManifestEntry& entry) {
  if (absl::Status status = CheckTreePath(entry.path); !status.ok()) return status;
  Node node;
  if (entry.symlink_target.empty()) {
    if (entry.file.empty()) return Refuse(entry.path, "is neither a file nor a symbolic link");
    node.kind = Node::kFile;
    node.file = entry.file;
    node.executable = entry.executable;
    return node;
  }
  if (!entry.file.empty()) return Refuse(entry.path, "is both a file and a symbolic link");
  if (entry.symlink_target[0] == '/') return Refuse(entry.path, "is a symbolic link to an absolute path");
  if (entry.symlink_target.find('\0') != std::string::npos)
    return Refuse(entry.path, "links to a path with a zero byte");
  node.kind = Node::kSymlink;
  node.target = entry.symlink_target;
  return node;
}

const TreePlan::Node* TreePlan::Find(const Nodes& added, absl::string_view path) const {
  for (const Nodes* nodes : {&added, &nodes_}) {
    const auto it = nodes->find(path);
    if (it != nodes->end()) return &it->second;
  }
  return nullptr;
}

absl::Status TreePlan::CheckParents(const Nodes& added, absl::string_view path) const {
  for (absl::string_view parent = ParentOf(path); !parent.empty(); parent = ParentOf(parent)) {
    const Node* node = Find(added, parent);
    if (node == nullptr || node->kind == Node::kDirectory) continue;
    return Refuse(path, absl::StrCat("lies under \"", absl::CHexEscape(parent), "\", which is no directory"));
  }
  return absl::OkStatus();
}

void TreePlan::AddParents(absl::string_view path, Nodes* nodes) {
  for (absl::string_view parent = ParentOf(path); !parent.empty(); parent = ParentOf(parent)) {
    if (!nodes->emplace(parent, Node()).second) return;
  }
}

// Walks as the kernel would (path_resolution(7)), except that what is not there counts as a directory: something may
// be there later.
absl::Status TreePlan::CheckSymlink(const Nodes& added, const std::string& path, absl::string_view target) const {
  std::vector<std::string> at;  // where the walk is, as components from the tree's root
  if (!ParentOf(path).empty()) at = absl::StrSplit(ParentOf(path), '/');
  const auto reversed = [](absl::string_view text) {
    std::vector<std::string> components = absl::StrSplit(text, '/', absl::SkipEmpty());
    return std::vector<std::string>(components.rbegin(), components.rend());
  };
  std::vector<std::string> rest = reversed(target);  // the next component is the last
  for (int links = 0; !rest.empty() && links <= kMaxSymlinks;) {
    std::string component = std::move(rest.back());
    rest.pop_back();
    if (component == ".") continue;
    if (component == "..") {
      if (at.empty())
        return Refuse(path, absl::StrCat("links to \"", absl::CHexEscape(target), "\", outside the tree"));
      at.pop_back();
      continue;
    }
    at.push_back(std::move(component));
    const Node* node = Find(added, absl::StrJoin(at, "/"));
    if (node == nullptr || node->kind != Node::kSymlink) continue;
    ++links;
    at.pop_back();
    for (std::string& next : reversed(node->target)) rest.push_back(std::move(next));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<const ManifestEntry*>> TreePlan::NewEntries(
    const std::vector<ManifestEntry>& entries) const {
  std::vector<const ManifestEntry*> fresh;
  Nodes added;
  bool any_symlink = false;
  for (const ManifestEntry& entry : entries) {
    absl::StatusOr<Node> node = NodeOf(entry);
    if (!node.ok()) return node.status();
    if (const Node* there = Find(added, entry.path)) {
      if (*there == *node) continue;
      return Refuse(entry.path, "differs from what the tree has at that path");
    }
    if (absl::Status status = CheckParents(added, entry.path); !status.ok()) return status;
    AddParents(entry.path, &added);
    any_symlink = any_symlink || node->kind == Node::kSymlink;
    added.emplace(entry.path, *std::move(node));
    fresh.push_back(&entry);
  }
  if (!any_symlink) return fresh;
  // A new link can change where an older one leads.
  for (const auto& [path, target] : symlinks_) {
    if (absl::Status status = CheckSymlink(added, path, target); !status.ok()) return status;
  }
  for (const ManifestEntry* entry : fresh) {
    if (entry->symlink_target.empty()) continue;
    if (absl::Status status = CheckSymlink(added, entry->path, entry->symlink_target); !status.ok()) return status;
  }
  return fresh;
}

void TreePlan::Add(const ManifestEntry& entry) {
  absl::StatusOr<Node> node = NodeOf(entry);
  if (!node.ok()) return;
  if (node->kind == Node::kSymlink) symlinks_[entry.path] = entry.symlink_target;
  AddParents(entry.path, &nodes_);
  nodes_.emplace(entry.path, *std::move(node));
}

Tree::Tree(std::string root, FileStore* files)
    : root_(std::move(root)), files_(files), top_(Open(root_, O_RDONLY | O_DIRECTORY)) {}

absl::Status Tree::OpenParent(absl::string_view directory) {
  if (parent_.ok() && parent_path_ == directory) return absl::OkStatus();
  parent_ = Fd();
  Fd fd(fcntl(top_.get(), F_DUPFD_CLOEXEC, 0));
  if (!fd.ok()) return ErrnoStatus(errno, "open directory", root_);
  const std::vector<std::string> components = absl::StrSplit(directory, '/', absl::SkipEmpty());
  std::string shown = root_;
  for (const std::string& component : components) {
    absl::StrAppend(&shown, "/", component);
    const bool made = mkdirat(fd.get(), component.c_str(), 0755) == 0;
    if (!made && errno != EEXIST) return ErrnoStatus(errno, "make directory", shown);
    // Before it is opened: under a strict umask its owner could not.
    if (made && fchmodat(fd.get(), component.c_str(), 0755, 0) != 0) {
      return ErrnoStatus(errno, "set the mode of directory", shown);
    }
    Fd next(openat(fd.get(), component.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next.ok() && (errno == ENOTDIR || errno == ELOOP)) {
      return absl::InvalidArgumentError(
          absl::StrCat(shown, " should be a directory, but a test has put something else there"));
    }
    if (!next.ok()) return ErrnoStatus(errno, "open directory", shown);
    fd = std::move(next);
  }
  parent_ = std::move(fd);
  parent_path_ = std::string(directory);
  return absl::OkStatus();
}

absl::Status Tree::Make(const ManifestEntry& entry) {
  const absl::string_view parent = ParentOf(entry.path);
  if (absl::Status status = OpenParent(parent); !status.ok()) return status;
  const std::string shown = absl::StrCat(root_, "/", entry.path);
  const char* const name = entry.path.c_str() + (parent.empty() ? 0 : parent.size() + 1);
  if (entry.symlink_target.empty()) {
    return files_->Link(entry.file, VariantOf(entry.executable), parent_.get(), name, shown);
  }
  if (symlinkat(entry.symlink_target.c_str(), parent_.get(), name) == 0) return absl::OkStatus();
  if (errno == EEXIST) return absl::InvalidArgumentError(absl::StrCat(shown, " is in the tree already"));
  return ErrnoStatus(errno, "make symbolic link", shown);
}

absl::Status Tree::Materialise(const std::vector<ManifestEntry>& entries) {
  absl::StatusOr<std::vector<const ManifestEntry*>> fresh = plan_.NewEntries(entries);
  if (!fresh.ok()) return fresh.status();
  // Tests may have moved directories since the last call, so the one that is open may be elsewhere by now.
  parent_ = Fd();
  for (const ManifestEntry* entry : *fresh) {
    if (absl::Status status = Make(*entry); !status.ok()) return status;
    plan_.Add(*entry);
  }
  return absl::OkStatus();
}

void Tree::Remove() {
  parent_ = Fd();
  top_ = Fd();
  RemoveTree(root_, [this](int directory, const char* name) { files_->Unlink(directory, name); });
}

}  // namespace dtest::store
