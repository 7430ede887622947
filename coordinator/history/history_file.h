// The history's file: its schema and its versions, what becomes of one that cannot be used, and what is forgotten.
//
// A file that is damaged or no history is renamed, so that nothing is lost and nothing stands in the way. One of a
// later schema is healthy: it is left to the dtest that wrote it.
//
// Free functions; the thread of the database.

#ifndef DTEST_COORDINATOR_HISTORY_HISTORY_FILE_H_
#define DTEST_COORDINATOR_HISTORY_HISTORY_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/history/sqlite.h"

namespace dtest {

struct HistoryFile {
  std::unique_ptr<SqliteDatabase> db;
  uint64_t inode = 0;   // of the file that `db` has open
  std::string warning;  // that another file was set aside first; empty: none was
};

// Opens `path`, or creates it and its directory; brings a file of an earlier schema up to date. A file that is damaged
// is set aside. kFailedPrecondition: a later schema. Waits at most five seconds for other processes, then
// kUnavailable.
absl::StatusOr<HistoryFile> OpenHistoryFile(const std::string& path);

// Renames the file to "<path>.broken-<time>", if it still is the one of this inode: another process may have done so
// and begun a new one. `db` on it must be closed. Returns `why` with what was done; any code other than kDataLoss is
// returned as it is, without doing anything.
absl::Status SetHistoryAside(const std::string& path, uint64_t inode, const absl::Status& why);

// Forgets, within the caller's transaction, cases that were not seen for 90 days, and all but the latest 100,000 of a
// unit; whole units and hosts not seen for 90 days, too. Of `units` (names), those that this run has seen, each is
// looked at once a day: that walks its cases (some ms for 10,000).
absl::Status PruneHistory(SqliteDatabase* db, absl::Time now, const std::vector<std::string>& units);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_HISTORY_HISTORY_FILE_H_
