// The signals a run answers to, as a file descriptor: SIGINT, SIGTERM and SIGHUP stop it, SIGUSR1 asks what is running.
// SIGWINCH tells that the terminal's width may have changed.

#ifndef DTEST_COORDINATOR_RUN_SIGNALS_H_
#define DTEST_COORDINATOR_RUN_SIGNALS_H_

#include <signal.h>

#include <optional>

namespace dtest {

class SignalSource {
 public:
  virtual ~SignalSource() = default;
  virtual int fd() const = 0;  // readable when one has arrived
  // The next signal that has arrived; nullopt if none.
  virtual std::optional<int> Take() = 0;
};

// Make it before any thread is started: the signals are blocked in the calling thread, and so in those it starts, until
// the object dies.
class Signals : public SignalSource {
 public:
  Signals();
  ~Signals() override;
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  int fd() const override { return fd_; }
  std::optional<int> Take() override;

 private:
  sigset_t previous_;
  int fd_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_SIGNALS_H_
