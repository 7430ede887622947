#include "protocol/relay.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dtest/base/fd.h"
#include "dtest/base/paths.h"
#include "dtest/base/wake.h"

namespace dtest {
namespace {

absl::Status PathError(absl::string_view what, absl::string_view path, int error) {
  return absl::UnavailableError(absl::StrCat("cannot ", what, " the UNIX socket ", path, ": ", strerror(error)));
}

absl::StatusOr<sockaddr_un> UnixAddress(absl::string_view path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("cannot use '", path, "' as a UNIX socket: its path must have 1 to ",
                                                   sizeof(address.sun_path) - 1,
                                                   " bytes; set TMPDIR to a shorter one"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// Anybody who can reach the socket could speak in the agent's name.
absl::Status CheckPrivate(absl::string_view path) {
  const std::string directory(DirectoryOf(path));
  struct stat info = {};
  if (lstat(directory.c_str(), &info) != 0) return PathError("listen at", path, errno);
  if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid() || (info.st_mode & 077) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot listen at ", path, ": ", directory, " must be a directory of this user with mode 0700"));
  }
  return absl::OkStatus();
}

bool FromThisProcess(int connection) {
  ucred peer = {};
  socklen_t size = sizeof(peer);
  return getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == getpid();
}

bool Ended(PumpStep step) { return step == PumpStep::kEnd || step == PumpStep::kFailed; }

}  // namespace

absl::Span<char> ByteBuffer::Space() {
  if (end_ == bytes_.size() && begin_ > 0) {
    std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  return absl::MakeSpan(bytes_).subspan(end_);
}

void ByteBuffer::Consumed(size_t count) {
  begin_ += count;
  if (begin_ == end_) begin_ = end_ = 0;
}

PumpStep PumpIn(int fd, ByteBuffer* buffer) {
  const absl::Span<char> space = buffer->Space();
  if (space.empty()) return PumpStep::kBlocked;
  for (;;) {
    const ssize_t count = read(fd, space.data(), space.size());
    if (count > 0) {
      buffer->Filled(count);
      return PumpStep::kMoved;
    }
    if (count == 0 || errno == ECONNRESET) return PumpStep::kEnd;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return PumpStep::kBlocked;
    if (errno != EINTR) return PumpStep::kFailed;
  }
}

PumpStep PumpOut(int fd, ByteBuffer* buffer) {
  const absl::string_view bytes = buffer->Bytes();
  if (bytes.empty()) return PumpStep::kBlocked;
  for (;;) {
    ssize_t count = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == ENOTSOCK) count = write(fd, bytes.data(), bytes.size());
    if (count >= 0) {
      buffer->Consumed(count);
      return PumpStep::kMoved;
    }
    if (errno == EPIPE || errno == ECONNRESET) return PumpStep::kEnd;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return PumpStep::kBlocked;
    if (errno != EINTR) return PumpStep::kFailed;
  }
}

class Relay::Impl {
 public:
  Impl(int read_fd, int write_fd)
      : in_(read_fd), out_(read_fd == write_fd ? fcntl(write_fd, F_DUPFD_CLOEXEC, 0) : write_fd) {}

  ~Impl() {
    stop_.Notify();
    if (thread_.joinable()) thread_.join();
    RemovePath();
  }

  absl::Status Listen(absl::string_view path) {
    if (absl::Status status = PrepareFds(); !status.ok()) return status;
    absl::StatusOr<sockaddr_un> address = UnixAddress(path);
    if (!address.ok()) return address.status();
    if (absl::Status status = CheckPrivate(path); !status.ok()) return status;
    Fd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!listener.ok() || bind(listener.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) != 0) {
      return PathError("listen at", path, errno);
    }
    path_ = std::string(path);
    if (listen(listener.get(), 1) != 0) return PathError("listen at", path, errno);
    listener_ = std::move(listener);
    return Start();
  }

  int closed_fd() const { return closed_.fd(); }

  bool Finish(absl::Duration timeout) {
    pollfd item = {outward_done_.fd(), POLLIN, 0};
    const timespec limit = absl::ToTimespec(std::clamp(timeout, absl::ZeroDuration(), absl::Hours(24)));
    // An interrupted wait is cut short: the caller is told, and is on its way out anyway.
    return ppoll(&item, 1, &limit, nullptr) > 0 && drained_;
  }

 private:
  // One direction: bytes that have left their source and not reached their destination.
  struct Way {
    ByteBuffer buffer{kBufferBytes};
    bool source_ended = false;
    bool done = false;  // all handed on, or the destination is gone
    bool wants_in() const { return !source_ended && !done && !buffer.full(); }
    bool wants_out() const { return !done && !buffer.empty(); }
  };

