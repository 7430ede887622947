#include "coordinator/history/history_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "coordinator/history/history.h"

namespace dtest {
namespace {

constexpr const char* kSchema = R"sql(
CREATE TABLE executables(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, startup INTEGER,
  pruned INTEGER NOT NULL DEFAULT 0, suite_setup INTEGER);
CREATE TABLE cases(executable INTEGER NOT NULL, name TEXT NOT NULL, duration INTEGER, high INTEGER,
  runs INTEGER NOT NULL, failures INTEGER NOT NULL, last_outcome INTEGER NOT NULL, last_run INTEGER NOT NULL,
  passes INTEGER NOT NULL DEFAULT 0, flips INTEGER NOT NULL DEFAULT 0, last_failure INTEGER, first_run INTEGER,
  PRIMARY KEY(executable, name)) WITHOUT ROWID;
CREATE TABLE hosts(name TEXT PRIMARY KEY, speed REAL NOT NULL, attempts INTEGER NOT NULL, last_run INTEGER NOT NULL)
  WITHOUT ROWID;
)sql";

// Since version 4. `started` is in Unix milliseconds: runs may follow each other within a second.
constexpr const char* kRuns = R"sql(
CREATE TABLE runs(started INTEGER NOT NULL, run TEXT NOT NULL, wall INTEGER NOT NULL, completed INTEGER NOT NULL,
  cases INTEGER NOT NULL, failed INTEGER NOT NULL, skipped INTEGER NOT NULL, not_run INTEGER NOT NULL,
  flaky INTEGER NOT NULL, slowest INTEGER NOT NULL, slowest_executable TEXT NOT NULL, slowest_name TEXT NOT NULL,
  PRIMARY KEY(started, run)) WITHOUT ROWID;
)sql";

// From version 1, which never forgot. `pruned` is when a unit was last looked at, in Unix seconds.
constexpr const char* kFromVersion1 = R"sql(
ALTER TABLE executables ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0;
UPDATE executables SET pruned = CAST(strftime('%s', 'now') AS INTEGER);
)sql";

// From version 2, which did not say whether a case passed and failed in turns. Of one pass in a row it can be sure.
constexpr const char* kFromVersion2 = R"sql(
ALTER TABLE cases ADD COLUMN passes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cases ADD COLUMN flips INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cases ADD COLUMN last_failure INTEGER;
UPDATE cases SET passes = 1 WHERE last_outcome IN (0, 4) AND runs > failures;
)sql";

// From version 3, which knew neither runs nor when a case was first seen. Of the cases that are there it is not known.
constexpr const char* kFromVersion3 = "ALTER TABLE cases ADD COLUMN first_run INTEGER;";

// From version 4, which did not know what it costs to begin with a suite.
constexpr const char* kFromVersion4 = "ALTER TABLE executables ADD COLUMN suite_setup INTEGER;";

// Since version 6.
constexpr const char* kStepwise = R"sql(
CREATE TABLE stepwise(directory TEXT NOT NULL, executable TEXT NOT NULL, name TEXT NOT NULL, passed INTEGER NOT NULL,
  time INTEGER NOT NULL, PRIMARY KEY(directory, executable, name)) WITHOUT ROWID;
)sql";

constexpr const char* kSetVersion = "PRAGMA user_version = 6;";
static_assert(History::kSchemaVersion == 6, "the texts above say so");

constexpr absl::Duration kOpenPatience = absl::Seconds(5);
constexpr absl::Duration kKept = absl::Hours(24 * 90);
constexpr absl::Duration kPruneInterval = absl::Hours(24);
constexpr int64_t kMostKeptCases = 100'000;  // of a unit

