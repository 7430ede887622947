// Which part of a suite a case belongs to, when `--shard I/N` runs the parts on machines that know nothing of each
// other. What one shard runs depends only on what all of them are given alike, the durations file and the filters,
// never on what a machine has learnt or finds installed: so the parts neither overlap nor leave a case out, even where
// a machine lists other cases than the rest.
//
// The cases of the file are given, longest first, each to the part that has least to do so far (LPT: at most 4/3 of the
// best longest part; Graham, Bounds on Multiprocessing Timing Anomalies, 1969). Cases it does not know go by hash.
//
// Pure; any thread.

#ifndef DTEST_COORDINATOR_RUN_SHARD_PLAN_H_
#define DTEST_COORDINATOR_RUN_SHARD_PLAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/history/durations_file.h"

namespace dtest {

// The part a case belongs to, 0-based: a hash of "unit\0name" (FNV-1a, then MurmurHash3's finaliser), so that
// every machine agrees, whatever it knows.
uint32_t ShardOf(absl::string_view unit, absl::string_view name, uint32_t shard_count);

class ShardPlan {
 public:
  // Everything by hash.
  explicit ShardPlan(uint32_t shard_count) : shard_count_(shard_count), expected_(shard_count) {}
  // Cases of the file for which `wanted` is false are not counted: they will not run.
  ShardPlan(uint32_t shard_count, const Durations& durations,
            absl::FunctionRef<bool(absl::string_view unit, absl::string_view name)> wanted);

  // 0-based.
  uint32_t Part(absl::string_view unit, absl::string_view name) const;
  uint32_t shard_count() const { return shard_count_; }
  // By part: what the cases of the file take.
  const std::vector<absl::Duration>& expected() const { return expected_; }

 private:
  uint32_t shard_count_;
  std::vector<absl::Duration> expected_;
  absl::flat_hash_map<std::string, absl::flat_hash_map<std::string, uint32_t>> parts_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_SHARD_PLAN_H_
