#include "agent/execute/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "dtest/base/fd.h"
#include "dtest/base/start_child.h"

namespace dtest {
namespace {

// A pipe, or a pair of sockets, of which the end to read from does not block.
struct PipeEnds {
  bool Open(bool sockets = false) {
    int ends[2];
    if ((sockets ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) : pipe2(ends, O_CLOEXEC)) != 0)
      return false;
    read = Fd(ends[0]);
    write = Fd(ends[1]);
    return fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0;
  }
  Fd read;
  Fd write;
};

// What the #! line of a script names; empty if the file is none.
std::string InterpreterOf(const std::string& path) {
  char start[256] = {};  // as much as Linux looks at
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const ssize_t size = file.ok() ? read(file.get(), start, sizeof(start)) : 0;
  absl::string_view line(start, static_cast<size_t>(std::max<ssize_t>(size, 0)));
  if (!absl::ConsumePrefix(&line, "#!")) return "";
  line = absl::StripLeadingAsciiWhitespace(line.substr(0, line.find('\n')));
  return std::string(line.substr(0, line.find_first_of(" \t")));
}

std::string WhyNot(const std::string& program, const StartedChild& child) {
  const bool executing = std::strcmp(child.failed_step, "execve") == 0;
  if (child.error == ENOEXEC) return " (not a program for this machine, or a script without a #! line)";
  if (executing && child.error == ENOENT && access(program.c_str(), F_OK) == 0) {
    const std::string interpreter = InterpreterOf(program);
    if (interpreter.empty()) return " (its program loader does not exist on this host)";
    return absl::StrCat(" (its #! interpreter ", interpreter,
                        " does not exist on this host: install it there, or correct the script's first line)");
  }
  if (executing && child.error == EACCES && access(program.c_str(), X_OK) == 0) {
    return " (is it on a file system mounted noexec?)";
  }
  if (std::strcmp(child.failed_step, "vfork") == 0) return " (is the user's limit of processes or memory reached?)";
  return "";
}

}  // namespace

absl::StatusOr<std::unique_ptr<Process>> Process::Spawn(Options options) {
  PipeEnds output, errors, report;
  if (!output.Open() || (options.split_errors && !errors.Open()) ||
      (options.report && !report.Open(!options.fork_server.empty()))) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot start ", options.program, ": no pipe for its output"));
  }
  ChildSpec spec;
  spec.program = std::move(options.program);
  spec.arguments = std::move(options.arguments);
  spec.environment = std::move(options.environment);
  spec.working_directory = std::move(options.working_directory);
  spec.out = output.write.get();
  spec.err = options.split_errors ? errors.write.get() : output.write.get();
  spec.report = report.write.get();
  spec.close_others = true;
  spec.signals_are_settled = true;
  spec.death_signal = SIGKILL;
  spec.file_mask = 022;
  spec.lock_limit = options.mark;
  const StartedChild child = options.start(spec);
  if (child.failed_step != nullptr) {
    return absl::ErrnoToStatus(child.error, absl::StrCat("cannot start ", spec.program, " in ", spec.working_directory,
                                                         ": ", child.failed_step, WhyNot(spec.program, child)));
  }
  const pid_t pid = child.pid;
  const int end_fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));  // close-on-exec by itself
  const int end_error = errno;
  std::unique_ptr<Process> process(
      new Process(pid, {std::move(output.read), std::move(errors.read), std::move(report.read)}, end_fd));
  // SIGCHLD makes up for a kernel without pidfds only.
  if (end_fd < 0 && (end_error == EMFILE || end_error == ENFILE || end_error == ENOMEM)) {
    return absl::ErrnoToStatus(
        end_error,
        absl::StrCat("cannot start ", spec.program, ": no descriptor that tells of its end (raise ulimit -n there)"));
  }
  return process;
}

Process::~Process() {
  for (const Pipe pipe : kPipes) Close(pipe);
  if (reaped_) return;
  Signal(SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool Process::Answer(const std::string& bytes) const {
  // It waits for this: there is room for it, or it is not what it should be.
  return send(fd(Pipe::kReport), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

void Process::EndAnswers() const { shutdown(fd(Pipe::kReport), SHUT_WR); }

bool Process::HasEnded() const {
  siginfo_t info = {};
  return waitid(P_PID, pid_, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid_;
}

void Process::Signal(int signal) const {
  // Where vfork() is a fork() (ThreadSanitizer's, that of qemu's user mode), it may not have its group yet.
  if (kill(-pid_, signal) != 0 && errno == ESRCH) kill(pid_, signal);
  if (signal == SIGTERM || signal == SIGINT) kill(-pid_, SIGCONT);
}

Process::End Process::HowEnded(pid_t pid) {
  siginfo_t info = {};
  if (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0) return {0, SIGKILL};
  return info.si_code == CLD_EXITED ? End{info.si_status, 0} : End{0, info.si_status};
}

Process::End Process::Reap() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  reaped_ = true;
  end_fd_.Close();
  if (WIFSIGNALED(status)) return {0, WTERMSIG(status)};
  return {WEXITSTATUS(status), 0};
}

absl::Status BecomeSupervisor() {
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
    return absl::ErrnoToStatus(errno, "cannot become the reaper of leaked processes: prctl PR_SET_CHILD_SUBREAPER");
  }
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return absl::ErrnoToStatus(errno, "cannot read /proc/self/fd (is /proc mounted?)");
  while (const dirent* entry = readdir(directory)) {
    const int fd = std::atoi(entry->d_name);
    if (fd > 2) fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  closedir(directory);
  return absl::OkStatus();
}

}  // namespace dtest
