// `dtest plan`: what N slots, or some hosts, would give, as a table and as advice. Pure; any thread.

#ifndef DTEST_COORDINATOR_CLI_PLAN_H_
#define DTEST_COORDINATOR_CLI_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/schedule/virtual_farm.h"

namespace dtest {

struct PlanInput {
  std::vector<VirtualUnit> units;
  std::vector<std::string> unit_names;               // parallel to `units`
  std::vector<std::vector<std::string>> case_names;  // parallel to their cases
  uint32_t repeat = 1;
};

// What one number of slots, or one set of hosts, gives.
struct PlanRow {
  uint64_t slots = 0;
  size_t hosts = 1;
  bool own = false;  // the hosts that were named, with their speeds; else one host of speed 1
  VirtualRun run;
  Chain chain;
  double speed_up = 1;    // over one slot of speed 1, without what these hosts cannot run; 0: they can run nothing
  double efficiency = 1;  // what cases take on a host of speed 1, by what slots times speed could do in that time
};

struct Plan {
  uint64_t cases = 0;        // iterations counted
  absl::Duration case_time;  // what they take one after the other on a host of speed 1
  std::vector<PlanRow> rows;
  std::vector<std::string> advice;  // what is true of the rows and worth knowing; a line each
};

// `slots`: as asked for; empty: doubled from 1 on, until that gains nothing. `own`: further hosts, as a last row;
// empty: none. A case that needs more slots than a row has, takes all of them, and that row's host has every tag.
Plan MakePlan(const PlanInput& input, const std::vector<uint32_t>& slots, const std::vector<VirtualHost>& own);

// "the case a_test S.C (38.8 s)", "5 cases that hold the lock 'db'": on one line.
std::string ChainText(const PlanInput& input, const Chain& chain);
// For people.
std::string PlanText(const PlanInput& input, const Plan& plan);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_PLAN_H_
