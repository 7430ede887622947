#include "agent/store/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "dtest/base/open_directory.h"

namespace dtest::store {
namespace {

bool IsDots(const char* name) { return std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0; }

// Names in the directory `fd` owns; empty if it cannot be read.
std::vector<std::string> ListDirectoryFd(Fd fd) {
  std::vector<std::string> names;
  const int duplicate = fcntl(fd.get(), F_DUPFD_CLOEXEC, 0);
  if (duplicate < 0) return names;
  const OpenDirectory directory(fdopendir(duplicate));
  if (directory == nullptr) {
    close(duplicate);
    return names;
  }
  while (const dirent* entry = readdir(directory.get())) {
    if (!IsDots(entry->d_name)) names.push_back(entry->d_name);
  }
  return names;
}

Fd OpenDirectoryAt(int directory, const char* name) {
  return Fd(openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

// Tests leave directories that even their owner cannot read. fchmodat follows symbolic links: only for real ones.
Fd OpenDirectoryByForce(int directory, const char* name) {
  Fd fd = OpenDirectoryAt(directory, name);
  struct stat st;
  if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode)) return fd;
  if ((st.st_mode & 0700) != 0700) {
    fchmodat(directory, name, 0700, 0);
    fd = OpenDirectoryAt(directory, name);
  }
  return fd;
}

}  // namespace

absl::Status ErrnoStatus(int error, absl::string_view tried, absl::string_view path) {
  const std::string what = absl::StrCat("cannot ", tried, " ", path, ": ", std::strerror(error));
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(
          absl::StrCat(what, "; free space on its file system, or give this host another store directory"));
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(
          absl::StrCat(what, "; make it writable for this user, or give this host another store directory"));
    case ENOENT:
      return absl::NotFoundError(absl::StrCat(what, "; was the store removed during the run?"));
    default:
      return absl::UnavailableError(
          absl::StrCat(what, "; check its file system, or give this host another store directory"));
  }
}

Fd Open(const std::string& path, int flags, mode_t mode) {
  Fd fd(open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, mode));
  if (fd.ok() && (flags & O_CREAT) != 0 && fchmod(fd.get(), mode) != 0) fd.Close();
  return fd;
}

absl::Status MakeDirectory(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) == 0) {
    if (chmod(path.c_str(), mode) != 0) return ErrnoStatus(errno, "set the mode of directory", path);
    return absl::OkStatus();
  }
  const int error = errno;
  struct stat st;
  if (error == EEXIST && stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) return absl::OkStatus();
  return ErrnoStatus(error, "make directory", path);
}

absl::Status MakeStoreRoot(const std::string& root) {
  if (root.empty() || root[0] != '/') {
    return absl::InvalidArgumentError(absl::StrCat("store directory \"", root, "\" is not an absolute path"));
  }
  for (size_t slash = root.find('/', 1); slash != std::string::npos; slash = root.find('/', slash + 1)) {
    if (absl::Status status = MakeDirectory(root.substr(0, slash), 0700); !status.ok()) return status;
  }
  if (absl::Status status = MakeDirectory(root, 0700); !status.ok()) return status;
  struct stat st;
  if (stat(root.c_str(), &st) != 0) return ErrnoStatus(errno, "stat directory", root);
  if (st.st_uid != geteuid() || (st.st_mode & 022) != 0) {
    return absl::PermissionDeniedError(absl::StrCat(
        "cannot use the store directory ", root, ": it belongs to user ", st.st_uid, " (we are ", geteuid(),
        ") or others may write to it; executables in it could be replaced. Give this host another store directory"));
  }
  return absl::OkStatus();
}

std::vector<std::string> ListDirectory(const std::string& path) {
  Fd fd = OpenDirectoryAt(AT_FDCWD, path.c_str());
  return fd.ok() ? ListDirectoryFd(std::move(fd)) : std::vector<std::string>();
}

int Lock(int fd, int operation) {
  while (flock(fd, operation) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

bool RemoveTree(const std::string& path, const UnlinkFile& unlink_file) {
  const Fd top = OpenDirectoryByForce(AT_FDCWD, path.c_str());
  if (!top.ok()) return unlink(path.c_str()) == 0 || errno == ENOENT;
  const auto remove_file = [&](int directory, const char* name) {
    if (unlink_file) {
      unlink_file(directory, name);
    } else {
      unlinkat(directory, name, 0);
    }
  };
  // Empties one directory a turn; what it held of directories is at the top by then.
  uint64_t moved = 0;
  bool complete = true;
  std::vector<std::string> pending;
  const auto empty_one = [&](int directory, bool is_top) {
    for (const std::string& name : ListDirectoryFd(Fd(fcntl(directory, F_DUPFD_CLOEXEC, 0)))) {
      struct stat st;
      if (fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
      if (!S_ISDIR(st.st_mode)) {
        remove_file(directory, name.c_str());
      } else if (is_top) {
        pending.push_back(name);
      } else if (unlinkat(directory, name.c_str(), AT_REMOVEDIR) != 0) {
        // Moving a directory writes its "..": it must be writable itself.
        if ((st.st_mode & 0700) != 0700) fchmodat(directory, name.c_str(), 0700, 0);
        std::string flat;
        int error = EEXIST;
        while (error == EEXIST || error == ENOTEMPTY) {
          flat = absl::StrCat(".dtest-removed-", moved++);
          error = renameat(directory, name.c_str(), top.get(), flat.c_str()) == 0 ? 0 : errno;
        }
        if (error == 0) {
          pending.push_back(flat);
        } else {
          complete = false;
        }
      }
    }
  };
  empty_one(top.get(), true);
  while (!pending.empty()) {
    const std::string name = std::move(pending.back());
    pending.pop_back();
    const Fd directory = OpenDirectoryByForce(top.get(), name.c_str());
    if (directory.ok()) empty_one(directory.get(), false);
    if (unlinkat(top.get(), name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) complete = false;
  }
  return rmdir(path.c_str()) == 0 && complete;
}

}  // namespace dtest::store
