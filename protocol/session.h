// One end of the ordered, exactly-once delivery of session messages between the coordinator and one agent, over a link
// that may drop, double, delay or reorder frames (a TCP reconnect of ZeroMQ does). Go-back-N with cumulative
// acknowledgement: RFC 9293's idea without its windows, since the messages are few and credit bounds the bulk.
//
// Pure bookkeeping: no clock, no socket; bytes of frames are opaque. One object per direction pair, one thread.
//
//   sender:    seq = session.NextSequence(); frame = Encode({..., seq, session.acknowledged(), body});
//              session.Sent(now, seq, frame); transport.Send(frame)
//   receiver:  switch (session.Received(now, env.sequence, env.acknowledged)) { case kDeliver: handle(env.body) ... }
//   each turn: for (frame : session.Resend(now)) transport.Send(frame);
//              if (session.AcknowledgementDue(now)) transport.Send(Encode({..., 0, session.acknowledged(), nullopt}))

#ifndef DTEST_PROTOCOL_SESSION_H_
#define DTEST_PROTOCOL_SESSION_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace dtest {

class Session {
 public:
  struct Options {
    // Nothing was acknowledged for this long, and something should be: send all that is not again. (RFC 6298, section
    // 5: the timer starts with the first frame on its way and again with each acknowledgement of something new. After
    // it has run out it is twice as long, so that a slow link is not filled with copies; it never grows beyond that,
    // since a link that was cut for a moment must recover well within a lease.)
    absl::Duration resend_after = absl::Seconds(5);
    absl::Duration acknowledge_after = absl::Milliseconds(250);  // a bare acknowledgement, if no message carried it
    uint32_t acknowledge_every = 64;                             // or when this many came in unacknowledged
  };
  // Shared with the transport: a resend copies no bytes.
  using Frame = std::shared_ptr<const std::string>;

  Session();  // default Options
  explicit Session(const Options& options);
  // For a link over one byte stream, which loses nothing: there a copy is only one more thing to wait for.
  static Options OverStream() { return {.resend_after = absl::Minutes(1)}; }

  // 1, 2, 3...; each number must be given to Sent before the next is taken (until then it is the same one).
  uint64_t NextSequence();
  // Keeps the frame until it is acknowledged. The envelope in it carried acknowledged(). `sequence` is what
  // NextSequence returned.
  void Sent(absl::Time now, uint64_t sequence, Frame frame);

  enum class Verdict {
    kDeliver,    // the next in order: handle it, exactly once
    kDuplicate,  // had it before
    kGap,        // something before it is missing; it will come again
    kNoSession,  // sequence 0: a bulk body or a bare acknowledgement; handle the body, if any
  };
  // An `acknowledged` beyond what was ever sent is ignored: the other end is broken, or of another epoch.
  Verdict Received(absl::Time now, uint64_t sequence, uint64_t acknowledged);

  // Highest number received in order: what the next envelope says.
  uint64_t acknowledged() const { return received_; }
  // An envelope with acknowledged() was sent: nothing is due any more. Sent() does this by itself.
  void AcknowledgementSent();
  bool AcknowledgementDue(absl::Time now) const;

  // Frames to send again now, in order; empty most of the time.
  std::vector<Frame> Resend(absl::Time now);

  // When AcknowledgementDue or Resend will have something; InfiniteFuture if never.
  absl::Time NextDeadline() const;
  // When the oldest message that the other end has not acknowledged was first sent; InfiniteFuture if there is none.
  // See liveness.h.
  absl::Time OldestUnacknowledged() const;
  // Frames not yet acknowledged by the other end.
  size_t unacknowledged() const { return sent_.size(); }

 private:
  struct Unacknowledged {
    uint64_t sequence;
    absl::Time sent;  // the first time
    Frame frame;
  };
  Options options_;
  uint64_t next_sequence_ = 1;
  uint64_t received_ = 0;
  uint64_t last_acknowledgement_sent_ = 0;
  bool gap_seen_ = false;  // said so already: one acknowledgement a gap, not one a frame behind it
  absl::Time acknowledgement_due_ = absl::InfiniteFuture();
  std::deque<Unacknowledged> sent_;                // in order, without holes
  absl::Time resend_at_ = absl::InfiniteFuture();  // finite while sent_ is not empty
  int resends_ = 0;                                // since the last acknowledgement of something new
};

}  // namespace dtest

#endif  // DTEST_PROTOCOL_SESSION_H_
