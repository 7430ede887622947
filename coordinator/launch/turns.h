// Turns at what hosts had better do one after the other: whoever finishes first then finishes much earlier, and the
// last no later. An eventfd as a semaphore, so that who waits for a turn polls a descriptor beside its others.
//
// Any thread.

#ifndef DTEST_COORDINATOR_LAUNCH_TURNS_H_
#define DTEST_COORDINATOR_LAUNCH_TURNS_H_

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "absl/time/time.h"
#include "dtest/base/fd.h"

namespace dtest {

class Turns {
 public:
  // So many at once. Without a descriptor to spare, all.
  explicit Turns(unsigned at_once) : fd_(eventfd(at_once, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE)) {}
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;

  // Readable while there is one to take.
  int fd() const { return fd_.get(); }
  // False: none is left; others may have been quicker than who polled.
  bool Take() const {
    uint64_t one;
    return !fd_.ok() || read(fd_.get(), &one, sizeof one) == sizeof one;
  }
  void GiveBack() const {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(fd_.get(), &one, sizeof one);  // as many as were taken: never full
  }

 private:
  const Fd fd_;
};

// One host's turn, of `longest` at most: a slow host does not hold up the others for longer. One thread.
class Turn {
 public:
  Turn(const Turns& turns, absl::Duration longest) : turns_(turns), longest_(longest) {}
  ~Turn() { GiveBack(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  // Whether a host that `wants` to go on may do so now. Once its turn is over it may go on beside those whose turn it
  // is.
  bool MayGoOn(bool wants, absl::Time now) {
    if (!wants || now >= ends_) GiveBack();
    if (!wants || ends_ != absl::InfiniteFuture()) return true;
    if (!turns_.Take()) return false;
    taken_ = true;
    ends_ = now + longest_;
    return true;
  }
  // When to ask again, although nothing else happened.
  absl::Time ends() const { return taken_ ? ends_ : absl::InfiniteFuture(); }
  int fd() const { return turns_.fd(); }

 private:
  void GiveBack() {
    if (taken_) turns_.GiveBack();
    taken_ = false;
  }

  const Turns& turns_;
  const absl::Duration longest_;
  bool taken_ = false;
  absl::Time ends_ = absl::InfiniteFuture();  // once it had one
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_LAUNCH_TURNS_H_
