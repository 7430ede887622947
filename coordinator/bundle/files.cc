#include "coordinator/bundle/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace dtest {

namespace {

// Length of the well-formed UTF-8 sequence (Unicode 15, table 3-7) at the start of `text`; 0 if there is none.
size_t Utf8Length(absl::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : 0; };
  const auto follows = [&](size_t i, uint8_t low = 0x80, uint8_t high = 0xbf) {
    return byte(i) >= low && byte(i) <= high;
  };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    return follows(1, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf) && follows(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    return follows(1, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

ScopedFd::~ScopedFd() {
  if (fd_ >= 0) close(fd_);
}

absl::Status FileError(int error_number, absl::string_view what, absl::string_view path) {
  return absl::ErrnoToStatus(error_number, absl::StrCat(what, " ", Printable(path)));
}

absl::StatusOr<OpenedFile> OpenFile(const std::string& path) {
  OpenedFile file;
  file.fd = ScopedFd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.fd.get() < 0) return FileError(errno, "opening", path);
  if (fstat(file.fd.get(), &file.status) != 0) return FileError(errno, "reading the attributes of", path);
  if (!S_ISREG(file.status.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(Printable(path), " is not a regular file"));
  }
  return file;
}

absl::Status ReadAt(int fd, uint64_t offset, size_t size, char* out, absl::string_view path) {
  while (size > 0) {
    const ssize_t count = pread(fd, out, size, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FileError(errno, "reading", path);
    if (count == 0) {
      return absl::DataLossError(absl::StrCat("reading ", Printable(path), ": the file ends at byte ", offset, ", ",
                                              size, " bytes before it should"));
    }
    out += count;
    offset += static_cast<uint64_t>(count);
    size -= static_cast<size_t>(count);
  }
  return absl::OkStatus();
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
    const size_t length = Utf8Length(path);
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

absl::string_view DirectoryOf(absl::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return ".";
  return slash == 0 ? path.substr(0, 1) : path.substr(0, slash);
}

absl::string_view BaseName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

absl::StatusOr<std::string> AbsolutePath(const std::string& path) {
  absl::string_view rest = path;
  while (rest.size() > 1 && absl::EndsWith(rest, "/")) rest.remove_suffix(1);
  const absl::string_view name = BaseName(rest);
  const bool whole = name.empty() || name == "." || name == "..";
  const std::string directory(whole ? rest : DirectoryOf(rest));
  const std::unique_ptr<char, decltype(&free)> real(realpath(directory.c_str(), nullptr), &free);
  if (real == nullptr) return FileError(errno, "resolving", path);
  if (whole) return std::string(real.get());
  return absl::StrCat(absl::string_view(real.get()) == "/" ? "" : real.get(), "/", name);
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
