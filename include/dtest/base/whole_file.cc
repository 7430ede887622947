#include "dtest/base/whole_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "dtest/base/fd.h"
#include "dtest/base/io.h"

namespace dtest {
namespace {

absl::Status Failure(int error, absl::string_view shown, absl::string_view what) {
  return absl::ErrnoToStatus(error, absl::StrCat(shown, ": ", what));
}

struct Temporary {
  std::string path;
  Fd fd;
};

absl::StatusOr<Temporary> CreateTemporary(absl::string_view shown, const std::string& path) {
  static std::atomic<uint32_t> next = 0;
  while (true) {
    Temporary temporary;
    temporary.path = absl::StrCat(path, ".tmp-", getpid(), "-", next++);
    temporary.fd = Fd(open(temporary.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
    if (temporary.fd.ok()) return temporary;
    if (errno == EEXIST) continue;  // left by a process of this number that was killed
    return Failure(errno, shown,
                   absl::StrCat("cannot create ", temporary.path, " (does its directory exist, can you write there?)"));
  }
}

}  // namespace

absl::Status ReplaceFile(absl::string_view shown, const std::string& path, absl::string_view contents) {
  absl::StatusOr<Temporary> temporary = CreateTemporary(shown, path);
  if (!temporary.ok()) return temporary.status();
  int error = WriteAll(temporary->fd.get(), contents);
  if (const int close_error = temporary->fd.Close(); error == 0) error = close_error;
  absl::Status status = error == 0 ? absl::OkStatus() : Failure(error, shown, "cannot write it");
  if (status.ok() && rename(temporary->path.c_str(), path.c_str()) != 0) {
    status = Failure(errno, shown, absl::StrCat("cannot rename ", temporary->path, " to it"));
  }
  if (!status.ok()) unlink(temporary->path.c_str());
  return status;
}

absl::Status CheckReplaceable(absl::string_view shown, const std::string& path) {
  const absl::StatusOr<Temporary> temporary = CreateTemporary(shown, path);
  if (!temporary.ok()) return temporary.status();
  unlink(temporary->path.c_str());
  return absl::OkStatus();
}

}  // namespace dtest
