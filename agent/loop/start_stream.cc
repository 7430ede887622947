#include "agent/loop/start_stream.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "dtest/base/clock.h"

namespace dtest {

absl::StatusOr<StartStream> StartStream::TakeStdio() {
  StartStream stream;
  stream.in_ = Fd(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
  stream.out_ = Fd(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
  const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!stream.in_.ok() || !stream.out_.ok() || !null.ok() || dup2(null.get(), STDIN_FILENO) < 0 ||
      dup2(null.get(), STDOUT_FILENO) < 0) {
    return absl::ErrnoToStatus(errno, "cannot take over stdin and stdout");
  }
  return stream;
}

absl::StatusOr<AgentStart> StartStream::ReadStart(absl::Duration timeout) {
  const absl::Time deadline = MonotonicNow() + timeout;
  std::string line;
  // Byte by byte: what follows the line belongs to ZeroMQ.
  while (line.empty() || line.back() != '\n') {
    if (line.size() > kMaxStartLine) return absl::InvalidArgumentError("no start line on stdin: the line is too long");
    pollfd ready = {in_.get(), POLLIN, 0};
    const int64_t left = std::max<int64_t>(absl::ToInt64Milliseconds(deadline - MonotonicNow()), 0);
    const int polled = poll(&ready, 1, static_cast<int>(left));
    if (polled < 0 && errno == EINTR) continue;
    if (polled == 0) return absl::DeadlineExceededError("no start line came on stdin: dtest-agent is started by dtest");
    char byte;
    const ssize_t got = read(in_.get(), &byte, 1);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return absl::ErrnoToStatus(errno, "cannot read the start line from stdin");
    if (got == 0) return absl::UnavailableError("stdin ended before the start line: dtest-agent is started by dtest");
    line += byte;
  }
  return ParseStartLine(line);
}

absl::Status StartStream::SendReady(const AgentStart& start) {
  const std::string line = FormatReadyLine(start.token);
  if (write(out_.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size())) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, "cannot tell the launcher on stdout that the agent is ready");
}

}  // namespace dtest
