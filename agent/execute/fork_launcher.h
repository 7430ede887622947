// Test processes that are forked from one that has loaded what they need: a fork server, started here with the first
// process that asks for it (StartSpec::fork_server), one for each command line and key. What it forks is its own
// matter: agent/pytest/dtest_pytest/forking.py is one.
//
// A server has a socket of packets as descriptor 3. A request is a text of fields, each "<length>:<bytes>,": the mark
// of the slot, the working directory, the number of arguments, these (StartSpec::fork_request), the variables of the
// environment. With it come three descriptors: what becomes the process' stdout and stderr, its report channel, and a
// socket for this conversation: the process, which by then is a child of ours (leftovers.h says how), says its id
// there, waits for a byte, and begins; or the server says '!' and why it cannot be forked.
// The report channel is a stream socket: the process reads there what TestProcess::Answer sends.
//
// A server that refuses or dies costs nothing but its time: what was asked of it is started afresh, as is all that
// follows; of a refusal a person is told. What it prints is read and forgotten, with one exception: where a process is
// ended by SIGTERM before it began, and no other waits for the server, the server gets the signal, too, and its last
// words are that process' output.
//
// One thread, the one that starts all processes.

#ifndef DTEST_AGENT_EXECUTE_FORK_LAUNCHER_H_
#define DTEST_AGENT_EXECUTE_FORK_LAUNCHER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/execute/direct_launcher.h"
#include "agent/execute/process_launcher.h"

namespace dtest {

class ForkLauncher final : public ProcessLauncher {
 public:
  // `direct` starts what asks for no server, and must outlive this object. `note` hears of refusals.
  ForkLauncher(DirectLauncher* direct, std::function<void(std::string)> note);
  ~ForkLauncher() override;  // kills the servers

  absl::StatusOr<std::unique_ptr<TestProcess>> Launch(SlotId slot, StartSpec spec) override;
  void EndServers() override;
  void CollectTheDead() override { direct_.CollectTheDead(); }

 private:
  class Server;
  class Worker;

  DirectLauncher& direct_;
  const std::function<void(std::string)> note_;
  std::map<std::pair<std::vector<std::string>, std::string>, std::shared_ptr<Server>> servers_;  // by argv and key
};

}  // namespace dtest

#endif  // DTEST_AGENT_EXECUTE_FORK_LAUNCHER_H_
