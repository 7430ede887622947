// A whole run in virtual time: a network that drops, doubles, delays, reorders and partitions, the product's agent
// loops on hosts that live and die, and a coordinator: the product's run loop and host pool, or the scheduler alone
// with a model of them, which is quick enough for thousands of hosts. Everything follows from the scenario.
//
// Checked all the time: the invariants of the scheduler and of every agent core; that no case runs in two places at
// once, but for a speculative copy that was declared, and then in two only, as the same attempt; that what lives on
// hosts has what it needs: its locks, which no more processes hold than may, its slots and tags, its host to itself;
// that every attempt that passed did pass in a process that nobody had signalled; that none is timed out that would
// have ended in time; that every case gets exactly one final verdict per iteration, and nothing comes after the end;
// that properties are those of the attempt they are told of; that the scheduler asks for no turn without progress; that
// the run ends.

#ifndef DTEST_TESTS_SIMULATION_SIM_WORLD_H_
#define DTEST_TESTS_SIMULATION_SIM_WORLD_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "coordinator/schedule/scheduler.h"
#include "simulation/sim_agent.h"
#include "simulation/sim_clock.h"
#include "simulation/sim_loop.h"
#include "simulation/sim_scenario.h"

namespace dtest::simulation {

struct Outcomes {
  std::string broken;  // what did not hold, empty if everything did
  std::optional<RunEnd> end;
  absl::Duration makespan;  // of the whole run
  uint64_t verdicts = 0;    // final
  uint64_t by_outcome[kOutcomeCount] = {};
  uint64_t attempts = 0;
  uint64_t properties = 0, late_properties = 0, late_failures = 0;
  uint64_t grouped = 0;                 // cases that were handed out with their group
  uint64_t in_order = 0;                // leases of units that come after others
  uint64_t copies = 0, copies_won = 0;  // speculative
  uint64_t leases = 0, recalls = 0, released = 0, frames = 0, hosts_lost = 0;
  uint64_t needy = 0;    // processes of cases with needs
  uint64_t went_on = 0;  // leases that began in the process of another
  uint64_t events = 0;   // of the simulation
  // How long slots waited that ran dry while leases waited on another host, and then got one. If measure_idle.
  std::vector<absl::Duration> begrudged;
  // Processor time of the coordinator, if replayed: scheduler alone, and with codec and sessions.
  double scheduler_seconds = 0, coordinator_seconds = 0;
};

class World : private AgentWorld, private LoopWorld {
 public:
  // The scenario outlives the world.
  explicit World(const Scenario* scenario);
  ~World() override;
  // The scheduler alone, with sessions and hosts that return.
  Outcomes Run();
  // The product's run loop and host pool.
  Outcomes RunProductLoop();

  // What reached the coordinator and when, in order; its decisions follow from that alone.
  struct Input {
    enum Kind { kLaunch, kFrame, kSessionDue, kTick, kUnit, kBundleComplete };
    absl::Time at;
    Kind kind;
    uint32_t number;       // of the host or the unit
    Session::Frame frame;  // kFrame
  };
  // Run() appends to it, if set. Only for scenarios that stop no run and lose no host.
  std::vector<Input>* record = nullptr;
  // In place of Run(): plays a record to a coordinator by itself, without agents, network and checks, and measures what
  // it costs. It decides as it did when recorded: outcomes have the same leases and attempts.
  Outcomes Replay(const std::vector<Input>& record);

  bool measure_idle = false;
  // If set, is told when the scheduler begins and ends.
  void (*scheduler_scope)(bool) = nullptr;
  // Every scheduler event and action, on stderr: to look at one seed.
  bool verbose = false;

