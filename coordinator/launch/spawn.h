// Child processes of the coordinator: local agents, command= hosts, ProxyCommands, `ssh -G`.
//
// A child is in a session of its own: no terminal, so nothing can prompt, and a Ctrl-C goes to the coordinator alone.
// It gets the default signal mask and dispositions, of our descriptors only those named, and the limit of descriptors
// that the user has (dtest/base/descriptor_limit.h). It receives SIGTERM if the thread that started it ends.

#ifndef DTEST_COORDINATOR_LAUNCH_SPAWN_H_
#define DTEST_COORDINATOR_LAUNCH_SPAWN_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "dtest/base/fd.h"

namespace dtest {

struct SpawnOptions {
  std::vector<std::string> argv;                         // argv[0] is looked up in PATH
  std::vector<std::pair<std::string, std::string>> env;  // added to ours
  int stdio_socket = -1;  // becomes stdin and stdout, instead of pipes; the caller closes its copy
};

// Owns the descriptors; not the process: see TryReap and EndAndReap. Movable.
struct Child {
  pid_t pid = -1;  // -1: reaped
  Fd pidfd;        // polls readable when the process has ended
  Fd in;           // our non-blocking ends; none where stdio_socket is used
  Fd out;
  Fd err;

  // True once the process has ended; `wait_status` is waitpid's. Only the first true reaps.
  bool TryReap(int* wait_status);
  // Signals the child's whole process group.
  void Kill(int signal) const;
  // Closes stdin and waits up to `patience`, then SIGTERM and the same again, then SIGKILL. Blocks. A child that was
  // reaped already is left alone.
  void EndAndReap(absl::Duration patience);
};

// NotFound / PermissionDenied / ... with argv[0] and errno's text if it cannot be started.
absl::StatusOr<Child> Spawn(const SpawnOptions& options);

// "exited with status 1", "was killed by signal 9".
std::string DescribeWaitStatus(int wait_status);

struct Captured {
  int wait_status = 0;
  std::string out;
  std::string err;
};
// Runs to the end with nothing on stdin. DeadlineExceeded (it is killed) or as Spawn.
absl::StatusOr<Captured> RunAndCapture(const std::vector<std::string>& argv, absl::Duration timeout);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_LAUNCH_SPAWN_H_
