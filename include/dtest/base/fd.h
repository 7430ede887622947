// A file descriptor that is owned: closed when its owner dies, or before. Movable; what was moved from owns nothing.
//
// One thread at a time, as for any value. The destructor drops close(2)'s error: call Close where data was written that
// a network file system or a full disk may refuse as late as that.

#ifndef DTEST_BASE_FD_H_
#define DTEST_BASE_FD_H_

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace dtest {

class Fd {
 public:
  Fd() = default;
  // Takes over what open(2) and its like return: negative is none.
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.Release()) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = other.Release();
    }
    return *this;
  }
  ~Fd() { Close(); }

  bool ok() const { return fd_ >= 0; }
  int get() const { return fd_; }
  // The caller owns it from now on.
  int Release() { return std::exchange(fd_, -1); }
  // 0, or close(2)'s errno: there is none after this in either case. Without an error errno stays as it was.
  int Close() {
    if (fd_ < 0) return 0;
    const int before = errno;
    const int error = close(std::exchange(fd_, -1)) == 0 ? 0 : errno;
    errno = before;
    return error;
  }

 private:
  int fd_ = -1;
};

}  // namespace dtest

#endif  // DTEST_BASE_FD_H_
