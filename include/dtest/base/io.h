// Reading and writing until all is done: short counts and EINTR are dealt with here and nowhere else.
//
// Free functions without state; any thread, each descriptor one at a time. Errors are errno values, 0 for none: the
// caller knows what was tried on which file, and says so.

#ifndef DTEST_BASE_IO_H_
#define DTEST_BASE_IO_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace dtest {

// Writes all of `bytes` where the descriptor stands. One that does not block is waited for, however long that takes.
// After an error an unknown part of `bytes` has been written.
int WriteAll(int fd, absl::string_view bytes);

// Writes all of `bytes` at `offset`, and leaves the position of the descriptor alone.
int WriteAt(int fd, absl::string_view bytes, uint64_t offset);

struct ReadCount {
  size_t bytes = 0;  // fewer than asked for without an error: the file ends there
  int error = 0;
};
// Reads up to `size` bytes at `offset`.
ReadCount ReadUpTo(int fd, char* out, size_t size, uint64_t offset);

// Reads exactly `size` bytes at `offset`; EIO where the file ends before that.
int ReadAt(int fd, char* out, size_t size, uint64_t offset);

// Appends what the descriptor still gives up to its end, at most `limit` bytes. For files, and for what answers at
// once as /proc does; what was read before an error is there.
int ReadToEnd(int fd, size_t limit, std::string* out);

}  // namespace dtest

#endif  // DTEST_BASE_IO_H_
