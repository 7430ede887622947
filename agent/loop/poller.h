// Waits for many descriptors and calls who asked for each: epoll with callbacks. One thread.

#ifndef DTEST_AGENT_LOOP_POLLER_H_
#define DTEST_AGENT_LOOP_POLLER_H_

#include <functional>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"

namespace dtest {

class Poller {
 public:
  Poller();
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Calls `ready` in Wait whenever `fd` is readable, hung up or in error. Not an fd that is watched already. A watched
  // fd may be unwatched, and others watched, inside any callback; it must be unwatched before it is closed.
  void Watch(int fd, std::function<void()> ready);
  void Unwatch(int fd);

  // Sleeps until something is ready or `timeout` has passed, then calls. Restarts nothing after a signal: it returns.
  absl::Status Wait(absl::Duration timeout);

 private:
  int epoll_;
  absl::flat_hash_map<int, std::shared_ptr<std::function<void()>>> watched_;
};

}  // namespace dtest

#endif  // DTEST_AGENT_LOOP_POLLER_H_
