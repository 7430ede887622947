// A queue from any thread to one that sleeps in a Poller: Put from anywhere; the reader watches `fd`, which is readable
// while something lies there, and takes all of it. Not bounded: what is put is bounded by who puts it.

#ifndef DTEST_AGENT_FETCH_MAILBOX_H_
#define DTEST_AGENT_FETCH_MAILBOX_H_

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "dtest/base/wake.h"
#include "dtest/mutex.h"

namespace dtest {

template <typename Item>
class Mailbox {
 public:
  Mailbox() {
    if (wake_.error() == 0) return;
    std::fprintf(stderr, "dtest-agent: eventfd: %s\n", std::strerror(wake_.error()));
    std::abort();
  }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  int fd() const { return wake_.fd(); }

  void Put(Item item) {
    MutexLock lock(&mutex_);
    items_.push_back(std::move(item));
    if (items_.size() == 1) wake_.Notify();
  }

  // In the order they were put; empty if there is nothing.
  std::vector<Item> TakeAll() {
    MutexLock lock(&mutex_);
    if (!items_.empty()) wake_.Reset();
    return std::exchange(items_, {});
  }

 private:
  const Wake wake_;
  Mutex mutex_;
  std::vector<Item> items_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace dtest

#endif  // DTEST_AGENT_FETCH_MAILBOX_H_
