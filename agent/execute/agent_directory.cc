#include "agent/execute/agent_directory.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/execute/leftovers.h"
#include "agent/store/fs.h"
#include "dtest/base/fd.h"
#include "dtest/base/io.h"

namespace dtest {
namespace {

constexpr uint64_t kLeastRoom = 64 << 20;  // in memory
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

}  // namespace

absl::Status RestoreDirectory(const std::string& path) {
  if (IsOwnDirectory(path)) return absl::OkStatus();
  store::RemoveTree(path);
  if (mkdir(path.c_str(), 0700) != 0 || chmod(path.c_str(), 0700) != 0) {
    return Failure("cannot restore the directory for temporary files of tests", path);
  }
  return absl::OkStatus();
}

std::string ReadFileIfThere(const std::string& path, size_t most) {
  std::string contents;
  const Fd fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC));
  struct stat info;
  if (!fd.ok() || fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return contents;
  ReadToEnd(fd.get(), most, &contents);
  return contents;
}

absl::StatusOr<std::unique_ptr<AgentDirectory>> AgentDirectory::Make() {
  const char* variable = std::getenv("TMPDIR");
  // Tests get it as an absolute path whatever their working directory.
  return MakeIn(variable != nullptr && variable[0] == '/' ? variable : "/tmp");
}

std::unique_ptr<AgentDirectory> AgentDirectory::MakeInMemory() {
  struct statfs info;
  if (statfs(kMemory, &info) != 0 || info.f_type != TMPFS_MAGIC) return nullptr;
  if (info.f_bavail * static_cast<uint64_t>(info.f_bsize) < kLeastRoom || info.f_ffree == 0) return nullptr;
  absl::StatusOr<std::unique_ptr<AgentDirectory>> made = MakeIn(kMemory);
  return made.ok() ? *std::move(made) : nullptr;
}

absl::StatusOr<std::unique_ptr<AgentDirectory>> AgentDirectory::MakeIn(const std::string& parent) {
  const auto end_abandoned = [](const std::string& path) {
    KillProcessesWith(absl::StrCat("TEST_TMPDIR=", path, "/"));
    store::RemoveTree(path);  // what cannot be removed stays for the next agent to try
  };
  absl::StatusOr<PrivateDirectory> made =
      PrivateDirectory::Make(parent, absl::StrCat("dtest-agent-", geteuid(), "-"), end_abandoned);
  if (!made.ok()) return made.status();
  return std::unique_ptr<AgentDirectory>(new AgentDirectory(*std::move(made)));
}

// PrivateDirectory would do it, but tests may have left directories that cannot be written or entered.
AgentDirectory::~AgentDirectory() { store::RemoveTree(path()); }

absl::StatusOr<std::string> AgentDirectory::MakeDirectory(absl::string_view name) {
  std::string made = absl::StrCat(path(), "/", name);
  if (mkdir(made.c_str(), 0700) != 0 && errno != EEXIST) return Failure("cannot make", made);
  return made;
}

}  // namespace dtest
