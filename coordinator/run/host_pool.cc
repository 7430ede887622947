#include "coordinator/run/host_pool.h"

#include <sys/random.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "protocol/zmq_transport.h"

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
  absl::StatusOr<PrivateDirectory> directory = PrivateDirectory::Make(TemporaryParent(), "dtest-run-");
  if (!directory.ok()) return directory.status();
  auto router = std::make_unique<RouterTransport>();
  options.fleet.router_socket = directory->path() + "/router";
  if (absl::Status status = router->BindUnix(options.fleet.router_socket); !status.ok()) return status;
  if (options.tcp) {
    absl::StatusOr<CurveKeyPair> keys = MakeCurveKeyPair();
    if (!keys.ok()) return keys.status();
    absl::StatusOr<uint16_t> port = router->BindTcp("*", *keys);
    if (!port.ok()) return port.status();
    options.fleet.tcp = true;
    options.fleet.tcp_port = *port;
    options.fleet.server_public_key = keys->public_key;
  }
  auto fleet = std::make_unique<Fleet>(options.fleet, hosts);
  auto pool = std::make_unique<HostPool>(std::move(options), std::move(hosts), delegate,
                                         Reach{std::move(router), std::move(fleet)});
  pool->directory_.emplace(*std::move(directory));
  return pool;
}

HostPool::HostPool(Options options, std::vector<HostSpec> hosts, Delegate* delegate, Reach reach)
    : options_(std::move(options)), delegate_(delegate), reach_(std::move(reach)), hosts_(hosts.size()) {
  for (size_t i = 0; i < hosts.size(); ++i) hosts_[i].spec = std::move(hosts[i]);
  reach_.router->WatchFd(reach_.launcher->event_fd());
}

HostPool::~HostPool() { reach_.router->UnwatchFd(reach_.launcher->event_fd()); }

void HostPool::Start(absl::Time now) {
  next_liveness_check_ = now + kLivenessInterval;
  for (uint32_t i = 0; i < hosts_.size(); ++i) Launch(HostId(i));
}

void HostPool::Launch(HostId id) {
  Host& host = hosts_[id.value()];
  if (host.link != nullptr) by_token_.erase(host.link->token());
  const bool tcp = options_.tcp && host.spec.kind != HostSpec::Kind::kLocal;
  host.link =
      std::make_unique<HostLink>(reach_.router.get(), MakeToken(), tcp ? Session::Options() : Session::OverStream());
  by_token_.emplace(host.link->token(), id);
  host.state = State::kStarting;
  host.launched = true;
  reach_.launcher->Start(id, host.link->token());
}

absl::Status HostPool::Turn(const std::function<absl::Time()>& clock, absl::Time deadline) {
  deadline = std::min(deadline, next_liveness_check_);
  for (const Host& host : hosts_) {
    if (host.state == State::kUp) deadline = std::min(deadline, host.link->NextDeadline());
    if (host.state == State::kWaiting && !host.launched) deadline = std::min(deadline, host.restart_at);
  }
  const absl::Duration timeout = std::max(deadline - clock(), absl::ZeroDuration());
  if (absl::Status status = reach_.router->Sleep(timeout); !status.ok()) return status;
  const absl::Time now = clock();
  for (const FleetEvent& event : reach_.launcher->Poll()) HandleFleetEvent(now, event);
  // Everything that has arrived is heard before anyone is called silent. Bounded, so that a flood of frames does not
  // keep the turn from ending.
  constexpr int kFramesATurn = 1024;
  bool drained = false;
  for (int i = 0; i < kFramesATurn && !drained; ++i) {
    std::optional<Router::Received> received = reach_.router->Receive();
    drained = !received.has_value();
    if (!drained) HandleFrame(now, *received);
  }
  for (uint32_t i = 0; i < hosts_.size(); ++i) {
    Host& host = hosts_[i];
    if (host.state == State::kUp || host.state == State::kLeaving) host.link->Tick(now);
    if (host.state == State::kWaiting && !host.launched && now >= host.restart_at) Launch(HostId(i));
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
      host.launched = false;
      if (host.state == State::kGone || host.state == State::kWaiting) break;
      // What the agent sent before its stream closed counts: its last words may say why.
      while (std::optional<Router::Received> received = reach_.router->Receive()) HandleFrame(now, *received);
      if (host.state == State::kLeaving) {
        host.state = State::kGone;
      } else {
        absl::Status reason = event.status;
        if (reason.ok()) reason = absl::UnavailableError("the agent's connection was closed");
        if (event.kind == FleetEvent::Kind::kEnded && !event.text.empty()) {
          reason = absl::UnavailableError(
              absl::StrCat(reason.message(), "; its last words: ", absl::StripAsciiWhitespace(event.text)));
        }
        Lost(now, event.host, reason, event.agent_ended);
      }
      break;
  }
}

