#include "coordinator/inventory/host_range.h"

#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace dtest {
namespace {

constexpr size_t kMaxDigits = 9;  // so that numbers fit uint32_t, with no overflow to think of

std::string Padded(uint32_t number, size_t width) {
  std::string digits = absl::StrCat(number);
  if (digits.size() < width) digits.insert(0, width - digits.size(), '0');
  return digits;
}

bool ParseBound(absl::string_view text, uint32_t* value) {
  if (text.empty() || text.size() > kMaxDigits) return false;
  for (char c : text) {
    if (!absl::ascii_isdigit(c)) return false;
  }
  return absl::SimpleAtoi(text, value);
}

// One comma-separated item inside brackets: "7" or "01-16".
bool ExpandItem(absl::string_view item, size_t limit, std::vector<std::string>* out, std::string* what) {
  if (item.empty()) {
    *what = "empty range: write numbers like [1-16] or [1-3,7]";
    return false;
  }
  const std::pair<absl::string_view, absl::string_view> ends = absl::StrSplit(item, absl::MaxSplits('-', 1));
  const bool is_range = item.find('-') != absl::string_view::npos;
  if (is_range && ends.second.empty()) {
    *what = absl::StrCat("range without end '", item, "': write both numbers, like [1-16]");
    return false;
  }
  uint32_t first = 0;
  uint32_t last = 0;
  if (!ParseBound(ends.first, &first) || (is_range && !ParseBound(ends.second, &last))) {
    *what = absl::StrCat("bad range '", item, "': ranges count in decimal numbers, like [1-16] or [01-16]");
    return false;
  }
  if (!is_range) last = first;
  if (last < first) {
    *what = absl::StrCat("range '", item, "' runs backwards: write the smaller number first");
    return false;
  }
  if (last - first >= limit) {
    *what = absl::StrCat("range '", item, "' is ", uint64_t{last} - first + 1, " hosts: at most ", limit,
                         " are taken; is a digit too many?");
    return false;
  }
  for (uint32_t number = first; number <= last; ++number) out->push_back(Padded(number, ends.first.size()));
  return true;
}

}  // namespace

bool ExpandRanges(absl::string_view pattern, size_t limit, std::vector<std::string>* names, RangeError* error) {
  std::vector<std::string> prefixes = {""};
  size_t at = 0;
  while (at < pattern.size()) {
    const size_t open = pattern.find_first_of("[]", at);
    const absl::string_view literal = pattern.substr(at, open - at);
    for (std::string& prefix : prefixes) absl::StrAppend(&prefix, literal);
    if (open == absl::string_view::npos) break;
    if (pattern[open] == ']') {
      *error = {open, "']' without '[': ranges are written like node[1-16]"};
      return false;
    }
    const size_t close = pattern.find(']', open);
    if (close == absl::string_view::npos) {
      *error = {open, "range without end: close it with ']', like node[1-16]"};
      return false;
    }
    std::vector<std::string> numbers;
    size_t item_at = open + 1;
    for (absl::string_view item : absl::StrSplit(pattern.substr(open + 1, close - open - 1), ',')) {
      if (!ExpandItem(item, limit, &numbers, &error->what)) {
        error->offset = item_at;
        return false;
      }
      item_at += item.size() + 1;
    }
    if (prefixes.size() * numbers.size() > limit) {
      *error = {open, absl::StrCat("the ranges make ", prefixes.size() * numbers.size(), " hosts: at most ", limit,
                                   " are taken")};
      return false;
    }
    std::vector<std::string> longer;
    for (const std::string& prefix : prefixes) {
      for (const std::string& number : numbers) longer.push_back(absl::StrCat(prefix, number));
    }
    prefixes = std::move(longer);
    at = close + 1;
  }
  names->insert(names->end(), prefixes.begin(), prefixes.end());
  return true;
}

}  // namespace dtest
