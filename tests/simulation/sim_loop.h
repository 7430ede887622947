// The product's run loop and host pool in a simulated world: all that they take as interfaces, in virtual time. What
// hosts are reached by is the world's network, what lives there the world's agents; units and signals are the
// scenario's; events are the world's to check.

#ifndef DTEST_TESTS_SIMULATION_SIM_LOOP_H_
#define DTEST_TESTS_SIMULATION_SIM_LOOP_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "coordinator/event/sink_set.h"
#include "coordinator/run/bundle.h"
#include "coordinator/run/host_pool.h"
#include "coordinator/run/hosts.h"
#include "coordinator/run/run_loop.h"
#include "coordinator/run/signals.h"
#include "protocol/session.h"
#include "simulation/sim_clock.h"
#include "simulation/sim_scenario.h"

namespace dtest::simulation {

// What the loop does to the world.
class LoopWorld {
 public:
  virtual ~LoopWorld() = default;
  // As Launcher's Start and Close; the world answers with FleetTells.
  virtual void StartHost(uint32_t host, std::string token) = 0;
  virtual void CloseHost(uint32_t host) = 0;
  // NotFound: nobody with this token is there.
  virtual absl::Status SendFrame(absl::string_view token, Session::Frame frame) = 0;

  // What is said over links, before it is sent and after it was heard.
  virtual void IsTold(uint32_t host, const ToAgent& message) = 0;
  virtual void HasSaid(uint32_t host, const FromAgent& message) = 0;
  virtual void HostIs(uint32_t host, bool up) = 0;

  virtual void CaseIsSelected(uint32_t unit, uint32_t index) = 0;
  virtual void Check(const AttemptEnded& ended) = 0;
  virtual void Check(const AttemptCopied& copied) = 0;
  virtual void Check(const PropertiesCame& properties) = 0;
  virtual void Check(const CaseIsSlow& slow) = 0;
  virtual void Check(const Finish& finish) = 0;
  // Something does not hold.
  virtual void Breaks(const std::string& what) = 0;
  virtual bool IsBroken() const = 0;
};

class SimLoop : private Bundle, private Sink, private SignalSource {
 public:
  SimLoop(const Scenario* scenario, SimClock* clock, LoopWorld* world);
  ~SimLoop() override;

  // To the end of the run.
  void Run();

  // What the world does to the loop.
  void FleetTells(FleetEvent event);
  void FrameArrives(std::string token, Session::Frame frame);

 private:
  class Reached;  // the network and the fleet of the host pool
  class Watched;  // between the run loop and the host pool: tells the world what passes

  // There is something to look at.
  void Wake() { woken_ = true; }
  // Lets time pass until there is, or so long; longer where the scenario has the loop stall.
  absl::Status Sleep(absl::Duration timeout);
  void MakeUnits();
  void PlanSignals();
  void PlanStall();
  HostId HostNamed(absl::string_view name) const;

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
  std::deque<UnitId> ready_;
  Ready tell_ready_;
  std::deque<int> signals_;
  std::vector<FleetEvent> fleet_events_;
  std::deque<std::pair<std::string, Session::Frame>> frames_;
  SinkSet sinks_;
  std::optional<RunLoop> loop_;
  std::unique_ptr<Watched> hosts_;
  bool woken_ = false;
  std::mt19937_64 random_;
  absl::Time stall_at_ = absl::InfiniteFuture();
  absl::Duration stall_;
  absl::Time last_sleep_ = absl::InfinitePast();
  uint64_t sleeps_at_once_ = 0;
};

}  // namespace dtest::simulation

#endif  // DTEST_TESTS_SIMULATION_SIM_LOOP_H_
