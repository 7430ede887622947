// One life of an agent: the real core and the real session, with simulated files and processes under them.

#ifndef DTEST_TESTS_SIMULATION_SIM_AGENT_H_
#define DTEST_TESTS_SIMULATION_SIM_AGENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/core/agent.h"
#include "protocol/codec.h"
#include "protocol/session.h"
#include "simulation/sim_clock.h"
#include "simulation/sim_scenario.h"

namespace dtest::simulation {

// What an agent's processes do to the world.
class AgentWorld {
 public:
  virtual ~AgentWorld() = default;
  virtual void FromAgentHost(uint32_t host, Session::Frame frame) = 0;
  virtual void CaseStarts(uint32_t host, Epoch epoch, uint32_t unit, uint32_t iteration, LeasedCase c) = 0;
  // `passed`: its process said so, before anybody signalled it.
  virtual void CaseStops(uint32_t host, uint32_t unit, uint32_t iteration, LeasedCase c, bool passed) = 0;
  // A case took the machine down that this life of the agent is on.
  virtual void HostDies(uint32_t host, Epoch epoch) = 0;
  virtual void AgentLeft(uint32_t host, Epoch epoch) = 0;  // its processes are dead by now
  // A slot that had run dry got work again after so long. `begrudged`: leases waited on another host when it ran dry.
  virtual void SlotWaited(absl::Duration idle, bool begrudged) = 0;
  virtual bool OthersHaveBacklog(uint32_t host) const = 0;
};

class SimAgent : public std::enable_shared_from_this<SimAgent> {
 public:
  SimAgent(const Scenario* scenario, uint32_t host, Epoch epoch, SimClock* clock, AgentWorld* world);
  void Start();  // says Hello
  void Receive(const std::string& frame);
  // Power failure: nothing of it acts any more. Cases that ran have stopped.
  void Die();
  Epoch epoch() const { return epoch_; }
  // Leases that it holds and has not started.
  uint32_t backlog() const { return backlog_; }

 private:
  struct Process {
    uint64_t id = 0;  // 0: none
    bool listing = false;
    uint32_t unit = 0;
    uint32_t iteration = 1;
    std::vector<LeasedCase> cases;
    size_t position = 0;
    bool running = false;  // cases[position] is
    bool stubborn = false;
    bool failed = false;
    bool dying = false;
  };
  struct Idle {
    absl::Time since = absl::InfiniteFuture();  // of a slot that has run something before
    bool begrudged = false;
  };
  void Handle(AgentEvent event);
  void Do(AgentAction action);
  void Do(PrepareFiles action);
  void Do(StartListing action);
  void Do(StartBatch action);
  void Do(KillSlot action);
  void Do(Exit action);
  void Send(FromAgent message);
  void Turn();  // resends, acknowledgements, and the next wake-up
  // Calls `what` after the delay if this life and this process last so long; process 0: the life only.
  void Later(absl::Duration delay, uint32_t slot, uint64_t process, std::function<void()> what);
  void NextCase(uint32_t slot);
  void EndCase(uint32_t slot, Fate fate);
  void EndProcess(uint32_t slot, int exit_code, int signal);
  void StopRunning(Process& process, bool passed);

  const Scenario& scenario_;
  const SimHost& host_;
  const uint32_t number_;
  const Epoch epoch_;
  SimClock& clock_;
  AgentWorld& world_;
  Agent core_;
  Session session_;
  std::vector<Process> processes_;
  std::vector<Idle> idle_;  // by slot
  uint32_t backlog_ = 0;
  uint64_t next_process_ = 1;
  uint32_t shipped_ = 0;
  bool alive_ = true;
  bool leaving_ = false;
  absl::Time wakes_ = absl::InfiniteFuture();
};

}  // namespace dtest::simulation

#endif  // DTEST_TESTS_SIMULATION_SIM_AGENT_H_
