#include "coordinator/run/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

namespace dtest {

Signals::Signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGWINCH, SIGTSTP}) {
    // One that is ignored (nohup, a background job of a script) stays so: signalfd would hear it all the same.
    struct sigaction action;
    if (sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) continue;
    sigaddset(&set, number);
  }
  pthread_sigmask(SIG_BLOCK, &set, &previous_);
  fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

Signals::~Signals() {
  close(fd_);
  pthread_sigmask(SIG_SETMASK, &previous_, nullptr);
}

std::optional<int> Signals::Take() {
  signalfd_siginfo info;
  if (read(fd_, &info, sizeof info) != sizeof info) return std::nullopt;
  return static_cast<int>(info.ssi_signo);
}

void Signals::StopProcess() { raise(SIGSTOP); }

}  // namespace dtest
