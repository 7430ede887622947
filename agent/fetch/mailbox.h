// A queue from any thread to one that sleeps in a Poller: Put from anywhere; the reader watches `fd`, which is readable
// while something lies there, and takes all of it. Not bounded: what is put is bounded by who puts it.

#ifndef DTEST_AGENT_FETCH_MAILBOX_H_
#define DTEST_AGENT_FETCH_MAILBOX_H_

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "dtest/mutex.h"

namespace dtest {

template <typename Item>
class Mailbox {
 public:
  Mailbox() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (fd_ >= 0) return;
    std::perror("dtest-agent: eventfd");
    std::abort();
  }
  ~Mailbox() { close(fd_); }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  int fd() const { return fd_; }

  void Put(Item item) {
    MutexLock lock(&mutex_);
    items_.push_back(std::move(item));
    if (items_.size() == 1) eventfd_write(fd_, 1);  // cannot fail: it counts to one
  }

  // In the order they were put; empty if there is nothing.
  std::vector<Item> TakeAll() {
    MutexLock lock(&mutex_);
    eventfd_t ignored;
    if (!items_.empty()) eventfd_read(fd_, &ignored);
    return std::exchange(items_, {});
  }

 private:
  const int fd_;
  Mutex mutex_;
  std::vector<Item> items_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace dtest

#endif  // DTEST_AGENT_FETCH_MAILBOX_H_
