#include "coordinator/report/terminal_output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace dtest {

TerminalOutput::TerminalOutput(int fd) : fd_(fd) {
  struct stat st;
  if (fstat(fd, &st) != 0) return;  // the first write says why
  socket_ = S_ISSOCK(st.st_mode);
  if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
    own_fd_ = Fd(open(absl::StrCat("/proc/self/fd/", fd).c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  }
}

void TerminalOutput::Append(absl::string_view bytes) {
  if (left_out_ > 0 || pending() + bytes.size() > kMaxPending) {
    left_out_ += bytes.size();
  } else {
    pending_.append(bytes.data(), bytes.size());
  }
}

absl::Status TerminalOutput::Write() {
  while (pending() > 0) {
    const char* data = pending_.data() + written_;
    const ssize_t n = socket_        ? send(fd_, data, pending(), MSG_DONTWAIT | MSG_NOSIGNAL)
                      : own_fd_.ok() ? write(own_fd_.get(), data, pending())
                                     : write(fd_, data, pending());
    if (n >= 0) {
      written_ += static_cast<size_t>(n);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      break;
    } else if (errno != EINTR) {
      const int error = errno;
      if (error_ == 0) error_ = error;
      pending_.clear();
      written_ = 0;
      return absl::ErrnoToStatus(error, "cannot write the terminal report");
    }
  }
  if (pending() > 0) {
    // Written bytes are dropped now and then, not every time: that would be quadratic.
    if (written_ > kMaxPending / 4) {
      pending_.erase(0, written_);
      written_ = 0;
    }
    return absl::OkStatus();
  }
  pending_.clear();
  written_ = 0;
  if (left_out_ > 0) {
    pending_ = absl::StrCat("\n[... ", left_out_, " bytes left out: nothing read the output of dtest ...]\n");
    left_out_ = 0;
    return Write();
  }
  return absl::OkStatus();
}

absl::Status TerminalOutput::Drain() {
  for (;;) {
    if (absl::Status status = Write(); !status.ok() || pending() == 0) return status;
    pollfd wait = {own_fd_.ok() ? own_fd_.get() : fd_, POLLOUT, 0};
    if (poll(&wait, 1, -1) < 0 && errno != EINTR) {
      return absl::ErrnoToStatus(errno, "cannot wait for the terminal to take the report");
    }
  }
}

int TerminalColumns(int fd) {
  winsize size;
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace dtest
