#include "coordinator/report/whole_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace dtest {
namespace {

absl::Status Failure(absl::string_view shown, absl::string_view what) {
  return absl::ErrnoToStatus(errno, absl::StrCat(shown, ": ", what));
}

std::string TemporaryPath(const std::string& path) { return absl::StrCat(path, ".tmp-", getpid()); }

absl::StatusOr<int> CreateTemporary(absl::string_view shown, const std::string& path) {
  const std::string temporary = TemporaryPath(path);
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (fd >= 0) return fd;
  return Failure(shown, absl::StrCat("cannot create ", temporary, " (does its directory exist, can you write there?)"));
}

}  // namespace

absl::Status WriteAll(absl::string_view shown, int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failure(shown, "cannot write it");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status ReplaceFile(absl::string_view shown, const std::string& path, absl::string_view contents) {
  absl::StatusOr<int> fd = CreateTemporary(shown, path);
  if (!fd.ok()) return fd.status();
  const std::string temporary = TemporaryPath(path);
  absl::Status status = WriteAll(shown, *fd, contents);
  if (close(*fd) != 0 && status.ok()) status = Failure(shown, "cannot write it");
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) {
    status = Failure(shown, absl::StrCat("cannot rename ", temporary, " to it"));
  }
  if (!status.ok()) unlink(temporary.c_str());
  return status;
}

absl::Status CheckReplaceable(absl::string_view shown, const std::string& path) {
  const absl::StatusOr<int> fd = CreateTemporary(shown, path);
  if (!fd.ok()) return fd.status();
  close(*fd);
  unlink(TemporaryPath(path).c_str());
  return absl::OkStatus();
}

}  // namespace dtest
