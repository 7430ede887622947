#include "coordinator/run/host_pool.h"

#include <sys/random.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace dtest {
namespace {

constexpr size_t kTokenSize = 16;
constexpr absl::Duration kLivenessInterval = absl::Seconds(1);

// Unpredictable, so that only the agent it was given to can say it. The first byte is not zero: ZeroMQ reserves those.
std::string MakeToken() {
  std::string token(kTokenSize, '\0');
  do {
    if (getrandom(token.data(), token.size(), 0) != static_cast<ssize_t>(token.size())) std::abort();
  } while (token[0] == '\0');
  return token;
}

std::string TemporaryParent() {
  const char* directory = std::getenv("TMPDIR");
  // A UNIX socket's path has room for 107 bytes.
  return directory != nullptr && directory[0] == '/' && std::string(directory).size() < 60 ? directory : "/tmp";
}

}  // namespace

absl::StatusOr<std::unique_ptr<HostPool>> HostPool::Create(Options options, std::vector<HostSpec> hosts,
                                                           Delegate* delegate) {
  std::unique_ptr<HostPool> pool(new HostPool(std::move(options), std::move(hosts), delegate));
  if (absl::Status status = pool->Bind(); !status.ok()) return status;
  return pool;
}

HostPool::HostPool(Options options, std::vector<HostSpec> hosts, Delegate* delegate)
    : options_(std::move(options)), delegate_(delegate) {
  for (HostSpec& spec : hosts) {
    Host host;
    host.spec = std::move(spec);
    const bool tcp = options_.tcp && host.spec.kind != HostSpec::Kind::kLocal;
    host.link = std::make_unique<HostLink>(&router_, MakeToken(), tcp ? Session::Options() : Session::OverStream());
    by_token_.emplace(host.link->token(), HostId(static_cast<uint32_t>(hosts_.size())));
    hosts_.push_back(std::move(host));
  }
}

HostPool::~HostPool() {
  if (fleet_ != nullptr) router_.UnwatchFd(fleet_->event_fd());
}

absl::Status HostPool::Bind() {
  absl::StatusOr<PrivateDirectory> directory = PrivateDirectory::Make(TemporaryParent(), "dtest-run-");
  if (!directory.ok()) return directory.status();
  directory_.emplace(*std::move(directory));
  options_.fleet.router_socket = directory_->path() + "/router";
  if (absl::Status status = router_.BindUnix(options_.fleet.router_socket); !status.ok()) return status;
  if (options_.tcp) {
    absl::StatusOr<CurveKeyPair> keys = MakeCurveKeyPair();
    if (!keys.ok()) return keys.status();
    absl::StatusOr<uint16_t> port = router_.BindTcp("*", *keys);
    if (!port.ok()) return port.status();
    options_.fleet.tcp = true;
    options_.fleet.tcp_port = *port;
    options_.fleet.server_public_key = keys->public_key;
  }
  std::vector<HostSpec> specs;
  for (const Host& host : hosts_) specs.push_back(host.spec);
  fleet_ = std::make_unique<Fleet>(options_.fleet, std::move(specs));
  router_.WatchFd(fleet_->event_fd());
  return absl::OkStatus();
}

void HostPool::Start(absl::Time now) {
  next_liveness_check_ = now + kLivenessInterval;
  for (uint32_t i = 0; i < hosts_.size(); ++i) fleet_->Start(HostId(i), hosts_[i].link->token());
}

absl::Status HostPool::Turn(const std::function<absl::Time()>& clock, absl::Time deadline) {
  deadline = std::min(deadline, next_liveness_check_);
  for (const Host& host : hosts_) {
    if (host.state == State::kUp) deadline = std::min(deadline, host.link->NextDeadline());
  }
  const absl::Duration timeout = std::max(deadline - clock(), absl::ZeroDuration());
  if (absl::Status status = router_.Wait(timeout, &ready_); !status.ok()) return status;
  const absl::Time now = clock();
  for (const FleetEvent& event : fleet_->Poll()) HandleFleetEvent(now, event);
  // Everything that has arrived is heard before anyone is called silent. Bounded, so that a flood of frames does not
  // keep the turn from ending.
  constexpr int kFramesATurn = 1024;
  bool drained = false;
  for (int i = 0; i < kFramesATurn && !drained; ++i) {
    std::optional<RouterTransport::Received> received = router_.Receive();
    drained = !received.has_value();
    if (!drained) HandleFrame(now, *received);
  }
  for (Host& host : hosts_) {
    if (host.state == State::kUp || host.state == State::kLeaving) host.link->Tick(now);
  }
  if (drained && now >= next_liveness_check_) CheckLiveness(now);
  return absl::OkStatus();
}

