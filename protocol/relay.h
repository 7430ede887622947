// Joins a two-way byte stream to a UNIX socket, so that ZeroMQ's bytes travel through SSH (or any command's stdin and
// stdout). ByteBuffer and the two pump steps are for whoever pumps between other things (the coordinator's SSH thread);
// Relay is a whole pump with a thread of its own.
//
// Writing to a pipe whose reader is gone raises SIGPIPE, which kills: a program that calls PumpOut on a pipe must
// ignore that signal. (Sockets are written with MSG_NOSIGNAL, and Relay's own thread has signals blocked.)

#ifndef DTEST_PROTOCOL_RELAY_H_
#define DTEST_PROTOCOL_RELAY_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace dtest {

// A bounded queue of bytes: what has been read from one side and not yet been written to the other. When it is full,
// nothing is read: that is the back-pressure. One thread.
class ByteBuffer {
 public:
  explicit ByteBuffer(size_t capacity) : bytes_(capacity) {}

  // Where to put bytes that come in; empty when full. Valid until the next call of any method.
  absl::Span<char> Space();
  // `count` bytes were put at the start of Space().
  void Filled(size_t count) { end_ += count; }
  // What is waiting to go out, oldest first. Valid until the next call of Space.
  absl::string_view Bytes() const { return {bytes_.data() + begin_, end_ - begin_}; }
  // The first `count` of Bytes() have gone out.
  void Consumed(size_t count);

  bool empty() const { return begin_ == end_; }
  bool full() const { return end_ - begin_ == bytes_.size(); }

 private:
  std::vector<char> bytes_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

enum class PumpStep {
  kMoved,    // at least one byte
  kBlocked,  // nothing now: poll first. Also: no space to read into, nothing to write
  kEnd,      // reading: end of file. Writing: the other end does not read any more (EPIPE, ECONNRESET)
  kFailed,   // errno says why
};
// One read or write on a non-blocking descriptor; restarted after EINTR. A reset connection reads as its end.
PumpStep PumpIn(int fd, ByteBuffer* buffer);
PumpStep PumpOut(int fd, ByteBuffer* buffer);

class Relay {
 public:
  static constexpr size_t kBufferBytes = 256 << 10;  // each way

  // Returns with the pump running. The relay owns `read_fd` and `write_fd` (which may be the same one) in any case,
  // also after an error, and closes them. It makes the open files behind them non-blocking. To give away stdin and
  // stdout, dup them and put /dev/null in their place: then nothing the program prints by mistake can get into the
  // stream, and the far side sees its end when the relay closes it.
  //
  // Listens at `path` and takes one connection, made by this same process (its own DEALER), then removes the path. The
  // directory must belong to this user with mode 0700: FailedPrecondition if not.
  static absl::StatusOr<std::unique_ptr<Relay>> Listen(int read_fd, int write_fd, absl::string_view path);

  // Stops at once: what has not been handed on is lost (see Finish). Joins the thread.
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // Polls readable for ever once one direction has ended: its reading side is at the end of file and all that came
  // before has been handed on, or its writing side is gone. Never read from it. The other direction goes on until its
  // own end, so that nothing is lost when both sides close one after the other.
  int closed_fd() const;

  // Waits until all that came from the socket up to its end has been handed to the stream, at most `timeout`; true if
  // it was. For an orderly end: close the DEALER first (its Close hands everything to the socket), then this.
  bool Finish(absl::Duration timeout);

 private:
  class Impl;
  explicit Relay(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dtest

#endif  // DTEST_PROTOCOL_RELAY_H_
