// Test processes that are kept from something: changes how they are started, and has another launcher start them. What
// asks for no sandbox is handed on as it is.
//
// One thread, the one that starts all processes. The threads that a sandbox needs begin with the first process in one.

#ifndef DTEST_AGENT_EXECUTE_SANDBOX_LAUNCHER_H_
#define DTEST_AGENT_EXECUTE_SANDBOX_LAUNCHER_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "agent/execute/network_guard.h"
#include "agent/execute/process_launcher.h"
#include "dtest/base/wake.h"

namespace dtest {

class SandboxLauncher final : public ProcessLauncher {
 public:
  // `inner` must outlive this object, and this object all processes.
  explicit SandboxLauncher(ProcessLauncher* inner) : inner_(*inner) {}
  ~SandboxLauncher() override { inner_.EndServers(); }  // they may be in a sandbox

  // Where the host has no such sandbox, that is the error.
  absl::StatusOr<std::unique_ptr<TestProcess>> Launch(SlotId slot, StartSpec spec) override;
  void EndServers() override { inner_.EndServers(); }
  void CollectTheDead() override { inner_.CollectTheDead(); }

  // Readable when a process has tried to reach what it is kept from, and waits.
  int fd() const { return wake_.fd(); }
  // Tells of each, and then refuses it: what it did before it asked can be seen by then. `process` is the thread that
  // asks; 0: it has gone, and its number may be another's.
  void TellAttempts(const std::function<void(pid_t process, const std::string& address)>& tell);

 private:
  ProcessLauncher& inner_;
  const Wake wake_;
  std::optional<absl::StatusOr<std::unique_ptr<NetworkGuard>>> network_;  // once a process was to be kept from it
};

}  // namespace dtest

#endif  // DTEST_AGENT_EXECUTE_SANDBOX_LAUNCHER_H_
