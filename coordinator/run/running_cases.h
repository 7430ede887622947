// What each host is running, as its heartbeats tell: for people who ask what a run is waiting for.
//
// A heartbeat is up to its interval old. Cases that have ended since are left out as their results come; those that
// have begun since are not known yet. Pure: time comes from the caller. One thread (the loop's).

#ifndef DTEST_COORDINATOR_RUN_RUNNING_CASES_H_
#define DTEST_COORDINATOR_RUN_RUNNING_CASES_H_

#include <cstddef>
#include <vector>

#include "absl/time/time.h"
#include "dtest/ids.h"
#include "dtest/messages.h"

namespace dtest {

class RunningCases {
 public:
  struct Entry {
    HostId host;
    SlotId slot;
    LeaseId lease;
    UnitId unit;
    uint32_t index = 0;
    absl::Time since;  // on the coordinator's clock
  };

  explicit RunningCases(size_t hosts) : hosts_(hosts) {}

  // All that `host` runs; what was heard of it before is forgotten.
  void Heard(HostId host, const std::vector<RunningCase>& running, absl::Time now);
  void Ended(HostId host, const Results& results);
  void Gone(HostId host) { hosts_[host.value()].clear(); }

  const std::vector<Entry>& on(HostId host) const { return hosts_[host.value()]; }
  // The `limit` that have run longest, longest first.
  std::vector<Entry> LongestFirst(size_t limit) const;
  size_t size() const;

 private:
  std::vector<std::vector<Entry>> hosts_;  // by host
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_RUNNING_CASES_H_
