#include "coordinator/launch/host_control.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace dtest {

HostControl::HostControl(std::function<void(std::string)> log, std::function<void(std::string)> notice)
    : log_(std::move(log)),
      notice_(std::move(notice)),
      wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      wake_error_(errno) {}

HostControl::~HostControl() {
  GuardSocket(-1);
  if (wake_fd_ >= 0) close(wake_fd_);
}

absl::Status HostControl::status() const {
  if (wake_fd_ >= 0) return absl::OkStatus();
  return absl::ErrnoToStatus(wake_error_, "cannot start the host's thread here: no eventfd; raise `ulimit -Hn` and -n");
}

void HostControl::Close() {
  closing_.store(true, std::memory_order_release);
  // Never read: from now on every Wait returns at once.
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof(one));
  MutexLock lock(&mutex_);
  if (guarded_ >= 0) shutdown(guarded_, SHUT_RDWR);
}

absl::Status HostControl::Wait(std::vector<pollfd>* fds, absl::Time deadline) {
  fds->push_back({wake_fd_, POLLIN, 0});
  absl::Status status;
  while (true) {
    // Rounded up: waking a moment early would only spin.
    const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now() + absl::Microseconds(999));
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
  const int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
  MutexLock lock(&mutex_);
  if (guarded_ >= 0) close(guarded_);
  guarded_ = copy;
  if (guarded_ >= 0 && closing()) shutdown(guarded_, SHUT_RDWR);
}

}  // namespace dtest
