#include "coordinator/run/host_link.h"

#include <memory>
#include <utility>

#include "protocol/codec.h"

namespace dtest {

void HostLink::Transmit(Session::Frame frame) {
  // NotFound means that the agent is not connected at this moment; what matters is kept by the session.
  (void)router_->Send(token_, std::move(frame));
}

void HostLink::Send(absl::Time now, ToAgent body) {
  const bool bulk = std::visit([](const auto& message) { return IsBulk<std::decay_t<decltype(message)>>(); }, body);
  Envelope<ToAgent> envelope;
  envelope.epoch = epoch_.value_or(Epoch());
  envelope.sequence = bulk ? 0 : session_.NextSequence();
  envelope.acknowledged = session_.acknowledged();
  envelope.body = std::move(body);
  auto frame = std::make_shared<const std::string>(Encode(envelope));
  if (bulk) {
    session_.AcknowledgementSent();
  } else {
    session_.Sent(now, envelope.sequence, frame);
  }
  Transmit(std::move(frame));
}

absl::StatusOr<std::optional<FromAgent>> HostLink::Receive(absl::Time now, absl::string_view frame) {
  absl::StatusOr<Envelope<FromAgent>> envelope = DecodeFromAgent(frame);
  if (!envelope.ok()) return envelope.status();
  if (!epoch_.has_value()) epoch_ = envelope->epoch;
  if (envelope->epoch != *epoch_) return std::nullopt;
  last_heard_ = now;
  switch (session_.Received(now, envelope->sequence, envelope->acknowledged)) {
    case Session::Verdict::kDeliver:
    case Session::Verdict::kNoSession:
      return std::move(envelope->body);
    case Session::Verdict::kDuplicate:
    case Session::Verdict::kGap:
      break;
  }
  return std::nullopt;
}

void HostLink::Tick(absl::Time now) {
  if (session_.NextDeadline() > now) return;
  for (Session::Frame& frame : session_.Resend(now)) Transmit(std::move(frame));
  if (session_.AcknowledgementDue(now)) {
    Envelope<ToAgent> envelope;
    envelope.epoch = epoch_.value_or(Epoch());
    envelope.acknowledged = session_.acknowledged();
    session_.AcknowledgementSent();
    Transmit(std::make_shared<const std::string>(Encode(envelope)));
  }
}

}  // namespace dtest
