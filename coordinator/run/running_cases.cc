#include "coordinator/run/running_cases.h"

#include <algorithm>
#include <tuple>

namespace dtest {

void RunningCases::Heard(HostId host, const std::vector<RunningCase>& running, absl::Time now) {
  std::vector<Entry>& entries = hosts_[host.value()];
  entries.clear();
  for (const RunningCase& one : running) {
    entries.push_back({host, one.slot, one.lease, one.unit, one.index, now - one.elapsed});
  }
}

void RunningCases::Ended(HostId host, const Results& results) {
  std::vector<Entry>& entries = hosts_[host.value()];
  const auto ended = [&](const Entry& entry) {
    if (entry.lease != results.lease) return false;
    return results.done || std::any_of(results.results.begin(), results.results.end(),
                                       [&](const CaseResult& result) { return result.index == entry.index; });
  };
  entries.erase(std::remove_if(entries.begin(), entries.end(), ended), entries.end());
}

std::vector<RunningCases::Entry> RunningCases::LongestFirst(size_t limit) const {
  std::vector<Entry> entries;
  for (const std::vector<Entry>& host : hosts_) entries.insert(entries.end(), host.begin(), host.end());
  const size_t shown = std::min(limit, entries.size());
  std::partial_sort(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(shown), entries.end(),
                    [](const Entry& a, const Entry& b) {
                      return std::tie(a.since, a.host, a.slot) < std::tie(b.since, b.host, b.slot);
                    });
  entries.resize(shown);
  return entries;
}

size_t RunningCases::size() const {
  size_t size = 0;
  for (const std::vector<Entry>& host : hosts_) size += host.size();
  return size;
}

}  // namespace dtest
