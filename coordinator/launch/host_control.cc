#include "coordinator/launch/host_control.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dtest/base/clock.h"

namespace dtest {

HostControl::HostControl(std::function<void(std::string)> log, std::function<void(std::string)> notice)
    : log_(std::move(log)), notice_(std::move(notice)) {}

HostControl::~HostControl() = default;

absl::Status HostControl::status() const {
  if (wake_.error() == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(wake_.error(),
                             "cannot start the host's thread here: no eventfd; raise `ulimit -Hn` and -n");
}

void HostControl::Close() {
  closing_.store(true, std::memory_order_release);
  // Never read: from now on every Wait returns at once.
  wake_.Notify();
  MutexLock lock(&mutex_);
  if (guarded_.ok()) shutdown(guarded_.get(), SHUT_RDWR);
}

absl::Status HostControl::Wait(std::vector<pollfd>* fds, absl::Time deadline) {
  fds->push_back({wake_.fd(), POLLIN, 0});
  absl::Status status;
  while (true) {
    // Rounded up: waking a moment early would only spin.
    const int64_t left = absl::ToInt64Milliseconds(deadline - MonotonicNow() + absl::Microseconds(999));
    const int timeout =
        deadline == absl::InfiniteFuture() ? -1 : static_cast<int>(std::clamp<int64_t>(left, 0, 1 << 30));
    const int ready = poll(fds->data(), fds->size(), timeout);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) status = absl::InternalError(absl::StrCat("poll: ", std::strerror(errno)));
    if (ready == 0) status = absl::DeadlineExceededError("timed out");
    break;
  }
  fds->pop_back();
  if (closing()) return absl::CancelledError("closed by dtest");
  return status;
}

void HostControl::GuardSocket(int fd) {
  Fd copy(fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0));
  MutexLock lock(&mutex_);
  guarded_ = std::move(copy);
  if (guarded_.ok() && closing()) shutdown(guarded_.get(), SHUT_RDWR);
}

}  // namespace dtest
