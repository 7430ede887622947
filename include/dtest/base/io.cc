#include "dtest/base/io.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace dtest {

int WriteAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      pollfd ready = {fd, POLLOUT, 0};
      if (poll(&ready, 1, -1) < 0 && errno != EINTR) return errno;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

int WriteAt(int fd, absl::string_view bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    bytes.remove_prefix(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return 0;
}

ReadCount ReadUpTo(int fd, char* out, size_t size, uint64_t offset) {
  ReadCount count;
  while (count.bytes < size) {
    const ssize_t got = pread(fd, out + count.bytes, size - count.bytes, static_cast<off_t>(offset + count.bytes));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) count.error = errno;
    if (got <= 0) break;
    count.bytes += static_cast<size_t>(got);
  }
  return count;
}

int ReadAt(int fd, char* out, size_t size, uint64_t offset) {
  const ReadCount count = ReadUpTo(fd, out, size, offset);
  if (count.error != 0) return count.error;
  return count.bytes == size ? 0 : EIO;
}

int ReadToEnd(int fd, size_t limit, std::string* out) {
  char buffer[16 << 10];
  while (limit > 0) {
    const ssize_t got = read(fd, buffer, std::min(sizeof buffer, limit));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) break;
    out->append(buffer, static_cast<size_t>(got));
    limit -= static_cast<size_t>(got);
  }
  return 0;
}

}  // namespace dtest
