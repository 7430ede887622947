// Which cases ran before a case in its process, as far as hosts have told: what a failure that depends on the order of
// cases is told with. Remembers of each slot the process that it ran last, and of failures until their verdict. Pure;
// one thread.

#ifndef DTEST_COORDINATOR_RUN_PREDECESSORS_H_
#define DTEST_COORDINATOR_RUN_PREDECESSORS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "dtest/ids.h"
#include "dtest/outcome.h"

namespace dtest {

class Predecessors {
 public:
  explicit Predecessors(size_t hosts) : slots_(hosts) {}

  // The host is up, as a fresh agent with so many slots.
  void HostIsUp(HostId host, uint32_t slots) { slots_[host.value()].assign(slots, {}); }
  // Each result, in the order in which a host tells them.
  void Add(HostId host, UnitId unit, const CaseResult& result);
  // Those that ran before the case when it failed last, by index, in their order; they are forgotten. Empty: it has not
  // failed behind others.
  std::vector<uint32_t> Take(CaseId id);

 private:
  struct Process {
    uint32_t number = 0;
    std::vector<uint32_t> cases;  // that ended in it, by index
  };
  std::vector<std::vector<Process>> slots_;  // by host and slot: the process that it ran last
  absl::flat_hash_map<CaseId, std::vector<uint32_t>> before_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_PREDECESSORS_H_
