#include "coordinator/launch/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "dtest/base/descriptor_limit.h"

namespace dtest {
namespace {

void CloseFd(int* fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

struct Pipe {
  int read = -1;
  int write = -1;
  bool Open() {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return false;
    read = fds[0];
    write = fds[1];
    return true;
  }
  ~Pipe() {
    CloseFd(&read);
    CloseFd(&write);
  }
};

absl::Status SpawnError(const SpawnOptions& options, int error) {
  return absl::Status(absl::ErrnoToStatusCode(error),
                      absl::StrCat("cannot run ", options.argv[0], ": ", std::strerror(error)));
}

// After vfork, in the memory of the parent, where only async-signal-safe calls are allowed. Returns only if something
// failed.
void BecomeChild(const SpawnOptions& options, const Pipe& in, const Pipe& out, const Pipe& err, pid_t parent,
                 char* const* argv, char** envp) {
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(127);
  const bool socket = options.stdio_socket >= 0;
  if (dup2(socket ? options.stdio_socket : in.read, 0) < 0) return;
  if (dup2(socket ? options.stdio_socket : out.write, 1) < 0) return;
  if (dup2(err.write, 2) < 0) return;
  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal != SIGKILL && signal != SIGSTOP) ::signal(signal, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  RestoreDescriptorLimit();
  execvpe(argv[0], argv, envp);
}

[[noreturn]] void RunChild(const SpawnOptions& options, const Pipe& in, const Pipe& out, const Pipe& err,
                           const Pipe& failure, pid_t parent, char* const* argv, char** envp) {
  BecomeChild(options, in, out, err, parent, argv, envp);
  const int error = errno;
  [[maybe_unused]] const ssize_t written = write(failure.write, &error, sizeof(error));
  _exit(127);
}

}  // namespace

absl::StatusOr<Child> Spawn(const SpawnOptions& options) {
  Pipe in, out, err, failure;
  const bool socket = options.stdio_socket >= 0;
  if ((!socket && (!in.Open() || !out.Open())) || !err.Open() || !failure.Open()) return SpawnError(options, errno);

  std::vector<char*> argv;
  for (const std::string& argument : options.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::vector<std::string> added;
  for (const auto& [name, value] : options.env) added.push_back(absl::StrCat(name, "=", value));
  std::vector<char*> envp;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    bool replaced = false;
    for (const auto& [name, value] : options.env) {
      replaced = replaced || absl::StartsWith(*entry, absl::StrCat(name, "="));
    }
    if (!replaced) envp.push_back(*entry);
  }
  for (std::string& entry : added) envp.push_back(entry.data());
  envp.push_back(nullptr);

  const pid_t parent = getpid();
  sigset_t all, before;
  sigfillset(&all);
  // A handler must not run in the child while it shares our memory.
  pthread_sigmask(SIG_SETMASK, &all, &before);
  // vfork: with many hosts there is much memory, and fork copies its page tables for each.
  const pid_t pid = vfork();                                                                 // NOLINT: see above
  if (pid == 0) RunChild(options, in, out, err, failure, parent, argv.data(), envp.data());  // NOLINT
  const int vfork_error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return SpawnError(options, vfork_error);
  Child child;
  child.pid = pid;
  CloseFd(&failure.write);
  int error = 0;
  ssize_t got;
  do {
    got = read(failure.read, &error, sizeof(error));
  } while (got < 0 && errno == EINTR);
  if (got == sizeof(error)) {
    child.EndAndReap(absl::ZeroDuration());
    return SpawnError(options, error);
  }
  child.pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (child.pidfd < 0) {
    error = errno;
    child.EndAndReap(absl::ZeroDuration());
    return SpawnError(options, error);
  }
  std::swap(child.in, in.write);
  std::swap(child.out, out.read);
  std::swap(child.err, err.read);
  for (int fd : {child.in, child.out, child.err}) {
    if (fd >= 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  }
  return child;
}

Child::~Child() {
  CloseFd(&pidfd);
  CloseFd(&in);
  CloseFd(&out);
  CloseFd(&err);
}

void Child::CloseStdin() { CloseFd(&in); }

bool Child::TryReap(int* wait_status) {
  if (pid < 0) return false;
  const pid_t reaped = waitpid(pid, wait_status, WNOHANG);
  if (reaped != pid) return false;
  pid = -1;
  return true;
}

void Child::Kill(int signal) const {
  if (pid > 0) kill(-pid, signal);
}

void Child::EndAndReap(absl::Duration patience) {
  CloseStdin();
  for (const int signal : {0, SIGTERM, SIGKILL}) {
    if (pid < 0) return;
    if (signal != 0) Kill(signal);
    pollfd ended = {pidfd, POLLIN, 0};
    // Without a pidfd nothing can be waited for with a limit: straight on to SIGKILL.
    if (pidfd >= 0 && signal != SIGKILL) poll(&ended, 1, static_cast<int>(absl::ToInt64Milliseconds(patience)));
    int status = 0;
    if (signal != SIGKILL) {
      TryReap(&status);
    } else {
      while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
      pid = -1;
    }
  }
}

std::string DescribeWaitStatus(int wait_status) {
  if (WIFSIGNALED(wait_status)) return absl::StrCat("was killed by signal ", WTERMSIG(wait_status));
  return absl::StrCat("exited with status ", WEXITSTATUS(wait_status));
}

absl::StatusOr<Captured> RunAndCapture(const std::vector<std::string>& argv, absl::Duration timeout) {
  SpawnOptions options;
  options.argv = argv;
  absl::StatusOr<Child> child = Spawn(options);
  if (!child.ok()) return child.status();
  child->CloseStdin();
  Captured captured;
  const absl::Time deadline = absl::Now() + timeout;
  while (child->out >= 0 || child->err >= 0) {
    pollfd fds[] = {{child->out, POLLIN, 0}, {child->err, POLLIN, 0}};
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) {
      child->EndAndReap(absl::ZeroDuration());
      return absl::DeadlineExceededError(absl::StrCat(argv[0], " did not end within ", absl::FormatDuration(timeout)));
    }
    if (poll(fds, 2, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1) <= 0) continue;
    for (auto [fd, text] : {std::pair(&child->out, &captured.out), std::pair(&child->err, &captured.err)}) {
      if (*fd < 0) continue;
      char buffer[4096];
      const ssize_t got = read(*fd, buffer, sizeof(buffer));
      if (got > 0) text->append(buffer, got);
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) CloseFd(fd);
    }
  }
  pollfd ended = {child->pidfd, POLLIN, 0};
  poll(&ended, 1, static_cast<int>(absl::ToInt64Milliseconds(deadline - absl::Now())));
  if (!child->TryReap(&captured.wait_status)) {
    child->EndAndReap(absl::ZeroDuration());
    return absl::DeadlineExceededError(absl::StrCat(argv[0], " closed its output but did not end"));
  }
  return captured;
}

}  // namespace dtest
