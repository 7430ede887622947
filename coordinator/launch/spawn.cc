#include "coordinator/launch/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "dtest/base/clock.h"
#include "dtest/base/start_child.h"

namespace dtest {
namespace {

struct Pipe {
  Fd read;
  Fd write;
  bool Open() {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return false;
    read = Fd(fds[0]);
    write = Fd(fds[1]);
    return true;
  }
};

absl::Status SpawnError(const SpawnOptions& options, int error) {
  return absl::Status(absl::ErrnoToStatusCode(error),
                      absl::StrCat("cannot run ", options.argv[0], ": ", std::strerror(error)));
}

// Ours, and what is added to it.
std::vector<std::string> EnvironmentOf(const SpawnOptions& options) {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const bool replaced = std::any_of(options.env.begin(), options.env.end(), [entry](const auto& added) {
      return absl::StartsWith(*entry, absl::StrCat(added.first, "="));
    });
    if (!replaced) variables.push_back(*entry);
  }
  for (const auto& [name, value] : options.env) variables.push_back(absl::StrCat(name, "=", value));
  return variables;
}

}  // namespace

absl::StatusOr<Child> Spawn(const SpawnOptions& options) {
  Pipe in, out, err;
  const bool socket = options.stdio_socket >= 0;
  if ((!socket && (!in.Open() || !out.Open())) || !err.Open()) return SpawnError(options, errno);
  ChildSpec spec;
  spec.program = options.argv[0];
  spec.search_path = true;
  spec.arguments = options.argv;
  spec.environment = EnvironmentOf(options);
  spec.in = socket ? options.stdio_socket : in.read.get();
  spec.out = socket ? options.stdio_socket : out.write.get();
  spec.err = err.write.get();
  spec.group = ChildSpec::Group::kSession;
  spec.death_signal = SIGTERM;
  const StartedChild started = StartChild(spec);
  if (started.failed_step != nullptr) return SpawnError(options, started.error);
  Child child;
  child.pid = started.pid;
  child.pidfd = Fd(static_cast<int>(syscall(SYS_pidfd_open, child.pid, 0)));
  if (!child.pidfd.ok()) {
    const int error = errno;
    child.EndAndReap(absl::ZeroDuration());
    return SpawnError(options, error);
  }
  child.in = std::move(in.write);
  child.out = std::move(out.read);
  child.err = std::move(err.read);
  for (const Fd* fd : {&child.in, &child.out, &child.err}) {
    if (fd->ok()) fcntl(fd->get(), F_SETFL, fcntl(fd->get(), F_GETFL) | O_NONBLOCK);
  }
  return child;
}

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
  in.Close();
  for (const int signal : {0, SIGTERM, SIGKILL}) {
    if (pid < 0) return;
    if (signal != 0) Kill(signal);
    pollfd ended = {pidfd.get(), POLLIN, 0};
    // Without a pidfd nothing can be waited for with a limit: straight on to SIGKILL.
    if (pidfd.ok() && signal != SIGKILL) poll(&ended, 1, static_cast<int>(absl::ToInt64Milliseconds(patience)));
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
  child->in.Close();
  Captured captured;
  const absl::Time deadline = MonotonicNow() + timeout;
  while (child->out.ok() || child->err.ok()) {
    pollfd fds[] = {{child->out.get(), POLLIN, 0}, {child->err.get(), POLLIN, 0}};
    const absl::Duration left = deadline - MonotonicNow();
    if (left <= absl::ZeroDuration()) {
      child->EndAndReap(absl::ZeroDuration());
      return absl::DeadlineExceededError(absl::StrCat(argv[0], " did not end within ", absl::FormatDuration(timeout)));
    }
    if (poll(fds, 2, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1) <= 0) continue;
    for (auto [fd, text] : {std::pair(&child->out, &captured.out), std::pair(&child->err, &captured.err)}) {
      if (!fd->ok()) continue;
      char buffer[4096];
      const ssize_t got = read(fd->get(), buffer, sizeof(buffer));
      if (got > 0) text->append(buffer, got);
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) fd->Close();
    }
  }
  pollfd ended = {child->pidfd.get(), POLLIN, 0};
  poll(&ended, 1, static_cast<int>(absl::ToInt64Milliseconds(deadline - MonotonicNow())));
  if (!child->TryReap(&captured.wait_status)) {
    child->EndAndReap(absl::ZeroDuration());
    return absl::DeadlineExceededError(absl::StrCat(argv[0], " closed its output but did not end"));
  }
  return captured;
}

}  // namespace dtest
