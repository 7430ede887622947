// How test processes come to life. The slots' hands start them through this, so that a sandbox (a launcher that changes
// the specification and hands it to another) or a fork server (one whose processes are forked from a program that is
// loaded already) needs no change in them, nor in the core.
//
// One thread, the one that starts all processes (agent/execute/process.h says why).

#ifndef DTEST_AGENT_EXECUTE_PROCESS_LAUNCHER_H_
#define DTEST_AGENT_EXECUTE_PROCESS_LAUNCHER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "agent/execute/process.h"

namespace dtest {

using StartSpec = Process::Options;

class ProcessLauncher {
 public:
  virtual ~ProcessLauncher() = default;
  // A process with its pid, its pipes and its end. It is a child of this one, or becomes one when its parent dies. The
  // error names the program, the step that failed and errno's text.
  virtual absl::StatusOr<std::unique_ptr<Process>> Launch(const StartSpec& spec) = 0;
};

// As a child of this process, with nothing between them.
class DirectLauncher : public ProcessLauncher {
 public:
  absl::StatusOr<std::unique_ptr<Process>> Launch(const StartSpec& spec) override { return Process::Spawn(spec); }
};

}  // namespace dtest

#endif  // DTEST_AGENT_EXECUTE_PROCESS_LAUNCHER_H_
