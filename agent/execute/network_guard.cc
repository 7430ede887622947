#include "agent/execute/network_guard.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/execute/network_address.h"
#include "agent/execute/network_calls.h"

// Linux 5.19.
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

namespace dtest {
namespace {

// As it was until Linux 5.9; later kernels take it, too.
constexpr unsigned long kIsValid = SECCOMP_IOR(2, uint64_t);

constexpr char kWhatToDo[] = "run without --no-network there, or leave this host out";

std::string Kernel() {
  utsname name = {};
  return uname(&name) == 0 ? absl::StrCat("this is ", name.release) : "";
}

absl::Status Error(int error, absl::string_view step, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat("cannot keep tests from the network: ", step, ": ",
                                                    std::strerror(error), " (", why, "); ", kWhatToDo));
}

const char* WhyNoFilter(int error) {
  if (error == EBUSY) return "this agent is under such a filter itself, as in a dtest --no-network, and there is one";
  if (error == EPERM || error == EACCES || error == ENOSYS) return "what it runs in, a container perhaps, forbids it";
  return "Linux does it from 5.5 on, with CONFIG_SECCOMP_FILTER";
}

long Seccomp(unsigned operation, unsigned flags, void* arguments) {
  return syscall(SYS_seccomp, operation, flags, arguments);
}

// Bytes that the caller does not have are left out.
absl::StatusOr<std::string> ReadMemory(pid_t process, uint64_t address, size_t size) {
  std::string bytes(size, '\0');
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of the other process
  iovec here = {bytes.data(), size}, there = {reinterpret_cast<void*>(static_cast<uintptr_t>(address)), size};
  const ssize_t got = process_vm_readv(process, &here, 1, &there, 1, 0);
  if (got < 0 && errno != EFAULT) return absl::ErrnoToStatus(errno, "process_vm_readv");
  bytes.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
  return bytes;
}

// The user that a process is, without the owner of its files in /proc, which tells whether it may be looked into.
bool IsOurs(pid_t process) {
  std::ifstream status(absl::StrCat("/proc/", process, "/status"));
  for (std::string line; std::getline(status, line);) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, absl::ByAnyChar("\t "), absl::SkipEmpty());
    uid_t user = 0;
    if (words.size() < 3 || words[0] != "Uid:") continue;
    for (size_t i = 1; i < words.size(); ++i) {
      if (!absl::SimpleAtoi(words[i], &user) || user != geteuid()) return false;
    }
    return true;
  }
  return true;
}

// Why, for people, and what to do.
std::string Unreadable(pid_t process, const absl::Status& status) {
  if (!absl::IsPermissionDenied(status)) return absl::StrCat("an address that cannot be read (", status.message(), ")");
  const char* const who = IsOurs(process)
                              ? "has closed its memory (PR_SET_DUMPABLE), or has rights that the agent lacks"
                              : "runs as another user than the agent";
  return absl::StrCat(
      "an address that cannot be read (process_vm_readv: the process ", who,
      ", and the agent lacks CAP_SYS_PTRACE: give it that, as with --cap-add=SYS_PTRACE to a container)");
}

// 4 or 16 bytes.
bool IsOfThisHost(absl::string_view ip) {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return false;
  bool found = false;
  for (const ifaddrs* one = all; one != nullptr && !found; one = one->ifa_next) {
    const sockaddr* const address = one->ifa_addr;
    if (address == nullptr) continue;
    if (address->sa_family == AF_INET && ip.size() == sizeof(in_addr)) {
      found = std::memcmp(&reinterpret_cast<const sockaddr_in*>(address)->sin_addr, ip.data(), ip.size()) == 0;
    } else if (address->sa_family == AF_INET6 && ip.size() == sizeof(in6_addr)) {
      found = std::memcmp(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr, ip.data(), ip.size()) == 0;
    }
  }
  freeifaddrs(all);
  return found;
}

