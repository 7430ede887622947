// The product's run loop in a simulated world: all that it takes as interfaces, in virtual time. Its hosts are the
// world's agents behind the world's network, its units and signals the scenario's; its events are the world's to check.
//
// Hosts do not return here: the run loop takes a host that is lost for gone.

#ifndef DTEST_TESTS_SIMULATION_SIM_LOOP_H_
#define DTEST_TESTS_SIMULATION_SIM_LOOP_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/event/sink_set.h"
#include "coordinator/run/bundle.h"
#include "coordinator/run/hosts.h"
#include "coordinator/run/run_loop.h"
#include "coordinator/run/signals.h"
#include "simulation/sim_clock.h"
#include "simulation/sim_scenario.h"

namespace dtest::simulation {

// What the loop does to the world.
class LoopWorld {
 public:
  virtual ~LoopWorld() = default;
  // To a host that is up.
  virtual void SendToHost(uint32_t host, ToAgent message) = 0;
  // Sessions of all hosts: resends, acknowledgements.
  virtual void TurnLinks() = 0;
  virtual void CaseIsSelected(uint32_t unit, uint32_t index) = 0;
  virtual void Check(const AttemptEnded& ended) = 0;
  virtual void Check(const AttemptCopied& copied) = 0;
  virtual void Check(const PropertiesCame& properties) = 0;
  virtual void Check(const Finish& finish) = 0;
  // Something does not hold.
  virtual void Breaks(const std::string& what) = 0;
  virtual bool IsBroken() const = 0;
};

class SimLoop : private Hosts, private Bundle, private Sink, private SignalSource {
 public:
  SimLoop(const Scenario* scenario, SimClock* clock, LoopWorld* world);

  // To the end of the run.
  void Run();

  // What the world does to the loop.
  void HostIsUp(uint32_t host, const Hello& hello);
  void HostSays(uint32_t host, FromAgent message);
  void HostIsDown(uint32_t host, const std::string& reason);

 private:
  // The loop has something to look at, and is told the time.
  void Wake();
  void MakeUnits();
  void PlanSignals();
  HostId HostNamed(absl::string_view name) const;

  // Hosts
  void Start(absl::Time) override {}
  void WatchFd(int) override {}
  absl::Status Turn(const std::function<absl::Time()>& clock, absl::Time deadline) override;
  void Send(absl::Time now, HostId host, ToAgent message) override;
  bool AllAcknowledged() const override { return true; }
  void ShutDown(absl::Time) override {}
  bool AllGone() const override { return true; }

  // Bundle
  void Prepare(const Ready& ready) override;
  size_t size() const override { return units_.size(); }
  const Unit& unit(UnitId id) const override { return units_[id.value()]; }
  void Remember(UnitId, CaseInfos, absl::Duration) override {}
  bool Forget(UnitId) override { return false; }
  Recipes FindRecipes(const std::vector<Digest>& files) const override { return {{}, files}; }
  void FetchChunks(const std::vector<Digest>&, const std::function<void(ChunkData)>&) override {}
  int event_fd() const override { return -1; }
  void RunCallbacks() override;

  // Sink
  absl::Status Handle(const RunEvent& event) override;

  // SignalSource
  int fd() const override { return -1; }
  std::optional<int> Take() override;
  void StopProcess() override {}

  const Scenario& scenario_;
  SimClock& clock_;
  LoopWorld& world_;
  const absl::Time start_;
  std::vector<Unit> units_;
  std::vector<bool> up_;  // by host
  std::deque<UnitId> ready_;
  Ready tell_ready_;
  std::deque<int> signals_;
  SinkSet sinks_;
  std::optional<RunLoop> loop_;
  const std::function<absl::Time()>* read_clock_ = nullptr;  // within Turn
  bool woken_ = false;
  absl::Time last_turn_ = absl::InfinitePast();
  uint64_t turns_at_once_ = 0;
};

// The name of a case, by which the loop knows whether it is selected.
std::string CaseName(const SimCase& c, size_t index);
CaseInfos CasesOf(const SimUnit& unit);

}  // namespace dtest::simulation

#endif  // DTEST_TESTS_SIMULATION_SIM_LOOP_H_