void HostPool::HandleFleetEvent(absl::Time now, const FleetEvent& event) {
  Host& host = hosts_[event.host.value()];
  switch (event.kind) {
    case FleetEvent::Kind::kConnected:
      if (host.state != State::kStarting) break;
      host.state = State::kConnected;
      host.connected = now;
      break;
    case FleetEvent::Kind::kLog:
      delegate_->HostLogs(event.host, event.text);
      break;
    case FleetEvent::Kind::kNotice:
      delegate_->HostNotes(event.host, event.text);
      break;
    case FleetEvent::Kind::kFailed:
    case FleetEvent::Kind::kEnded:
      if (host.state == State::kLeaving) {
        host.state = State::kGone;
      } else if (host.state != State::kGone) {
        // What the agent sent before its stream closed counts: its last words may say why.
        while (std::optional<RouterTransport::Received> received = router_.Receive()) HandleFrame(now, *received);
        absl::Status reason = event.status;
        if (reason.ok()) reason = absl::UnavailableError("the agent's connection was closed");
        if (event.kind == FleetEvent::Kind::kEnded && !event.text.empty()) {
          reason = absl::UnavailableError(
              absl::StrCat(reason.message(), "; its last words: ", absl::StripAsciiWhitespace(event.text)));
        }
        GiveUp(event.host, reason);
      }
      break;
  }
}

void HostPool::HandleFrame(absl::Time now, const RouterTransport::Received& received) {
  const auto found = by_token_.find(received.identity);
  if (found == by_token_.end()) return;  // a stranger: it does not know any token
  Host& host = hosts_[found->second.value()];
  if (host.state == State::kGone) return;
  absl::StatusOr<std::optional<FromAgent>> message = host.link->Receive(now, received.frame);
  if (!message.ok()) {
    GiveUp(found->second, message.status());
    return;
  }
  if (!message->has_value()) return;
  if (const Hello* hello = std::get_if<Hello>(&**message)) {
    if (hello->token != host.link->token()) {
      GiveUp(found->second, absl::PermissionDeniedError("the agent gave a wrong token"));
    } else if (host.state == State::kStarting || host.state == State::kConnected) {
      host.state = State::kUp;
      delegate_->HostIsUp(found->second, *hello);
    }
    return;
  }
  if (host.state == State::kUp) delegate_->HostSays(found->second, *std::move(*message));
}

void HostPool::CheckLiveness(absl::Time now) {
  // A coordinator that slept (a suspended machine) has not listened: it cannot call others silent.
  const bool slept = now - next_liveness_check_ > options_.silence / 4;
  next_liveness_check_ = now + kLivenessInterval;
  if (slept) return;
  for (uint32_t i = 0; i < hosts_.size(); ++i) {
    const Host& host = hosts_[i];
    if (host.state == State::kUp && now - host.link->last_heard() >= options_.silence) {
      GiveUp(HostId(i), absl::DeadlineExceededError(absl::StrCat("nothing was heard of its agent for ",
                                                                 absl::FormatDuration(options_.silence))));
    } else if (host.state == State::kConnected && now - host.connected >= options_.hello_timeout) {
      GiveUp(HostId(i),
             absl::DeadlineExceededError(absl::StrCat(
                 "its agent was started but did not report within ", absl::FormatDuration(options_.hello_timeout),
                 options_.tcp ? "; --transport tcp needs a way back to this machine" : "")));
    }
  }
}

void HostPool::Send(absl::Time now, HostId host, ToAgent message) {
  Host& target = hosts_[host.value()];
  if (target.state == State::kUp) target.link->Send(now, std::move(message));
}

void HostPool::GiveUp(HostId id, const absl::Status& reason) {
  Host& host = hosts_[id.value()];
  if (host.state == State::kGone) return;
  const bool was_up = host.state == State::kUp;
  const bool expected = host.state == State::kLeaving;
  host.state = State::kGone;
  fleet_->Close(id);
  if (!expected) delegate_->HostIsDown(id, was_up, reason);
}

void HostPool::ShutDown(absl::Time now) {
  for (uint32_t i = 0; i < hosts_.size(); ++i) {
    Host& host = hosts_[i];
    if (host.state == State::kUp) {
      host.link->Send(now, Shutdown());
      host.state = State::kLeaving;
    } else if (host.state != State::kLeaving && host.state != State::kGone) {
      host.state = State::kGone;  // still on its way up: nothing of ours runs there
      fleet_->Close(HostId(i));
    }
  }
}

bool HostPool::AllGone() const {
  return std::all_of(hosts_.begin(), hosts_.end(), [](const Host& host) { return host.state == State::kGone; });
}

}  // namespace dtest
