#include "coordinator/report/left_cases.h"

#include <algorithm>

#include "dtest/labels.h"

namespace dtest {

void LeftCases::Add(const CasesLeft& left) {
  OfUnit& unit = units_[left.unit];
  for (const CasesLeft::Case& what : left.cases) {
    const auto [entry, is_new] = unit.by_name.try_emplace(what.name, all_.size());
    if (is_new) {
      unit.stand_for |= what.stands_for;
      all_.push_back({left.unit, what, left.why, left.failed, left.left_out, /*selected=*/false});
      ++count_[left.left_out];
      continue;
    }
    One& known = all_[entry->second];
    if (!known.selected) --count_[known.left_out];
    known.selected = false;
    known.why = left.why;
    known.failed = left.failed;
    known.left_out = left.left_out;
    if (!what.suite.empty()) known.what.suite = what.suite;
    ++count_[known.left_out];
  }
}

void LeftCases::Take(One* one) {
  if (!std::exchange(one->selected, true)) --count_[one->left_out];
}

void LeftCases::Select(const CasesSelected& selected) {
  const auto unit = units_.find(selected.unit_name);
  if (unit == units_.end()) return;
  for (const CasesSelected::Case& one : selected.cases) {
    if (const auto found = unit->second.by_name.find(one.info.name); found != unit->second.by_name.end()) {
      Take(&all_[found->second]);
    }
    if (!unit->second.stand_for) continue;
    ForEachUncollectedOf(one.info.name, [&](absl::string_view uncollected) {
      const auto other = unit->second.by_name.find(uncollected);
      if (other != unit->second.by_name.end() && all_[other->second].what.stands_for) Take(&all_[other->second]);
    });
  }
}

void LeftCases::Tell(const UnitListed& listed) {
  if (listed.unreached) return;
  const auto unit = units_.find(listed.name);
  if (unit == units_.end()) return;
  if (const auto whole = unit->second.by_name.find(""); whole != unit->second.by_name.end()) {
    Take(&all_[whole->second]);
  }
}

bool LeftCases::Failed(absl::string_view unit, absl::string_view name) const {
  const auto known = units_.find(unit);
  if (known == units_.end()) return false;
  const auto found = known->second.by_name.find(name);
  if (found != known->second.by_name.end()) return all_[found->second].failed;
  const auto whole = known->second.by_name.find("");
  if (whole != known->second.by_name.end() && all_[whole->second].failed) return true;
  bool failed = false;
  if (!known->second.stand_for) return failed;
  ForEachUncollectedOf(name, [&](absl::string_view uncollected) {
    const auto other = known->second.by_name.find(uncollected);
    if (other == known->second.by_name.end()) return;
    failed |= all_[other->second].what.stands_for && all_[other->second].failed;
  });
  return failed;
}

bool LeftCases::Has(absl::string_view unit) const {
  const auto known = units_.find(unit);
  return known != units_.end() && std::any_of(known->second.by_name.begin(), known->second.by_name.end(),
                                              [this](const auto& entry) { return !all_[entry.second].selected; });
}

}  // namespace dtest
