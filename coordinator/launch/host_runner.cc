#include "coordinator/launch/host_runner.h"

#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "coordinator/launch/bootstrap.h"
#include "coordinator/launch/conduit.h"
#include "coordinator/launch/log_lines.h"
#include "coordinator/launch/process_conduit.h"
#include "coordinator/launch/ssh_conduit.h"
#include "coordinator/launch/ssh_program.h"
#include "coordinator/launch/ssh_settings.h"
#include "dtest/base/clock.h"
#include "dtest/base/fd.h"
#include "protocol/relay.h"
#include "protocol/start_line.h"

namespace dtest {
namespace {

constexpr int kBootstrapPatience = 3;  // times connect_timeout, once the host has answered
// An exit status follows the end of stdout, if it comes; a busy sshd takes its time.
constexpr absl::Duration kExitStatusWait = absl::Seconds(5);
// Between tries to connect to a ROUTER whose backlog is full, as when hundreds of hosts come up at once.
constexpr absl::Duration kLongestRouterDelay = absl::Milliseconds(50);
constexpr absl::Duration kLongestTurn = absl::Milliseconds(100);  // at sending an agent, ahead of the others
constexpr size_t kLinkBuffer = 1 << 20;                           // each way, in the relay

std::string MakeNonce() {
  char bytes[8];
  if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) std::memset(bytes, 0x5a, sizeof(bytes));
  return absl::BytesToHexString(absl::string_view(bytes, sizeof(bytes)));
}

class Runner {
 public:
  Runner(const FleetOptions& options, const HostSpec& host, const std::string& token, const Turns& shipping,
         HostControl* control, HostCounters* counters)
      : options_(options),
        host_(host),
        token_(token),
        shipping_(shipping),
        control_(control),
        counters_(counters),
        log_([control](std::string line) { control->Log(std::move(line)); }) {}

  HostEnd Run(const std::function<void()>& connected) {
    const absl::Time began = MonotonicNow();
    HostEnd end;
    end.status = control_->status();
    for (size_t attempt = 0; end.status.ok(); ++attempt) {
      end.status = Open();
      if (end.status.ok()) end.status = BringUp();
      if (end.status.ok() || !TurnedAway() || attempt == std::size(kSshRetryDelays)) break;
      control_->Log(absl::StrCat(end.status.message(), "; trying again"));
      conduit_->Abandon();
      conduit_.reset();
      std::vector<pollfd> none;
      absl::Status waited = control_->Wait(&none, MonotonicNow() + kSshRetryDelays[attempt]);
      end.status = absl::IsCancelled(waited) ? waited : absl::OkStatus();
    }
    if (end.status.ok()) {
      end.connected = true;
      counters_->connect_nanoseconds = absl::ToInt64Nanoseconds(MonotonicNow() - began);
      control_->Log(absl::StrCat("agent ", bootstrap_->shipped() ? "copied and " : "", "ready after ",
                                 absl::FormatDuration(absl::Trunc(MonotonicNow() - began, absl::Milliseconds(1))),
                                 timing_.empty() ? "" : absl::StrCat(" (", timing_, ")")));
      connected();
      end.status = Relay();
    }
    log_.Flush();
    // What ends here, of a command or the ssh program, is only the way to the agent.
    const bool own_process = host_.kind != HostSpec::Kind::kCommand && !by_program_.has_value();
    end.agent_ended = conduit_ != nullptr && own_process && conduit_->process_ended();
    if (conduit_ != nullptr && !end.connected) conduit_->Abandon();
    if (control_->closing()) end.status = end.connected ? absl::OkStatus() : absl::CancelledError("closed by dtest");
    end.last_words = log_.last_words();
    return end;
  }

 private:
  // ---- Opening the stream ----

  absl::Status Open() {
    if (options_.agent == nullptr && host_.kind != HostSpec::Kind::kLocal) {
      return absl::InternalError("no agent archive to start on hosts");
    }
    switch (host_.kind) {
      case HostSpec::Kind::kLocal:
        return OpenLocal();
      case HostSpec::Kind::kCommand:
        return OpenCommand();
      case HostSpec::Kind::kSsh:
        return OpenSsh();
    }
    return absl::InternalError("unknown kind of host");
  }

