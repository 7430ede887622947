// What is simulated: a farm, a suite, and everything that goes wrong, all drawn from one seed. A case's fate depends on
// the seed, the case and the attempt alone, so that it is the same wherever and whenever it runs.

#ifndef DTEST_TESTS_SIMULATION_SIM_SCENARIO_H_
#define DTEST_TESTS_SIMULATION_SIM_SCENARIO_H_

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "agent/core/slot_throttle.h"
#include "coordinator/schedule/scheduler.h"
#include "dtest/case_info.h"

namespace dtest::simulation {

enum class Fate : uint8_t {
  kPass,
  kFail,
  kSkip,
  kCrash,     // the process dies of a signal
  kExit,      // the process ends with status 0 in the middle
  kHang,      // until it is killed
  kStubborn,  // hangs and survives everything but SIGKILL
  kKillHost,  // the host goes down with it
  kSpoil,     // passes, and its process ends badly
};

enum class ListingFate : uint8_t { kFine, kError, kHang, kNothing };

struct SimCase {
  bool selected = true;
  std::optional<absl::Duration> expected;  // history
  uint32_t suite = 0;
  uint32_t group = 0;  // 0: none
  uint32_t needs = 0;  // position in Scenario::needs, from 1; 0: none
};

struct SimUnit {
  uint64_t bytes = 0;
  bool cached_listing = false;
  ListingFate listing = ListingFate::kFine;
  absl::Duration added_after;
  absl::Duration listing_takes;
  absl::Duration startup;
  bool keeps_much = false;  // its framework is pytest, and its processes go on with other cases where they may
  // Only where it keeps much: told of the first case of a suite in a process, though it passes in no time. And whether
  // history knows it.
  absl::Duration suite_setup = absl::ZeroDuration();
  bool suite_setup_known = false;
  std::vector<UnitBefore> after;  // with the scheduler alone
  std::vector<SimCase> cases;
};

struct SimHost {
  uint32_t slots = 1;
  double speed = 1;
  absl::Duration joins_after;      // InfiniteDuration: never comes up
  uint32_t lives = 1;              // times that it may be started
  bool fills_up = false;           // its disk is full at the second unit that must be shipped
  std::vector<bool> unfit;         // by unit
  std::vector<bool> cannot_spawn;  // by unit: noticed only when it is started
};

struct Network {
  double drop = 0, twice = 0;  // probability per frame
  absl::Duration delay = absl::Milliseconds(1);
  absl::Duration jitter = absl::ZeroDuration();                      // uniform; frames overtake each other
  absl::Duration mean_time_to_partition = absl::InfiniteDuration();  // per host
  absl::Duration mean_partition = absl::ZeroDuration();
  double bytes_per_second = 100e6;  // of files
};

struct Scenario {
  uint64_t seed = 0;
  SchedulerOptions scheduler;
  CasePolicy policy = {.time_limit = absl::Seconds(10)};  // of every case, but for its needs
  std::vector<CasePolicy> needs;                          // of these, only needs count
  std::vector<SimHost> hosts;
  std::vector<SimUnit> units;
  Network network;
  absl::Duration list_timeout = absl::Seconds(10);
  absl::Duration kill_grace = absl::Seconds(1);
  absl::Duration heartbeat_interval = absl::Seconds(1);
  absl::Duration lease_timeout = absl::Seconds(20);
  absl::Duration mean_time_to_host_loss = absl::InfiniteDuration();  // per host
  // Of an agent's loop, per host, for a moment; and of the product's run loop, which may be longer: nothing turns.
  absl::Duration mean_time_to_agent_stall = absl::InfiniteDuration();
  absl::Duration mean_time_to_stall = absl::InfiniteDuration();
  absl::Duration mean_stall = absl::ZeroDuration();
  absl::Duration stop_after = absl::InfiniteDuration();
  absl::Duration force_after = absl::InfiniteDuration();
  // Of cases.
  double median_seconds = 0.1, sigma = 1.0;  // lognormal; sigma 0: all the same
  double longest_seconds = 8;
  double bad = 0;           // probability of a fate other than passing, per attempt
  double kills_host = 0;    // of those, of taking the host down
  double spoils = 0;        // probability that a case that passes makes its process end badly
  double stalls = 0;        // probability that a case takes 30 times as long as it should on a host
  bool properties = false;  // every case records one
  bool adapts = false;      // hosts have other things to do, too, more and less by the second, and keep slots free then
  bool check_every_step = true;
  bool check_agents = true;
  absl::Duration must_end_within = absl::Hours(3);

  // Numbers the executions of a case: equal numbers are the same attempt of the same iteration.
  uint32_t ExecutionOf(uint32_t iteration, uint32_t attempt) const {
    return (iteration - 1) * (policy.retries + 4) + attempt;
  }
  // Of a case, with what it needs.
  CasePolicy PolicyOf(uint32_t needs) const;
  Fate FateOf(uint32_t unit, uint32_t index, uint32_t execution) const;
  absl::Duration DurationOf(uint32_t unit, uint32_t index) const;  // on a host of speed 1
  absl::Duration DurationOn(uint32_t host, uint32_t unit, uint32_t index) const;
  HostLoad LoadOf(uint32_t host, absl::Time now) const;  // changes every other second
};

// The name of a case, by which the loop knows whether it is selected and what it needs.
std::string CaseName(const SimCase& c, size_t index);
CaseInfos CasesOf(const SimUnit& unit);

// A small, nasty scenario: a handful of hosts and up to a few hundred cases.
Scenario RandomScenario(uint64_t seed);

}  // namespace dtest::simulation

#endif  // DTEST_TESTS_SIMULATION_SIM_SCENARIO_H_
