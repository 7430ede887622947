#include "coordinator/history/run_history.h"

#include <algorithm>
#include <variant>

namespace dtest {

void RunTally::Note(const RunEvent& event) {
  if (const auto* started = std::get_if<RunStarted>(&event.what)) {
    *this = RunTally();
    run_.run_id = started->run_id;
    run_.started = event.time;
  } else if (const auto* ended = std::get_if<CaseEnded>(&event.what)) {
    Note(*ended);
  } else if (const auto* end = std::get_if<RunFinished>(&event.what)) {
    finished_ = true;
    run_.completed = end->end == RunEnd::kCompleted;
    run_.wall = std::max(event.time - run_.started, absl::ZeroDuration());
  }
}

void RunTally::Note(const CaseEnded& ended) {
  const auto count = [this](Outcome outcome, bool flaky, uint64_t change) {
    run_.cases += change;
    if (IsFailure(outcome)) run_.failed += change;
    if (outcome == Outcome::kSkipped) run_.skipped += change;
    if (outcome == Outcome::kNotRun) run_.not_run += change;
    if (flaky) run_.flaky += change;
  };
  const std::pair<CaseId, uint32_t> key(ended.id, ended.iteration);
  if (ended.replaces.has_value()) count(*ended.replaces, flaky_.erase(key) > 0, uint64_t{0} - 1);
  if (ended.final) count(ended.result.outcome, ended.flaky, 1);
  if (ended.final && ended.flaky) flaky_.insert(key);
  if (ended.host.empty() || ended.result.outcome == Outcome::kNotRun || ended.result.duration <= run_.slowest) return;
  run_.slowest = ended.result.duration;
  run_.slowest_unit = std::string(ended.unit);
  run_.slowest_name = std::string(ended.name);
}

absl::Status WriteRun(SqliteDatabase* db, const RunHistory& run, absl::Time oldest) {
  absl::StatusOr<SqliteStatement> insert = SqliteStatement::Prepare(
      db,
      "INSERT OR REPLACE INTO runs(started, run, wall, completed, cases, failed, skipped, not_run, flaky, slowest, "
      "slowest_executable, slowest_name) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)");
  if (!insert.ok()) return insert.status();
  insert->Bind(1, absl::ToUnixMillis(run.started));
  insert->Bind(2, run.run_id);
  insert->Bind(3, absl::ToInt64Nanoseconds(run.wall));
  insert->Bind(4, int64_t{run.completed});
  int parameter = 5;
  for (const uint64_t number : {run.cases, run.failed, run.skipped, run.not_run, run.flaky}) {
    insert->Bind(parameter++, static_cast<int64_t>(number));
  }
  insert->Bind(10, absl::ToInt64Nanoseconds(run.slowest));
  insert->Bind(11, run.slowest_unit);
  insert->Bind(12, run.slowest_name);
  if (absl::Status status = insert->Run(); !status.ok()) return status;
  absl::StatusOr<SqliteStatement> forget = SqliteStatement::Prepare(db, "DELETE FROM runs WHERE started < ?1");
  if (!forget.ok()) return forget.status();
  forget->Bind(1, absl::ToUnixMillis(oldest));
  return forget->Run();
}

absl::StatusOr<std::vector<RunHistory>> ReadRuns(SqliteDatabase* db, size_t most) {
  absl::StatusOr<SqliteStatement> select = SqliteStatement::Prepare(
      db,
      "SELECT started, run, wall, completed, cases, failed, skipped, not_run, flaky, slowest, slowest_executable, "
      "slowest_name FROM runs ORDER BY started DESC, run DESC LIMIT ?1");
  if (!select.ok()) return select.status();
  select->Bind(1, static_cast<int64_t>(most));
  std::vector<RunHistory> runs;
  absl::StatusOr<bool> row;
  while ((row = select->Step()).ok() && *row) {
    RunHistory& run = runs.emplace_back();
    run.started = absl::FromUnixMillis(select->Integer(0));
    run.run_id = std::string(select->Text(1));
    run.wall = absl::Nanoseconds(select->Integer(2));
    run.completed = select->Integer(3) != 0;
    int column = 4;
    for (uint64_t* number : {&run.cases, &run.failed, &run.skipped, &run.not_run, &run.flaky}) {
      *number = static_cast<uint64_t>(select->Integer(column++));
    }
    run.slowest = absl::Nanoseconds(select->Integer(9));
    run.slowest_unit = std::string(select->Text(10));
    run.slowest_name = std::string(select->Text(11));
  }
  if (!row.ok()) return row.status();
  std::reverse(runs.begin(), runs.end());
  return runs;
}

}  // namespace dtest
