// The agent's one loop: joins the link, the core, the slots and the files. A turn hands over what came, carries out
// what the core answers, and looks at the deadlines. It decides nothing; the core (agent/core/agent.h) does. All that
// it touches is given to it, the time included: run_agent.h gives it epoll, signals and processes, tests and the
// simulator play whole runs in virtual time.
//
//   loop.Start(&files);
//   while (!loop.ended()) {
//     loop.Turn();
//     ... sleep until something is ready, or loop.NextTurn(); the poller calls ...
//   }
//   loop.StopAll();
//
// Nothing in a turn waits for a disk that is slow (unit_files.h has what does), and what a turn receives is bounded.
// A deadline is judged only after all that the processes have said and done until then: a case that ended in time is
// not past its limit, however late this loop is.
//
// It ends when the coordinator says so, when the stream to it ends, after lease_timeout without a sign of life, and on
// a signal that is meant for it (Signalled). Then it kills its tests, and goes on until what was set up is torn down.
//
// One thread.

#ifndef DTEST_AGENT_LOOP_LOOP_H_
#define DTEST_AGENT_LOOP_LOOP_H_

#include <sys/types.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agent/core/agent.h"
#include "agent/core/slot_throttle.h"
#include "agent/execute/environment.h"
#include "agent/execute/process_launcher.h"
#include "agent/execute/slot_directories.h"
#include "agent/fetch/unit_files.h"
#include "agent/loop/link.h"
#include "agent/loop/poller.h"
#include "agent/loop/setups.h"
#include "agent/loop/slot_runner.h"
#include "dtest/messages.h"
#include "protocol/dealer.h"

namespace dtest {

// A signal that would end the agent.
struct AgentSignal {
  enum class From {
    kSystem,        // the kernel, init, or who started the agent
    kOther,         // a process that no test can have started
    kPerhapsATest,  // a test's process, or one that has gone
  };
  int number = 0;
  From from = From::kOther;
  pid_t sender = 0;
};

class AgentLoop final : public UnitFiles::Delegate {
 public:
  struct Options {
    Hello hello;
    Epoch epoch;
    Session::Options session;
    Environment environment;        // of test processes, but for what is set for them
    std::string store;              // its root: where environments are made
    std::string peer_address;       // of this host, where others can reach it; empty: it has no peers
    bool check_invariants = false;  // of the core, after each event
  };
  // All outlive the loop.
  struct Surroundings {
    std::function<absl::Time()> clock;  // never goes back
    Poller* poller = nullptr;
    Dealer* dealer = nullptr;
    ProcessLauncher* launcher = nullptr;
    Directories* directories = nullptr;
    std::function<HostLoad()> load = {};  // asked once a second, where the run wants it; none: slots do not adapt
  };
  AgentLoop(Options options, Surroundings surroundings);
  ~AgentLoop() override;
  AgentLoop(const AgentLoop&) = delete;
  AgentLoop& operator=(const AgentLoop&) = delete;

  // Says Hello. `files`: whose delegate this loop is; must not be used after the loop's end.
  void Start(UnitFiles* files);
  void Turn();
  // When the next turn is due, if nothing is ready before.
  absl::Time NextTurn() const;

  // The stream to the coordinator has ended: so does the loop, in order.
  void StreamEnded() { End(""); }
  // A signal of the system or of a person ends the loop. One that a test has sent is told of its case. Where it cannot
  // be told which test, or whether it was one, the loop goes on if it has run any: who means it can end the stream.
  void Signalled(const AgentSignal& signal);
  // A process has tried to reach an address that it is kept from, and waits until this returns.
  void NetworkTried(pid_t process, const std::string& address);
  // After SIGCHLD, where the kernel has no pidfd.
  void ChildEnded();
  // For a person, by way of the coordinator.
  void SendNote(std::string text);

  bool ended() const { return ending_ && (setups_ == nullptr || setups_->torn_down()); }
  // OK: asked to end, or the coordinator closed the stream in order. Else why it ended.
  const absl::Status& end() const { return end_; }
  void End(const std::string& why);  // empty: in order
  // Kills what runs.
  void StopAll();

  // UnitFiles::Delegate
  void FilesSay(FromAgent message) override;
  void UnitIsPrepared(PreparedUnit unit) override;

 private:
  void JudgeDeadlines();
  // A turn once it is ending: it hears and decides nothing any more.
  void TearDown();
  void LookAtLoad(absl::Time now);
  // To the core, whose answer is carried out by PerformAll.
  void Handle(AgentEvent event);
  void PerformAll();
  void Deliver(ToAgent message);
  void MakeSetups(uint32_t slots);
  absl::Status MakeSlot(SlotId slot);

  // What to keep before the core hears of it.
  void Keep(const Welcome& welcome);
  void Keep(const AddUnit& message);
  void Keep(const CaseTable& message);
  void Keep(const ListingEnded& event);

  void Perform(Reply& action);
  void Perform(PrepareFiles& action);
  void Perform(StartListing& action);
  void Perform(StartSetup& action);
  void Perform(StartBatch& action);
  void Perform(FollowBatch& action);
  void Perform(KillSlot& action);
  void Perform(Exit& action);

  const Options options_;
  const Surroundings out_;
  UnitFiles* files_ = nullptr;  // from Start on
  Link link_;
  std::unique_ptr<Agent> core_;  // from Start on
  Welcome welcome_;
  absl::flat_hash_map<UnitId, std::unique_ptr<Program>> programs_;
  std::unique_ptr<Setups> setups_;                    // null: there are none
  std::vector<std::unique_ptr<SlotRunner>> runners_;  // by slot
  std::vector<Program*> listing_;                     // by slot: what it lists, or listed last
  absl::flat_hash_set<std::pair<UnitId, std::string>> told_runners_;
  std::vector<AgentAction> scratch_;
  std::deque<AgentAction> actions_;
  std::optional<SlotThrottle> throttle_;  // where slots adapt
  absl::Time next_look_ = absl::InfiniteFuture();
  bool has_run_ = false;       // a process of a unit
  bool told_of_load_ = false;  // that slots are kept free
  bool ending_ = false;
  bool tearing_down_ = false;
  absl::Status end_;
};

}  // namespace dtest

#endif  // DTEST_AGENT_LOOP_LOOP_H_