void HostPool::HandleFrame(absl::Time now, const Router::Received& received) {
  const auto found = by_token_.find(received.identity);
  if (found == by_token_.end()) return;  // a stranger: it does not know any token
  Host& host = hosts_[found->second.value()];
  if (host.state == State::kGone || host.state == State::kWaiting) return;
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
  // One that leaves may have to tell of what it leaves behind.
  const bool heard =
      host.state == State::kUp || (host.state == State::kLeaving && std::holds_alternative<Note>(**message));
  if (heard) delegate_->HostSays(found->second, *std::move(*message));
}

void HostPool::CheckLiveness(absl::Time now) {
  // A coordinator that slept (it was stopped, or the machine was suspended) has not listened: it cannot call others
  // silent, and what they said meanwhile may still be on its way.
  const bool slept = now - next_liveness_check_ > options_.silence / 4;
  next_liveness_check_ = now + kLivenessInterval;
  for (uint32_t i = 0; i < hosts_.size(); ++i) {
    Host& host = hosts_[i];
    if (slept && host.link != nullptr) {
      host.link->ForgiveSilence(now);
      if (host.state == State::kConnected) host.connected = now;
    } else if (host.state == State::kUp && now - host.link->last_heard() >= options_.silence) {
      Lost(now, HostId(i),
           absl::DeadlineExceededError(
               absl::StrCat("nothing was heard of its agent for ", absl::FormatDuration(options_.silence))),
           /*agent_ended=*/true);
    } else if (host.state == State::kConnected && now - host.connected >= options_.hello_timeout) {
      Lost(now, HostId(i),
           absl::DeadlineExceededError(absl::StrCat(
               "its agent was started but did not report within ", absl::FormatDuration(options_.hello_timeout),
               options_.tcp ? "; --transport tcp needs a way back to this machine" : "")),
           /*agent_ended=*/true);
    }
  }
}

void HostPool::Send(absl::Time now, HostId host, ToAgent message) {
  Host& target = hosts_[host.value()];
  if (target.state == State::kUp) target.link->Send(now, std::move(message));
}

void HostPool::Lost(absl::Time now, HostId id, const absl::Status& reason, bool agent_ended) {
  Host& host = hosts_[id.value()];
  if (host.state == State::kGone || host.state == State::kWaiting) return;
  // One that never came up has a reason that will not go away by itself.
  const bool again = (host.state == State::kUp || host.restarts > 0) && host.restarts < options_.restarts;
  if (again) {
    host.restart_at = now + options_.restart_delay * (1 << host.restarts);
    ++host.restarts;
  }
  Down(id, reason, again ? State::kWaiting : State::kGone, agent_ended);
}

void HostPool::GiveUp(HostId id, const absl::Status& reason) {
  if (hosts_[id.value()].state != State::kGone) Down(id, reason, State::kGone, /*agent_ended=*/false);
}

void HostPool::Down(HostId id, const absl::Status& reason, State next, bool agent_ended) {
  Host& host = hosts_[id.value()];
  const bool was_up = host.state == State::kUp;
  const bool expected = host.state == State::kLeaving;
  host.state = expected ? State::kGone : next;
  reach_.launcher->Close(id);
  if (expected) return;
  // One that lives on hears nothing any more: after as long as that makes a silent one lost, its tests have been
  // stopped.
  const absl::Time tests_end =
      was_up && !agent_ended ? host.link->last_heard() + options_.silence : absl::InfinitePast();
  delegate_->HostIsDown(id, was_up, reason, next == State::kWaiting, tests_end);
}

bool HostPool::AllAcknowledged() const {
  return std::all_of(hosts_.begin(), hosts_.end(),
                     [](const Host& host) { return host.state != State::kUp || host.link->AllAcknowledged(); });
}

void HostPool::ShutDown(absl::Time now) {
  for (uint32_t i = 0; i < hosts_.size(); ++i) {
    Host& host = hosts_[i];
    if (host.state == State::kUp) {
      host.link->Send(now, Shutdown());
      host.state = State::kLeaving;
    } else if (host.state != State::kLeaving && host.state != State::kGone) {
      host.state = State::kGone;  // still on its way up: nothing of ours runs there
      reach_.launcher->Close(HostId(i));
    }
  }
}

bool HostPool::AllGone() const {
  return std::all_of(hosts_.begin(), hosts_.end(), [](const Host& host) { return host.state == State::kGone; });
}

}  // namespace dtest
