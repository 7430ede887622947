// A running remote (or child) process as three streams: what the three launchers have in common. Nothing blocks.
//
// One thread, the host's.

#ifndef DTEST_COORDINATOR_LAUNCH_CONDUIT_H_
#define DTEST_COORDINATOR_LAUNCH_CONDUIT_H_

#include <poll.h>

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace dtest {

class Conduit {
 public:
  // Ends the process; where it is a child, waits for it, patiently so that an agent can clean up.
  virtual ~Conduit() = default;
  // No agent came up, so there is nothing that cleans up: the destructor need not wait for it.
  virtual void Abandon() {}

  // Appends what has arrived: of stdout at most about `room` bytes, of stderr everything.
  virtual absl::Status Read(size_t room, std::string* out, std::string* err) = 0;
  // How much of `bytes` was taken for stdin: 0 if none fits now.
  virtual absl::StatusOr<size_t> Write(absl::string_view bytes) = 0;
  // Whether Read (if `want_read`) or Write (if `want_write`) gets further at once, because of what this object holds:
  // no descriptor will say so. Ask before sleeping, after Read and Write.
  virtual bool Ready(bool /*want_read*/, bool /*want_write*/) { return false; }
  // Adds what to poll for before Read (if `want_read`: there is room) or Write (if `want_write`) can get further. Read
  // must have been called until it added nothing, or there is no room.
  virtual void AddPoll(bool want_read, bool want_write, std::vector<pollfd>* fds) = 0;

  // stdout has been read to its end.
  virtual bool ended() const = 0;
  // It is known how the process ended; may come a moment after ended().
  virtual bool exit_known() = 0;
  // It is known that the process itself has ended, where it runs: not only the way to it.
  virtual bool process_ended() = 0;
  // "exited with status 127", "was killed by signal 9", "closed the connection".
  virtual std::string HowItEnded() = 0;
  // Its exit status, or -1.
  virtual int exit_status() = 0;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_LAUNCH_CONDUIT_H_