  absl::Status OpenLocal() {
    SpawnOptions spawn;
    spawn.argv = {options_.local_agent};
    absl::StatusOr<std::unique_ptr<Conduit>> conduit = StartProcess(spawn);
    if (!conduit.ok()) return conduit.status();
    conduit_ = *std::move(conduit);
    AgentStart start = StartLine();
    start.link = AgentStart::kUnix;
    start.address = options_.router_socket;
    Bootstrap::Options bootstrap;
    bootstrap.start = std::move(start);
    return MakeBootstrap(std::move(bootstrap));
  }

  absl::Status OpenCommand() {
    Bootstrap::Options bootstrap = ShellBootstrap("");
    bootstrap.type_command = true;
    if (absl::Status status = MakeBootstrap(std::move(bootstrap)); !status.ok()) return status;
    SpawnOptions spawn;
    spawn.argv = {"/bin/sh", "-c", host_.command};
    spawn.env = {{"DTEST_HOST", host_.name}};
    absl::StatusOr<std::unique_ptr<Conduit>> conduit = StartProcess(spawn);
    if (!conduit.ok()) return conduit.status();
    conduit_ = *std::move(conduit);
    return absl::OkStatus();
  }

  absl::Status OpenSsh() {
    const absl::Time began = MonotonicNow();
    absl::StatusOr<SshSettings> settings = ResolveSshSettings(host_, options_.ssh_config, options_.connect_timeout);
    if (!settings.ok()) return settings.status();
    const absl::Time resolved = MonotonicNow();
    absl::StatusOr<std::unique_ptr<SshConduit>> conduit =
        SshConduit::Connect(host_, *settings, options_.connect_timeout, control_);
    if (absl::IsUnimplemented(conduit.status())) {
      return OpenSshProgram(*std::move(settings), conduit.status().message());
    }
    if (!conduit.ok()) return conduit.status();
    timing_ = absl::StrCat("ssh -G ", absl::ToInt64Milliseconds(resolved - began), "ms, SSH ",
                           absl::ToInt64Milliseconds(MonotonicNow() - resolved), "ms");
    const std::string local_address = (*conduit)->local_address();
    if (options_.tcp && local_address.empty()) {
      control_->Log("reached through a proxy: --transport tcp is not possible, the SSH stream carries the link");
    }
    if (absl::Status status = MakeBootstrap(ShellBootstrap(local_address)); !status.ok()) return status;
    if (absl::Status status = (*conduit)->Exec(bootstrap_->command(), options_.connect_timeout); !status.ok()) {
      return status;
    }
    conduit_ = *std::move(conduit);
    return absl::OkStatus();
  }

  absl::Status OpenSshProgram(SshSettings settings, absl::string_view why) {
    if (!by_program_.has_value()) {
      control_->Notice(absl::StrCat("by the ssh program, since ", why));
      if (options_.tcp) {
        control_->Log("the ssh program: --transport tcp is not possible, the SSH stream carries the link");
      }
    }
    if (absl::Status status = MakeBootstrap(ShellBootstrap("")); !status.ok()) return status;
    SpawnOptions spawn;
    spawn.argv =
        SshProgramArguments(host_, settings, options_.ssh_config, options_.connect_timeout, bootstrap_->command());
    spawn.env = {{"SSH_ASKPASS_REQUIRE", "never"}};  // no terminal and no window: nothing can ask
    by_program_ = std::move(settings);
    absl::StatusOr<std::unique_ptr<Conduit>> conduit = StartProcess(spawn);
    if (!conduit.ok()) return conduit.status();
    conduit_ = *std::move(conduit);
    return absl::OkStatus();
  }

  bool SshProgramFailed() const {
    return by_program_.has_value() && conduit_ != nullptr && !bootstrap_->answered() &&
           conduit_->exit_status() == kSshFailed;
  }
  // By a server with too many at once.
  bool TurnedAway() const { return SshProgramFailed() && SshProgramWasTurnedAway(log_.last_words()); }

  AgentStart StartLine() const {
    AgentStart start;
    start.token = token_;
    start.run_id = options_.run_id;
    return start;
  }

  Bootstrap::Options ShellBootstrap(const std::string& local_address) {
    Bootstrap::Options bootstrap;
    bootstrap.archive = options_.agent;
    bootstrap.nonce = MakeNonce();
    bootstrap.store = options_.remote_store;
    bootstrap.start = StartLine();
    if (options_.tcp && !local_address.empty()) {
      bootstrap.start.link = AgentStart::kTcp;
      bootstrap.start.address = absl::StrCat(local_address, ":", options_.tcp_port);
      bootstrap.start.server_public_key = options_.server_public_key;
    } else {
      relayed_ = true;
    }
    return bootstrap;
  }

