#include "coordinator/bundle/file_tree.h"

#include <dirent.h>
#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <deque>
#include <iterator>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "coordinator/bundle/files.h"
#include "dtest/base/open_directory.h"

namespace dtest {

namespace {

constexpr int kMaxLinks = 40;  // as the kernel's
constexpr absl::string_view kReserved = ".dtest";

std::string Join(absl::string_view directory, absl::string_view name) {
  return directory.empty() ? std::string(name) : absl::StrCat(directory, "/", name);
}

std::vector<std::string> Components(absl::string_view path) {
  return absl::StrSplit(path, '/', [](absl::string_view part) { return !part.empty() && part != "."; });
}

// Where a link in `directory` (relative to the root, no links in it) leads to, relative to the root; nullopt: out of
// it.
std::optional<std::string> LeadsTo(absl::string_view root, absl::string_view directory, const std::string& target) {
  std::string relative = target;
  std::vector<std::string> parts;
  if (absl::StartsWith(target, "/")) {
    if (!RelativeTo(root, target, &relative)) return std::nullopt;
  } else {
    parts = Components(directory);
  }
  for (const std::string& part : Components(relative)) {
    if (part != "..") {
      parts.push_back(part);
    } else if (parts.empty()) {
      return std::nullopt;
    } else {
      parts.pop_back();
    }
  }
  return absl::StrJoin(parts, "/");
}

// The text of a link in `directory` that leads to `to`, both relative to the root.
std::string LinkText(absl::string_view directory, absl::string_view to) {
  const std::vector<std::string> from_parts = Components(directory);
  const std::vector<std::string> to_parts = Components(to);
  size_t common = 0;
  while (common < from_parts.size() && common < to_parts.size() && from_parts[common] == to_parts[common]) ++common;
  std::vector<absl::string_view> text(from_parts.size() - common, "..");
  text.insert(text.end(), to_parts.begin() + static_cast<ptrdiff_t>(common), to_parts.end());
  return text.empty() ? "." : absl::StrJoin(text, "/");
}

bool IsInside(absl::string_view directory, absl::string_view path) {
  std::string unused;
  return directory.empty() || RelativeTo(directory, path, &unused);
}

// Names in a directory, sorted, without "." and "..".
absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path) {
  const OpenDirectory directory(opendir(path.c_str()));
  if (directory == nullptr) return FileError(errno, "opening directory", path);
  std::vector<std::string> names;
  while (const dirent* item = readdir(directory.get())) {
    const absl::string_view name = item->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TreeBuilder::TreeBuilder(std::string root, Catalog& catalog) : root_(std::move(root)), catalog_(&catalog) {}
TreeBuilder::TreeBuilder(std::string root) : root_(std::move(root)), catalog_(nullptr) {}

std::string TreeBuilder::Full(absl::string_view relative) const {
  if (relative.empty()) return root_;
  return absl::StrCat(root_ == "/" ? "" : root_, "/", relative);
}

absl::Status TreeBuilder::Add(absl::string_view relative) { return AddComponents(relative, false); }

// Walks the path as the kernel would, so that every link on the way becomes an entry and what it leads to is entered
// under its real path: no path of the result leads through a link.
absl::Status TreeBuilder::AddComponents(absl::string_view relative, bool in_directory) {
  const std::vector<std::string> parts = Components(relative);
  std::deque<std::string> todo(parts.begin(), parts.end());
  std::string done;
  bool outside = false;  // `done` leads out of the root: its real place has no name in the tree
  int links = 0;
  while (!todo.empty()) {
    const std::string part = todo.front();
    todo.pop_front();
    if (part == "..") {
      return absl::InvalidArgumentError(
          absl::StrCat(Printable(relative), " must not contain \"..\": paths are relative to ", Printable(root_)));
    }
    const std::string next = Join(done, part);
    const std::string full = Full(next);
    struct stat status;
    if (lstat(full.c_str(), &status) != 0) return FileError(errno, "looking at", full);
    if (S_ISLNK(status.st_mode)) {
      char buffer[PATH_MAX];
      const ssize_t length = readlink(full.c_str(), buffer, sizeof(buffer));
      if (length < 0) return FileError(errno, "reading the symbolic link", full);
      const std::string target(buffer, static_cast<size_t>(length));
      if (stat(full.c_str(), &status) != 0) {
        return absl::InvalidArgumentError(absl::StrCat(Printable(full), " is a dangling symbolic link to ",
                                                       Printable(target), ": remove it, or make what it leads to"));
      }
      if (++links > kMaxLinks) {
        return absl::InvalidArgumentError(absl::StrCat(Printable(full), ": too many levels of symbolic links"));
      }
      const std::optional<std::string> to = outside ? std::nullopt : LeadsTo(root_, done, target);
      if (to.has_value()) {
        ManifestEntry entry;
        entry.path = next;
        entry.symlink_target = LinkText(done, *to);
        AddEntry(std::move(entry));
        // A link to a directory around it: everything in there is too much to ship for it.
        if (todo.empty() && IsInside(*to, next)) return absl::OkStatus();
        const std::vector<std::string> target_parts = Components(*to);
        todo.insert(todo.begin(), target_parts.begin(), target_parts.end());
        done.clear();
        continue;
      }
      outside = true;
    }
    done = next;
  }
  return AddResolved(done, in_directory);
}

absl::Status TreeBuilder::AddResolved(const std::string& path, bool in_directory) {
  if (path == kReserved || absl::StartsWith(path, absl::StrCat(kReserved, "/"))) {
    if (in_directory) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(Printable(Full(path)), " cannot be shipped: ", kReserved,
                                                   " is dtest's own directory on the hosts"));
  }
  const std::string full = Full(path);
  struct stat status;
  if (stat(full.c_str(), &status) != 0) return FileError(errno, "looking at", full);
  if (S_ISREG(status.st_mode)) {
    ManifestEntry entry;
    entry.path = path;
    if (catalog_ == nullptr) {
      entry.size = static_cast<uint64_t>(status.st_size);
      entry.executable = (status.st_mode & 0111) != 0;
      AddEntry(std::move(entry));
      return access(full.c_str(), R_OK) == 0 ? absl::OkStatus() : FileError(errno, "opening", full);
    }
    absl::StatusOr<CatalogFile> file = catalog_->Add(full);
    if (!file.ok()) return file.status();
    entry.file = file->id;
    entry.size = file->size;
    entry.executable = file->executable;
    AddEntry(std::move(entry));
    return absl::OkStatus();
  }
  if (!S_ISDIR(status.st_mode)) {
    if (in_directory) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(Printable(full), " is neither a file nor a directory: it cannot be shipped"));
  }
  if (!directories_done_.insert(path).second) return absl::OkStatus();
  // Only directories outside of the root can hold themselves: inside, links are not entered under their own path.
  const std::pair<dev_t, ino_t> inode(status.st_dev, status.st_ino);
  if (std::find(directories_open_.begin(), directories_open_.end(), inode) != directories_open_.end()) {
    return absl::InvalidArgumentError(absl::StrCat(Printable(full), " leads to a directory that holds it: a loop"));
  }
  absl::StatusOr<std::vector<std::string>> names = ListDirectory(full);
  if (!names.ok()) return names.status();
  directories_open_.push_back(inode);
  absl::Status added;
  for (const std::string& name : *names) {
    added = AddComponents(Join(path, name), true);
    if (!added.ok()) break;
  }
  directories_open_.pop_back();
  return added;
}

absl::Status TreeBuilder::AddGlob(const std::string& pattern) {
  std::string relative = pattern;
  if (absl::StartsWith(pattern, "/") && !RelativeTo(root_, pattern, &relative)) {
    return absl::InvalidArgumentError(absl::StrCat("data ", Printable(pattern), " lies outside of ", Printable(root_),
                                                   ": run dtest in a directory that holds both tests and data"));
  }
  std::vector<std::string> parts = Components(relative);
  // ** directly before ** adds nothing; at the end it means what the directory holds.
  parts.erase(std::unique(parts.begin(), parts.end(),
                          [](const std::string& a, const std::string& b) { return a == "**" && b == "**"; }),
              parts.end());
  if (!parts.empty() && parts.back() == "**") parts.back().pop_back();  // to "*"
  if (std::find(parts.begin(), parts.end(), "..") != parts.end()) {
    return absl::InvalidArgumentError(absl::StrCat("data ", Printable(pattern), " must not contain \"..\""));
  }
  std::vector<std::string> matches;
  if (absl::Status status = Match("", parts, 0, &matches); !status.ok()) return status;
  if (matches.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("data ", Printable(pattern), " matches nothing in ", Printable(root_)));
  }
  for (const std::string& match : matches) {
    if (absl::Status added = Add(match); !added.ok()) return added;
  }
  return absl::OkStatus();
}

