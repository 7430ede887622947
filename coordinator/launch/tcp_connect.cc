#include "coordinator/launch/tcp_connect.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dtest/base/clock.h"

namespace dtest {
namespace {

// A connection whose peer has vanished is given up after this, even while libssh blocks in send.
constexpr int kDeadPeerMilliseconds = 30000;
constexpr int kKeepAliveSeconds = 10;

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

AddressList Resolve(const std::string& host, const char* service, int family, int flags, int* error) {
  addrinfo hints = {};
  hints.ai_family = family;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* list = nullptr;
  *error = getaddrinfo(host.c_str(), service, &hints, &list);
  return {*error == 0 ? list : nullptr, &freeaddrinfo};
}

std::string Numeric(const sockaddr* address, socklen_t length) {
  char host[NI_MAXHOST] = "?";
  getnameinfo(address, length, host, sizeof(host), nullptr, 0, NI_NUMERICHOST);
  return host;
}

void SetOption(int socket, int level, int option, int value) {
  setsockopt(socket, level, option, &value, sizeof(value));  // each only makes things better
}

// 0, or errno; -1: see `status`.
int ConnectOne(int socket, const addrinfo& address, absl::Time deadline, HostControl* control, absl::Status* status) {
  if (connect(socket, address.ai_addr, address.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  std::vector<pollfd> fds = {{socket, POLLOUT, 0}};
  *status = control->Wait(&fds, deadline);
  if (!status->ok()) return -1;
  int error = 0;
  socklen_t length = sizeof(error);
  getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length);
  return error;
}

}  // namespace

absl::StatusOr<int> TcpConnect(const TcpTarget& target, absl::Time deadline, HostControl* control) {
  const std::string port = absl::StrCat(target.port);
  int resolve_error = 0;
  const AddressList list = Resolve(target.host, port.c_str(), target.address_family, 0, &resolve_error);
  if (list == nullptr) {
    return absl::NotFoundError(absl::StrCat("the name ", target.host,
                                            " does not resolve: ", gai_strerror(resolve_error),
                                            "; is it spelled right, or does it need a Host entry in ~/.ssh/config?"));
  }
  AddressList from(nullptr, &freeaddrinfo);
  if (!target.bind_address.empty()) {
    from = Resolve(target.bind_address, nullptr, target.address_family, AI_PASSIVE, &resolve_error);
    if (from == nullptr) {
      return absl::NotFoundError(
          absl::StrCat("BindAddress ", target.bind_address, " does not resolve: ", gai_strerror(resolve_error)));
    }
  }
  const absl::Time began = MonotonicNow();
  std::string tried;
  bool timed_out = false;
  for (const addrinfo* address = list.get(); address != nullptr; address = address->ai_next) {
    const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    absl::Status status;
    int error = fd < 0 ? errno : 0;
    if (error == 0 && from != nullptr && bind(fd, from->ai_addr, from->ai_addrlen) != 0) error = errno;
    if (error == 0) {
      SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
      SetOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kDeadPeerMilliseconds);
      SetOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
      SetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveSeconds);
      SetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveSeconds);
      // A name with several addresses: the first ones leave time for the others.
      const absl::Time limit =
          address->ai_next == nullptr ? deadline : MonotonicNow() + (deadline - MonotonicNow()) / 2;
      error = ConnectOne(fd, *address, limit, control, &status);
    }
    if (error == 0) {
      fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
      return fd;
    }
    if (fd >= 0) close(fd);
    if (absl::IsCancelled(status)) return status;
    timed_out = timed_out || absl::IsDeadlineExceeded(status);
    absl::StrAppend(
        &tried, tried.empty() ? "" : "; ", Numeric(address->ai_addr, address->ai_addrlen), " port ", port, ": ",
        error > 0 ? std::string(std::strerror(error))
                  : absl::StrCat("no answer within ",
                                 absl::FormatDuration(absl::Trunc(MonotonicNow() - began + absl::Milliseconds(50),
                                                                  absl::Milliseconds(100)))));
  }
  const std::string message =
      absl::StrCat("cannot connect to ", tried, "; is the host up, and does sshd listen there?");
  return timed_out ? absl::DeadlineExceededError(message) : absl::UnavailableError(message);
}

std::string LocalAddress(int socket) {
  sockaddr_storage address = {};
  socklen_t length = sizeof(address);
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) return "";
  if (address.ss_family != AF_INET && address.ss_family != AF_INET6) return "";
  const std::string text = Numeric(reinterpret_cast<sockaddr*>(&address), length);
  return address.ss_family == AF_INET6 ? absl::StrCat("[", text, "]") : text;
}

}  // namespace dtest
