// What a run came to, as a line of the suite's trend: collected from its events, and kept in the history's file.
//
// One thread (the loop's).

#ifndef DTEST_COORDINATOR_HISTORY_RUN_HISTORY_H_
#define DTEST_COORDINATOR_HISTORY_RUN_HISTORY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/event/run_event.h"
#include "coordinator/history/sqlite.h"
#include "dtest/ids.h"
#include "dtest/outcome.h"

namespace dtest {

struct RunHistory {
  std::string run_id;
  absl::Time started;   // to the second
  absl::Duration wall;  // from there to its last verdict and the end
  bool completed = false;
  // Final verdicts; each iteration of --repeat counts.
  uint64_t cases = 0;
  uint64_t failed = 0;  // failures, also those that quarantine forgives
  uint64_t skipped = 0, not_run = 0, flaky = 0;
  // The attempt that took longest; no unit: nothing ran.
  std::string slowest_unit, slowest_name;
  absl::Duration slowest;
};

// Hears the events of a run.
class RunTally {
 public:
  void Note(const RunEvent& event);
  // It has finished, and some case had a verdict.
  bool IsWorthKeeping() const { return finished_ && run_.cases > 0; }
  const RunHistory& run() const { return run_; }

 private:
  void Note(const CaseEnded& ended);
  RunHistory run_;
  absl::flat_hash_set<std::pair<CaseId, uint32_t>> flaky_;  // cases, by iteration
  bool finished_ = false;
};

// Within the caller's transaction. A run that is there already is replaced; those from before `oldest` are forgotten.
absl::Status WriteRun(SqliteDatabase* db, const RunHistory& run, absl::Time oldest);
// The latest so many, the oldest of them first. By the table's key: does not walk what is older.
absl::StatusOr<std::vector<RunHistory>> ReadRuns(SqliteDatabase* db, size_t most);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_HISTORY_RUN_HISTORY_H_