 private:
  // The stream by which a host was started (with the product's loop).
  enum class Stream : uint8_t { kNone, kStarting, kOpen };
  struct Link {
    std::shared_ptr<SimAgent> agent;  // the latest life
    Stream stream = Stream::kNone;
    uint32_t backlog = 0;  // leases that were sent to it, and have neither begun nor come back
    std::unique_ptr<Session> session;
    Epoch epoch;
    uint32_t lives = 0;
    bool launched = false, up = false;
    absl::Time last_heard;
    absl::Time wakes = absl::InfiniteFuture();
    std::vector<bool> added, tabled;                                                        // units told to this life
    absl::Time cut_to_agent = absl::InfinitePast(), cut_from_agent = absl::InfinitePast();  // partitioned until
  };
  struct CaseKey {
    uint32_t unit, index, iteration;
    friend bool operator==(const CaseKey&, const CaseKey&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const CaseKey& k) {
      return H::combine(std::move(h), k.unit, k.index, k.iteration);
    }
  };

  // ---- The network (sim_network.cc)
  void Transmit(uint32_t host, bool to_agent, Epoch epoch, Session::Frame frame);
  void PartitionSometime(uint32_t host);
  void LoseHostSometime(uint32_t host);
  void StallAgentSometime(uint32_t host);

  // ---- AgentWorld
  void FromAgentHost(uint32_t host, Epoch epoch, Session::Frame frame) override;
  void CaseStarts(uint32_t host, Epoch epoch, uint32_t unit, uint32_t iteration, LeasedCase c) override;
  void CaseStops(uint32_t host, uint32_t unit, uint32_t iteration, LeasedCase c, std::optional<Outcome> said) override;
  void ProcessStarts(uint32_t host, uint32_t unit, const std::vector<uint32_t>& cases) override;
  void ProcessIsGone(uint32_t host, uint32_t unit, const std::vector<uint32_t>& cases) override;
  void ProcessGoesOn(uint32_t host, uint32_t unit, const std::vector<uint32_t>& cases,
                     const std::vector<uint32_t>& next) override {
    ProcessIsGone(host, unit, cases);
    ProcessStarts(host, unit, next);
    ++outcomes_.went_on;
  }
  void HostDies(uint32_t host, Epoch epoch) override;
  void AgentLeft(uint32_t host, Epoch epoch) override;
  void BatchStarts(uint32_t host, absl::Duration idle, bool begrudged) override;
  bool OthersHaveBacklog(uint32_t host) const override;
  void Breaks(const std::string& what) override { Broken(what); }  // of LoopWorld, too

  // ---- LoopWorld (sim_hosts.cc)
  void StartHost(uint32_t host, std::string token) override;
  void CloseHost(uint32_t host) override;
  absl::Status SendFrame(absl::string_view token, Session::Frame frame) override;
  void IsTold(uint32_t host, const ToAgent& message) override;
  void HasSaid(uint32_t host, const FromAgent& message) override;
  void HostIs(uint32_t host, bool up) override;
  void CaseIsSelected(uint32_t unit, uint32_t index) override;
  void Check(const AttemptEnded& ended) override { Do(ended); }
  void Check(const AttemptCopied& copied) override { Do(copied); }
  void Check(const PropertiesCame& properties) override { Do(properties); }
  void Check(const CaseIsSlow& slow) override { Do(slow); }
  void Check(const Finish& finish) override { Do(finish); }
  bool IsBroken() const override { return !outcomes_.broken.empty(); }

  void IsLeased(uint32_t host, const Lease& lease);
  // A group is handed out as a whole.
  void CheckGroups(const Lease& lease);
  void CheckOrder(const Lease& lease);
  void StreamEnds(uint32_t host, Epoch epoch, const std::string& why);
  void StartAgent(uint32_t host, std::string token);

