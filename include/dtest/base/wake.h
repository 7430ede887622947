// A descriptor by which one thread wakes another that polls: an eventfd. Notify makes fd() readable, Reset makes it
// unreadable again; any number of Notify before one Reset count as one.
//
// Notify and Reset: any thread. Reset before looking at what the notifier left, so that nothing is missed.

#ifndef DTEST_BASE_WAKE_H_
#define DTEST_BASE_WAKE_H_

#include <sys/eventfd.h>

#include <cstdint>

#include "dtest/base/fd.h"

namespace dtest {

class Wake {
 public:
  // Without a descriptor to spare fd() is -1 and error() says why; Notify and Reset do nothing then.
  Wake() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), error_(fd_.ok() ? 0 : errno) {}
  Wake(const Wake&) = delete;
  Wake& operator=(const Wake&) = delete;

  int fd() const { return fd_.get(); }
  int error() const { return error_; }
  void Notify() const {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(fd_.get(), &one, sizeof one);  // fails only when it is readable
  }
  void Reset() const {
    uint64_t count;
    [[maybe_unused]] const ssize_t got = read(fd_.get(), &count, sizeof count);  // fails only when it is not readable
  }

 private:
  const Fd fd_;
  const int error_;
};

}  // namespace dtest

#endif  // DTEST_BASE_WAKE_H_
