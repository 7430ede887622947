// dtest-agent: runs the tests of one host for the dtest that started it. See run_agent.h; protocol/PROTOCOL.md,
// "Start".

#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "agent/execute/process.h"
#include "agent/log.h"
#include "agent/loop/host_info.h"
#include "agent/loop/host_load.h"
#include "agent/loop/run_agent.h"
#include "agent/loop/start_check.h"
#include "dtest/base/descriptor_limit.h"
#include "dtest/version.h"

namespace dtest {
namespace {

constexpr absl::Duration kStartTimeout = absl::Minutes(1);

constexpr char kUsage[] =
    "usage: dtest-agent [--version | --help]\n"
    "\n"
    "Started by dtest on each host; speaks its protocol on stdin and stdout. Not for use by hand.\n"
    "DTEST_AGENT_LOG=debug|info|warning|error sets what it writes to stderr (default: warning).\n";

// Signals become readable; blocked before any thread starts, so that all inherit that.
int SignalFd() {
  signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0));
  if (pidfd >= 0) {
    close(pidfd);
  } else {
    sigaddset(&signals, SIGCHLD);
  }
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

absl::Status CannotRunHere(const absl::Status& why) {
  return absl::FailedPreconditionError(absl::StrCat(kCannotRunHere, why.message()));
}

// Nothing is shipped to an agent on the coordinator's machine.
absl::Status CheckStoreOf(const AgentStart& start) {
  if (start.link == AgentStart::kUnix) return absl::OkStatus();
  return CheckStore(start.store_root.empty() ? DefaultStoreRoot() : start.store_root);
}

absl::Status StartAndRun() {
  RaiseDescriptorLimit();
  RunAgentOptions options;
  options.version = Version();
  options.signal_fd = SignalFd();
  if (options.signal_fd < 0) return absl::ErrnoToStatus(errno, "cannot receive signals: signalfd");
  if (absl::Status status = BecomeSupervisor(); !status.ok()) return status;
  absl::StatusOr<StartStream> stream = StartStream::TakeStdio();
  if (!stream.ok()) return stream.status();
  absl::StatusOr<AgentStart> start = stream->ReadStart(kStartTimeout);
  if (!start.ok()) return start.status();
  options.start = *std::move(start);
  if (absl::Status status = CheckStoreOf(options.start); !status.ok()) return CannotRunHere(status);
  absl::StatusOr<std::unique_ptr<AgentDirectory>> directory = AgentDirectory::Make();
  if (!directory.ok()) return CannotRunHere(directory.status());
  if (MayNotRunPrograms((*directory)->path())) {
    LogWarning(absl::StrCat("programs may not run in ", (*directory)->path(),
                            " (a noexec mount): tests that make some there will fail; TMPDIR sets another"));
  }
  if (absl::Status status = stream->SendReady(options.start); !status.ok()) return status;
  return RunAgent(options, *std::move(directory), *std::move(stream));
}

int Main(int argc, char** argv) {
  if (argc == 2 && absl::string_view(argv[1]) == "--version") {
    std::printf("dtest-agent %s\n", Version());
    return 0;
  }
  if (argc == 2 && absl::string_view(argv[1]) == "--help") {
    std::fputs(kUsage, stdout);
    return 0;
  }
  if (argc != 1) {
    std::fputs(kUsage, stderr);
    return 4;
  }
  prctl(PR_SET_NAME, kAgentProcess);  // also where the program loader was started with this file
  SetUpLog();
  if (absl::Status status = StartAndRun(); !status.ok()) {
    LogError(status.message());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace dtest

int main(int argc, char** argv) { return dtest::Main(argc, argv); }
