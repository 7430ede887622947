// How a case is to be run, as far as that is decided case by case: by the coordinator, once, as its unit becomes known.
// What each field asks for is done in one place only: an agent is told the time limit, the variables and the sandbox
// with each lease, and nothing of the rest, since the scheduler hands leases out accordingly.
//
// Values.

#ifndef DTEST_COORDINATOR_SCHEDULE_CASE_POLICY_H_
#define DTEST_COORDINATOR_SCHEDULE_CASE_POLICY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "dtest/messages.h"

namespace dtest {

// How cases share processes.
enum class Processes : uint8_t {
  kBatch = 0,  // several cases in one
  kCase = 1,   // one a case
};

// Among whom a lock is: all cases of the run, or those on one host.
enum class LockScope : uint8_t { kFarm, kHost };

struct CaseLock {
  std::string name;
  uint32_t max = 1;  // that hold it at once; the same, as is the scope, wherever this name is
  LockScope scope = LockScope::kFarm;
  friend bool operator==(const CaseLock&, const CaseLock&) = default;
};

struct CasePolicy {
  absl::Duration time_limit = absl::InfiniteDuration();  // of each attempt
  uint32_t retries = 0;                                  // further attempts after a failure
  Processes processes = Processes::kBatch;               // kCase: it has a process of its own
  bool limit_by_history = false;  // `time_limit` is of cases that history does not know: case_times.h has the rule
  std::optional<absl::Duration> slow_after = {};           // it is told to be slow then; nullopt: by history, as well
  absl::Duration retry_delay = absl::ZeroDuration();       // before the first further attempt; doubled for each...
  absl::Duration most_retry_delay = absl::ZeroDuration();  // ...up to this
  bool flaky_fails = false;                                // a case that passes at a further attempt only has failed
  std::vector<std::pair<std::string, std::string>> env = {};  // variables of its process, beside the run's
  Sandbox sandbox = Sandbox::kNone;                           // of its process
  // What it needs beyond a slot of any host (needs.h).
  std::vector<CaseLock> locks = {};    // held from the moment it is handed out to its proven end; by name, each once
  bool exclusive = false;              // nothing else of this run on its host
  bool fewer_slots_will_do = false;    // all of a host that has not so many as `slots`
  uint32_t slots = 1;                  // of its host, which it takes
  std::vector<std::string> tags = {};  // that its host has: sorted, each once
  // Not empty: it runs on the host where the first of all cases with this text ran, whatever unit they are of.
  std::string same_host = {};

  bool HasNeeds() const { return exclusive || slots > 1 || !locks.empty() || !tags.empty() || !same_host.empty(); }
  friend bool operator==(const CasePolicy&, const CasePolicy&) = default;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_SCHEDULE_CASE_POLICY_H_
