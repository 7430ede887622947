// Reading files by descriptor, and paths as bytes: what the rest of bundle/ shares. Free functions, no state, any
// thread. Paths are byte strings in whatever encoding the file system has; nothing here assumes UTF-8.

#ifndef DTEST_COORDINATOR_BUNDLE_FILES_H_
#define DTEST_COORDINATOR_BUNDLE_FILES_H_

#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dtest/base/fd.h"
#include "dtest/base/paths.h"

namespace dtest {

// "opening /a/b: Permission denied", with errno's status code. `path` is made printable.
absl::Status FileError(int error_number, absl::string_view what, absl::string_view path);

// A regular file opened for reading, with what fstat said of it. Never blocks on a FIFO or device: InvalidArgument for
// anything that is not a regular file, else errno's code.
struct OpenedFile {
  Fd fd;
  struct stat status = {};
};
absl::StatusOr<OpenedFile> OpenFile(const std::string& path);

// Reads `size` bytes at `offset`. DataLoss if the file ends before that.
absl::Status ReadAt(int fd, uint64_t offset, size_t size, char* out, absl::string_view path);

// The whole file, DataLoss if it is larger than `limit`.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path, uint64_t limit);

// `path` for a message: control characters and bytes that are not UTF-8 as \n, \t or \xNN, the rest as it is.
std::string Printable(absl::string_view path);

// Absolute, without ".", "..", doubled slashes, and without symbolic links but for the last component, which keeps its
// name. NotFound and the like, naming the path, if its directory cannot be resolved.
absl::StatusOr<std::string> AbsolutePath(const std::string& path);

// True, with `relative` set, if the absolute `path` is `root` ("") or below it. Both as AbsolutePath makes them.
bool RelativeTo(absl::string_view root, absl::string_view path, std::string* relative);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_FILES_H_
