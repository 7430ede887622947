// One test process: started in a process group of its own, its output in one pipe, its end in a descriptor.
//
// Started with vfork and not posix_spawn, because the child must arm PR_SET_PDEATHSIG and close what it does not know
// (close_range) between fork and exec; vfork and not fork, because the agent may be large and a fork copies page
// tables. Between vfork and exec the child makes nothing but system calls.
//
// The child gets: stdin /dev/null, stdout and stderr in the same pipe (so their order is kept), if asked for a pipe for
// a report as descriptor 3, no other descriptor, the default mask and handling of every signal, umask 022, death with
// the agent (SIGKILL), the limit of descriptors that the user has (dtest/base/descriptor_limit.h), and the mark of its
// slot. Address space layout, other limits and nice value are inherited. Which signals have to be set back is found out
// at the first Spawn: what handles or ignores one must be set up before it.
//
// One thread: PR_SET_PDEATHSIG is tied to the thread that spawns, which must live as long as the agent.

#ifndef DTEST_AGENT_EXECUTE_PROCESS_H_
#define DTEST_AGENT_EXECUTE_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace dtest {

class Process {
 public:
  struct Options {
    std::string program;                   // path, absolute or relative to the agent's working directory
    std::vector<std::string> arguments;    // argv, with argv[0]
    std::vector<std::string> environment;  // "NAME=value"
    std::string working_directory;
    bool split_errors = false;  // stderr in a pipe of its own: error_fd()
    bool report = false;        // descriptor 3, a pipe of its own: report_fd()
    uint64_t mark = 0;          // inherited by all its descendants (leftovers.h); 0: none
  };
  // The error names the program, the step that failed and errno's text.
  static absl::StatusOr<std::unique_ptr<Process>> Spawn(const Options& options);
  // Kills the group and waits, if Reap was not called.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  // Non-blocking; -1 after CloseOutput.
  int output_fd() const { return output_fd_; }
  void CloseOutput();
  // Non-blocking; -1 without Options::split_errors, or after CloseErrors.
  int error_fd() const { return error_fd_; }
  void CloseErrors();
  // Non-blocking; -1 without Options::report, or after CloseReport.
  int report_fd() const { return report_fd_; }
  void CloseReport();
  // Readable when the process has ended; -1 on kernels before 5.3: ask HasEnded after SIGCHLD.
  int end_fd() const { return end_fd_; }
  // True once it has ended. It stays a zombie until Reap, so that neither its pid nor its group id can mean another.
  bool HasEnded() const;
  // Sends a signal to every process of the group. Those that are stopped go on, so that they hear a SIGTERM or SIGINT
  // (SIGKILL they hear anyway). Not after Reap.
  void Signal(int signal) const;

  struct End {
    int exit_code = 0;
    int signal = 0;
  };
  // Collects the zombie. Only once HasEnded.
  End Reap();

 private:
  Process(pid_t pid, int output_fd, int error_fd, int report_fd, int end_fd)
      : pid_(pid), output_fd_(output_fd), error_fd_(error_fd), report_fd_(report_fd), end_fd_(end_fd) {}

  const pid_t pid_;
  int output_fd_;
  int error_fd_;
  int report_fd_;
  int end_fd_;
  bool reaped_ = false;
};

// Once, at the start of the agent: orphans of test processes become its children (so that they can be found), and no
// descriptor it inherited reaches a test.
absl::Status BecomeSupervisor();

}  // namespace dtest

#endif  // DTEST_AGENT_EXECUTE_PROCESS_H_
