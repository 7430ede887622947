// How the fleet's owner reaches into a host's thread, and how that thread waits: for its descriptors, a deadline, or to
// be told to stop, whichever is first.

#ifndef DTEST_COORDINATOR_LAUNCH_HOST_CONTROL_H_
#define DTEST_COORDINATOR_LAUNCH_HOST_CONTROL_H_

#include <poll.h>

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "dtest/base/fd.h"
#include "dtest/base/wake.h"
#include "dtest/mutex.h"

namespace dtest {

class HostControl {
 public:
  // Both are called on the host's thread, with one line.
  HostControl(std::function<void(std::string)> log, std::function<void(std::string)> notice);
  ~HostControl();
  HostControl(const HostControl&) = delete;
  HostControl& operator=(const HostControl&) = delete;

  // Any thread. Wakes Wait for good, and shuts the guarded socket down, so that a blocking send in libssh returns.
  void Close();
  bool closing() const { return closing_.load(std::memory_order_acquire); }

  // The rest: the host's thread.

  // An error if there was no descriptor left to wake Wait by: the host must not be started then.
  absl::Status status() const;
  // Sleeps until one of `fds` is ready (revents are filled), or `deadline`: DeadlineExceeded. Cancelled after Close.
  absl::Status Wait(std::vector<pollfd>* fds, absl::Time deadline);
  // Keeps a duplicate of the socket for Close; -1 forgets it.
  void GuardSocket(int fd);
  // One line for the owner's log; one that a person should read.
  void Log(std::string line) { log_(std::move(line)); }
  void Notice(std::string line) { notice_(std::move(line)); }

 private:
  const std::function<void(std::string)> log_;
  const std::function<void(std::string)> notice_;
  const Wake wake_;
  std::atomic<bool> closing_ = false;
  Mutex mutex_;
  Fd guarded_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_LAUNCH_HOST_CONTROL_H_
