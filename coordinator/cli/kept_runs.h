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
  // By unit: the cases of the latest run that selected all of them.
  std::map<std::string, std::set<std::string>> names;
  uint64_t with_marked_locks = 0;  // of these cases, by pytest's mark dtest_lock
};

// Of these hosts, and of these units of runs that were started in `directory`: what the logs in `state_dir` know.
// `units`: whose collection is wanted; `named`: whose names are. Of a log that cannot be read, `problems` has the
// reason.
KeptFacts ReadKeptRuns(const std::string& state_dir, const std::string& directory, std::set<std::string> hosts,
                       std::set<std::string> units, std::set<std::string> named, std::vector<std::string>* problems);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_KEPT_RUNS_H_
