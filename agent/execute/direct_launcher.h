// Test processes as children of this one, with nothing between them. Knows those of all slots, and so can tell what
// each has left behind (leftovers.h). The program must have become a supervisor (process.h) before.
//
// One thread, the one that starts all processes.

#ifndef DTEST_AGENT_EXECUTE_DIRECT_LAUNCHER_H_
#define DTEST_AGENT_EXECUTE_DIRECT_LAUNCHER_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/execute/process_launcher.h"

namespace dtest {

class DirectLauncher final : public ProcessLauncher {
 public:
  // `note` hears what a person should know: of leftovers that were killed and whose origin cannot be told.
  explicit DirectLauncher(std::function<void(std::string)> note) : note_(std::move(note)) {}

  // The launcher must outlive the process.
  absl::StatusOr<std::unique_ptr<TestProcess>> Launch(SlotId slot, StartSpec spec) override;
  void CollectTheDead() override;

  // For other launchers, whose processes are children of this one, too: what this one knows of its own. `process` is
  // known from Know to Forget, and a process of `slot`.
  void Know(pid_t process) { running_.push_back(process); }
  void Forget(pid_t process);
  bool HasLeftovers(SlotId slot, pid_t process) const { return !Leftovers(slot, process).empty(); }
  // What it left behind; returns when that is gone, after a second at the latest. It has been killed itself.
  void KillLeftovers(SlotId slot, pid_t process) const;
  static bool IsAncestor(SlotId slot, pid_t process, pid_t of);

  // Kills all that any process has left behind, once none of them lives; gives up after `timeout`.
  void KillOrphans(absl::Duration timeout) const;

 private:
  class Child;

  // What the process of `slot` left behind; kills what is older than it, and what can belong to none that lives.
  std::vector<pid_t> Leftovers(SlotId slot, pid_t process) const;
  void EndUnowned(pid_t orphan) const;

  const std::function<void(std::string)> note_;
  std::vector<pid_t> running_;  // of all slots: those are no orphans
};

}  // namespace dtest

#endif  // DTEST_AGENT_EXECUTE_DIRECT_LAUNCHER_H_
