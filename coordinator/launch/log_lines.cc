#include "coordinator/launch/log_lines.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace dtest {
namespace {

constexpr size_t kLastWords = 2048;
constexpr size_t kLongestLogLine = 4096;

}  // namespace

LogLines::LogLines(std::function<void(std::string)> log) : log_(std::move(log)) {}

void LogLines::Add(absl::string_view text) {
  absl::StrAppend(&last_words_, text);
  if (last_words_.size() > kLastWords) last_words_.erase(0, last_words_.size() - kLastWords);
  absl::StrAppend(&partial_, text);
  size_t begin = 0;
  while (true) {
    const size_t end = partial_.find('\n', begin);
    if (end == std::string::npos) break;
    Emit(absl::string_view(partial_).substr(begin, end - begin));
    begin = end + 1;
  }
  partial_.erase(0, begin);
  if (partial_.size() > kLongestLogLine) Flush();
}

void LogLines::Flush() {
  Emit(partial_);
  partial_.clear();
}

void LogLines::Emit(absl::string_view line) {
  line = absl::StripSuffix(line, "\r");
  if (!line.empty()) log_(std::string(line));
}

}  // namespace dtest
