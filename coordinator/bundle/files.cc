#include "coordinator/bundle/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "dtest/base/io.h"
#include "dtest/base/utf8.h"

namespace dtest {

absl::Status FileError(int error_number, absl::string_view what, absl::string_view path) {
  return absl::ErrnoToStatus(error_number, absl::StrCat(what, " ", Printable(path)));
}

absl::StatusOr<OpenedFile> OpenFile(const std::string& path) {
  OpenedFile file;
  file.fd = Fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.fd.ok()) return FileError(errno, "opening", path);
  if (fstat(file.fd.get(), &file.status) != 0) return FileError(errno, "reading the attributes of", path);
  if (!S_ISREG(file.status.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(Printable(path), " is not a regular file"));
  }
  return file;
}

absl::Status ReadAt(int fd, uint64_t offset, size_t size, char* out, absl::string_view path) {
  const ReadCount read = ReadUpTo(fd, out, size, offset);
  if (read.error != 0) return FileError(read.error, "reading", path);
  if (read.bytes == size) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("reading ", Printable(path), ": the file ends at byte ", offset + read.bytes,
                                          ", ", size - read.bytes, " bytes before it should"));
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path, uint64_t limit) {
  absl::StatusOr<OpenedFile> file = OpenFile(path);
  if (!file.ok()) return file.status();
  const auto size = static_cast<uint64_t>(file->status.st_size);
  if (size > limit) {
    return absl::DataLossError(
        absl::StrCat(Printable(path), " has ", size, " bytes, more than the ", limit, " expected of such a file"));
  }
  std::string contents(size, '\0');
  if (absl::Status read = ReadAt(file->fd.get(), 0, contents.size(), contents.data(), path); !read.ok()) return read;
  return contents;
}

std::string Printable(absl::string_view path) {
  std::string out;
  out.reserve(path.size());
  while (!path.empty()) {
    const auto first = static_cast<uint8_t>(path[0]);
    const size_t length = Utf8SequenceLength(path);
    if (first == '\n') {
      out += "\\n";
    } else if (first == '\t') {
      out += "\\t";
    } else if (length == 0 || first < 0x20 || first == 0x7f) {
      absl::StrAppendFormat(&out, "\\x%02x", first);
    } else {
      absl::StrAppend(&out, path.substr(0, length));
    }
    path.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

absl::StatusOr<std::string> AbsolutePath(const std::string& path) {
  absl::string_view rest = path;
  while (rest.size() > 1 && absl::EndsWith(rest, "/")) rest.remove_suffix(1);
  const absl::string_view name = BaseName(rest);
  const bool whole = name.empty() || name == "." || name == "..";
  const std::string directory(whole ? rest : DirectoryOf(rest));
  std::optional<std::string> real = RealPath(directory);
  if (!real.has_value()) return FileError(errno, "resolving", path);
  if (whole) return *std::move(real);
  return absl::StrCat(*real == "/" ? "" : *real, "/", name);
}

bool RelativeTo(absl::string_view root, absl::string_view path, std::string* relative) {
  if (root == "/") root = "";
  if (!absl::StartsWith(path, root)) return false;
  path.remove_prefix(root.size());
  if (!path.empty() && path[0] != '/') return false;
  *relative = std::string(path.empty() ? path : path.substr(1));
  return true;
}

}  // namespace dtest
