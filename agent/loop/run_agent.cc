#include "agent/loop/run_agent.h"

#include <signal.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "agent/execute/direct_launcher.h"
#include "agent/execute/fork_launcher.h"
#include "agent/execute/leftovers.h"
#include "agent/execute/sandbox_launcher.h"
#include "agent/execute/slot_directories.h"
#include "agent/fetch/files_thread.h"
#include "agent/fetch/peers.h"
#include "agent/loop/connection.h"
#include "agent/loop/host_info.h"
#include "agent/loop/host_load.h"
#include "agent/loop/loop.h"
#include "agent/loop/poller.h"
#include "dtest/base/clock.h"

namespace dtest {
namespace {

constexpr absl::Duration kCloseTimeout = absl::Seconds(2);
constexpr absl::Duration kKillTimeout = absl::Seconds(2);
constexpr pid_t kInit = 1;

Epoch NewEpoch() {
  uint64_t value = 0;
  while (value == 0) {
    if (getrandom(&value, sizeof value, 0) != sizeof value) std::abort();  // cannot fail for so few bytes
  }
  return Epoch(value);
}

// `parent`: who started the agent. When it dies its last signal names it still.
AgentSignal::From SenderOf(const signalfd_siginfo& info, pid_t parent) {
  const pid_t sender = static_cast<pid_t>(info.ssi_pid);
  if (info.ssi_code > 0 || sender <= kInit || sender == parent || sender == getppid()) {
    return AgentSignal::From::kSystem;
  }
  // It, or one it descends from, may end between two looks: that it is there is asked last, and its descent once more.
  const auto gone = [sender] { return kill(sender, 0) != 0 && errno == ESRCH; };
  const bool test = DescendsFromUs(sender) || gone() || DescendsFromUs(sender) || gone();
  return test ? AgentSignal::From::kPerhapsATest : AgentSignal::From::kOther;
}

void ReadSignals(int fd, pid_t parent, AgentLoop* loop) {
  signalfd_siginfo info;
  while (read(fd, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGCHLD) {
      loop->ChildEnded();
    } else {
      loop->Signalled({static_cast<int>(info.ssi_signo), SenderOf(info, parent), static_cast<pid_t>(info.ssi_pid)});
    }
  }
}

}  // namespace

absl::Status RunAgent(const RunAgentOptions& options, std::unique_ptr<AgentDirectory> directory, StartStream stream) {
  const AgentStart& start = options.start;
  const pid_t parent = getppid();
  const std::string store = start.store_root.empty() ? DefaultStoreRoot() : start.store_root;
  EpollPoller poller;
  AgentDirectories directories(std::move(directory));
  HostLoadGauge gauge;
  std::unique_ptr<AgentLoop> loop;  // what calls it is called by the poller and by the loop itself
  const auto note = [&loop](std::string text) { loop->SendNote(std::move(text)); };
  DirectLauncher direct(note);
  ForkLauncher forks(&direct, note);
  SandboxLauncher launcher(&forks);

  absl::StatusOr<std::unique_ptr<Connection>> connection =
      Connection::Open(std::move(stream), {start, directories.path(), &poller, [&loop] { loop->StreamEnded(); }});
  if (!connection.ok()) return connection.status();

  AgentLoop::Options loop_options;
  loop_options.hello = DescribeHost(store);
  loop_options.hello.token = start.token;
  loop_options.hello.version = options.version;
  loop_options.epoch = NewEpoch();
  if (start.link != AgentStart::kTcp) loop_options.session = Session::OverStream();
  loop_options.environment = Environment(environ);
  loop_options.store = store;
  loop_options.peer_address = AddressOfSshConnection(std::getenv("SSH_CONNECTION"));
  const std::string glibc = loop_options.hello.glibc;
  loop = std::make_unique<AgentLoop>(std::move(loop_options),
                                     AgentLoop::Surroundings{MonotonicNow, &poller, (*connection)->dealer(), &launcher,
                                                             &directories, [&gauge] { return gauge.Read(); }});
  poller.Watch(options.signal_fd, [&] { ReadSignals(options.signal_fd, parent, loop.get()); });
  poller.Watch(launcher.fd(), [&] {
    launcher.TellAttempts([&](pid_t process, const std::string& address) { loop->NetworkTried(process, address); });
  });
  auto files = std::make_unique<FilesThread>(FilesThread::Options{store, glibc, &poller, loop.get()});

  loop->Start(files.get());
  while (!loop->ended()) {
    loop->Turn();
    if (loop->ended()) break;
    const absl::Status slept = poller.Wait(std::max(loop->NextTurn() - MonotonicNow(), absl::ZeroDuration()));
    if (slept.ok()) continue;
    loop->End(std::string(slept.message()));
    break;
  }
  loop->StopAll();
  launcher.EndServers();
  direct.KillOrphans(kKillTimeout);
  files.reset();
  (*connection)->Close(kCloseTimeout);
  return loop->end();
}

}  // namespace dtest
