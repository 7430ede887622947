#include "dtest/base/private_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace dtest {
namespace {

// Removes directories of dead owners. Best effort: another process may be doing the same.
void RemoveAbandoned(const std::string& parent, absl::string_view prefix, PrivateDirectory::Abandoned abandoned) {
  std::error_code error;
  std::filesystem::directory_iterator entries(parent, error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    const std::filesystem::directory_entry& entry = *entries;
    if (!absl::StartsWith(entry.path().filename().native(), prefix)) continue;
    struct stat info;
    if (lstat(entry.path().c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != geteuid()) continue;
    const int lock = open((entry.path() / "lock").c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    // Without a lock it is being made at this moment, or its owner died before there was one.
    const bool dead =
        lock >= 0 ? flock(lock, LOCK_EX | LOCK_NB) == 0 : errno == ENOENT && info.st_mtime + 60 < time(nullptr);
    if (dead) {
      abandoned(entry.path().native());
      std::error_code ignored;
      std::filesystem::remove_all(entry.path(), ignored);
    }
    if (lock >= 0) close(lock);
  }
}

// The lock's descriptor, which holds the lock. AbortedError: another process took the new directory for an abandoned
// one before it was locked.
absl::StatusOr<int> Lock(const std::string& directory) {
  const std::string path = directory + "/lock";
  const int lock = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  struct stat mine, there;
  if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0 && fstat(lock, &mine) == 0 && stat(path.c_str(), &there) == 0 &&
      mine.st_ino == there.st_ino) {
    return lock;
  }
  const int error = errno;
  if (lock >= 0) close(lock);
  if (lock >= 0 && (error == EWOULDBLOCK || error == ENOENT)) return absl::AbortedError(path);
  return absl::UnavailableError(absl::StrCat("cannot lock ", path, ": ", std::strerror(error)));
}

}  // namespace

absl::StatusOr<PrivateDirectory> PrivateDirectory::Make(absl::string_view parent, absl::string_view prefix,
                                                        Abandoned abandoned) {
  RemoveAbandoned(std::string(parent), prefix, abandoned);
  while (true) {
    std::string path = absl::StrCat(parent, "/", prefix, "XXXXXX");
    if (mkdtemp(path.data()) == nullptr) {
      return absl::UnavailableError(absl::StrCat("cannot make a directory for temporary files in ", parent, ": ",
                                                 std::strerror(errno),
                                                 "; set TMPDIR on this host to a directory you can write to"));
    }
    const absl::StatusOr<int> lock = Lock(path);
    if (lock.ok()) return PrivateDirectory(std::move(path), *lock);
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
    if (!absl::IsAborted(lock.status())) return lock.status();
  }
}

PrivateDirectory::PrivateDirectory(PrivateDirectory&& other) noexcept
    : path_(std::move(other.path_)), lock_(other.lock_) {
  other.path_.clear();
  other.lock_ = -1;
}

PrivateDirectory::~PrivateDirectory() {
  if (path_.empty()) return;
  std::error_code error;
  std::filesystem::remove_all(path_, error);
  close(lock_);
}

}  // namespace dtest