uint64_t InodeOf(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

// Makes the schema what this dtest knows. Two processes may be at it: the second finds it done.
absl::Status Upgrade(SqliteDatabase* db, const std::string& path) {
  if (absl::Status status = db->Execute("BEGIN IMMEDIATE"); !status.ok()) return status;
  const absl::StatusOr<int64_t> version = db->Integer("PRAGMA user_version");
  const absl::StatusOr<int64_t> tables = db->Integer("SELECT count(*) FROM sqlite_master");
  absl::Status status = !version.ok() ? version.status() : tables.status();
  if (status.ok() && *version == 0) {
    status = *tables == 0 ? db->Execute(kSchema)
                          : absl::DataLossError(absl::StrCat("history ", path, ": is a database of something else"));
    if (status.ok()) status = db->Execute(kRuns);
    if (status.ok()) status = db->Execute(kStepwise);
  } else if (status.ok() && *version >= 1 && *version < History::kSchemaVersion) {
    if (*version == 1) status = db->Execute(kFromVersion1);
    if (status.ok() && *version <= 2) status = db->Execute(kFromVersion2);
    if (status.ok() && *version <= 3) status = db->Execute(kFromVersion3);
    if (status.ok() && *version <= 3) status = db->Execute(kRuns);
    if (status.ok() && *version <= 4) status = db->Execute(kFromVersion4);
    if (status.ok()) status = db->Execute(kStepwise);
    // A version that promises tables which are not there.
    if (absl::IsInternal(status)) status = absl::DataLossError(status.message());
  }
  if (status.ok()) status = db->Execute(kSetVersion);
  if (status.ok()) status = db->Execute("COMMIT");
  if (!status.ok()) (void)db->Execute("ROLLBACK");
  return status;
}

// kDataLoss: what is there cannot be used.
absl::Status Open(const std::string& path, HistoryFile* file) {
  absl::StatusOr<std::unique_ptr<SqliteDatabase>> opened = SqliteDatabase::Open(path);
  if (!opened.ok()) return opened.status();
  file->db = *std::move(opened);
  file->inode = InodeOf(path);
  SqliteDatabase* const db = file->db.get();
  db->SetBusyTimeout(kOpenPatience);
  // Reading the version first shows whether this is a database at all.
  absl::StatusOr<int64_t> version = db->Integer("PRAGMA user_version");
  if (version.ok() && *version >= 0 && *version < History::kSchemaVersion) {
    if (absl::Status status = Upgrade(db, path); !status.ok()) return status;
    version = db->Integer("PRAGMA user_version");
  }
  if (!version.ok()) return version.status();
  if (*version > History::kSchemaVersion) {
    return absl::FailedPreconditionError(absl::StrCat("history ", path, ": was written by a later dtest (version ",
                                                      *version, ", this one knows ", History::kSchemaVersion,
                                                      "); this run neither uses nor changes it"));
  }
  if (*version != History::kSchemaVersion) {
    return absl::DataLossError(absl::StrCat("history ", path, ": has version ", *version, ", which never was"));
  }
  // Tells a damaged schema now, before the run has begun.
  absl::StatusOr<SqliteStatement> probe = SqliteStatement::Prepare(
      db,
      "SELECT e.id, e.startup, e.pruned, c.duration, c.high, c.runs, c.failures, c.last_outcome, c.last_run, "
      "c.passes, c.flips, c.last_failure, c.first_run, h.speed, h.attempts, h.last_run, r.slowest_name, "
      "s.passed FROM executables e, cases c, hosts h, runs r, stepwise s LIMIT 1");
  if (!probe.ok()) return absl::DataLossError(probe.status().message());
  // A write ahead log keeps readers going while another run writes. NORMAL: consistent after a power cut, without a
  // sync for each transaction. Where another process is busy this one goes on as the file is; it is correct either way.
  const absl::Status status = db->Execute("PRAGMA synchronous = NORMAL; PRAGMA journal_mode = WAL");
  return absl::IsUnavailable(status) ? absl::OkStatus() : status;
}

}  // namespace