  // ---- The coordinator (sim_coordinator.cc)
  void LaunchHosts();
  void PlanMishaps();
  Outcomes Conclude();
  void Take(Input::Kind kind, uint32_t number, const Session::Frame& frame = nullptr);
  void AddUnits();
  void Launch(uint32_t host);
  void Receive(uint32_t host, const std::string& bytes);
  void OnBody(uint32_t host, FromAgent body);
  void LoseHost(uint32_t host, const std::string& reason);
  void WatchSilence(uint32_t host);
  void Turn(uint32_t host);
  void Send(uint32_t host, ToAgent message);
  void Schedule(SchedulerEvent event);
  void WakeScheduler();
  void Do(const SendTo& action);
  void Do(const ListingFailed& action);
  void Do(const Warn& action);
  void Do(const Finish& action);
  void TellCases(uint32_t unit);
  bool HasLivesLeft(uint32_t host) const;

  // ---- Checks (sim_checks.cc)
  void Do(const AttemptEnded& action);
  void Do(const AttemptCopied& action);
  void Do(const PropertiesCame& action);
  void Do(const CaseIsSlow& action);
  bool WouldEndInTime(const AttemptEnded& attempt) const;
  CasePolicy PolicyOf(uint32_t unit, uint32_t index) const {
    return scenario_.PolicyOf(scenario_.units[unit].cases[index].needs);
  }
  void CheckProperties(const CaseKey& key, uint32_t attempt,
                       const std::vector<std::pair<std::string, std::string>>& properties);
  void Broken(const std::string& what);
  double Uniform() { return std::uniform_real_distribution<double>(0, 1)(random_); }

  const Scenario& scenario_;
  SimClock clock_;
  const absl::Time start_;
  std::mt19937_64 random_;
  Scheduler scheduler_;
  std::unique_ptr<SimLoop> loop_;  // null: the scheduler alone
  std::vector<Link> links_;
  std::vector<CaseInfos> cases_;  // by unit
  std::vector<bool> known_;       // units whose cases the scheduler was told
  uint64_t next_epoch_ = 1;
  // With the product's loop: of each epoch, from the first on; and whose they are.
  std::vector<std::string> tokens_;
  absl::flat_hash_map<std::string, std::pair<uint32_t, Epoch>> by_token_;
  absl::Time scheduler_wakes_ = absl::InfiniteFuture();
  bool in_scheduler_ = false;
  bool replaying_ = false;
  std::deque<SchedulerEvent> waiting_;  // raised while actions are carried out

  struct Place {
    uint32_t host, attempt;  // attempt: within the iteration
    friend bool operator==(const Place&, const Place&) = default;
  };
  // Both were declared to run the same attempt.
  bool MayRunTwice(const CaseKey& key, const Place& a, const Place& b) const;
  absl::flat_hash_map<CaseKey, std::vector<Place>> running_;
  // Of the processes that live on a host: how many, how many slots they take, and how many want it for themselves.
  struct Alive {
    uint32_t processes = 0, slots = 0, exclusive = 0;
  };
  std::vector<Alive> alive_;
  absl::flat_hash_map<std::string, uint32_t> pinned_to_;                // host, by CasePolicy::same_host
  absl::flat_hash_set<uint32_t> failed_;                                // units that have a failure
  absl::flat_hash_set<uint32_t> reopened_;                              // units of which a case ran once more after all
  absl::flat_hash_map<std::string, uint32_t> held_;                     // locks, those of hosts under "NAME@HOST"
  absl::flat_hash_set<std::pair<CaseKey, uint32_t>> passed_, skipped_;  // and on which host
  absl::flat_hash_map<CaseKey, std::vector<AttemptCopied>> copies_;     // that were started
  absl::flat_hash_set<CaseKey> copied_;                                 // now
  absl::flat_hash_set<CaseKey> selected_, verdicts_, leased_;           // leased: ever
  // Attempts, numbered within their iteration: where they ended, and those that have their property.
  absl::flat_hash_map<std::pair<CaseKey, uint32_t>, HostId> ended_;
  absl::flat_hash_set<std::pair<CaseKey, uint32_t>> recorded_;
  absl::flat_hash_set<std::pair<CaseKey, uint32_t>> slow_;  // told to be
  Outcomes outcomes_;
};

}  // namespace dtest::simulation

#endif  // DTEST_TESTS_SIMULATION_SIM_WORLD_H_
