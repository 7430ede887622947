// Cuts what a program writes to stderr into lines for a log, and remembers the end of it for an error message.
// One thread.

#ifndef DTEST_COORDINATOR_LAUNCH_LOG_LINES_H_
#define DTEST_COORDINATOR_LAUNCH_LOG_LINES_H_

#include <functional>
#include <string>

#include "absl/strings/string_view.h"

namespace dtest {

class LogLines {
 public:
  // `log` is called with each line that is not empty, without its line end. A line longer than 4 KiB is cut in parts.
  explicit LogLines(std::function<void(std::string)> log);

  void Add(absl::string_view text);
  // Calls `log` with the rest, which no line feed has ended.
  void Flush();
  // At most 2 KiB.
  const std::string& last_words() const { return last_words_; }

 private:
  void Emit(absl::string_view line);

  const std::function<void(std::string)> log_;
  std::string partial_;
  std::string last_words_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_LAUNCH_LOG_LINES_H_