absl::StatusOr<HistoryFile> OpenHistoryFile(const std::string& path) {
  std::error_code error;
  const std::filesystem::path directory = std::filesystem::path(path).parent_path();
  if (!directory.empty()) std::filesystem::create_directories(directory, error);
  if (error) {
    return absl::UnavailableError(absl::StrCat("history ", path, ": cannot create its directory: ", error.message()));
  }
  HistoryFile file;
  absl::Status status = Open(path, &file);
  if (absl::IsDataLoss(status)) {
    file.db.reset();
    file.warning = std::string(SetHistoryAside(path, file.inode, status).message());
    status = Open(path, &file);
  }
  if (!status.ok()) return status;
  return file;
}

absl::Status SetHistoryAside(const std::string& path, uint64_t inode, const absl::Status& why) {
  if (!absl::IsDataLoss(why)) return why;
  if (InodeOf(path) != inode) {
    return absl::DataLossError(absl::StrCat(why.message(), "; another dtest has set it aside already"));
  }
  const std::string stamp = absl::FormatTime("%Y%m%dT%H%M%SZ", absl::Now(), absl::UTCTimeZone());
  std::string aside = absl::StrCat(path, ".broken-", stamp);
  for (int i = 2; access(aside.c_str(), F_OK) == 0; ++i) aside = absl::StrCat(path, ".broken-", stamp, "-", i);
  if (rename(path.c_str(), aside.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(why.message(), "; it cannot be renamed either: remove it"));
  }
  for (const char* suffix : {"-wal", "-shm"}) {
    rename(absl::StrCat(path, suffix).c_str(), absl::StrCat(aside, suffix).c_str());
  }
  return absl::DataLossError(absl::StrCat(why.message(), "; it was set aside as ", aside,
                                          " and a new history is begun: durations are learnt again"));
}

absl::Status PruneHistory(SqliteDatabase* db, absl::Time now, const std::vector<std::string>& units) {
  const int64_t seconds = absl::ToUnixSeconds(now);
  const int64_t old = absl::ToUnixSeconds(now - kKept);
  // What a statement does once for each row of another is one statement each, with ?1 the unit's id.
  struct Step {
    const char* sql;
    int64_t second;  // ?2
  };
  const Step steps[] = {
      {"DELETE FROM cases WHERE executable = ?1 AND last_run < ?2", old},
      {"DELETE FROM cases WHERE executable = ?1 AND name IN (SELECT name FROM cases WHERE executable = ?1 "
       "ORDER BY last_run DESC, name LIMIT -1 OFFSET ?2)",
       kMostKeptCases},
      {"UPDATE executables SET pruned = ?2 WHERE id = ?1", seconds},
  };
  absl::StatusOr<SqliteStatement> due =
      SqliteStatement::Prepare(db, "SELECT id FROM executables WHERE name = ?1 AND pruned <= ?2");
  if (!due.ok()) return due.status();
  for (const std::string& name : units) {
    due->Bind(1, name);
    due->Bind(2, seconds - absl::ToInt64Seconds(kPruneInterval));
    const absl::StatusOr<bool> row = due->Step();
    if (!row.ok()) return row.status();
    const int64_t id = *row ? due->Integer(0) : 0;
    due->Reset();
    if (!*row) continue;
    for (const Step& step : steps) {
      absl::StatusOr<SqliteStatement> statement = SqliteStatement::Prepare(db, step.sql);
      if (!statement.ok()) return statement.status();
      statement->Bind(1, id);
      statement->Bind(2, step.second);
      if (absl::Status status = statement->Run(); !status.ok()) return status;
    }
  }
  for (const char* sql : {"DELETE FROM cases WHERE executable IN (SELECT id FROM executables WHERE pruned < ?1)",
                          "DELETE FROM executables WHERE pruned < ?1", "DELETE FROM hosts WHERE last_run < ?1"}) {
    absl::StatusOr<SqliteStatement> statement = SqliteStatement::Prepare(db, sql);
    if (!statement.ok()) return statement.status();
    statement->Bind(1, old);
    if (absl::Status status = statement->Run(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace dtest
