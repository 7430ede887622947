// Which cases of a listing run: --filter and --shard. Pure; any thread.
//
// An expression is one or more patterns joined by ':'. A leading '-' makes the whole expression exclude; inside one, as
// in GoogleTest's filters, what follows "-" after a ':' excludes ("Net*:-*Slow*"). A pattern
//   with '*' or '?'   must match all of SUITE.CASE or of EXECUTABLE.SUITE.CASE (gtest's glob);
//   starting with '=' must be equal to SUITE.CASE, EXECUTABLE.SUITE.CASE, SUITE or EXECUTABLE;
//   else              must be found somewhere in EXECUTABLE.SUITE.CASE.
// EXECUTABLE is the unit's name (a path) or its base name; of the last kind, only a pattern with a '/' is looked for in
// the path, so that "route" does not select all that is built in route/.
// A case is selected when some including pattern matches it (or there is none) and no excluding one does.

#ifndef DTEST_COORDINATOR_RUN_SELECTION_H_
#define DTEST_COORDINATOR_RUN_SELECTION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/run/shard_plan.h"
#include "dtest/case_info.h"

namespace dtest {

class Selection {
 public:
  // InvalidArgument for an empty pattern. `shard_index` is 1-based, at most `shard_count`.
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

  // `name` and `suite` as in CaseInfo. Where the suite is not known (history and files of durations do not say it), any
  // beginning of the name that is followed by a dot is taken for it.
  bool Matches(absl::string_view unit, absl::string_view name, std::optional<absl::string_view> suite) const;

  // Positions of those that are selected, in order.
  std::vector<uint32_t> Select(absl::string_view unit, const CaseInfos& cases) const;

 private:
  struct Pattern {
    enum class Kind { kGlob, kExact, kPart, kWhole } kind;
    std::string text;
  };
  // What a pattern is held against.
  struct Subject {
    absl::string_view unit;
    absl::string_view name;
    std::optional<absl::string_view> suite;
  };
  bool PassesFilters(const Subject& subject) const;
  static absl::Status Add(absl::string_view text, std::vector<Pattern>* patterns);
  static bool MatchesAny(const std::vector<Pattern>& patterns, const Subject& subject);
  static bool InSuite(const Subject& subject, absl::string_view suite);

  std::vector<Pattern> including_;
  std::vector<Pattern> excluding_;
  uint32_t shard_index_ = 1;
  ShardPlan plan_ = ShardPlan(1);
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_SELECTION_H_
