// Cuts a stream of bytes into lines. One thread.

#ifndef DTEST_AGENT_FRAMEWORKS_LINES_H_
#define DTEST_AGENT_FRAMEWORKS_LINES_H_

#include <algorithm>
#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace dtest {

class Lines {
 public:
  // Of a longer line only the first `longest` bytes are given.
  explicit Lines(size_t longest) : longest_(longest) {}

  // Calls `on_line(absl::string_view)` for each line that ends in `bytes`, without its line feed and the carriage
  // return before it.
  template <typename OnLine>
  void Feed(absl::string_view bytes, OnLine on_line) {
    while (!bytes.empty()) {
      const size_t newline = bytes.find('\n');
      const absl::string_view part = bytes.substr(0, newline);
      if (newline != absl::string_view::npos && partial_.empty()) {
        on_line(Trimmed(part.substr(0, longest_)));
      } else {
        partial_.append(part.data(), std::min(part.size(), longest_ - partial_.size()));
        if (newline == absl::string_view::npos) return;
        on_line(Trimmed(partial_));
        partial_.clear();
      }
      bytes.remove_prefix(newline + 1);
    }
  }
  // A last line that nothing ended.
  template <typename OnLine>
  void End(OnLine on_line) {
    if (!partial_.empty()) on_line(Trimmed(partial_));
    partial_.clear();
  }

 private:
  static absl::string_view Trimmed(absl::string_view line) {
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    return line;
  }

  const size_t longest_;
  std::string partial_;
};

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_LINES_H_
