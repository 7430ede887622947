#include "coordinator/report/run_record.h"

#include <algorithm>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/report/text.h"

namespace dtest {
namespace {

// Past this many bytes of texts, which no report of 30 MB can hold, little is kept of each further one.
constexpr size_t kTextBudget = 64 << 20;
constexpr size_t kTextCapOverBudget = 2 << 10;

}  // namespace

RunRecord::RunRecord(const RunSummary* summary) : summary_(*summary) { number_of_text_[""] = 0; }

absl::Status RunRecord::Handle(const RunEvent& event) {
  if (const auto* ended = std::get_if<CaseEnded>(&event.what)) {
    On(*ended);
  } else if (const auto* late = std::get_if<CaseProperties>(&event.what)) {
    On(*late);
  } else if (const auto* listed = std::get_if<UnitListed>(&event.what)) {
    On(*listed);
  } else if (std::holds_alternative<RunFinished>(event.what)) {
    Finish();
  }
  return absl::OkStatus();
}

void RunRecord::On(const UnitListed& listed) {
  UnitRecord* unit = UnitOf(listed.unit, listed.name);
  // What proves to be listed wrongly is told of twice, the second time without its cases.
  unit->expected = std::max<uint64_t>(unit->expected, listed.selected * summary_.repeat());
  unit->listing_error = KeepText(listed.error);
  unit->listing_output = KeepText(listed.output);
}

void RunRecord::On(const CaseEnded& ended) {
  const CaseResult& result = ended.result;
  const std::pair<CaseId, uint32_t> key(ended.id, ended.iteration);
  UnitRecord* unit = UnitOf(ended.id.unit, ended.unit);
  if (ended.replaces.has_value() && ended.final) {
    Replace(unit, ended);
    return;
  }
  if (!ended.final) {
    AttemptRecord attempt = Keep(ended);
    if (ended.replaces.has_value()) TakeBack(unit, ended, &attempt);
    unfinished_[key].push_back(std::move(attempt));
    return;
  }
  CaseRecord record;
  record.name_offset = unit->names.size();
  record.name_size = static_cast<uint32_t>(ended.name.size());
  unit->names.append(ended.name.data(), ended.name.size());
  record.suite = Intern(ended.suite);
  record.index = ended.id.index;
  record.iteration = ended.iteration;
  record.host = Intern(ended.host);
  record.outcome = result.outcome;
  record.flaky = ended.flaky;
  record.leaky = result.leaky;
  record.started = ended.started;
  record.duration = result.duration;
  CaseDetail detail;
  if (const auto earlier = unfinished_.find(key); earlier != unfinished_.end()) {
    detail.earlier = std::move(earlier->second);
    unfinished_.erase(earlier);
  }
  if (result.outcome != Outcome::kPassed || !detail.earlier.empty() || !result.message.empty() ||
      !result.output.empty() || !result.properties.empty()) {
    detail.last = Keep(ended);
    if (!ended.before.empty()) {
      detail.last.properties.emplace_back("order-dependent behind", KeepText(absl::StrJoin(ended.before, ", ")));
    }
    details_.push_back(std::move(detail));
    record.detail = static_cast<uint32_t>(details_.size());
  }
  unit->cases.push_back(record);
}

std::vector<CaseRecord>::iterator RunRecord::Told(UnitRecord* unit, const CaseEnded& ended) {
  return std::find_if(unit->cases.begin(), unit->cases.end(), [&](const CaseRecord& record) {
    return record.index == ended.id.index && record.iteration == ended.iteration;
  });
}

void RunRecord::TakeBack(UnitRecord* unit, const CaseEnded& ended, AttemptRecord* attempt) {
  const auto told = Told(unit, ended);
  if (told == unit->cases.end()) return;
  if (told->detail != 0) {
    CaseDetail& detail = details_[told->detail - 1];
    attempt->properties.insert(attempt->properties.begin(), detail.last.properties.begin(),
                               detail.last.properties.end());
    unfinished_[{ended.id, ended.iteration}] = std::move(detail.earlier);
  }
  unit->cases.erase(told);
}

void RunRecord::Replace(UnitRecord* unit, const CaseEnded& ended) {
  const auto told = Told(unit, ended);
  if (told == unit->cases.end()) return;
  told->outcome = ended.result.outcome;
  told->leaky |= ended.result.leaky;
  if (told->detail == 0) {
    details_.emplace_back();
    told->detail = static_cast<uint32_t>(details_.size());
  }
  AttemptRecord& last = details_[told->detail - 1].last;
  const std::vector<std::pair<std::string, std::string>> properties = std::move(last.properties);
  last = Keep(ended);
  last.properties.insert(last.properties.begin(), properties.begin(), properties.end());
}

void RunRecord::On(const CaseProperties& late) {
  auto& properties = late_[{late.id, late.iteration, late.attempt}];
  properties.insert(properties.end(), late.properties.begin(), late.properties.end());
}

void RunRecord::Finish() {
  AddLateProperties();
  unit_of_.clear();
  std::sort(units_.begin(), units_.end(), [](const UnitRecord& a, const UnitRecord& b) { return a.id < b.id; });
  for (UnitRecord& unit : units_) {
    std::sort(unit.cases.begin(), unit.cases.end(), [](const CaseRecord& a, const CaseRecord& b) {
      return std::tie(a.index, a.iteration, a.name_offset) < std::tie(b.index, b.iteration, b.name_offset);
    });
  }
}

void RunRecord::AddLateProperties() {
  if (late_.empty()) return;
  for (UnitRecord& unit : units_) {
    for (CaseRecord& record : unit.cases) {
      CaseDetail* detail = record.detail == 0 ? nullptr : &details_[record.detail - 1];
      const uint32_t attempt = detail == nullptr ? 1 : static_cast<uint32_t>(detail->earlier.size()) + 1;
      const auto late = late_.find({CaseId{unit.id, record.index}, record.iteration, attempt});
      if (late == late_.end()) continue;
      if (detail == nullptr) {
        detail = &details_.emplace_back();
        record.detail = static_cast<uint32_t>(details_.size());
      }
      auto& properties = detail->last.properties;
      properties.insert(properties.end(), late->second.begin(), late->second.end());
    }
  }
  late_.clear();
}

UnitRecord* RunRecord::UnitOf(UnitId id, absl::string_view name) {
  const auto [entry, is_new] = unit_of_.try_emplace(id.value(), units_.size());
  if (is_new) {
    units_.emplace_back().id = id;
    units_.back().name = std::string(name);
  }
  return &units_[entry->second];
}

AttemptRecord RunRecord::Keep(const CaseEnded& ended) {
  const CaseResult& result = ended.result;
  return {result.outcome,    KeepText(result.message), KeepText(result.output),
          result.output_cut, KeepText(ended.hint),     result.properties};
}

std::string RunRecord::KeepText(absl::string_view text) {
  const size_t cap = text_bytes_ + text.size() > kTextBudget ? kTextCapOverBudget : SIZE_MAX;
  std::string kept;
  if (text.size() <= cap) {
    kept = std::string(text);
  } else {
    const absl::string_view head = Utf8Prefix(text, cap / 2), tail = Utf8Suffix(text, cap / 2);
    kept = absl::StrCat(head, "\n[... ", text.size() - head.size() - tail.size(),
                        " bytes left out by dtest to keep this report small ...]\n", tail);
  }
  text_bytes_ += kept.size();
  return kept;
}

uint32_t RunRecord::Intern(absl::string_view text) {
  const auto known = number_of_text_.find(text);
  if (known != number_of_text_.end()) return known->second;
  const uint32_t index = static_cast<uint32_t>(texts_.size());
  texts_.emplace_back(text);
  number_of_text_.emplace(std::string(text), index);
  return index;
}

}  // namespace dtest
