#include "dtest/base/nearest.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace dtest {
namespace {

// https://en.wikipedia.org/wiki/Damerau-Levenshtein_distance, "Optimal string alignment distance": three rows of the
// matrix are enough.
size_t Distance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const char x = absl::ascii_tolower(static_cast<unsigned char>(a[i - 1]));
      const char y = absl::ascii_tolower(static_cast<unsigned char>(b[j - 1]));
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (x == y ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && absl::ascii_tolower(static_cast<unsigned char>(a[i - 2])) == y &&
                           absl::ascii_tolower(static_cast<unsigned char>(b[j - 2])) == x;
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

}  // namespace

absl::string_view Nearest(absl::string_view word, absl::Span<const absl::string_view> known) {
  absl::string_view nearest;
  size_t least = 0;
  for (const absl::string_view candidate : known) {
    const size_t distance = Distance(word, candidate);
    const size_t longer = std::max(word.size(), candidate.size());
    if (distance > (longer + 2) / 3 || distance == longer) continue;
    if (nearest.empty() || distance < least) nearest = candidate, least = distance;
  }
  return nearest;
}

std::string DidYouMean(absl::string_view word, absl::Span<const absl::string_view> known, absl::string_view prefix) {
  const absl::string_view nearest = Nearest(word, known);
  return nearest.empty() ? "" : absl::StrCat("; did you mean '", prefix, nearest, "'?");
}

}  // namespace dtest
