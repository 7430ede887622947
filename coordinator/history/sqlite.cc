#include "coordinator/history/sqlite.h"

#include <sqlite3.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace dtest {

absl::StatusOr<std::unique_ptr<SqliteDatabase>> SqliteDatabase::Open(const std::string& path) {
  sqlite3* db = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path.c_str(), &db, flags, nullptr);
  std::unique_ptr<SqliteDatabase> database(new SqliteDatabase(path, db));
  if (code != SQLITE_OK) return database->Error("open it");
  sqlite3_extended_result_codes(db, 1);
  return database;
}

SqliteDatabase::~SqliteDatabase() { sqlite3_close_v2(db_); }

void SqliteDatabase::SetBusyTimeout(absl::Duration timeout) {
  sqlite3_busy_timeout(db_, static_cast<int>(absl::ToInt64Milliseconds(timeout)));
}

absl::Status SqliteDatabase::Execute(const char* sql) {
  return sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) == SQLITE_OK ? absl::OkStatus() : Error(sql);
}

absl::StatusOr<int64_t> SqliteDatabase::Integer(const char* sql) {
  absl::StatusOr<SqliteStatement> statement = SqliteStatement::Prepare(this, sql);
  if (!statement.ok()) return statement.status();
  const absl::StatusOr<bool> row = statement->Step();
  if (!row.ok()) return row.status();
  return *row ? statement->Integer(0) : 0;
}

int64_t SqliteDatabase::last_insert_id() const { return sqlite3_last_insert_rowid(db_); }

absl::Status SqliteDatabase::Error(absl::string_view doing) const {
  const std::string message =
      absl::StrCat("history ", path_, ": cannot ", doing, ": ", db_ == nullptr ? "out of memory" : sqlite3_errmsg(db_));
  switch (sqlite3_errcode(db_) & 0xFF) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(message);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(message);
    default:
      return absl::InternalError(message);
  }
}

absl::StatusOr<SqliteStatement> SqliteStatement::Prepare(SqliteDatabase* db, const char* sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(db->db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK) {
    return db->Error(sql);
  }
  return SqliteStatement(db, statement);
}

SqliteStatement::SqliteStatement(SqliteStatement&& other) noexcept
    : db_(other.db_), statement_(std::exchange(other.statement_, nullptr)) {}

SqliteStatement::~SqliteStatement() { sqlite3_finalize(statement_); }

void SqliteStatement::Bind(int parameter, int64_t value) { sqlite3_bind_int64(statement_, parameter, value); }
void SqliteStatement::Bind(int parameter, double value) { sqlite3_bind_double(statement_, parameter, value); }
void SqliteStatement::Bind(int parameter, absl::string_view value) {
  // A null pointer would bind NULL; an empty name is a name.
  sqlite3_bind_text64(statement_, parameter, value.empty() ? "" : value.data(), value.size(), SQLITE_STATIC,
                      SQLITE_UTF8);
}
void SqliteStatement::BindNull(int parameter) { sqlite3_bind_null(statement_, parameter); }

absl::StatusOr<bool> SqliteStatement::Step() {
  switch (sqlite3_step(statement_)) {
    case SQLITE_ROW:
      return true;
    case SQLITE_DONE:
      return false;
    default:
      return db_->Error(sqlite3_sql(statement_));
  }
}

void SqliteStatement::Reset() { sqlite3_reset(statement_); }

absl::Status SqliteStatement::Run() {
  absl::StatusOr<bool> row = true;
  while (row.ok() && *row) row = Step();
  Reset();
  return row.status();
}

bool SqliteStatement::IsNull(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
int64_t SqliteStatement::Integer(int column) const { return sqlite3_column_int64(statement_, column); }
double SqliteStatement::Real(int column) const { return sqlite3_column_double(statement_, column); }
absl::string_view SqliteStatement::Text(int column) const {
  const void* text = sqlite3_column_text(statement_, column);
  return {static_cast<const char*>(text),
          text == nullptr ? 0 : static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

}  // namespace dtest
