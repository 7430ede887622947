// The little of SQLite's C interface that History needs, with errors as absl::Status. One thread.
//
// Codes: kDataLoss where the file is damaged or no database, kUnavailable where another process holds the lock for
// longer than the busy timeout, kInternal for the rest. Messages name the file.

#ifndef DTEST_COORDINATOR_HISTORY_SQLITE_H_
#define DTEST_COORDINATOR_HISTORY_SQLITE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

struct sqlite3;
struct sqlite3_stmt;

namespace dtest {

class SqliteDatabase {
 public:
  // Opens or creates. That the file is no database shows at the first statement.
  static absl::StatusOr<std::unique_ptr<SqliteDatabase>> Open(const std::string& path);
  ~SqliteDatabase();
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  // How long a statement waits for another process.
  void SetBusyTimeout(absl::Duration timeout);
  // Statements without results or parameters, separated by ';'.
  absl::Status Execute(const char* sql);
  // The single integer that `sql` selects.
  absl::StatusOr<int64_t> Integer(const char* sql);
  int64_t last_insert_id() const;
  // The last error, seen as a status; `doing` says what was tried.
  absl::Status Error(absl::string_view doing) const;

 private:
  friend class SqliteStatement;
  SqliteDatabase(std::string path, sqlite3* db) : path_(std::move(path)), db_(db) {}

  const std::string path_;
  sqlite3* const db_;
};

// A prepared statement; borrows its database. Parameters are numbered from 1, columns from 0.
class SqliteStatement {
 public:
  static absl::StatusOr<SqliteStatement> Prepare(SqliteDatabase* db, const char* sql);
  SqliteStatement(SqliteStatement&& other) noexcept;
  SqliteStatement& operator=(SqliteStatement&&) = delete;
  ~SqliteStatement();

  void Bind(int parameter, int64_t value);
  void Bind(int parameter, double value);
  // Not copied: `value` must live until Reset. Any bytes.
  void Bind(int parameter, absl::string_view value);
  void BindNull(int parameter);

  // True: there is a row, its columns are readable until the next call. False: done.
  absl::StatusOr<bool> Step();
  // Ends the execution, so that the statement can be run again. Parameters keep their values.
  void Reset();
  // Step to the end and Reset.
  absl::Status Run();

  bool IsNull(int column) const;
  int64_t Integer(int column) const;
  double Real(int column) const;
  absl::string_view Text(int column) const;

 private:
  SqliteStatement(SqliteDatabase* db, sqlite3_stmt* statement) : db_(db), statement_(statement) {}

  SqliteDatabase* db_;
  sqlite3_stmt* statement_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_HISTORY_SQLITE_H_
