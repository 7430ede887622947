#include "agent/frameworks/pytest_records.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace dtest {
namespace {

constexpr size_t kMostDigits = 10;

enum class Prefix : uint8_t { kWhole, kCut, kBad };

// Takes "<number>:".
Prefix TakeLength(absl::string_view* rest, size_t* length) {
  const size_t colon = rest->substr(0, kMostDigits + 1).find_first_not_of("0123456789");
  if (colon == absl::string_view::npos) return rest->size() > kMostDigits ? Prefix::kBad : Prefix::kCut;
  if (colon == 0 || (*rest)[colon] != ':' || !absl::SimpleAtoi(rest->substr(0, colon), length)) return Prefix::kBad;
  rest->remove_prefix(colon + 1);
  return Prefix::kWhole;
}

}  // namespace

std::optional<PytestRecord> PytestRecords::Break(absl::string_view rest, absl::string_view what) {
  broken_ = absl::StrCat(what, " at byte ", read_ + pending_.size() - rest.size());
  return std::nullopt;
}

std::optional<PytestRecord> PytestRecords::Next(absl::string_view* rest) {
  absl::string_view here = *rest;
  size_t length = 0;
  switch (TakeLength(&here, &length)) {
    case Prefix::kCut:
      return std::nullopt;
    case Prefix::kBad:
      return Break(*rest, "no length of a record");
    case Prefix::kWhole:
      break;
  }
  if (length > kLongestRecord) return Break(*rest, "a record that is too long");
  if (here.size() < length + 1) return std::nullopt;
  if (here[length] != '\n') return Break(*rest, "a record of another length than it says");
  absl::string_view fields = here.substr(0, length);
  PytestRecord record;
  while (!fields.empty()) {
    size_t size = 0;
    if (TakeLength(&fields, &size) != Prefix::kWhole) return Break(fields, "no length of a field");
    if (fields.size() < size + 1 || fields[size] != ',') return Break(fields, "a field of another length than it says");
    record.push_back(fields.substr(0, size));
    fields.remove_prefix(size + 1);
  }
  if (record.empty()) return Break(*rest, "a record without a field");
  here.remove_prefix(length + 1);
  *rest = here;
  return record;
}

}  // namespace dtest
