// What tests run where there is no network: asks the kernel itself, without a C library's part in it, and prints how
// each call ended: "connect 192.0.2.1: ENETUNREACH". Arguments are pairs of a call and an IP address; `child` before
// them has a process that left its group and its session do it, `user` one of another user, which takes root.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace {

constexpr uint16_t kPort = 9;

union Address {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

socklen_t Read(const char* ip, uint16_t port, Address* to) {
  std::memset(to, 0, sizeof *to);
  if (inet_pton(AF_INET, ip, &to->v4.sin_addr) == 1) {
    to->v4.sin_family = AF_INET;
    to->v4.sin_port = htons(port);
    return sizeof to->v4;
  }
  to->v6.sin6_family = AF_INET6;
  to->v6.sin6_port = htons(port);
  inet_pton(AF_INET6, ip, &to->v6.sin6_addr);
  return sizeof to->v6;
}

// A socket that listens at `ip`; its port.
int Listen(const char* ip, uint16_t* port) {
  Address address;
  socklen_t size = Read(ip, 0, &address);
  const int fd = socket(address.any.sa_family, SOCK_STREAM, 0);
  if (bind(fd, &address.any, size) != 0 || listen(fd, 1) != 0) return -1;
  getsockname(fd, &address.any, &size);
  *port = ntohs(address.v4.sin_port);  // at one place in both
  return fd;
}

#if defined(__x86_64__)
// A call of a 32-bit program, which a 64-bit one can make, too.
long NarrowCall(long number, long a, long b, long c) {
  long result;
  asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
  return static_cast<int32_t>(result);
}
#endif

// Negative: an errno.
long Do(const char* call, const char* ip) {
  Address to;
  const socklen_t size = Read(ip, kPort, &to);
  const int family = to.any.sa_family;
  const int datagram = socket(family, SOCK_DGRAM, 0);
  char byte = 'x';
  iovec bytes = {&byte, 1};
  mmsghdr messages[2] = {};
  for (mmsghdr& one : messages) {
    one.msg_hdr.msg_iov = &bytes;
    one.msg_hdr.msg_iovlen = 1;
    one.msg_hdr.msg_name = &to;
    one.msg_hdr.msg_namelen = size;
  }
  const auto ended = [](long result) { return result < 0 ? -errno : result; };
  if (std::strcmp(call, "connect") == 0) {  // to who listens there, if this is this host
    uint16_t port = kPort;
    const int listener = Listen(ip, &port);
    to.v4.sin_port = htons(port);
    const int fd = socket(family, SOCK_STREAM | (listener < 0 ? SOCK_NONBLOCK : 0), 0);
    return ended(syscall(SYS_connect, fd, &to, size));
  }
  if (std::strcmp(call, "udp") == 0) return ended(syscall(SYS_connect, datagram, &to, size));
  if (std::strcmp(call, "sendto") == 0) return ended(syscall(SYS_sendto, datagram, &byte, 1, 0, &to, size));
  if (std::strcmp(call, "sendmsg") == 0) return ended(syscall(SYS_sendmsg, datagram, &messages[0].msg_hdr, 0));
  if (std::strcmp(call, "sendmmsg") == 0) {  // the second of two
    Address here;
    messages[0].msg_hdr.msg_namelen = Read(family == AF_INET ? "127.0.0.1" : "::1", kPort, &here);
    messages[0].msg_hdr.msg_name = &here;
    return ended(syscall(SYS_sendmmsg, datagram, messages, 2, 0));
  }
  if (std::strcmp(call, "unspecified") == 0) {
    to.any.sa_family = AF_UNSPEC;
    return ended(syscall(SYS_sendto, datagram, &byte, 1, 0, &to, size));
  }
  if (std::strcmp(call, "raw-unspecified") == 0) {
    const int raw = socket(family, SOCK_RAW, IPPROTO_RAW);
    to.any.sa_family = AF_UNSPEC;
    return ended(syscall(SYS_sendto, raw, &byte, 1, 0, &to, size));
  }
  if (std::strcmp(call, "packet") == 0) return ended(syscall(SYS_socket, AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (std::strcmp(call, "packet-type") == 0) {
    return ended(syscall(SYS_socket, AF_INET, SOCK_PACKET | SOCK_CLOEXEC, 0));
  }
  if (std::strcmp(call, "forever") == 0) {  // until nobody answers any more
    long asked = 0;
    do {
      asked = ended(syscall(SYS_connect, -1, &to, size));
      std::printf("asked\n");
      std::fflush(stdout);
    } while (asked == -EBADF);
    return asked;
  }
  if (std::strcmp(call, "unix") == 0) {  // the address is no matter
    sockaddr_un name = {};
    name.sun_family = AF_UNIX;
    const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    socklen_t length = sizeof(sa_family_t);  // the kernel gives it a name
    if (bind(listener, reinterpret_cast<sockaddr*>(&name), length) != 0 || listen(listener, 1) != 0) return -1000;
    length = sizeof name;
    getsockname(listener, reinterpret_cast<sockaddr*>(&name), &length);
    return ended(syscall(SYS_connect, socket(AF_UNIX, SOCK_STREAM, 0), &name, length));
  }
  if (std::strcmp(call, "pair") == 0) {  // nor here
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return -1000;
    messages[0].msg_hdr.msg_name = nullptr;
    messages[0].msg_hdr.msg_namelen = 0;
    return ended(syscall(SYS_sendmsg, ends[0], &messages[0].msg_hdr, 0));
  }
  if (std::strcmp(call, "nowhere") == 0) return ended(syscall(SYS_connect, datagram, 16, size));
  if (std::strcmp(call, "ring") == 0) return ended(syscall(SYS_io_uring_setup, 1, nullptr));
#if defined(__x86_64__)
  void* const low = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (low == MAP_FAILED) return -1000;
  auto* const words = static_cast<uint32_t*>(low);
  std::memcpy(words + 64, &to, sizeof to);
  const auto at = [&](int word) { return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(words + word)); };
  if (std::strcmp(call, "narrow-packet") == 0) return NarrowCall(359, AF_PACKET, SOCK_RAW, 0);
  if (std::strcmp(call, "narrow-connect") == 0) return NarrowCall(362, datagram, at(64), size);
  const auto header = [&](int word) {
    words[word] = at(64);
    words[word + 1] = size;
    words[word + 2] = at(32);
    words[word + 3] = 1;
  };
  words[32] = at(36);
  words[33] = 1;
  header(0);
  header(8);
  if (std::strcmp(call, "narrow-sendmsg") == 0) return NarrowCall(370, datagram, at(0), 0);
  if (std::strcmp(call, "narrow-sendmmsg") == 0) return NarrowCall(345, datagram, at(0), 2);
  words[48] = static_cast<uint32_t>(datagram);
  if (std::strcmp(call, "socketcall-connect") == 0) {
    words[49] = at(64);
    words[50] = size;
    return NarrowCall(102, 3, at(48), 0);
  }
  if (std::strcmp(call, "socketcall-sendto") == 0) {
    words[49] = at(36);
    words[50] = 1;
    words[51] = 0;
    words[52] = at(64);
    words[53] = size;
    return NarrowCall(102, 11, at(48), 0);
  }
  if (std::strcmp(call, "socketcall-sendmsg") == 0) {
    words[49] = at(0);
    words[50] = 0;
    return NarrowCall(102, 16, at(48), 0);
  }
  if (std::strcmp(call, "socketcall-packet") == 0) {
    words[48] = AF_PACKET;
    words[49] = SOCK_RAW;
    words[50] = 0;
    return NarrowCall(102, 1, at(48), 0);
  }
  if (std::strcmp(call, "socketcall-socket") == 0) {
    words[48] = AF_INET;
    words[49] = SOCK_DGRAM;
    words[50] = 0;
    return NarrowCall(102, 1, at(48), 0) >= 0 ? 0 : -1;
  }
#endif
  return -1000;
}

const char* Name(long result) {
  if (result >= 0) return "done";
  switch (-result) {
    case ENETUNREACH:
      return "ENETUNREACH";
    case EINPROGRESS:  // on its way
      return "done";
    case ENOSYS:
      return "ENOSYS";
    case EPERM:
      return "EPERM";
    case EFAULT:
      return "EFAULT";
    default:
      return std::strerror(static_cast<int>(-result));
  }
}

}  // namespace

int main(int argc, char** argv) {
  int at = 1;
  if (argc > 1 && std::strcmp(argv[1], "child") == 0) {
    at = 2;
    if (const pid_t child = fork(); child != 0) {
      waitpid(child, nullptr, 0);
      return 0;
    }
    setsid();
  } else if (argc > 1 && std::strcmp(argv[1], "user") == 0) {
    at = 2;
    if (setgid(65534) != 0 || setuid(65534) != 0) return 1;
  }
  for (; at + 1 < argc; at += 2) std::printf("%s %s: %s\n", argv[at], argv[at + 1], Name(Do(argv[at], argv[at + 1])));
  return 0;
}
