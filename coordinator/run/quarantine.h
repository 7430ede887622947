// Which cases of a run are quarantined, and what is to be said of the list that says so: entries that have expired, and
// those that nothing matches any more. One thread (the loop's).

#ifndef DTEST_COORDINATOR_RUN_QUARANTINE_H_
#define DTEST_COORDINATOR_RUN_QUARANTINE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
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
  // that what it knows of entries does not depend on which are selected.
  absl::flat_hash_map<uint32_t, uint32_t> Find(absl::string_view unit, const CaseInfos& cases);

  const QuarantineEntry& entry(uint32_t number) const { return entries_[number]; }
  bool expired(uint32_t number) const {
    return entries_[number].expires.has_value() && *entries_[number].expires < today_;
  }

  // For people: an expired entry, whose cases fail as any. Empty if it has not, or this has been said.
  std::string TakeExpiredText(uint32_t number);

  // For people, when all units have been looked at: an entry a line that matched none of their cases. One whose cases
  // are known to history (asked for only if need be), of units that are not in this run, is not said.
  std::vector<std::string> Unmatched(const std::function<std::vector<History::KnownCase>()>& history) const;

 private:
  std::vector<QuarantineEntry> entries_;
  absl::CivilDay today_;
  std::vector<bool> matched_, told_;  // by entry
  std::vector<std::string> units_;    // that were looked at
};

// "quarantine of 'FILTER' (REASON; OWNER)"
std::string QuarantineText(const QuarantineEntry& entry);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_QUARANTINE_H_
