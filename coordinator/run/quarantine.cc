#include "coordinator/run/quarantine.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "coordinator/run/known_elsewhere.h"
#include "dtest/labels.h"

namespace dtest {

std::string QuarantineText(const QuarantineEntry& entry) {
  return absl::StrCat("quarantine of '", entry.filter_text, "' (", entry.reason, entry.owner.empty() ? "" : "; ",
                      entry.owner, ")");
}

Quarantine::Quarantine(std::vector<QuarantineEntry> entries, absl::CivilDay today)
    : entries_(std::move(entries)), today_(today), matched_(entries_.size()), told_(entries_.size()) {}

absl::flat_hash_map<uint32_t, uint32_t> Quarantine::Find(absl::string_view unit, const CaseInfos& cases) {
  absl::flat_hash_map<uint32_t, uint32_t> found;
  if (entries_.empty()) return found;
  FilterSubject subject;
  subject.unit = unit;
  for (uint32_t i = 0; i < cases.size(); ++i) {
    subject.info = cases[i];
    const bool uncollected = absl::c_linear_search(subject.info.labels, kUncollectedLabel);
    for (uint32_t number = 0; number < entries_.size(); ++number) {
      if (!entries_[number].filter.Matches(subject)) continue;
      matched_[number] = true;
      if (uncollected) continue;
      const auto [known, is_new] = found.try_emplace(i, number);
      if (expired(known->second) && !expired(number)) known->second = number;
    }
  }
  return found;
}

std::string Quarantine::TakeExpiredText(uint32_t number) {
  if (!expired(number) || told_[number]) return "";
  told_[number] = true;
  return absl::StrCat(QuarantineText(entries_[number]), " expired on ",
                      absl::FormatCivilTime(*entries_[number].expires), ": its cases fail the run as any");
}

bool Quarantine::has_unmatched() const { return std::find(matched_.begin(), matched_.end(), false) != matched_.end(); }

std::vector<std::string> Quarantine::Unmatched(const std::vector<History::KnownCase>& elsewhere) const {
  std::vector<std::string> texts;
  for (size_t number = 0; number < entries_.size(); ++number) {
    if (matched_[number] || MatchesAny(entries_[number].filter, elsewhere)) continue;
    texts.push_back(absl::StrCat(QuarantineText(entries_[number]), " matches no case: drop it"));
  }
  return texts;
}

}  // namespace dtest
