#include "agent/loop/poller.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace dtest {

EpollPoller::EpollPoller() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_.ok()) {
    std::perror("dtest-agent: epoll_create1");
    std::abort();
  }
}

void EpollPoller::Watch(int fd, std::function<void()> ready) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.fd = fd;
  watched_[fd] = std::make_shared<std::function<void()>>(std::move(ready));
  // Regular files cannot be watched (EPERM); nobody here has any.
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

void EpollPoller::Unwatch(int fd) {
  if (watched_.erase(fd) != 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

absl::Status EpollPoller::Wait(absl::Duration timeout) {
  constexpr int kMost = 64;
  epoll_event events[kMost];
  // Rounded up, so that a deadline has come when it returns.
  const absl::Duration most = absl::Hours(1);
  const int64_t milliseconds = absl::ToInt64Milliseconds(absl::Ceil(std::min(timeout, most), absl::Milliseconds(1)));
  const int count = epoll_wait(epoll_.get(), events, kMost, static_cast<int>(std::max<int64_t>(milliseconds, 0)));
  if (count < 0) return errno == EINTR ? absl::OkStatus() : absl::ErrnoToStatus(errno, "epoll_wait");
  for (int i = 0; i < count; ++i) {
    const auto found = watched_.find(events[i].data.fd);
    if (found == watched_.end()) continue;  // unwatched by a callback before this one
    // Keeps the callback alive if it unwatches itself.
    const std::shared_ptr<std::function<void()>> ready = found->second;
    (*ready)();
  }
  return absl::OkStatus();
}

}  // namespace dtest
