// What the event logs that are kept tell of hosts and of listings, where history has no place for it: read from the
// lines that say it, the latest run first. One thread.

#ifndef DTEST_COORDINATOR_CLI_KEPT_RUNS_H_
#define DTEST_COORDINATOR_CLI_KEPT_RUNS_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace dtest {

struct KeptFacts {
  std::map<std::string, uint32_t> slots;             // by host, as it came up last
  std::map<std::string, absl::Duration> collection;  // by unit: what the process took that listed it last
};

// Of these hosts, and of these units of runs that were started in `directory`: what the logs in `state_dir` know. Of a
// log that cannot be read, `problems` has the reason.
KeptFacts ReadKeptRuns(const std::string& state_dir, const std::string& directory, std::set<std::string> hosts,
                       std::set<std::string> units, std::vector<std::string>* problems);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_KEPT_RUNS_H_
