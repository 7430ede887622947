// What runs with --stepwise in one directory have come to since the first of them, kept in the history's file until one
// of them ends it (run/stepwise.h).
//
// One thread (the loop's).

#ifndef DTEST_COORDINATOR_HISTORY_STEPWISE_HISTORY_H_
#define DTEST_COORDINATOR_HISTORY_STEPWISE_HISTORY_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/history/sqlite.h"

namespace dtest {

// Names are any bytes.
struct StepwiseCase {
  std::string unit, name;
  bool passed = false;  // or was skipped; else it failed
};

// In the order of names. `directory` is absolute.
absl::StatusOr<std::vector<StepwiseCase>> ReadStepwise(SqliteDatabase* db, absl::string_view directory);
// Within the caller's transaction. `anew`: what was kept of the directory is forgotten before. So are, of all
// directories, cases from before `oldest`.
absl::Status WriteStepwise(SqliteDatabase* db, absl::string_view directory, const std::vector<StepwiseCase>& cases,
                           bool anew, absl::Time now, absl::Time oldest);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_HISTORY_STEPWISE_HISTORY_H_
