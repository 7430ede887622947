#include "agent/loop/start_check.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace dtest {
namespace {

constexpr char kOtherStore[] = "or set another one with --remote-store";

// Writes a little and removes it: a file system that is read-only, full or out of inodes says so. Returns an errno.
int TryToWrite(const std::string& directory) {
  std::string path = absl::StrCat(directory, "/.check.XXXXXX");  // several hosts may share the store
  const int fd = mkostemp(path.data(), O_CLOEXEC);
  if (fd < 0) return errno;
  unlink(path.c_str());
  char block[4096] = {};
  int error = write(fd, block, sizeof(block)) == sizeof(block) ? 0 : errno != 0 ? errno : ENOSPC;
  if (close(fd) != 0 && error == 0) error = errno;
  return error;
}

}  // namespace

bool MayNotRunPrograms(const std::string& directory) {
  struct statvfs info;
  return statvfs(directory.c_str(), &info) == 0 && (info.f_flag & ST_NOEXEC) != 0;
}

absl::Status CheckStore(const std::string& store) {
  std::error_code made;
  std::filesystem::create_directories(store, made);
  const int error = made ? made.value() : TryToWrite(store);
  if (error == ENOSPC || error == EDQUOT) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the store ", store, " has no room (", std::strerror(error), "): make some, ", kOtherStore));
  }
  if (error != 0) {
    return absl::FailedPreconditionError(absl::StrCat("the store ", store, " cannot be written (", std::strerror(error),
                                                      "): make it writable for this user, ", kOtherStore));
  }
  if (MayNotRunPrograms(store)) {
    return absl::FailedPreconditionError(absl::StrCat("programs may not run in the store ", store,
                                                      " (it is on a noexec mount): mount it with exec, ", kOtherStore));
  }
  struct statvfs info;
  if (statvfs(store.c_str(), &info) != 0) return absl::OkStatus();
  const uint64_t room = static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  if (room < kLeastStoreRoom) {
    return absl::ResourceExhaustedError(absl::StrCat("the store ", store, " has ", room >> 20,
                                                     " MiB of room, and takes ", kLeastStoreRoom >> 20,
                                                     " at least: make some, ", kOtherStore));
  }
  return absl::OkStatus();
}

}  // namespace dtest
