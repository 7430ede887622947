#include "coordinator/history/stepwise_history.h"

namespace dtest {

absl::StatusOr<std::vector<StepwiseCase>> ReadStepwise(SqliteDatabase* db, absl::string_view directory) {
  absl::StatusOr<SqliteStatement> select = SqliteStatement::Prepare(
      db, "SELECT executable, name, passed FROM stepwise WHERE directory = ?1 ORDER BY executable, name");
  if (!select.ok()) return select.status();
  select->Bind(1, directory);
  std::vector<StepwiseCase> cases;
  absl::StatusOr<bool> row;
  while ((row = select->Step()).ok() && *row) {
    cases.push_back({std::string(select->Text(0)), std::string(select->Text(1)), select->Integer(2) != 0});
  }
  if (!row.ok()) return row.status();
  return cases;
}

absl::Status WriteStepwise(SqliteDatabase* db, absl::string_view directory, const std::vector<StepwiseCase>& cases,
                           bool anew, absl::Time now, absl::Time oldest) {
  if (anew) {
    absl::StatusOr<SqliteStatement> clear = SqliteStatement::Prepare(db, "DELETE FROM stepwise WHERE directory = ?1");
    if (!clear.ok()) return clear.status();
    clear->Bind(1, directory);
    if (absl::Status status = clear->Run(); !status.ok()) return status;
  }
  absl::StatusOr<SqliteStatement> insert = SqliteStatement::Prepare(
      db, "INSERT OR REPLACE INTO stepwise(directory, executable, name, passed, time) VALUES(?1, ?2, ?3, ?4, ?5)");
  if (!insert.ok()) return insert.status();
  for (const StepwiseCase& one : cases) {
    insert->Bind(1, directory);
    insert->Bind(2, one.unit);
    insert->Bind(3, one.name);
    insert->Bind(4, int64_t{one.passed});
    insert->Bind(5, absl::ToUnixSeconds(now));
    if (absl::Status status = insert->Run(); !status.ok()) return status;
  }
  absl::StatusOr<SqliteStatement> forget = SqliteStatement::Prepare(db, "DELETE FROM stepwise WHERE time < ?1");
  if (!forget.ok()) return forget.status();
  forget->Bind(1, absl::ToUnixSeconds(oldest));
  return forget->Run();
}

}  // namespace dtest
