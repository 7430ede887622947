#include "coordinator/run/budget.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/report/text.h"
#include "coordinator/run/known_elsewhere.h"

namespace dtest {

absl::StatusOr<Budget> Budget::Read(const std::string& path) {
  absl::StatusOr<BudgetFile> file = ReadBudgetFile(path);
  if (!file.ok()) return file.status();
  Durations baseline;
  if (!file->baseline.empty()) {
    absl::StatusOr<Durations> read = ReadDurations(file->baseline);
    if (!read.ok()) return read.status();
    baseline = *std::move(read);
  }
  return Budget(*std::move(file), std::move(baseline));
}

std::vector<Budget::Limit> Budget::LimitsOf(absl::string_view unit, const CaseInfos& cases) {
  std::vector<Limit> limits;
  if (!any_) return limits;
  limits.resize(cases.size());
  const auto known = baseline_.units.find(std::string(unit));
  FilterSubject subject;
  subject.unit = unit;
  for (uint32_t i = 0; i < cases.size(); ++i) {
    subject.info = cases[i];
    if (known != baseline_.units.end()) {
      const auto took = known->second.find(std::string(cases.name(i)));
      if (took != known->second.end()) limits[i].most = file_.factor * took->second + file_.slack;
    }
    for (uint32_t entry = 0; entry < file_.entries.size(); ++entry) {
      if (!file_.entries[entry].filter.Matches(subject)) continue;
      limits[i] = {file_.entries[entry].most, entry};
      matched_[entry] = true;
    }
  }
  return limits;
}

std::optional<std::string> Budget::Excess(const Limit& limit, absl::Duration took, double speed) const {
  const absl::Duration on_average = took * std::min(speed, 1.0);
  if (on_average <= limit.most) return std::nullopt;
  std::string text = absl::StrCat("over its budget: it took ", SecondsText(took));
  if (speed < 1) absl::StrAppend(&text, " (", SecondsText(on_average), " on an average host)");
  absl::StrAppend(&text, ", and may take ", SecondsText(limit.most), " (");
  if (limit.entry != UINT32_MAX) {
    absl::StrAppend(&text, file_.entries[limit.entry].origin);
  } else {
    absl::StrAppend(&text, file_.factor, " times what it took in ", file_.baseline, ", and ",
                    absl::FormatDuration(file_.slack));
  }
  return absl::StrCat(text, ")");
}

bool Budget::has_unmatched() const { return std::find(matched_.begin(), matched_.end(), false) != matched_.end(); }

std::vector<std::string> Budget::Unmatched(const std::vector<History::KnownCase>& elsewhere) const {
  std::vector<std::string> texts;
  for (size_t entry = 0; entry < file_.entries.size(); ++entry) {
    if (matched_[entry] || MatchesAny(file_.entries[entry].filter, elsewhere)) continue;
    texts.push_back(absl::StrCat("the budget of '", file_.entries[entry].filter_text, "' (",
                                 file_.entries[entry].origin, ") matches no case: drop it"));
  }
  return texts;
}

}  // namespace dtest
