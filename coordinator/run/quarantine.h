// Which cases of a run are quarantined, and what is to be said of the list that says so: entries that have expired, and
// those that nothing matches any more. One thread (the loop's).

#ifndef DTEST_COORDINATOR_RUN_QUARANTINE_H_
#define DTEST_COORDINATOR_RUN_QUARANTINE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "coordinator/history/history.h"
#include "coordinator/settings/quarantine_list.h"
#include "dtest/case_info.h"

namespace dtest {

class Quarantine {
 public:
  Quarantine() = default;
  // `today`: an entry holds up to and with the day on which it expires.
  Quarantine(std::vector<QuarantineEntry> entries, absl::CivilDay today);

  // By index in `cases`: the entry whose case it is, the first that has not expired, else the first. Of all cases, so
  // that what it knows of entries does not depend on which are selected. A case with kUncollectedLabel
  // has none: the cases of that file did not run.
  absl::flat_hash_map<uint32_t, uint32_t> Find(absl::string_view unit, const CaseInfos& cases);

  const QuarantineEntry& entry(uint32_t number) const { return entries_[number]; }
  bool expired(uint32_t number) const {
    return entries_[number].expires.has_value() && *entries_[number].expires < today_;
  }

  // For people: an expired entry, whose cases fail as any. Empty if it has not, or this has been said.
  std::string TakeExpiredText(uint32_t number);

  // Whether there is an entry that matched no case of the units that were looked at.
  bool has_unmatched() const;
  // Those, a line each, for people; but none that means cases of `elsewhere`, which are known and not in this run.
  std::vector<std::string> Unmatched(const std::vector<History::KnownCase>& elsewhere) const;

 private:
  std::vector<QuarantineEntry> entries_;
  absl::CivilDay today_;
  std::vector<bool> matched_, told_;  // by entry
};

// "quarantine of 'FILTER' (REASON; OWNER)"
std::string QuarantineText(const QuarantineEntry& entry);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_QUARANTINE_H_