// errno of a child that connects nothing to this address: EBADF, unless it is kept from it.
int ErrorOfConnect(const char* ip) {
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(9);
  inet_pton(AF_INET, ip, &to.sin_addr);
  const pid_t pid = vfork();  // NOLINT(clang-analyzer-security.insecureAPI.vfork): another process, and nothing copied
  if (pid == 0) {
    // NOLINTNEXTLINE(clang-analyzer-unix.Vfork): a call of the kernel, which changes nothing here but errno
    _exit(connect(-1, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 ? 0 : errno);
  }
  if (pid < 0) return errno;
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

absl::Status Begin(std::thread* thread, std::function<void()> run) {
  try {
    *thread = std::thread(std::move(run));
  } catch (const std::system_error& error) {
    return Error(error.code().value(), "starting a thread", "there may be too many processes: ulimit -u, pids.max");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<NetworkGuard>> NetworkGuard::Make(const Wake* wake) {
  std::unique_ptr<NetworkGuard> guard(new NetworkGuard(wake));
  for (const Wake* one : {wake, &guard->stop_}) {
    if (one->error() != 0) return Error(one->error(), "eventfd", "free descriptors, or allow more of them (ulimit -n)");
  }
  absl::Status status = Begin(&guard->starter_, [g = guard.get()] { g->RunStarter(); });
  if (!status.ok()) return status;
  guard->OnStarter([&] { status = guard->Install(); });
  if (!status.ok()) return status;
  status = Begin(&guard->watcher_, [g = guard.get()] { g->Watch(); });
  if (!status.ok()) return status;
  guard->OnStarter([&] { status = guard->TryIt(); });
  if (!status.ok()) return status;
  guard->trying_ = false;
  return guard;
}

NetworkGuard::~NetworkGuard() {
  stop_.Notify();
  if (watcher_.joinable()) watcher_.join();
  {
    MutexLock lock(&mutex_);
    starter_ends_ = true;
    mutex_.NotifyAll();
  }
  if (starter_.joinable()) starter_.join();
}

// ---- The thread under the filter

void NetworkGuard::OnStarter(absl::FunctionRef<void()> job) {
  MutexLock lock(&mutex_);
  job_ = &job;
  mutex_.NotifyAll();
  mutex_.Await([this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return job_ == nullptr; });
}

void NetworkGuard::RunStarter() {
  while (true) {
    const absl::FunctionRef<void()>* job = nullptr;
    {
      MutexLock lock(&mutex_);
      mutex_.Await([this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return job_ != nullptr || starter_ends_; });
      job = job_;
    }
    if (job == nullptr) return;
    (*job)();
    MutexLock lock(&mutex_);
    job_ = nullptr;
    mutex_.NotifyAll();
  }
}

absl::Status NetworkGuard::Install() {
  std::vector<sock_filter> filter = NetworkFilter();
  if (filter.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot keep tests from the network: that is there on x86-64 and 64-bit Arm only; ", kWhatToDo));
  }
  sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
  const unsigned plain = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  // Where the kernel has it, a signal that is no end does not tear a call away from the watcher.
  const unsigned killable = plain | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
  const auto listen = [&] {
    long fd = Seccomp(SECCOMP_SET_MODE_FILTER, killable, &program);
    if (fd < 0 && errno == EINVAL) fd = Seccomp(SECCOMP_SET_MODE_FILTER, plain, &program);
    return Fd(static_cast<int>(fd));
  };
  listener_ = listen();
  // A right that root has; others promise that setuid programs give them none.
  if (!listener_.ok() && errno == EACCES) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
      return Error(errno, "prctl(PR_SET_NO_NEW_PRIVS)", Kernel());
    }
    listener_ = listen();
  }
  if (listener_.ok()) return absl::OkStatus();
  const int error = errno;
  return Error(error, "seccomp(SECCOMP_SET_MODE_FILTER)", absl::StrCat(WhyNoFilter(error), ", and ", Kernel()));
}

absl::Status NetworkGuard::TryIt() const {
  int error = ErrorOfConnect("127.0.0.1");
  if (error == ENETUNREACH) {
    return Error(EPERM, "reading a child's memory",
                 "as with kernel.yama.ptrace_scope of 2 or more, or in a container without the right to");
  }
  if (error == EBADF) error = ErrorOfConnect("255.255.255.255");
  if (error == ENETUNREACH) return absl::OkStatus();
  return Error(error, "letting a call go on", absl::StrCat("Linux does it from 5.5 on, and ", Kernel()));
}

StartedChild NetworkGuard::Start(const ChildSpec& spec) {
  StartedChild started;
  OnStarter([&] { started = StartChild(spec); });
  return started;
}

// ---- The thread that hears of calls

void NetworkGuard::Watch() {
  seccomp_notif_sizes sizes = {};
  if (Seccomp(SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0) sizes = {};
  // The kernel's may be larger than those that this was compiled with.
  const size_t size = std::max<size_t>(sizes.seccomp_notif, sizeof(seccomp_notif));
  const std::unique_ptr<char, void (*)(void*)> buffer(static_cast<char*>(std::malloc(size)), std::free);
  auto* const heard = reinterpret_cast<seccomp_notif*>(buffer.get());
  // It is asked only where a call is there, and does not wait then: nobody else takes any.
  pollfd polled[] = {{listener_.get(), POLLIN, 0}, {stop_.fd(), POLLIN, 0}};
  while (true) {
    if (poll(polled, 2, -1) < 0) {
      if (errno == EINTR) continue;
      std::fprintf(stderr, "dtest-agent: poll: %s\n", std::strerror(errno));
      std::abort();
    }
    if (polled[1].revents != 0) return;
    std::memset(heard, 0, size);
    if (ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, heard) != 0) {
      if (errno == EINTR || errno == ENOENT) continue;  // who called has gone
      std::fprintf(stderr, "dtest-agent: SECCOMP_IOCTL_NOTIF_RECV: %s\n", std::strerror(errno));
      std::abort();
    }
    Judge(*heard);
  }
}

void NetworkGuard::Judge(const seccomp_notif& heard) {
  int error = ENETUNREACH;
  std::optional<std::string> forbidden = Forbidden(heard, &error);
  if (!Waits(heard.id)) return;  // what was read may be another's
  if (!forbidden.has_value()) {
    if (!Answer(heard.id, 0, true)) Answer(heard.id, ENOSYS, false);
    return;
  }
  if (trying_) {
    Answer(heard.id, error, false);
    return;
  }
  MutexLock lock(&mutex_);
  attempts_.push_back({heard.id, static_cast<pid_t>(heard.pid), *std::move(forbidden), error});
  if (attempts_.size() == 1) wake_.Notify();
}

std::optional<std::string> NetworkGuard::Forbidden(const seccomp_notif& heard, int* error) {
  const absl::StatusOr<NamedAddresses> named = AddressesOf(heard.data, [&](uint64_t address, size_t size) {
    return ReadMemory(static_cast<pid_t>(heard.pid), address, size);
  });
  if (!named.ok()) return Unreadable(static_cast<pid_t>(heard.pid), named.status());
  if (named->opens_device) {
    *error = EPERM;  // as without CAP_NET_RAW
    return kNetworkDevice;
  }
  for (const std::string& address : named->addresses) {
    std::optional<std::string> forbidden = ForbiddenAddress(address, named->sends, IsOfThisHost);
    if (forbidden.has_value()) return forbidden;
  }
  return std::nullopt;
}

bool NetworkGuard::Waits(uint64_t id) const { return ioctl(listener_.get(), kIsValid, &id) == 0 || errno != ENOENT; }

bool NetworkGuard::Answer(uint64_t id, int error, bool go_on) const {
  // As this was compiled; a kernel that knows of more takes that.
  seccomp_notif_resp answer = {};
  answer.id = id;
  answer.error = -error;
  answer.flags = go_on ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0;
  int sent;
  do {
    sent = ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, &answer);
  } while (sent != 0 && errno == EINTR);
  return sent == 0;
}

// ---- The agent's

std::vector<NetworkGuard::Attempt> NetworkGuard::TakeAttempts() {
  std::vector<Attempt> attempts;
  {
    MutexLock lock(&mutex_);
    if (!attempts_.empty()) wake_.Reset();
    attempts = std::exchange(attempts_, {});
  }
  for (Attempt& attempt : attempts) {
    if (!Waits(attempt.id)) attempt.process = 0;
  }
  return attempts;
}

void NetworkGuard::Refuse(const Attempt& attempt) { Answer(attempt.id, attempt.error, false); }

}  // namespace dtest
