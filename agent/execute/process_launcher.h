// How test processes come to life, as slots see them. DirectLauncher (direct_launcher.h) starts them as children,
// ForkLauncher (fork_launcher.h) has them forked from a program that has loaded what they need, SandboxLauncher
// (sandbox_launcher.h) has others start them where they are kept from something. In tests, processes are written by
// hand.
//
// One thread, the one that starts all processes (agent/execute/process.h says why).

#ifndef DTEST_AGENT_EXECUTE_PROCESS_LAUNCHER_H_
#define DTEST_AGENT_EXECUTE_PROCESS_LAUNCHER_H_

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "agent/execute/process.h"
#include "dtest/ids.h"

namespace dtest {

using StartSpec = Process::Options;

// A process of a slot, with all that descends from it.
class TestProcess {
 public:
  // Kills it and what it left behind, if it was not reaped.
  virtual ~TestProcess() = default;

  // A descriptor to watch; -1 where it has no such pipe, or after Close.
  virtual int fd(Pipe pipe) const = 0;
  // Puts what there is into `buffer` and says how much that was: 0, there is nothing now; nullopt, nothing comes any
  // more.
  virtual std::optional<size_t> Read(Pipe pipe, absl::Span<char> buffer) = 0;
  virtual void Close(Pipe pipe) = 0;
  // Answers what it has said through its report channel: it reads these bytes from the same descriptor. False: it has
  // ended, or is one that takes no answers.
  virtual bool Answer(const std::string& /*bytes*/) { return false; }
  // There are none any more: it reads the end.
  virtual void EndAnswers() {}

  // A descriptor to watch: readable when the process has ended. -1 where there is none: ask HasEnded after SIGCHLD.
  virtual int end_fd() const = 0;
  virtual bool HasEnded() const = 0;
  // To the process and its group. Not after Reap.
  virtual void Signal(int signal) = 0;

  // Whether something that descends from it lives, once it has ended. What an earlier process of the slot left behind
  // is no such thing, and is killed.
  virtual bool HasLeftovers() = 0;
  // The group, and all that it left behind; returns when that is gone, after a second at the latest.
  virtual void KillAll() = 0;
  // Whether that process is this one or descends from it; false where that cannot be told any more.
  virtual bool IsAncestorOf(pid_t process) const = 0;
  // Whether that thread is the first one of this very process; false where that cannot be told.
  virtual bool IsFirstThread(pid_t /*thread*/) const { return false; }
  // Whether that process is one that is to fork this one, which has not begun, or a child of it.
  virtual bool AwaitsServer(pid_t /*process*/) const { return false; }

  // Only once HasEnded: how. It stays what it is, so that what it left behind can still be told from others.
  virtual Process::End HowItEnded() const = 0;
  // The same; nothing but the destructor may follow.
  virtual Process::End Reap() = 0;
};

class ProcessLauncher {
 public:
  virtual ~ProcessLauncher() = default;
  // A process of that slot. It is a child of this one, or becomes one when its parent dies. The error names the
  // program, the step that failed and errno's text.
  virtual absl::StatusOr<std::unique_ptr<TestProcess>> Launch(SlotId slot, StartSpec spec) = 0;
  // Ends what it keeps for further processes, once there is none.
  virtual void EndServers() {}
  // What processes have left behind and has ended since is gone then, also for who asks whether it is there (kill -0).
  virtual void CollectTheDead() {}
};

}  // namespace dtest

#endif  // DTEST_AGENT_EXECUTE_PROCESS_LAUNCHER_H_
