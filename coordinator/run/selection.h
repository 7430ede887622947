// Which cases of a listing run: --filter and --shard, and where a run is made again (`dtest rerun`, `dtest reproduce`)
// the cases that are named. A case is selected when some including filter matches it (or there is none), no excluding
// one does, it is in the shard, and it is named (or none is); or, whatever these say, when its unit is brought along by
// another (companions.h). Pure; one thread.

#ifndef DTEST_COORDINATOR_RUN_SELECTION_H_
#define DTEST_COORDINATOR_RUN_SELECTION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/filter/filter.h"
#include "coordinator/history/history.h"
#include "coordinator/run/shard_plan.h"
#include "coordinator/settings/options.h"
#include "dtest/case_info.h"
#include "dtest/declarations.h"

namespace dtest {

class Selection {
 public:
  // Each filter is an expression (filter.h); one that begins with '-' excludes. InvalidArgument quotes the one that
  // cannot be read. `shard_index` is 1-based, at most `shard_count`.
  static absl::StatusOr<Selection> Make(const std::vector<std::string>& filters, uint32_t shard_index = 1,
                                        uint32_t shard_count = 1);

  // These and no others. `in_order`: selected as they stand here, not as they are listed.
  void TakeOnly(const std::vector<NamedCase>& cases, bool in_order = false);
  // All cases of the unit.
  void BringAlong(std::string unit) { brought_along_.insert(std::move(unit)); }
  bool IsBroughtAlong(absl::string_view unit) const { return brought_along_.contains(unit); }
  // Some case of the unit may be selected, as far as TakeOnly and BringAlong decide it.
  bool MayTake(absl::string_view unit) const {
    return !only_.has_value() || only_->contains(unit) || IsBroughtAlong(unit);
  }
  // Of TakeOnly's cases of this unit, those that no Select has selected, in the order of their names. One with an empty
  // name: the unit was wanted as a whole, and Select has not come upon it.
  struct Rest {
    std::vector<std::string> missing;   // no Select has come upon them, and the filters may leave them
    std::vector<std::string> left_out;  // by the filters
  };
  Rest RestOf(absl::string_view unit) const;
  // The units of TakeOnly, in the order of their names.
  std::vector<std::string> WantedUnits() const;

  // No filter leaves anything out (a shard, other shards run the rest).
  bool TakesAll() const { return including_.empty() && excluding_.empty() && !only_.has_value(); }

  // Makes the parts equally long, as far as the file knows the cases that pass the filters, in place of by hash.
  void DivideBy(const Durations& durations);
  // By part (0-based): what those cases take.
  const std::vector<absl::Duration>& expected() const { return plan_.expected(); }

  // A case with kUncollectedLabel passes every including filter: what is asked for may be in its file.
  bool Matches(const FilterSubject& subject) const;

  // Whether Select would select the case, but for BringAlong; not of units of which cases stand for others.
  bool Takes(const FilterSubject& subject) const;

  // Whether a filter has failed() or new(): Select must then be told what history knows.
  bool NeedsHistory() const;

  // Whether a filter asks for what only a listing says.
  bool NeedsInfo() const;

  // Positions of those that are selected, in their order or in that of TakeOnly. `known`: parallel to `cases`, or empty
  // where nothing is known. `declared`: as well; those of null are none of the tests, and as if they were not there.
  std::vector<uint32_t> Select(absl::string_view unit, const CaseInfos& cases,
                               const std::vector<std::optional<CaseHistory>>& known = {},
                               const std::vector<const CaseDeclaration*>& declared = {});

  // Filters, as they were given, that matched no case of any Select so far.
  std::vector<std::string> Unmatched() const;

  // A filter that chooses no case to be run, but how some are run: Select looks whether there are any. `text` says what
  // it is of.
  void Watch(std::string text, Filter filter) { watched_.push_back({std::move(text), std::move(filter)}); }
  // As Unmatched, of these.
  std::vector<std::string> UnmatchedWatched() const;
  // Whether a case of any Select so far asks for this lock.
  bool IsLockNamed(absl::string_view name) const { return locks_named_.contains(name); }

 private:
  struct One {
    std::string text;
    Filter filter;
    bool matched = false;
  };
  // Of one unit.
  struct Wanted {
    enum class State : uint8_t { kMissing, kSelected, kLeftOut };
    struct Case {
      State state = State::kMissing;
      std::string suite;        // empty: not known, or none
      bool stands_for = false;  // others
      size_t place = 0;         // in TakeOnly's list
    };
    bool whole = false;
    absl::flat_hash_map<std::string, Case> cases;  // by name
    bool stand_for = false;                        // some of these do, for others
    std::vector<std::string> others_left_out;  // meant by `whole` or one that stands for them; filters leave them out
    bool selected_from = false;                // by Select
    // Of `cases`, the states of those by which a case of this name is meant.
    std::vector<State*> Meaning(absl::string_view name);
  };
  bool PassesFilters(const FilterSubject& subject) const;
  // Whether the filters may leave a case that is not there; without a name: cases of the unit.
  bool MayLeave(const FilterSubject& subject) const;

  std::vector<One> including_;
  std::vector<One> excluding_;
  std::vector<One> watched_;
  absl::flat_hash_set<std::string> locks_named_;
  std::optional<absl::flat_hash_map<std::string, Wanted>> only_;  // by unit
  absl::flat_hash_set<std::string> brought_along_;
  bool in_order_ = false;
  uint32_t shard_index_ = 1;
  ShardPlan plan_ = ShardPlan(1);
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_SELECTION_H_
