// What the events of a run said of one unit's cases (CasesSelected), by their places in the unit's listing.

#ifndef DTEST_COORDINATOR_REPORT_LISTED_CASES_H_
#define DTEST_COORDINATOR_REPORT_LISTED_CASES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "dtest/case_info.h"

namespace dtest {

// Takes some 50 bytes and the name a case. One thread. Views into it are valid until it changes or moves.
class ListedCases {
 public:
  // `index` as CaseId::index. Returns its position here; what was said of an index before stays.
  size_t Add(uint32_t index, const CaseInfo& info) {
    const auto [entry, is_new] = position_of_.try_emplace(index, static_cast<uint32_t>(indices_.size()));
    if (is_new) {
      indices_.push_back(index);
      infos_.Add(info);
    }
    return entry->second;
  }
  // nullopt: nothing was said of it.
  std::optional<size_t> Find(uint32_t index) const {
    const auto found = position_of_.find(index);
    return found == position_of_.end() ? std::nullopt : std::optional<size_t>(found->second);
  }

  // By position, in the order in which they were added: listing order in every log that dtest wrote.
  size_t size() const { return indices_.size(); }
  uint32_t index(size_t position) const { return indices_[position]; }
  CaseInfo info(size_t position) const { return infos_[position]; }
  absl::string_view name(size_t position) const { return infos_.name(position); }
  absl::string_view suite(size_t position) const { return infos_.suite(position); }

 private:
  std::vector<uint32_t> indices_;
  CaseInfos infos_;
  absl::flat_hash_map<uint32_t, uint32_t> position_of_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_REPORT_LISTED_CASES_H_
