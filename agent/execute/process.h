// One test process: started in a process group of its own, its output in one pipe, its end in a descriptor.
//
// The child gets (dtest/base/start_child.h): stdin /dev/null, stdout and stderr in the same pipe (so that their
// order is kept) unless `split_errors` says otherwise, if asked for a pipe for a report as descriptor 3, no other
// descriptor, umask 022, death with the agent (SIGKILL), and the mark of its slot. Address space layout, other limits
// and nice value are inherited.
//
// What handles or ignores a signal must be set up before the first Spawn.
//
// One thread, which must live as long as the agent.

#ifndef DTEST_AGENT_EXECUTE_PROCESS_H_
#define DTEST_AGENT_EXECUTE_PROCESS_H_

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "dtest/base/fd.h"
#include "dtest/base/start_child.h"
#include "dtest/messages.h"

namespace dtest {

// What a process writes to. kPipes has the output last: its end is most often that of all.
enum class Pipe : uint8_t { kOutput, kErrors, kReport };
inline constexpr std::array kPipes = {Pipe::kErrors, Pipe::kReport, Pipe::kOutput};

class Process {
 public:
  struct Options {
    std::string program;                   // path, absolute or relative to the agent's working directory
    std::vector<std::string> arguments;    // argv, with argv[0]
    std::vector<std::string> environment;  // "NAME=value"
    std::string working_directory;
    bool split_errors = false;  // stderr in a pipe of its own: Pipe::kErrors
    // Descriptor 3, a pipe of its own: Pipe::kReport. Of a program that can be forked a socket, so that it can be
    // answered.
    bool report = false;
    uint64_t mark = 0;  // inherited by all its descendants (leftovers.h); 0: none
    // Of a program that can be forked once it has loaded what it needs (fork_launcher.h): argv of the process to be
    // forked, and what it is asked for in place of `arguments`. Empty: it is started afresh.
    std::vector<std::string> fork_server;
    std::vector<std::string> fork_request;
    std::string fork_key;              // what else must be the same of the one to be forked
    Sandbox sandbox = Sandbox::kNone;  // SandboxLauncher sees to it
    std::function<StartedChild(const ChildSpec&)> start = StartChild;  // how a child comes to life
  };
  // The error names the program, the step that failed and errno's text.
  static absl::StatusOr<std::unique_ptr<Process>> Spawn(Options options);
  // Kills the group and waits, if Reap was not called.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  // Our end of the pipe, non-blocking; -1 where it has none, or after Close.
  int fd(Pipe pipe) const { return pipes_[static_cast<size_t>(pipe)].get(); }
  void Close(Pipe pipe) { pipes_[static_cast<size_t>(pipe)].Close(); }
  // Through the report channel, where that is a socket. False: not all of it could be sent.
  bool Answer(const std::string& bytes) const;
  // There are no more: it reads the end.
  void EndAnswers() const;
  // Readable when the process has ended; -1 on kernels before 5.3: ask HasEnded after SIGCHLD.
  int end_fd() const { return end_fd_.get(); }
  // True once it has ended. It stays a zombie until Reap, so that neither its pid nor its group id can mean another.
  bool HasEnded() const;
  // Sends a signal to every process of the group. Those that are stopped go on, so that they hear a SIGTERM or SIGINT
  // (SIGKILL they hear anyway). Not after Reap.
  void Signal(int signal) const;

  struct End {
    int exit_code = 0;
    int signal = 0;
  };
  // Only once HasEnded.
  End HowItEnded() const { return HowEnded(pid_); }
  // Collects the zombie, too.
  End Reap();
  // Of a child that has ended and was not reaped.
  static End HowEnded(pid_t pid);

 private:
  Process(pid_t pid, std::array<Fd, kPipes.size()> pipes, int end_fd)
      : pid_(pid), pipes_(std::move(pipes)), end_fd_(end_fd) {}

  const pid_t pid_;
  std::array<Fd, kPipes.size()> pipes_;
  Fd end_fd_;
  bool reaped_ = false;
};

// Once, at the start of the agent: orphans of test processes become its children (so that they can be found), and no
// descriptor it inherited reaches a test.
absl::Status BecomeSupervisor();

}  // namespace dtest

#endif  // DTEST_AGENT_EXECUTE_PROCESS_H_
