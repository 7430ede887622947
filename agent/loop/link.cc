#include "agent/loop/link.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/log.h"
#include "protocol/codec.h"
#include "protocol/liveness.h"

namespace dtest {
namespace {

// What is received in one go: pipes and deadlines wait as long. The time is that of whoever handles the frames, too.
constexpr int kFramesATurn = 256;
constexpr absl::Duration kReceiveATurn = absl::Milliseconds(20);

}  // namespace

void Link::SendFrame(Session::Frame frame) {
  may_have_more_ = true;
  // A link that is down for a moment is the session's business: it sends again.
  if (absl::Status status = dealer_.Send(std::move(frame)); !status.ok()) {
    LogDebug(absl::StrCat("cannot send to the coordinator: ", status.message()));
  }
}

void Link::Send(absl::Time now, FromAgent message) {
  const bool bulk = std::visit([](const auto& m) { return IsBulk<std::decay_t<decltype(m)>>(); }, message);
  Envelope<FromAgent> envelope;
  envelope.epoch = epoch_;
  envelope.sequence = bulk ? 0 : session_.NextSequence();
  envelope.acknowledged = session_.acknowledged();
  envelope.body = std::move(message);
  const Session::Frame frame = std::make_shared<const std::string>(Encode(envelope));
  if (bulk) {
    session_.AcknowledgementSent();
  } else {
    session_.Sent(now, envelope.sequence, frame);
  }
  SendFrame(frame);
}

void Link::Receive(const std::function<absl::Time()>& clock, const std::function<void(ToAgent)>& deliver,
                   const std::function<void()>& alive) {
  const absl::Time enough = clock() + kReceiveATurn;
  may_have_more_ = true;
  for (int frames = 0; frames < kFramesATurn && clock() < enough; ++frames) {
    const std::optional<std::string> frame = dealer_.Receive();
    if (!frame.has_value()) {
      may_have_more_ = false;
      return;
    }
    absl::StatusOr<Envelope<ToAgent>> envelope = DecodeToAgent(*frame);
    if (!envelope.ok()) {
      LogWarning(absl::StrCat("dropped a frame of the coordinator: ", envelope.status().message()));
      continue;
    }
    if (envelope->epoch != epoch_) continue;
    const absl::Time now = clock();
    const Session::Verdict verdict = session_.Received(now, envelope->sequence, envelope->acknowledged);
    if (ProvesLife(session_, now, lease_timeout_)) alive();
    const bool wanted = verdict == Session::Verdict::kDeliver || verdict == Session::Verdict::kNoSession;
    if (wanted && envelope->body.has_value()) deliver(*std::move(envelope->body));
  }
}

void Link::Tick(absl::Time now) {
  if (now < session_.NextDeadline()) return;
  for (Session::Frame& frame : session_.Resend(now)) SendFrame(std::move(frame));
  if (!session_.AcknowledgementDue(now)) return;
  Envelope<FromAgent> envelope;
  envelope.epoch = epoch_;
  envelope.acknowledged = session_.acknowledged();
  SendFrame(std::make_shared<const std::string>(Encode(envelope)));
  session_.AcknowledgementSent();
}

}  // namespace dtest
