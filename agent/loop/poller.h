// Waits for many descriptors and calls who asked for each. EpollPoller is the real one; tests have one whose
// descriptors are numbers. One thread.

#ifndef DTEST_AGENT_LOOP_POLLER_H_
#define DTEST_AGENT_LOOP_POLLER_H_

#include <functional>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "dtest/base/fd.h"

namespace dtest {

class Poller {
 public:
  virtual ~Poller() = default;
  // Calls `ready` whenever `fd` is readable, hung up or in error, until it is unwatched. Not an fd that is watched
  // already. A watched fd may be unwatched, and others watched, inside any callback; it must be unwatched before it is
  // closed.
  virtual void Watch(int fd, std::function<void()> ready) = 0;
  virtual void Unwatch(int fd) = 0;
};

class EpollPoller final : public Poller {
 public:
  EpollPoller();
  EpollPoller(const EpollPoller&) = delete;
  EpollPoller& operator=(const EpollPoller&) = delete;

  void Watch(int fd, std::function<void()> ready) override;
  void Unwatch(int fd) override;

  // Sleeps until something is ready or `timeout` has passed, then calls. Restarts nothing after a signal: it returns.
  absl::Status Wait(absl::Duration timeout);

 private:
  const Fd epoll_;
  absl::flat_hash_map<int, std::shared_ptr<std::function<void()>>> watched_;
};

}  // namespace dtest

#endif  // DTEST_AGENT_LOOP_POLLER_H_