  absl::Status PrepareFds() {
    for (const Wake* wake : {&stop_, &closed_, &outward_done_}) {
      if (wake->error() == 0) continue;
      return absl::ResourceExhaustedError(absl::StrCat("cannot make an eventfd: ", strerror(wake->error()),
                                                       "; raise the limit of open files (ulimit -n)"));
    }
    for (const Fd* fd : {&in_, &out_}) {
      const int flags = fcntl(fd->get(), F_GETFL);
      if (flags < 0 || fcntl(fd->get(), F_SETFL, flags | O_NONBLOCK) != 0) {
        return absl::InvalidArgumentError(absl::StrCat("cannot relay a stream: ", strerror(errno)));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Start() {
    // Signals are for the program's other threads; and blocked here, SIGPIPE does not kill.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { Run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return absl::OkStatus();
  }

  void Run() {
    while (!(inward_.done && outward_.done)) {
      // A descriptor whose events are not wanted is left out: its hang-up would be reported again and again.
      const short socket_events = (outward_.wants_in() ? POLLIN : 0) | (inward_.wants_out() ? POLLOUT : 0);
      const short out_events = outward_.wants_out() ? POLLOUT : 0;
      pollfd items[] = {
          {stop_.fd(), POLLIN, 0},
          {listener_.get(), POLLIN, 0},
          {inward_.wants_in() ? in_.get() : -1, POLLIN, 0},
          {socket_events != 0 ? socket_.get() : -1, socket_events, 0},
          // But this one also with nothing to write: how else to learn that the stream's reader is gone.
          {outward_.done ? -1 : out_.get(), out_events, 0},
      };
      if (poll(items, std::size(items), -1) < 0) {
        if (errno == EINTR) continue;
        break;  // out of memory: end the link rather than hang it
      }
      if (items[0].revents != 0) return;
      if (items[1].revents != 0) Accept();
      const bool reader_gone = (items[4].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
      Pump(in_.get(), socket_.get(), false, inward_);
      Pump(socket_.get(), out_.get(), reader_gone, outward_);
      CloseWhatIsDone();
    }
    // The stream may have ended before anybody connected: whoever does now must not wait for ever.
    listener_.Close();
    RemovePath();
    closed_.Notify();
    outward_done_.Notify();
  }

  static void Pump(int from, int to, bool reader_gone, Way& way) {
    if (way.done) return;
    if (from >= 0 && way.wants_in() && Ended(PumpIn(from, &way.buffer))) way.source_ended = true;
    if (to >= 0 && way.wants_out() && Ended(PumpOut(to, &way.buffer))) way.done = true;
    if (way.source_ended && (way.buffer.empty() || to < 0)) way.done = true;
    if (reader_gone && way.buffer.empty()) way.done = true;
  }

  // Passes each end on to the other side, once. A socket is shut down, because others may hold it open too (both ways
  // of one socket are two descriptors here, and the shell that started us has its own); on a pipe that does nothing.
  void CloseWhatIsDone() {
    if (inward_.done && in_.ok()) {
      shutdown(in_.get(), SHUT_RD);
      in_.Close();
      if (socket_.ok()) shutdown(socket_.get(), SHUT_WR);
      closed_.Notify();
    }
    if (outward_.done && out_.ok()) {
      drained_ = outward_.source_ended && outward_.buffer.empty();
      shutdown(out_.get(), SHUT_WR);
      out_.Close();
      if (socket_.ok()) shutdown(socket_.get(), SHUT_RD);
      closed_.Notify();
      outward_done_.Notify();
    }
  }

  void Accept() {
    Fd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!connection.ok() || !FromThisProcess(connection.get())) return;
    socket_ = std::move(connection);
    if (inward_.done) shutdown(socket_.get(), SHUT_WR);
    listener_.Close();
    RemovePath();
  }

  void RemovePath() {
    if (!path_.empty()) unlink(path_.c_str());
    path_.clear();
  }

  // The thread's, once it runs.
  Fd in_;
  Fd out_;
  Fd listener_;
  Fd socket_;
  std::string path_;  // to be removed
  Way inward_;        // from the stream to the socket
  Way outward_;       // from the socket to the stream

  // Shared: constant descriptors, and a flag.
  const Wake stop_;
  const Wake closed_;
  const Wake outward_done_;
  std::atomic<bool> drained_ = false;  // set before outward_done_ is signalled
  std::thread thread_;
};

Relay::Relay(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Relay::~Relay() = default;

absl::StatusOr<std::unique_ptr<Relay>> Relay::Listen(int read_fd, int write_fd, absl::string_view path) {
  auto impl = std::make_unique<Impl>(read_fd, write_fd);
  if (absl::Status status = impl->Listen(path); !status.ok()) return status;
  return std::unique_ptr<Relay>(new Relay(std::move(impl)));
}

int Relay::closed_fd() const { return impl_->closed_fd(); }
bool Relay::Finish(absl::Duration timeout) { return impl_->Finish(timeout); }

}  // namespace dtest