  absl::Status MakeBootstrap(Bootstrap::Options options) {
    absl::StatusOr<Bootstrap> bootstrap = Bootstrap::Make(std::move(options));
    if (!bootstrap.ok()) return bootstrap.status();
    bootstrap_.emplace(*std::move(bootstrap));
    return absl::OkStatus();
  }

  // ---- Bringing the agent up ----

  absl::Status BringUp() {
    // The ssh program connects and logs in first, each of which may take as long.
    absl::Duration patience = (by_program_.has_value() ? kBootstrapPatience : 1) * options_.connect_timeout;
    absl::Time deadline = MonotonicNow() + patience;
    Turn turn(shipping_, kLongestTurn);
    while (!bootstrap_->ready()) {
      std::string out, err;
      if (absl::Status status = conduit_->Read(kLinkBuffer, &out, &err); !status.ok()) return status;
      log_.Add(err);
      counters_->bytes_received += out.size();
      absl::Status received = bootstrap_->Receive(out);
      counters_->agent_shipped = bootstrap_->shipped();
      if (!received.ok()) return received;
      if (bootstrap_->ready()) break;
      if (bootstrap_->answered()) patience = kBootstrapPatience * options_.connect_timeout;
      if (conduit_->ended()) {
        AwaitExit();
        if (SshProgramFailed()) return SshProgramFailure(host_, *by_program_, log_.last_words());
        return bootstrap_->Failure(conduit_->HowItEnded(), conduit_->exit_status(), log_.last_words());
      }
      const bool may_send = turn.MayGoOn(bootstrap_->shipping(), MonotonicNow());
      absl::StatusOr<size_t> sent = Send(may_send ? bootstrap_->Outgoing() : "");
      if (!sent.ok()) return sent.status();
      bootstrap_->Sent(*sent);
      // Each sign of life gives the host its full time again: what counts is that it moves, or waits for its turn.
      if (*sent > 0 || !out.empty() || !may_send) deadline = MonotonicNow() + patience;
      const bool more = may_send && !bootstrap_->Outgoing().empty();
      if (*sent > 0 && more) continue;
      if (!control_->closing() && conduit_->Ready(true, more)) continue;
      std::vector<pollfd> fds;
      conduit_->AddPoll(true, more, &fds);
      if (!may_send) fds.push_back({turn.fd(), POLLIN, 0});
      const absl::Time until = may_send ? std::min(deadline, turn.ends()) : absl::InfiniteFuture();
      absl::Status waited = control_->Wait(&fds, until);
      if (absl::IsDeadlineExceeded(waited) && until < deadline) continue;
      if (absl::IsDeadlineExceeded(waited)) {
        return bootstrap_->Failure(absl::StrCat("gave no sign of life for ", absl::FormatDuration(patience)), -1,
                                   log_.last_words());
      }
      if (!waited.ok()) return waited;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<size_t> Send(absl::string_view bytes) {
    if (bytes.empty()) return 0;
    absl::StatusOr<size_t> sent = conduit_->Write(bytes);
    if (sent.ok()) counters_->bytes_sent += *sent;
    return sent;
  }

  // Gives an exit status that is under way the time to arrive, and reads what stderr still holds.
  void AwaitExit() {
    const absl::Time deadline = MonotonicNow() + kExitStatusWait;
    while (true) {
      std::string out, err;
      if (!conduit_->Read(kLinkBuffer, &out, &err).ok()) return;
      log_.Add(err);
      if (conduit_->exit_known()) return;
      std::vector<pollfd> fds;
      conduit_->AddPoll(true, false, &fds);
      if (!control_->Wait(&fds, deadline).ok()) return;
    }
  }

  // ---- The link ----

  absl::StatusOr<Fd> ConnectToRouter() const {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    if (options_.router_socket.size() >= sizeof(address.sun_path)) {
      return absl::InternalError(absl::StrCat("the path of the ROUTER's socket is too long: ", options_.router_socket));
    }
    std::memcpy(address.sun_path, options_.router_socket.data(), options_.router_socket.size());
    // Non-blocking from the start: a full backlog answers EAGAIN at once instead of holding up Close.
    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.ok()) return absl::InternalError(absl::StrCat("socket: ", std::strerror(errno)));
    const absl::Time deadline = MonotonicNow() + options_.connect_timeout;
    for (absl::Duration delay = absl::Milliseconds(1);; delay = std::min(2 * delay, kLongestRouterDelay)) {
      if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return fd;
      const int error = errno;
      const absl::Time now = MonotonicNow();
      std::vector<pollfd> none;
      if (error == EAGAIN && now < deadline && absl::IsDeadlineExceeded(control_->Wait(&none, now + delay))) continue;
      return absl::InternalError(
          absl::StrCat("cannot connect to the ROUTER at ", options_.router_socket, ": ", std::strerror(error)));
    }
  }

  // Until the stream ends, or the ROUTER closes, or the owner does.
  absl::Status Relay() {
    absl::StatusOr<Fd> connected = Fd();
    if (relayed_) connected = ConnectToRouter();
    if (!connected.ok()) return connected.status();
    const int router = connected->get();
    ByteBuffer to_host(kLinkBuffer);
    std::string to_router = bootstrap_->TakeLeftover();
    while (true) {
      // Host to ROUTER.
      std::string err;
      const size_t before = to_router.size();
      const size_t room = before < kLinkBuffer ? kLinkBuffer - before : 0;
      if (absl::Status status = conduit_->Read(room, &to_router, &err); !status.ok()) return status;
      counters_->bytes_received += to_router.size() - before;
      log_.Add(err);
      if (router < 0) {  // the agent has a link of its own: what it prints here was meant for its log
        log_.Add(to_router);
        to_router.clear();
      } else if (absl::Status status = SendToRouter(router, &to_router); !status.ok()) {
        return status;
      }
      if (conduit_->ended() && to_router.empty()) {
        AwaitExit();
        return absl::UnavailableError(absl::StrCat("the agent ", conduit_->HowItEnded()));
      }
      // ROUTER to host.
      if (router >= 0) {
        const PumpStep step = PumpIn(router, &to_host);
        if (step == PumpStep::kEnd) return absl::InternalError("the ROUTER closed the link");
        if (step == PumpStep::kFailed) {
          return absl::InternalError(absl::StrCat("reading from the ROUTER: ", std::strerror(errno)));
        }
      }
      absl::StatusOr<size_t> sent = Send(to_host.Bytes());
      if (!sent.ok()) return sent.status();
      to_host.Consumed(*sent);
      const bool room_to_read = to_router.size() < kLinkBuffer;
      if (!control_->closing() && conduit_->Ready(room_to_read, !to_host.empty())) continue;
      // Everything that could move has; sleep until something can again.
      std::vector<pollfd> fds;
      if (router >= 0) {
        const int events = (to_host.full() ? 0 : POLLIN) | (to_router.empty() ? 0 : POLLOUT);
        fds.push_back({router, static_cast<short>(events), 0});
      }
      conduit_->AddPoll(room_to_read, !to_host.empty(), &fds);
      if (absl::Status status = control_->Wait(&fds, absl::InfiniteFuture()); !status.ok()) return status;
    }
  }

  absl::Status SendToRouter(int router, std::string* bytes) {
    size_t done = 0;
    while (done < bytes->size()) {
      const ssize_t sent = send(router, bytes->data() + done, bytes->size() - done, MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno == EAGAIN) break;
      if (sent < 0) return absl::InternalError(absl::StrCat("writing to the ROUTER: ", std::strerror(errno)));
      done += sent;
    }
    bytes->erase(0, done);
    return absl::OkStatus();
  }

  const FleetOptions& options_;
  const HostSpec& host_;
  const std::string& token_;
  const Turns& shipping_;
  HostControl* const control_;
  HostCounters* const counters_;
  LogLines log_;
  std::unique_ptr<Conduit> conduit_;
  std::optional<Bootstrap> bootstrap_;
  std::optional<SshSettings> by_program_;  // it is reached by the ssh program
  bool relayed_ = false;
  std::string timing_;
};

}  // namespace

HostEnd RunHost(const FleetOptions& options, const HostSpec& host, const std::string& token, const Turns& shipping,
                HostControl* control, HostCounters* counters, const std::function<void()>& connected) {
  return Runner(options, host, token, shipping, control, counters).Run(connected);
}

}  // namespace dtest
