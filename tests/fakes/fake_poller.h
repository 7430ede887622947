// A poller whose descriptors are numbers: they are ready when the test says so, and who watches them is called when it
// says so. One thread.

#ifndef DTEST_TESTS_FAKES_FAKE_POLLER_H_
#define DTEST_TESTS_FAKES_FAKE_POLLER_H_

#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "agent/loop/poller.h"

namespace dtest {

class FakePoller final : public Poller {
 public:
  int NewFd() { return next_fd_++; }
  // Until it is said to be ready no more.
  void SetReady(int fd, bool ready) {
    if (ready) {
      ready_.insert(fd);
    } else {
      ready_.erase(fd);
    }
  }
  bool AnyReady() const {
    for (const int fd : ready_) {
      if (watched_.contains(fd)) return true;
    }
    return false;
  }
  // As one wait does: calls who watches what is ready, each once.
  void Call() {
    const std::vector<int> ready(ready_.begin(), ready_.end());
    for (const int fd : ready) {
      const auto found = watched_.find(fd);
      if (found == watched_.end()) continue;
      const std::function<void()> callback = found->second;  // it may unwatch itself
      callback();
    }
  }
  size_t watched() const { return watched_.size(); }

  void Watch(int fd, std::function<void()> ready) override { watched_[fd] = std::move(ready); }
  void Unwatch(int fd) override { watched_.erase(fd); }

 private:
  int next_fd_ = 100;
  std::map<int, std::function<void()>> watched_;
  std::set<int> ready_;
};

}  // namespace dtest

#endif  // DTEST_TESTS_FAKES_FAKE_POLLER_H_
