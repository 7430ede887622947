#include "agent/loop/link.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dtest/base/clock.h"
#include "protocol/codec.h"
#include "protocol/liveness.h"
#include "spdlog/spdlog.h"

namespace dtest {
namespace {

// What is received in one go: pipes and deadlines wait as long. The time is that of whoever handles the frames, too.
constexpr int kFramesATurn = 256;
constexpr absl::Duration kReceiveATurn = absl::Milliseconds(20);

Epoch NewEpoch() {
  uint64_t value = 0;
  while (value == 0) {
    if (getrandom(&value, sizeof value, 0) != sizeof value) std::abort();  // cannot fail for so few bytes
  }
  return Epoch(value);
}

}  // namespace

absl::StatusOr<StartStream> StartStream::TakeStdio() {
  const int in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
  const int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  StartStream stream(in, out);
  if (in < 0 || out < 0 || null < 0) return absl::ErrnoToStatus(errno, "cannot take over stdin and stdout");
  dup2(null, STDIN_FILENO);
  dup2(null, STDOUT_FILENO);
  close(null);
  return stream;
}

StartStream::StartStream(StartStream&& other) noexcept : in_(other.TakeIn()), out_(other.TakeOut()) {}

StartStream::~StartStream() {
  if (in_ >= 0) close(in_);
  if (out_ >= 0) close(out_);
}

int StartStream::TakeIn() { return std::exchange(in_, -1); }
int StartStream::TakeOut() { return std::exchange(out_, -1); }

absl::StatusOr<AgentStart> StartStream::ReadStart(absl::Duration timeout) {
  const absl::Time deadline = MonotonicNow() + timeout;
  std::string line;
  // Byte by byte: what follows the line belongs to ZeroMQ.
  while (line.empty() || line.back() != '\n') {
    if (line.size() > kMaxStartLine) return absl::InvalidArgumentError("no start line on stdin: the line is too long");
    pollfd ready = {in_, POLLIN, 0};
    const int64_t left = std::max<int64_t>(absl::ToInt64Milliseconds(deadline - MonotonicNow()), 0);
    const int polled = poll(&ready, 1, static_cast<int>(left));
    if (polled < 0 && errno == EINTR) continue;
    if (polled == 0) return absl::DeadlineExceededError("no start line came on stdin: dtest-agent is started by dtest");
    char byte;
    const ssize_t got = read(in_, &byte, 1);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return absl::ErrnoToStatus(errno, "cannot read the start line from stdin");
    if (got == 0) return absl::UnavailableError("stdin ended before the start line: dtest-agent is started by dtest");
    line += byte;
  }
  return ParseStartLine(line);
}

absl::Status StartStream::SendReady(const AgentStart& start) {
  const std::string line = FormatReadyLine(start.token);
  if (write(out_, line.data(), line.size()) == static_cast<ssize_t>(line.size())) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, "cannot tell the launcher on stdout that the agent is ready");
}

Link::Link(const Options& options, int in, int out)
    : options_(options),
      epoch_(NewEpoch()),
      in_(in),
      out_(out),
      session_(options.start.link == AgentStart::kTcp ? Session::Options() : Session::OverStream()) {}

Link::~Link() {
  if (watched_closed_ >= 0) options_.poller->Unwatch(watched_closed_);
  if (in_ >= 0) close(in_);
  if (out_ >= 0) close(out_);
}

absl::StatusOr<std::unique_ptr<Link>> Link::Connect(StartStream stream, const Options& options) {
  const AgentStart& start = options.start;
  const bool stdio = start.link == AgentStart::kStdio;
  std::unique_ptr<Link> link(new Link(options, stdio ? -1 : stream.TakeIn(), stdio ? -1 : stream.TakeOut()));
  absl::Status connected;
  if (stdio) {
    const std::string path = absl::StrCat(options.directory, "/link");
    absl::StatusOr<std::unique_ptr<Relay>> relay = Relay::Listen(stream.TakeIn(), stream.TakeOut(), path);
    if (!relay.ok()) return relay.status();
    link->relay_ = *std::move(relay);
    connected = link->transport_.ConnectUnix(path, start.token);
  } else if (start.link == AgentStart::kUnix) {
    connected = link->transport_.ConnectUnix(start.address, start.token);
  } else {
    connected = link->transport_.ConnectTcp(start.address, start.token, start.server_public_key);
  }
  if (!connected.ok()) return connected;
  options.poller->Watch(link->transport_.fd(), [] {});  // the loop looks after each turn
  if (stdio) {
    link->watched_closed_ = link->relay_->closed_fd();
    options.poller->Watch(link->watched_closed_, options.closed);
  } else {
    link->watched_closed_ = link->in_;
    options.poller->Watch(link->in_, [in = link->in_, closed = options.closed] {
      char ignored[4096];
      const ssize_t got = read(in, ignored, sizeof ignored);
      if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) closed();
    });
  }
  return link;
}

void Link::SendFrame(Session::Frame frame) {
  may_have_more_ = true;
  // A link that is down for a moment is the session's business: it sends again.
  if (absl::Status status = transport_.Send(std::move(frame)); !status.ok()) {
    spdlog::debug("cannot send to the coordinator: {}", std::string(status.message()));
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

void Link::Receive(const std::function<void(ToAgent)>& deliver, const std::function<void()>& alive) {
  const absl::Time enough = MonotonicNow() + kReceiveATurn;
  may_have_more_ = true;
  for (int frames = 0; frames < kFramesATurn && MonotonicNow() < enough; ++frames) {
    const std::optional<std::string> frame = transport_.Receive();
    if (!frame.has_value()) {
      may_have_more_ = false;
      return;
    }
    absl::StatusOr<Envelope<ToAgent>> envelope = DecodeToAgent(*frame);
    if (!envelope.ok()) {
      spdlog::warn("dropped a frame of the coordinator: {}", std::string(envelope.status().message()));
      continue;
    }
    if (envelope->epoch != epoch_) continue;
    const absl::Time now = MonotonicNow();
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

void Link::Close(absl::Duration timeout) {
  options_.poller->Unwatch(transport_.fd());
  transport_.Close(timeout);
  if (relay_ != nullptr) relay_->Finish(timeout);
}

}  // namespace dtest
