// Which cases of a listing run: --filter and --shard. A case is selected when some including filter matches it (or there
// is none), no excluding one does, and it is in the shard. Pure; one thread.

#ifndef DTEST_COORDINATOR_RUN_SELECTION_H_
#define DTEST_COORDINATOR_RUN_SELECTION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/filter/filter.h"
#include "coordinator/history/history.h"
#include "coordinator/run/shard_plan.h"
#include "dtest/case_info.h"

namespace dtest {

class Selection {
 public:
  // Each filter is an expression (filter.h); one that begins with '-' excludes. InvalidArgument quotes the one that
  // cannot be read. `shard_index` is 1-based, at most `shard_count`.
  static absl::StatusOr<Selection> Make(const std::vector<std::string>& filters, uint32_t shard_index = 1,
                                        uint32_t shard_count = 1);

  // These and no others: each is EXECUTABLE.SUITE.CASE, or EXECUTABLE of a plain one.
  void TakeOnly(const std::vector<std::string>& cases);

  // No filter leaves anything out (a shard, other shards run the rest).
  bool TakesAll() const { return including_.empty() && excluding_.empty(); }

  // Makes the parts equally long, as far as the file knows the cases that pass the filters, in place of by hash.
  void DivideBy(const Durations& durations);
  // By part (0-based): what those cases take.
  const std::vector<absl::Duration>& expected() const { return plan_.expected(); }

  bool Matches(const FilterSubject& subject) const;

  // Whether a filter has failed() or new(): Select must then be told what history knows.
  bool NeedsHistory() const;

  // Whether a filter asks for what only a listing says.
  bool NeedsInfo() const;

  // Positions of those that are selected, in order. `known`: parallel to `cases`, or empty where nothing is known.
  std::vector<uint32_t> Select(absl::string_view unit, const CaseInfos& cases,
                               const std::vector<std::optional<CaseHistory>>& known = {});

  // Filters, as they were given, that matched no case of any Select so far.
  std::vector<std::string> Unmatched() const;

 private:
  struct One {
    std::string text;
    Filter filter;
    bool matched = false;
  };
  bool PassesFilters(const FilterSubject& subject) const;

  std::vector<One> including_;
  std::vector<One> excluding_;
  uint32_t shard_index_ = 1;
  ShardPlan plan_ = ShardPlan(1);
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_SELECTION_H_
