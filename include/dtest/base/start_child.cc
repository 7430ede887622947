#include "dtest/base/start_child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "dtest/base/descriptor_limit.h"

namespace dtest {
namespace {

constexpr int kReportDescriptor = 3;

std::vector<int> AllSignals() {
  std::vector<int> signals;
  for (int signal = 1; signal < _NSIG; ++signal) signals.push_back(signal);
  return signals;
}

std::vector<int> ChangedSignals() {
  std::vector<int> changed;
  for (int signal : AllSignals()) {
    struct sigaction action = {};
    if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_DFL) changed.push_back(signal);
  }
  return changed;
}

// Those that a child sets back.
const std::vector<int>& SignalsToReset(bool settled) {
  static const auto* const all = new std::vector<int>(AllSignals());
  if (!settled) return *all;
  static const auto* const changed = new std::vector<int>(ChangedSignals());
  return *changed;
}

// What the child needs, ready before vfork; and what it leaves behind if it does not get to exec.
struct Launch {
  const ChildSpec& spec;
  char* const* argv;
  char* const* envp;
  rlimit lock_limit;
  pid_t parent;
  const std::vector<int>& signals;
  const char* volatile failed_step = nullptr;
  volatile int error = 0;
};

[[noreturn]] void Fail(Launch* launch, const char* step) {
  launch->error = errno;
  launch->failed_step = step;
  _exit(127);
}

// Runs in the memory of the parent: no allocation, no lock, no function that may take one.
[[noreturn]] void BecomeProgram(Launch* launch) {
  const ChildSpec& spec = launch->spec;
  if (spec.group == ChildSpec::Group::kSession) {
    if (setsid() < 0) Fail(launch, "setsid");
  } else if (setpgid(0, 0) != 0) {
    Fail(launch, "setpgid");
  }
  if (prctl(PR_SET_PDEATHSIG, spec.death_signal) != 0) Fail(launch, "prctl(PR_SET_PDEATHSIG)");
  if (getppid() != launch->parent) _exit(127);  // it died before the line above
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  for (const int signal : launch->signals) sigaction(signal, &action, nullptr);
  const int in = spec.in >= 0 ? spec.in : open("/dev/null", O_RDWR | O_CLOEXEC);
  if (in < 0) Fail(launch, "open(/dev/null)");
  if (dup2(in, 0) < 0 || dup2(spec.out, 1) < 0 || dup2(spec.err, 2) < 0) Fail(launch, "dup2");
  // The last, since 3 may be one of the descriptors above.
  if (spec.report == kReportDescriptor && fcntl(spec.report, F_SETFD, 0) != 0) Fail(launch, "fcntl");
  if (spec.report > kReportDescriptor && dup2(spec.report, kReportDescriptor) < 0) Fail(launch, "dup2");
  // Where the kernel has no close_range (before 5.9), close-on-exec has to do.
  if (spec.close_others) syscall(SYS_close_range, spec.report < 0 ? 3u : 4u, ~0u, 0u);
  if (spec.file_mask.has_value()) umask(*spec.file_mask);
  if (!spec.working_directory.empty() && chdir(spec.working_directory.c_str()) != 0) Fail(launch, "chdir");
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  // A mark by which it is known again: no reason not to run.
  if (spec.lock_limit != 0) setrlimit(RLIMIT_LOCKS, &launch->lock_limit);
  // Here, where no descriptor above the lower limit is open any more.
  RestoreDescriptorLimit();
  if (spec.search_path) {
    execvpe(spec.program.c_str(), launch->argv, launch->envp);
  } else {
    execve(spec.program.c_str(), launch->argv, launch->envp);
  }
  Fail(launch, "execve");
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

StartedChild StartChild(const ChildSpec& spec) {
  const std::vector<char*> argv = Pointers(spec.arguments);
  const std::vector<char*> envp = Pointers(spec.environment);
  Launch launch = {.spec = spec,
                   .argv = argv.data(),
                   .envp = envp.data(),
                   .lock_limit = {},
                   .parent = getpid(),
                   .signals = SignalsToReset(spec.signals_are_settled)};
  getrlimit(RLIMIT_LOCKS, &launch.lock_limit);
  launch.lock_limit.rlim_cur = spec.lock_limit;
  sigset_t all, before;
  sigfillset(&all);
  // A handler must not run in the child while it shares our memory.
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = vfork();             // NOLINT(clang-analyzer-security.insecureAPI.vfork): the header says why
  if (pid == 0) BecomeProgram(&launch);  // NOLINT(clang-analyzer-unix.Vfork): it calls nothing but the kernel
  const int vfork_error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return {-1, "vfork", vfork_error};
  if (launch.failed_step == nullptr) return {pid, nullptr, 0};
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return {-1, launch.failed_step, launch.error};
}

}  // namespace dtest
