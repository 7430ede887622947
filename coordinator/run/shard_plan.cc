#include "coordinator/run/shard_plan.h"

#include <algorithm>
#include <queue>
#include <tuple>
#include <utility>

namespace dtest {

uint32_t ShardOf(absl::string_view unit, absl::string_view name, uint32_t shard_count) {
  uint64_t hash = 0xcbf29ce484222325;
  const auto mix = [&hash](absl::string_view bytes) {
    for (const char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  };
  mix(unit);
  mix(absl::string_view("\0", 1));
  mix(name);
  // MurmurHash3's finaliser: the last characters of names differ most, and FNV carries them to few bits.
  hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccd;
  hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53;
  hash ^= hash >> 33;
  return static_cast<uint32_t>((hash >> 32) * shard_count >> 32);
}

ShardPlan::ShardPlan(uint32_t shard_count, const Durations& durations,
                     absl::FunctionRef<bool(absl::string_view, absl::string_view)> wanted)
    : ShardPlan(shard_count) {
  struct Entry {
    absl::Duration duration;
    const std::string* unit;
    const std::string* name;
  };
  std::vector<Entry> entries;
  for (const auto& [unit, cases] : durations.units) {
    for (const auto& [name, duration] : cases) {
      if (wanted(unit, name)) entries.push_back({duration, &unit, &name});
    }
  }
  // In the order of names where durations are equal: the maps', which a stable sort keeps.
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.duration > b.duration; });
  // Durations are whole nanoseconds, so that sums come out the same everywhere. Of equal loads the first part's wins.
  using Load = std::pair<absl::Duration, uint32_t>;
  std::priority_queue<Load, std::vector<Load>, std::greater<>> loads;
  for (uint32_t part = 0; part < shard_count_; ++part) loads.emplace(absl::ZeroDuration(), part);
  for (const Entry& entry : entries) {
    auto [load, part] = loads.top();
    loads.pop();
    parts_[*entry.unit][*entry.name] = part;
    expected_[part] += entry.duration;
    loads.emplace(load + entry.duration, part);
  }
}

uint32_t ShardPlan::Part(absl::string_view unit, absl::string_view name) const {
  if (const auto cases = parts_.find(unit); cases != parts_.end()) {
    if (const auto part = cases->second.find(name); part != cases->second.end()) return part->second;
  }
  return ShardOf(unit, name, shard_count_);
}

}  // namespace dtest
