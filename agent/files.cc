#include "agent/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/execute/leftovers.h"
#include "agent/store/fs.h"

namespace dtest {
namespace {

constexpr char kLockName[] = "lock";
constexpr size_t kLargestFile = 64 << 20;
constexpr char kMemory[] = "/dev/shm";

absl::Status Failure(absl::string_view what, absl::string_view path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(what, " ", path));
}

// Exactly what Make and RestoreDirectory make.
bool IsOwnDirectory(const std::string& path) {
  struct stat info;
  return lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid() &&
         (info.st_mode & 07777) == 0700;
}

// True if `path` is a directory of ours whose agent is dead. Its lock, if it got that far, can then be had.
bool IsStale(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != geteuid()) return false;
  const int lock = open(absl::StrCat(path, "/", kLockName).c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (lock < 0) {
    // Between its mkdir and its lock an agent is alive too: leave young ones alone.
    return errno == ENOENT && info.st_mtime + 60 < time(nullptr);
  }
  const bool stale = flock(lock, LOCK_EX | LOCK_NB) == 0;
  close(lock);
  return stale;
}

void RemoveStale(const std::string& parent, const std::string& prefix) {
  DIR* directory = opendir(parent.c_str());
  if (directory == nullptr) return;
  std::vector<std::string> stale;
  while (const dirent* entry = readdir(directory)) {
    if (!absl::StartsWith(entry->d_name, prefix)) continue;
    std::string path = absl::StrCat(parent, "/", entry->d_name);
    if (IsStale(path)) stale.push_back(std::move(path));
  }
  closedir(directory);
  for (const std::string& path : stale) {
    KillProcessesWith(absl::StrCat("TEST_TMPDIR=", path, "/"));
    store::RemoveTree(path);  // what cannot be removed stays for the next agent to try
  }
}

}  // namespace

absl::Status RestoreDirectory(const std::string& path) {
  if (IsOwnDirectory(path)) return absl::OkStatus();
  store::RemoveTree(path);
  if (mkdir(path.c_str(), 0700) != 0 || chmod(path.c_str(), 0700) != 0) {
    return Failure("cannot restore the directory for temporary files of tests", path);
  }
  return absl::OkStatus();
}

std::string ReadFileIfThere(const std::string& path) {
  std::string contents;
  const store::Fd fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC));
  struct stat info;
  if (!fd.ok() || fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return contents;
  char buffer[16 << 10];
  while (contents.size() < kLargestFile) {
    const ssize_t got = read(fd.get(), buffer, std::min(sizeof buffer, kLargestFile - contents.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    contents.append(buffer, got);
  }
  return contents;
}

absl::Status WriteFile(const std::string& path, absl::string_view contents) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return Failure("cannot write", path);
  while (!contents.empty()) {
    const ssize_t wrote = write(fd, contents.data(), contents.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) {
      absl::Status failure = Failure("cannot write", path);
      close(fd);
      return failure;
    }
    contents.remove_prefix(wrote);
  }
  if (close(fd) != 0) return Failure("cannot write", path);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<AgentDirectory>> AgentDirectory::Make() {
  const char* variable = std::getenv("TMPDIR");
  // Tests get it as an absolute path whatever their working directory.
  return MakeIn(variable != nullptr && variable[0] == '/' ? variable : "/tmp");
}

std::unique_ptr<AgentDirectory> AgentDirectory::MakeInMemory() {
  struct statfs info;
  if (statfs(kMemory, &info) != 0 || info.f_type != TMPFS_MAGIC) return nullptr;
  if (info.f_bavail * static_cast<uint64_t>(info.f_bsize) < kLargestFile || info.f_ffree == 0) return nullptr;
  absl::StatusOr<std::unique_ptr<AgentDirectory>> made = MakeIn(kMemory);
  return made.ok() ? *std::move(made) : nullptr;
}

absl::StatusOr<std::unique_ptr<AgentDirectory>> AgentDirectory::MakeIn(const std::string& parent) {
  const std::string prefix = absl::StrCat("dtest-agent-", geteuid(), "-");
  RemoveStale(parent, prefix);
  // Under another name until it is locked: agents that begin at the same time would take it for a dead one's.
  std::string unlocked = absl::StrCat(parent, "/new-", prefix, "XXXXXX");
  if (mkdtemp(unlocked.data()) == nullptr) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make a directory for temporary files of tests in ", parent,
                                                   " (set TMPDIR on this host to one that is writable)"));
  }
  std::string path = absl::StrCat(parent, "/", unlocked.substr(parent.size() + sizeof("/new-") - 1));
  const std::string lock_path = absl::StrCat(unlocked, "/", kLockName);
  const int lock = open(lock_path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) != 0 || rename(unlocked.c_str(), path.c_str()) != 0) {
    absl::Status failure = Failure("cannot lock", lock_path);
    if (lock >= 0) close(lock);
    store::RemoveTree(unlocked);
    return failure;
  }
  return std::unique_ptr<AgentDirectory>(new AgentDirectory(std::move(path), lock));
}

AgentDirectory::~AgentDirectory() {
  store::RemoveTree(path_);
  close(lock_);
}

absl::StatusOr<std::string> AgentDirectory::MakeDirectory(absl::string_view name) {
  std::string path = absl::StrCat(path_, "/", name);
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return Failure("cannot make", path);
  return path;
}

}  // namespace dtest
