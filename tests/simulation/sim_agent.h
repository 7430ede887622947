// One life of an agent: the product's loop and all that it is made of, in virtual time. What the loop takes as
// interfaces is here: its end of the network, its processes (sim_process.h), its files and its descriptors.

#ifndef DTEST_TESTS_SIMULATION_SIM_AGENT_H_
#define DTEST_TESTS_SIMULATION_SIM_AGENT_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "agent/loop/loop.h"
#include "fakes/fake_directories.h"
#include "fakes/fake_launcher.h"
#include "fakes/fake_poller.h"
#include "protocol/session.h"
#include "simulation/sim_clock.h"
#include "simulation/sim_process.h"
#include "simulation/sim_scenario.h"

namespace dtest::simulation {

// What an agent and its processes do to the world.
class AgentWorld {
 public:
  virtual ~AgentWorld() = default;
  virtual void FromAgentHost(uint32_t host, Epoch epoch, Session::Frame frame) = 0;
  virtual void CaseStarts(uint32_t host, Epoch epoch, uint32_t unit, uint32_t iteration, LeasedCase c) = 0;
  // `said`: what its process said of it, before anybody signalled that; nothing, if it did not come so far.
  virtual void CaseStops(uint32_t host, uint32_t unit, uint32_t iteration, LeasedCase c,
                         std::optional<Outcome> said) = 0;
  // A process lives from now on; it may run these cases, or lists.
  virtual void ProcessStarts(uint32_t host, uint32_t unit, const std::vector<uint32_t>& cases) = 0;
  virtual void ProcessIsGone(uint32_t host, uint32_t unit, const std::vector<uint32_t>& cases) = 0;
  // It is through with these, and may run those.
  virtual void ProcessGoesOn(uint32_t host, uint32_t unit, const std::vector<uint32_t>& cases,
                             const std::vector<uint32_t>& next) = 0;
  // A case took the machine down that this life of the agent is on.
  virtual void HostDies(uint32_t host, Epoch epoch) = 0;
  virtual void AgentLeft(uint32_t host, Epoch epoch) = 0;  // its processes are dead by now
  // A batch has begun on a host, in a slot that had run dry for so long (or zero). `begrudged`: leases waited on
  // another host when it ran dry.
  virtual void BatchStarts(uint32_t host, absl::Duration idle, bool begrudged) = 0;
  virtual bool OthersHaveBacklog(uint32_t host) const = 0;
  // Something does not hold.
  virtual void Breaks(const std::string& what) = 0;
};

class SimAgent : public std::enable_shared_from_this<SimAgent>,
                 private Dealer,
                 private ProcessLauncher,
                 private FakeProcess::Player,
                 private UnitFiles {
 public:
  // `token`: for its Hello.
  SimAgent(const Scenario* scenario, uint32_t host, Epoch epoch, std::string token, SimClock* clock, AgentWorld* world);
  void Start();  // says Hello
  void Receive(Session::Frame frame);
  // The coordinator has closed its stream.
  void StreamEnds();
  // Its loop is kept from turning for so long: by a busy machine. Its processes go on.
  void Stall(absl::Duration length);
  // Power failure: nothing of it acts any more. Cases that ran have stopped.
  void Die();
  Epoch epoch() const { return epoch_; }
  // It is being sent this lease: so it is known which attempts its processes make, of which they know nothing.
  void IsLeased(const Lease& lease);

 private:
  // What runs in a slot.
  struct Run {
    FakeProcess* process = nullptr;  // null: nothing
    uint64_t id = 0;
    Invoked invoked;
    std::vector<LeasedCase> cases;  // of invoked.cases
    size_t position = 0;
    bool running = false;  // cases[position] is
    bool stubborn = false;
    bool failed = false;
    bool spoiled = false;        // it ends badly
    std::optional<Fate> asked;   // of the last case: it waits for an answer
    std::vector<uint32_t> next;  // it goes on with these
    bool dying = false;
  };
  struct Idle {
    absl::Time since = absl::InfiniteFuture();  // of a slot that has run something before
    bool begrudged = false;
  };

  void Turn();
  void WakeAt(absl::Time time);
  // Calls `what` after the delay, and turns, if this life lasts so long; with a run, if that does as well.
  void Later(absl::Duration delay, std::function<void()> what);
  void Later(absl::Duration delay, const Run& run, std::function<void(Run&)> what);
  void List(Run& run);
  void NextCase(Run& run);
  void EndCase(Run& run, Fate fate);
  // What it runs from now on: its cases, whose attempts it has to know.
  void Take(Run& run, std::vector<uint32_t> cases);
  void GoOn(Run& run);
  void StopRunning(Run& run, std::optional<Outcome> said);
  void EndProcess(Run& run, int exit_code, int signal);

  // Dealer
  absl::Status Send(Session::Frame frame) override;
  std::optional<std::string> Receive() override;

  // ProcessLauncher
  absl::StatusOr<std::unique_ptr<TestProcess>> Launch(SlotId slot, StartSpec spec) override;

  // FakeProcess::Player
  void Started(FakeProcess* process) override;
  void Signalled(FakeProcess* process, int signal) override;
  void Answered(FakeProcess* process) override;
  void Gone(FakeProcess* process) override;

  // UnitFiles
  void MeetPeers(const CurveKeyPair&, const std::string&) override {}
  void Prepare(const RunSettings& settings, const UnitSpec* spec) override;
  void Deliver(FilesAnswer) override {}

  const Scenario& scenario_;
  const SimHost& host_;
  const uint32_t number_;
  const Epoch epoch_;
  SimClock& clock_;
  AgentWorld& world_;
  std::vector<Run> runs_;   // by slot
  std::vector<Idle> idle_;  // by slot
  uint64_t next_run_ = 1;
  uint32_t shipped_ = 0;
  // By unit, index and iteration: the attempt that was leased last.
  absl::flat_hash_map<std::tuple<uint32_t, uint32_t, uint32_t>, uint32_t> attempts_;
  // What waits for the loop's next turn.
  std::deque<Session::Frame> arrived_;
  std::vector<PreparedUnit> prepared_;
  bool stream_ended_ = false;
  FakePoller poller_;
  FakeLauncher launcher_;
  FakeDirectories directories_;
  std::optional<AgentLoop> loop_;  // none: it is dead
  absl::Time wakes_ = absl::InfiniteFuture();
  absl::Time stalled_until_ = absl::InfinitePast();
};

}  // namespace dtest::simulation

#endif  // DTEST_TESTS_SIMULATION_SIM_AGENT_H_
