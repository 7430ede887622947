#include "coordinator/bundle/directory_walk.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/bundle/files.h"
#include "coordinator/bundle/test_names.h"
#include "dtest/base/open_directory.h"

namespace dtest {

namespace {

// NAME-prefix/src of CMake's ExternalProject, which marks its steps in NAME-stamp there.
bool IsExternalProjectSource(absl::string_view path) {
  if (BaseName(path) != "src" || !absl::EndsWith(DirectoryOf(path), "-prefix")) return false;
  const OpenDirectory directory(opendir(std::string(path).c_str()));
  if (directory == nullptr) return false;  // who enters it says why it cannot be read
  while (const dirent* item = readdir(directory.get())) {
    if (absl::EndsWith(item->d_name, "-stamp")) return true;
  }
  return false;
}

}  // namespace

Inode InodeOf(const struct stat& status) { return {status.st_dev, status.st_ino}; }

absl::Status DirectoryWalker::Walk(const std::string& path, Walked* walked) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return FileError(errno, "looking at", path);
  // One inside another that was given before has nothing new; the other way round, the inner one is not walked again.
  if (!seen_.insert(InodeOf(status)).second) return absl::OkStatus();
  if (absl::Status entered = Enter(path, "", walked); !entered.ok()) return entered;
  std::sort(walked->files.begin(), walked->files.end());
  FollowLinks(walked);
  return absl::OkStatus();
}

absl::Status DirectoryWalker::Enter(const std::string& path, const std::string& relative, Walked* walked) {
  const OpenDirectory directory(opendir(path.c_str()));
  if (directory == nullptr) return FileError(errno, "opening directory", path);
  const std::string prefix = relative.empty() ? "" : absl::StrCat(relative, "/");
  std::vector<WalkedFile> directories;
  for (errno = 0; const dirent* item = readdir(directory.get()); errno = 0) {
    const absl::string_view name = item->d_name;
    if (name == "." || name == "..") continue;
    WalkedFile file = {absl::StrCat(path, "/", name), absl::StrCat(prefix, name), {}};
    if (fstatat(dirfd(directory.get()), item->d_name, &file.status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;  // gone since it was listed: it is not there
      return FileError(errno, "looking at", file.path);
    } else if (S_ISDIR(file.status.st_mode)) {
      directories.push_back(std::move(file));
    } else if (S_ISREG(file.status.st_mode)) {
      walked->files.push_back(std::move(file));
    } else if (S_ISLNK(file.status.st_mode)) {
      links_.push_back(std::move(file));
    } else {
      ++walked->special;
    }
  }
  if (errno != 0) return FileError(errno, "reading directory", path);
  std::sort(directories.begin(), directories.end());
  for (const WalkedFile& below : directories) EnterBelow(below, walked);
  return absl::OkStatus();
}

bool DirectoryWalker::IsOurs(const WalkedFile& directory, Walked* walked) {
  Foreign foreign = ForeignDirectory(BaseName(directory.path));
  if (IsExternalProjectSource(directory.path)) foreign = Foreign::kDependency;
  if (foreign == Foreign::kNo) return true;
  (foreign == Foreign::kDependency ? walked->dependencies : walked->others).push_back(Printable(directory.relative));
  return false;
}

void DirectoryWalker::EnterBelow(const WalkedFile& directory, Walked* walked) {
  if (seen_.contains(InodeOf(directory.status)) || !IsOurs(directory, walked)) return;
  seen_.insert(InodeOf(directory.status));
  absl::Status entered = Enter(directory.path, directory.relative, walked);
  if (!entered.ok()) walked->unreadable.emplace_back(directory, std::move(entered));
}

void DirectoryWalker::FollowLinks(Walked* walked) {
  std::sort(links_.begin(), links_.end());
  const auto real = static_cast<ptrdiff_t>(walked->files.size());
  while (!links_.empty()) {
    WalkedFile link = std::move(links_.front());
    links_.pop_front();
    if (stat(link.path.c_str(), &link.status) != 0) {
      if (errno == ENOENT || errno == ELOOP) {
        walked->dangling.push_back(std::move(link));
      } else {
        walked->unreadable.emplace_back(link, FileError(errno, "following", link.path));
      }
    } else if (S_ISREG(link.status.st_mode)) {
      walked->files.push_back(std::move(link));
    } else if (S_ISDIR(link.status.st_mode)) {
      const auto before = static_cast<ptrdiff_t>(links_.size());
      EnterBelow(link, walked);
      std::sort(links_.begin() + before, links_.end());
    } else {
      ++walked->special;
    }
  }
  std::sort(walked->files.begin() + real, walked->files.end());
}

}  // namespace dtest
