// --budget FILE: how long cases may take. TOML:
//
//   baseline = "durations.json"   # what `dtest history export` wrote, relative to this file: each case may take...
//   factor = 2                    # ...so many times what it took there...
//   slack = "100ms"               # ...and this on top
//
//   [[case]]                      # other limits for some cases; the last that matches a case counts
//   filter = "suite(Net*)"
//   max = "2s"                    # or none
//
// A value; free functions, any thread.

#ifndef DTEST_COORDINATOR_SETTINGS_BUDGET_FILE_H_
#define DTEST_COORDINATOR_SETTINGS_BUDGET_FILE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/filter/filter.h"

namespace dtest {

struct BudgetFile {
  struct Entry {
    std::string filter_text;  // as it was given
    Filter filter;
    absl::Duration most;
    std::string origin;  // "budget.toml:5"
  };
  std::string shown;     // its name, for people
  std::string baseline;  // path; empty: none
  double factor = 2;
  absl::Duration slack = absl::Milliseconds(100);
  std::vector<Entry> entries;
};

// A file that begins with '{' is a baseline itself. InvalidArgument has every mistake, with file, line, column and a
// caret.
absl::StatusOr<BudgetFile> ReadBudgetFile(const std::string& path);
// The same of contents that were read; a relative baseline is taken to lie in the directory of `path`.
absl::StatusOr<BudgetFile> ParseBudgetFile(absl::string_view contents, const std::string& path);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_SETTINGS_BUDGET_FILE_H_
