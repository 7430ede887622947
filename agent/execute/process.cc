#include "agent/execute/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "dtest/base/descriptor_limit.h"

namespace dtest {
namespace {

// Signals that this process handles or ignores, as of its first Spawn: a child is spared resetting the sixty others.
const std::vector<int>& ChangedSignals() {
  static const std::vector<int>* changed = [] {
    auto* signals = new std::vector<int>;
    for (int signal = 1; signal < _NSIG; ++signal) {
      struct sigaction action = {};
      if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_DFL) signals->push_back(signal);
    }
    return signals;
  }();
  return *changed;
}

constexpr int kReportDescriptor = 3;

// What the child needs, ready before vfork; and what it leaves behind if it does not get to exec.
struct Launch {
  const char* program;
  char* const* argv;
  char* const* envp;
  const char* directory;
  int output_fd;
  int error_fd;
  int report_fd;  // -1: none
  rlimit mark;
  pid_t parent;
  const std::vector<int>& changed_signals;
  const char* volatile failed_step = nullptr;
  volatile int error = 0;
};

[[noreturn]] void Fail(Launch* launch, const char* step) {
  launch->error = errno;
  launch->failed_step = step;
  _exit(127);
}

// Runs in the memory of the parent: no allocation, no lock, no function that may take one.
[[noreturn]] void Child(Launch* launch) {
  if (setpgid(0, 0) != 0) Fail(launch, "setpgid");
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) Fail(launch, "prctl(PR_SET_PDEATHSIG)");
  if (getppid() != launch->parent) _exit(127);  // the agent died before the line above
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  for (const int signal : launch->changed_signals) sigaction(signal, &action, nullptr);
  const int null = open("/dev/null", O_RDWR);
  if (null < 0) Fail(launch, "open(/dev/null)");
  if (dup2(null, 0) < 0 || dup2(launch->output_fd, 1) < 0 || dup2(launch->error_fd, 2) < 0) Fail(launch, "dup2");
  // The last, since 3 may be one of the descriptors above.
  if (launch->report_fd == kReportDescriptor && fcntl(launch->report_fd, F_SETFD, 0) != 0) Fail(launch, "fcntl");
  if (launch->report_fd > kReportDescriptor && dup2(launch->report_fd, kReportDescriptor) < 0) Fail(launch, "dup2");
  // Where the kernel has no close_range (before 5.9), close-on-exec has to do.
  syscall(SYS_close_range, launch->report_fd < 0 ? 3u : 4u, ~0u, 0u);
  umask(022);
  if (chdir(launch->directory) != 0) Fail(launch, "chdir");
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  // Without it leftovers are told apart by less: no reason not to run.
  if (launch->mark.rlim_cur != 0) setrlimit(RLIMIT_LOCKS, &launch->mark);
  // Here, where no descriptor above the lower limit is open any more.
  RestoreDescriptorLimit();
  execve(launch->program, launch->argv, launch->envp);
  Fail(launch, "execve");
}

rlimit MarkLimit(uint64_t mark) {
  rlimit limit = {};
  getrlimit(RLIMIT_LOCKS, &limit);
  limit.rlim_cur = mark;
  return limit;
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// A pipe of which the end to read from does not block.
class Pipe {
 public:
  bool Open() {
    if (pipe2(ends_, O_CLOEXEC) != 0) return false;
    return fcntl(ends_[0], F_SETFL, O_NONBLOCK) == 0;
  }
  ~Pipe() {
    if (ends_[0] >= 0) close(ends_[0]);
    if (ends_[1] >= 0) close(ends_[1]);
  }
  int write_fd() const { return ends_[1]; }
  int TakeReadFd() { return std::exchange(ends_[0], -1); }

 private:
  int ends_[2] = {-1, -1};
};

std::string WhyNot(const Launch& launch) {
  const bool executing = std::strcmp(launch.failed_step, "execve") == 0;
  if (launch.error == ENOEXEC) return " (not a program for this machine, or a script without a #! line)";
  if (executing && launch.error == ENOENT && access(launch.program, F_OK) == 0) {
    return " (its program loader or #! interpreter does not exist on this host)";
  }
  if (executing && launch.error == EACCES && access(launch.program, X_OK) == 0) {
    return " (is it on a file system mounted noexec?)";
  }
  return "";
}

}  // namespace

absl::StatusOr<std::unique_ptr<Process>> Process::Spawn(const Options& options) {
  Pipe output, errors, report;
  if (!output.Open() || (options.split_errors && !errors.Open()) || (options.report && !report.Open())) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot start ", options.program, ": no pipe for its output"));
  }
  const std::vector<char*> argv = Pointers(options.arguments);
  const std::vector<char*> envp = Pointers(options.environment);
  sigset_t all, before;
  sigfillset(&all);
  // A handler must not run in the child while it shares our memory.
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Launch launch = {.program = options.program.c_str(),
                   .argv = argv.data(),
                   .envp = envp.data(),
                   .directory = options.working_directory.c_str(),
                   .output_fd = output.write_fd(),
                   .error_fd = options.split_errors ? errors.write_fd() : output.write_fd(),
                   .report_fd = options.report ? report.write_fd() : -1,
                   .mark = MarkLimit(options.mark),
                   .parent = getpid(),
                   .changed_signals = ChangedSignals()};
  const pid_t pid = vfork();     // NOLINT(clang-analyzer-security.insecureAPI.vfork): the header says why
  if (pid == 0) Child(&launch);  // NOLINT(clang-analyzer-unix.Vfork): it calls nothing but the kernel
  const int vfork_error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) {
    return absl::ErrnoToStatus(vfork_error,
                               absl::StrCat("cannot start ", options.program,
                                            ": no new process (is the user's limit of processes or memory reached?)"));
  }
  if (launch.failed_step != nullptr) {
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return absl::ErrnoToStatus(launch.error,
                               absl::StrCat("cannot start ", options.program, " in ", options.working_directory, ": ",
                                            launch.failed_step, WhyNot(launch)));
  }
  const int end_fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));  // close-on-exec by itself
  const int end_error = errno;
  std::unique_ptr<Process> process(new Process(pid, output.TakeReadFd(),
                                               options.split_errors ? errors.TakeReadFd() : -1,
                                               options.report ? report.TakeReadFd() : -1, end_fd));
  // SIGCHLD makes up for a kernel without pidfds only.
  if (end_fd < 0 && (end_error == EMFILE || end_error == ENFILE || end_error == ENOMEM)) {
    return absl::ErrnoToStatus(end_error,
                               absl::StrCat("cannot start ", options.program,
                                            ": no descriptor that tells of its end (raise ulimit -n there)"));
  }
  return process;
}

Process::~Process() {
  CloseOutput();
  CloseErrors();
  CloseReport();
  if (reaped_) return;
  Signal(SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (end_fd_ >= 0) close(end_fd_);
}

void Process::CloseOutput() {
  if (output_fd_ >= 0) close(output_fd_);
  output_fd_ = -1;
}

void Process::CloseErrors() {
  if (error_fd_ >= 0) close(error_fd_);
  error_fd_ = -1;
}

void Process::CloseReport() {
  if (report_fd_ >= 0) close(report_fd_);
  report_fd_ = -1;
}

bool Process::HasEnded() const {
  siginfo_t info = {};
  return waitid(P_PID, pid_, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid_;
}

void Process::Signal(int signal) const {
  kill(-pid_, signal);
  if (signal == SIGTERM || signal == SIGINT) kill(-pid_, SIGCONT);
}

Process::End Process::Reap() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  reaped_ = true;
  if (end_fd_ >= 0) close(end_fd_);
  end_fd_ = -1;
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
