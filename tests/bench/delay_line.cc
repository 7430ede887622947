// A link of a given length where the kernel has no netem: `delay_line MS COMMAND...` runs COMMAND and passes on what
// comes on standard input and what COMMAND writes, each MS milliseconds later. Order is kept and bandwidth is not
// limited: the line holds whatever is under way. Its exit status is COMMAND's.

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <optional>
#include <string>

namespace {

using Clock = std::chrono::steady_clock;

class Direction {
 public:
  Direction(int from, int to, Clock::duration delay) : from_(from), to_(to), delay_(delay) {
    for (int fd : {from, to}) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  }

  void Read(Clock::time_point now) {
    static char buffer[1 << 20];
    const ssize_t got = read(from_, buffer, sizeof buffer);
    if (got > 0) line_.push_back({now + delay_, std::string(buffer, static_cast<size_t>(got))});
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) ended_at_ = now + delay_;
  }

  // Passes on what has arrived.
  void Write(Clock::time_point now) {
    blocked_ = false;
    while (!line_.empty() && line_.front().at <= now) {
      std::string& bytes = line_.front().bytes;
      const ssize_t put = write(to_, bytes.data(), bytes.size());
      if (put < 0 && errno != EAGAIN && errno != EINTR) {  // nobody reads any more
        line_.clear();
        ended_at_ = now;
        break;
      }
      bytes.erase(0, put > 0 ? static_cast<size_t>(put) : 0);
      if (!bytes.empty()) {
        blocked_ = true;
        return;
      }
      line_.pop_front();
    }
    if (line_.empty() && ended_at_ && *ended_at_ <= now && !closed_) {
      close(to_);
      closed_ = true;
    }
  }

  bool closed() const { return closed_; }
  pollfd Readable() const { return {ended_at_ ? -1 : from_, POLLIN, 0}; }
  pollfd Writable() const { return {blocked_ ? to_ : -1, POLLOUT, 0}; }

  std::optional<Clock::time_point> Next() const {
    if (closed_ || blocked_) return std::nullopt;
    if (!line_.empty()) return line_.front().at;
    return ended_at_;
  }

 private:
  struct Piece {
    Clock::time_point at;
    std::string bytes;
  };
  const int from_, to_;
  const Clock::duration delay_;
  std::deque<Piece> line_;
  std::optional<Clock::time_point> ended_at_;
  bool blocked_ = false, closed_ = false;
};

timespec Until(std::optional<Clock::time_point> next) {
  if (!next) return {3600, 0};
  const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(*next - Clock::now()).count();
  return left <= 0 ? timespec{0, 0} : timespec{left / 1000000000, left % 1000000000};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: delay_line MILLISECONDS COMMAND...\n");
    return 2;
  }
  const auto delay = std::chrono::microseconds(static_cast<int64_t>(std::atof(argv[1]) * 1000));
  signal(SIGPIPE, SIG_IGN);
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) return 1;
  const pid_t child = fork();
  if (child < 0) return 1;
  if (child == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    signal(SIGPIPE, SIG_DFL);
    execvp(argv[2], argv + 2);
    std::perror(argv[2]);
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  Direction there(0, in[1], delay), back(out[0], 1, delay);
  while (!back.closed()) {
    std::optional<Clock::time_point> next = there.Next();
    if (back.Next() && (!next || *back.Next() < *next)) next = back.Next();
    pollfd fds[] = {there.Readable(), back.Readable(), there.Writable(), back.Writable()};
    const timespec timeout = Until(next);
    ppoll(fds, 4, &timeout, nullptr);
    const Clock::time_point now = Clock::now();
    if (fds[0].revents != 0) there.Read(now);
    if (fds[1].revents != 0) back.Read(now);
    there.Write(now);
    back.Write(now);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
