// The signals a run answers to, as a file descriptor: SIGINT, SIGTERM and SIGHUP stop it, SIGUSR1 asks what is running.
// SIGWINCH tells that the terminal's width may have changed.
//
// Make it before any thread is started: the signals are blocked in the calling thread, and so in those it starts, until
// the object dies.

#ifndef DTEST_COORDINATOR_RUN_SIGNALS_H_
#define DTEST_COORDINATOR_RUN_SIGNALS_H_

#include <signal.h>

#include <optional>

namespace dtest {

class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  int fd() const { return fd_; }
  // The next signal that has arrived; nullopt if none.
  std::optional<int> Take();

 private:
  sigset_t previous_;
  int fd_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_SIGNALS_H_
