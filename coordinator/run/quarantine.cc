#include "coordinator/run/quarantine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

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
  units_.emplace_back(unit);
  FilterSubject subject;
  subject.unit = unit;
  for (uint32_t i = 0; i < cases.size(); ++i) {
    subject.info = cases[i];
    for (uint32_t number = 0; number < entries_.size(); ++number) {
      if (!entries_[number].filter.Matches(subject)) continue;
      matched_[number] = true;
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

std::vector<std::string> Quarantine::Unmatched(const std::function<std::vector<History::KnownCase>()>& history) const {
  std::vector<std::string> texts;
  if (std::all_of(matched_.begin(), matched_.end(), [](bool matched) { return matched; })) return texts;
  std::vector<History::KnownCase> elsewhere = history();
  std::erase_if(elsewhere, [this](const History::KnownCase& known) {
    return std::find(units_.begin(), units_.end(), known.unit) != units_.end();
  });
  for (size_t number = 0; number < entries_.size(); ++number) {
    const Filter& filter = entries_[number].filter;
    const bool known = std::any_of(elsewhere.begin(), elsewhere.end(), [&](const History::KnownCase& one) {
      FilterSubject subject;
      subject.unit = one.unit;
      subject.info.name = one.name;
      subject.has_info = false;
      return filter.Matches(subject);
    });
    if (matched_[number] || known) continue;
    texts.push_back(absl::StrCat(QuarantineText(entries_[number]), " matches no case: drop it"));
  }
  return texts;
}

}  // namespace dtest
