#include "agent/frameworks/sanitizer.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace dtest {
namespace {

// "==12==ERROR: LeakSanitizer: detected memory leaks", "WARNING: ThreadSanitizer: data race (pid=12)".
constexpr absl::string_view kReport = "Sanitizer: ";
// "x.cc:4:49: runtime error: signed integer overflow: ...".
constexpr absl::string_view kUndefined = ": runtime error: ";
constexpr absl::string_view kError = "ERROR: ";
constexpr size_t kLongestHeadline = 500;

bool EndsLikeAPlace(absl::string_view before) {
  return !before.empty() && (before.back() == '>' || (before.back() >= '0' && before.back() <= '9'));
}

size_t StartOfLine(absl::string_view text, size_t at) {
  const size_t newline = text.rfind('\n', at);
  return newline == absl::string_view::npos ? 0 : newline + 1;
}

absl::string_view ToEndOfLine(absl::string_view text) {
  return text.substr(0, std::min(text.find('\n'), kLongestHeadline));
}

}  // namespace

absl::string_view SanitizerHeadline(absl::string_view text) {
  size_t first = absl::string_view::npos;
  for (size_t at = text.find(kReport); at != absl::string_view::npos; at = text.find(kReport, at + 1)) {
    const absl::string_view line = text.substr(StartOfLine(text, at), at - StartOfLine(text, at));
    const size_t level = std::min(line.find(kError), line.find("WARNING: "));
    if (level == absl::string_view::npos) continue;
    first = StartOfLine(text, at) + level;
    break;
  }
  for (size_t at = text.find(kUndefined); at < first; at = text.find(kUndefined, at + 1)) {
    const size_t start = StartOfLine(text, at);
    if (EndsLikeAPlace(text.substr(start, at - start))) return ToEndOfLine(text.substr(start));
  }
  return first == absl::string_view::npos ? absl::string_view() : ToEndOfLine(text.substr(first));
}

void KeepSanitizerHeadline(absl::string_view text, std::string* headline) {
  const absl::string_view found = SanitizerHeadline(text);
  if (found.empty()) return;
  const bool worse = absl::StrContains(found, kError) && !absl::StrContains(*headline, kError);
  if (headline->empty() || worse) *headline = std::string(found);
}

}  // namespace dtest
