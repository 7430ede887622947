#include "coordinator/run/predecessors.h"

#include <utility>

namespace dtest {

void Predecessors::Add(HostId host, UnitId unit, const CaseResult& result) {
  std::vector<Process>& slots = slots_[host.value()];
  if (result.process == 0 || result.slot.value() >= slots.size()) return;
  Process& process = slots[result.slot.value()];
  if (process.number != result.process) process = {result.process, {}};
  if (IsFailure(result.outcome) && !process.cases.empty()) before_[CaseId{unit, result.index}] = process.cases;
  process.cases.push_back(result.index);
}

std::vector<uint32_t> Predecessors::Take(CaseId id) {
  const auto before = before_.find(id);
  if (before == before_.end()) return {};
  std::vector<uint32_t> cases = std::move(before->second);
  before_.erase(before);
  return cases;
}

}  // namespace dtest
