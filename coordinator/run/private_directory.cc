#include "coordinator/run/private_directory.h"

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
void RemoveAbandoned(const std::string& parent, absl::string_view prefix) {
  std::error_code error;
  std::filesystem::directory_iterator entries(parent, error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    const std::filesystem::directory_entry& entry = *entries;
    if (!absl::StartsWith(entry.path().filename().native(), prefix)) continue;
    struct stat info;
    if (lstat(entry.path().c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != geteuid()) continue;
    const int lock = open((entry.path() / "lock").c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (lock < 0) {
      // Being made at this moment, or its owner died before there was a lock.
      std::error_code ignored;
      if (time(nullptr) - info.st_mtime > 60) std::filesystem::remove_all(entry.path(), ignored);
      continue;
    }
    if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
      std::error_code ignored;
      std::filesystem::remove_all(entry.path(), ignored);
    }
    close(lock);
  }
}

// One try; false in `taken` unless another process took the new directory for an abandoned one before it was locked.
absl::StatusOr<std::pair<std::string, int>> MakeLocked(absl::string_view parent, absl::string_view prefix,
                                                       bool* taken) {
  *taken = false;
  std::string path = absl::StrCat(parent, "/", prefix, "XXXXXX");
  if (mkdtemp(path.data()) == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot make a directory ", path, ": ", std::strerror(errno),
                                               "; set TMPDIR to a directory you can write to"));
  }
  const std::string lock_path = path + "/lock";
  const int lock = open(lock_path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  struct stat mine, there;
  if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0 && fstat(lock, &mine) == 0 &&
      stat(lock_path.c_str(), &there) == 0 && mine.st_ino == there.st_ino) {
    return std::make_pair(std::move(path), lock);
  }
  const std::string reason = std::strerror(errno);
  *taken = lock >= 0;
  if (lock >= 0) close(lock);
  std::error_code error;
  std::filesystem::remove_all(path, error);
  return absl::UnavailableError(absl::StrCat("cannot lock ", lock_path, ": ", reason));
}

}  // namespace

absl::StatusOr<PrivateDirectory> PrivateDirectory::Make(absl::string_view parent, absl::string_view prefix) {
  RemoveAbandoned(std::string(parent), prefix);
  while (true) {
    bool taken = false;
    absl::StatusOr<std::pair<std::string, int>> made = MakeLocked(parent, prefix, &taken);
    if (made.ok()) return PrivateDirectory(std::move(made->first), made->second);
    if (!taken) return made.status();
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
