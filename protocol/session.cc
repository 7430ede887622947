#include "protocol/session.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace dtest {
namespace {

constexpr int kMostDoublings = 1;  // more would outlast a lease after a cut of a TCP link

}  // namespace

Session::Session() : Session(Options()) {}

Session::Session(const Options& options) : options_(options) {}

uint64_t Session::NextSequence() { return next_sequence_; }

void Session::Sent(absl::Time now, uint64_t sequence, Frame frame) {
  assert(sequence == next_sequence_);
  next_sequence_ = sequence + 1;
  if (sent_.empty()) resend_at_ = now + options_.resend_after;
  sent_.push_back({sequence, now, std::move(frame)});
  AcknowledgementSent();
}

Session::Verdict Session::Received(absl::Time now, uint64_t sequence, uint64_t acknowledged) {
  if (acknowledged < next_sequence_ && !sent_.empty() && acknowledged >= sent_.front().sequence) {
    while (!sent_.empty() && sent_.front().sequence <= acknowledged) sent_.pop_front();
    resend_at_ = sent_.empty() ? absl::InfiniteFuture() : now + options_.resend_after;
    resends_ = 0;
  }

  if (sequence == 0) return Verdict::kNoSession;
  if (sequence <= received_) {
    // It was sent again, so our acknowledgement was lost or late.
    acknowledgement_due_ = now;
    return Verdict::kDuplicate;
  }
  if (sequence > received_ + 1) {
    if (!gap_seen_) acknowledgement_due_ = now;
    gap_seen_ = true;
    return Verdict::kGap;
  }
  received_ = sequence;
  gap_seen_ = false;
  const bool many = received_ - last_acknowledgement_sent_ >= options_.acknowledge_every;
  acknowledgement_due_ = std::min(acknowledgement_due_, many ? now : now + options_.acknowledge_after);
  return Verdict::kDeliver;
}

void Session::AcknowledgementSent() {
  last_acknowledgement_sent_ = received_;
  acknowledgement_due_ = absl::InfiniteFuture();
}

bool Session::AcknowledgementDue(absl::Time now) const { return now >= acknowledgement_due_; }

std::vector<Session::Frame> Session::Resend(absl::Time now) {
  std::vector<Frame> frames;
  if (now < resend_at_) return frames;
  frames.reserve(sent_.size());
  for (const Unacknowledged& unacknowledged : sent_) frames.push_back(unacknowledged.frame);
  resends_ = std::min(resends_ + 1, kMostDoublings);
  resend_at_ = now + options_.resend_after * (1 << resends_);
  return frames;
}

absl::Time Session::NextDeadline() const { return std::min(acknowledgement_due_, resend_at_); }

absl::Time Session::OldestUnacknowledged() const { return sent_.empty() ? absl::InfiniteFuture() : sent_.front().sent; }

}  // namespace dtest
