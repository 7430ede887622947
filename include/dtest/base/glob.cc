#include "dtest/base/glob.h"

#include "absl/strings/ascii.h"

namespace dtest {

bool GlobMatches(absl::string_view pattern, absl::string_view text, LetterCase letters) {
  const auto equal = [letters](char a, char b) {
    return a == b || (letters == LetterCase::kIgnored && absl::ascii_tolower(a) == absl::ascii_tolower(b));
  };
  // Where a mismatch leads back to: behind the last '*', which then takes one byte more. Earlier ones need no second
  // try.
  size_t star = absl::string_view::npos;
  size_t retry = 0;
  size_t p = 0;
  size_t t = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || equal(pattern[p], text[t]))) {
      ++p;
      ++t;
    } else if (star != absl::string_view::npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace dtest