absl::Status TreeBuilder::Match(const std::string& directory, const std::vector<std::string>& pattern, size_t index,
                                std::vector<std::string>* matches) const {
  if (index == pattern.size()) {
    matches->push_back(directory);
    return absl::OkStatus();
  }
  const std::string& part = pattern[index];
  struct stat status;
  const std::string literal = Join(directory, part);
  if (lstat(Full(literal).c_str(), &status) == 0) return Match(literal, pattern, index + 1, matches);
  if (part.find_first_of("*?[\\") == std::string::npos) return absl::OkStatus();
  // What is no directory has nothing below it to match.
  if (stat(Full(directory).c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) return absl::OkStatus();
  absl::StatusOr<std::vector<std::string>> names = ListDirectory(Full(directory));
  if (!names.ok()) return names.status();
  if (part == "**") {
    if (absl::Status here = Match(directory, pattern, index + 1, matches); !here.ok()) return here;
    for (const std::string& name : *names) {
      const std::string path = Join(directory, name);
      if (absl::StartsWith(name, ".") || lstat(Full(path).c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) continue;
      if (absl::Status below = Match(path, pattern, index, matches); !below.ok()) return below;
    }
    return absl::OkStatus();
  }
  for (const std::string& name : *names) {
    if (fnmatch(part.c_str(), name.c_str(), FNM_PERIOD) != 0) continue;
    if (directory.empty() && name == kReserved) continue;
    if (absl::Status below = Match(Join(directory, name), pattern, index + 1, matches); !below.ok()) return below;
  }
  return absl::OkStatus();
}

void TreeBuilder::AddEntry(ManifestEntry entry) { entries_[entry.path] = std::move(entry); }

std::vector<ManifestEntry> TreeBuilder::entries() const {
  std::vector<ManifestEntry> list;
  list.reserve(entries_.size());
  for (const auto& [path, entry] : entries_) list.push_back(entry);
  return list;
}

}  // namespace dtest
