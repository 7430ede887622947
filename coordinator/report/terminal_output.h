// Where a terminal report's bytes go, without ever stalling the run loop: a terminal stopped with Ctrl-S, or a pager
// that is not reading, must not keep the coordinator from its agents until their leases expire.

#ifndef DTEST_COORDINATOR_REPORT_TERMINAL_OUTPUT_H_
#define DTEST_COORDINATOR_REPORT_TERMINAL_OUTPUT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "dtest/base/fd.h"

namespace dtest {

// Writes to a terminal, pipe, socket or file. Writes to the first three do not block; what is not taken waits in
// pending(). Terminals and pipes are opened anew without blocking (the descriptor given is shared with other programs,
// whose writes must stay blocking), sockets are sent to. Where the opening fails, and for files, writes are plain ones.
// One thread.
class TerminalOutput {
 public:
  static constexpr size_t kMaxPending = 16 << 20;

  // Borrows `fd`, which outlives this object.
  explicit TerminalOutput(int fd);
  TerminalOutput(const TerminalOutput&) = delete;
  TerminalOutput& operator=(const TerminalOutput&) = delete;

  // Takes `bytes` over. Past kMaxPending bytes that nobody reads, further ones are left out and counted; a line says so
  // when reading goes on.
  void Append(absl::string_view bytes);
  // Writes what can be written now. Fails as write(2) does (EPIPE: nobody will ever read).
  absl::Status Write();
  // What ends Drain before everything is written: `stop`, asked when `fd` is readable, or that nothing was taken for
  // `patience`.
  struct Limits {
    absl::Duration patience = absl::InfiniteDuration();
    int fd = -1;
    std::function<bool()> stop;
  };
  // Writes everything, however long it takes. Unavailable if a limit ended it: what was not written is thrown away, and
  // error() is EPIPE, as nobody reads.
  absl::Status Drain(const Limits& limits);
  // The errno of the write that failed first; 0: none has.
  int error() const { return error_; }
  size_t pending() const { return pending_.size() - written_; }

 private:
  const int fd_;
  Fd own_fd_;  // the same file without blocking, where that is possible
  bool socket_ = false;
  std::string pending_;
  size_t written_ = 0;  // of pending_
  uint64_t left_out_ = 0;
  int error_ = 0;
};

// Columns of the terminal that `fd` is; 80 if it is none or does not say.
int TerminalColumns(int fd);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_REPORT_TERMINAL_OUTPUT_H_
