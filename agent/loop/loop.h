// The agent's one event loop. A turn: hand over what came (messages, output, ends of processes), carry out what the
// core answers, look at the deadlines, sleep until the next. It decides nothing; the core (agent/core/agent.h) does.
//
// Nothing in a turn waits for a disk that is slow (files_thread.h has what does), and what a turn receives is bounded.
// A deadline is judged only after all that the processes have said and done until then: a case that ended in time is
// not past its limit, however late this loop is.
//
// It ends when the coordinator says so, when the stream to it ends, after lease_timeout without a sign of life, and on
// SIGTERM, SIGINT and SIGHUP of anybody but a test, whose case has failed then; every test process and the temporary
// directory are gone by then.
//
// One thread: the program's first.

#ifndef DTEST_AGENT_LOOP_LOOP_H_
#define DTEST_AGENT_LOOP_LOOP_H_

#include <sys/signalfd.h>
#include <sys/types.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agent/core/agent.h"
#include "agent/execute/agent_directory.h"
#include "agent/fetch/files_thread.h"
#include "agent/loop/link.h"
#include "agent/loop/poller.h"
#include "agent/loop/slot_runner.h"
#include "dtest/messages.h"

namespace dtest {

class AgentLoop {
 public:
  struct Options {
    AgentStart start;
    std::string version;
    int signal_fd = -1;  // a signalfd of the signals that end the agent, and of SIGCHLD where there is no pidfd
  };
  AgentLoop(const Options& options, std::unique_ptr<AgentDirectory> directory);
  ~AgentLoop();
  AgentLoop(const AgentLoop&) = delete;
  AgentLoop& operator=(const AgentLoop&) = delete;

  // Says Hello and runs until the end. OK: asked to end, or the coordinator closed the stream in order. Else why.
  absl::Status Run(StartStream stream);

 private:
  void Turn();
  void JudgeDeadlines();
  void Sleep();
  // To the core, whose answer is carried out by PerformAll.
  void Handle(AgentEvent event);
  void PerformAll();
  void Deliver(ToAgent message);
  void OnSignal();
  // Whose process sent it; nullopt: none of ours.
  std::optional<SlotId> SlotOf(const signalfd_siginfo& info) const;
  void End(const std::string& why);  // the loop ends after this turn
  void CleanUp();

  // What to keep before the core hears of it.
  void Keep(const Welcome& welcome);
  void MeetPeers();
  void Keep(PreparedUnit unit);
  void Keep(const AddUnit& message);
  void Keep(const CaseTable& message);
  void Keep(const ListingEnded& event);

  void Perform(Reply& action);
  void Perform(PrepareFiles& action);
  void Perform(StartListing& action);
  void Perform(StartBatch& action);
  void Perform(KillSlot& action);
  void Perform(Exit& action);

  const Options options_;
  const std::unique_ptr<AgentDirectory> directory_;
  const std::unique_ptr<AgentDirectory> memory_directory_;  // null: directory_ has to do
  Trash trash_;
  Hello hello_;
  Poller poller_;
  std::unique_ptr<Link> link_;
  std::unique_ptr<Agent> core_;
  std::unique_ptr<FilesThread> files_;
  Welcome welcome_;
  std::vector<pid_t> processes_;
  absl::flat_hash_map<UnitId, std::unique_ptr<Program>> programs_;
  DirectLauncher launcher_;
  std::vector<std::unique_ptr<SlotRunner>> runners_;  // by slot
  std::vector<Program*> listing_;                     // by slot: what it lists, or listed last
  std::vector<AgentAction> scratch_;
  std::deque<AgentAction> actions_;
  bool ending_ = false;
  absl::Status end_;
};

}  // namespace dtest

#endif  // DTEST_AGENT_LOOP_LOOP_H_
