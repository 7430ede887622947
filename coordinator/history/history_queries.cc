// What History answers; history.cc is what it learns.

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/history/history.h"
#include "coordinator/history/sqlite.h"

namespace dtest {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);  // of a person, for another process

// From the columns name, duration, high, runs, failures, last_outcome, last_run, passes, flips, last_failure,
// first_run.
CaseHistory ReadCase(const SqliteStatement& row) {
  CaseHistory history;
  if (!row.IsNull(1)) {
    history.duration = absl::Nanoseconds(row.Integer(1));
    history.high = absl::Nanoseconds(row.Integer(2));
  }
  history.runs = static_cast<uint64_t>(row.Integer(3));
  history.failures = static_cast<uint64_t>(row.Integer(4));
  const int64_t outcome = row.Integer(5);
  if (outcome >= 0 && outcome < kOutcomeCount) history.last_outcome = static_cast<Outcome>(outcome);
  history.last_run = absl::FromUnixSeconds(row.Integer(6));
  history.passes = static_cast<uint64_t>(row.Integer(7));
  history.flips = static_cast<uint64_t>(row.Integer(8));
  if (!row.IsNull(9)) history.last_failure = absl::FromUnixSeconds(row.Integer(9));
  if (!row.IsNull(10)) history.first_run = absl::FromUnixSeconds(row.Integer(10));
  return history;
}

constexpr uint64_t kFlipsOfFlaky = 3;  // failed, passed and failed again, at least
constexpr double kLikelyFixed = 3;     // failures that would have been expected since the last: e^-3 is 1 in 20

}  // namespace

std::string RecordText(const CaseHistory& history) {
  if (history.runs == 0) return "";
  std::string text =
      absl::StrCat(history.failures, " of ", history.runs, history.runs == 1 ? " run" : " runs", " failed");
  if (history.last_failure != absl::InfinitePast()) {
    absl::StrAppend(&text, ", last on ", absl::FormatTime("%Y-%m-%d", history.last_failure, absl::UTCTimeZone()));
  }
  if (history.failures > 0 && history.passes > 0) {
    absl::StrAppend(&text, ", and the latest ", history.passes == 1 ? "" : absl::StrCat(history.passes, " "), "passed");
  }
  return text;
}

bool LooksFlaky(const CaseHistory& history) {
  if (history.flips < kFlipsOfFlaky || history.runs == 0) return false;
  const double rate = static_cast<double>(history.failures) / static_cast<double>(history.runs);
  return static_cast<double>(history.passes) * rate <= kLikelyFixed;
}

std::optional<int64_t> History::FindUnit(absl::string_view name) {
  absl::StatusOr<SqliteStatement> find =
      SqliteStatement::Prepare(db_.get(), "SELECT id FROM executables WHERE name = ?1");
  if (!find.ok()) return std::nullopt;
  // Old rows name units by their base names: what they say holds for a path that has no row of its own.
  for (const absl::string_view known : {name, name.substr(name.rfind('/') + 1)}) {
    find->Reset();
    find->Bind(1, known);
    const absl::StatusOr<bool> row = find->Step();
    if (row.ok() && *row) return find->Integer(0);
  }
  return std::nullopt;
}

std::vector<std::optional<CaseHistory>> History::Cases(absl::string_view unit, const CaseInfos& cases) {
  std::vector<std::optional<CaseHistory>> histories(cases.size());
  if (db_ == nullptr || cases.empty()) return histories;
  absl::StatusOr<SqliteStatement> select =
      SqliteStatement::Prepare(db_.get(),
                               "SELECT name, duration, high, runs, failures, last_outcome, last_run, passes, flips, "
                               "last_failure, first_run FROM cases "
                               "WHERE executable = ?1");
  const std::optional<int64_t> row_of_unit = FindUnit(unit);
  if (!select.ok() || !row_of_unit.has_value()) return histories;
  select->Bind(1, *row_of_unit);
  absl::flat_hash_map<absl::string_view, size_t> wanted;  // the first of equal names
  wanted.reserve(cases.size());
  for (size_t i = 0; i < cases.size(); ++i) wanted.try_emplace(cases.name(i), i);
  absl::StatusOr<bool> row;
  while ((row = select->Step()).ok() && *row) {
    const auto at = wanted.find(select->Text(0));
    if (at == wanted.end()) continue;
    histories[at->second] = ReadCase(*select);
  }
  return histories;
}

absl::StatusOr<std::vector<History::KnownCase>> History::All() {
  std::vector<KnownCase> all;
  if (db_ == nullptr) return all;
  absl::StatusOr<SqliteStatement> select =
      SqliteStatement::Prepare(db_.get(),
                               "SELECT c.name, duration, high, runs, failures, last_outcome, last_run, passes, flips, "
                               "last_failure, first_run, e.name "
                               "FROM cases c "
                               "JOIN executables e ON e.id = c.executable ORDER BY e.name, c.name");
  if (!select.ok()) return select.status();
  absl::StatusOr<bool> row;
  while ((row = select->Step()).ok() && *row) {
    all.push_back({std::string(select->Text(11)), std::string(select->Text(0)), ReadCase(*select)});
  }
  if (!row.ok()) return row.status();
  return all;
}

absl::StatusOr<std::vector<RunHistory>> History::Runs(size_t most) {
  if (db_ == nullptr) return std::vector<RunHistory>();
  return ReadRuns(db_.get(), most);
}

absl::StatusOr<std::vector<StepwiseCase>> History::Stepwise(absl::string_view directory) {
  if (db_ == nullptr) return std::vector<StepwiseCase>();
  return ReadStepwise(db_.get(), directory);
}

absl::Status History::Forget(const std::vector<KnownCase>& cases) {
  if (db_ == nullptr) return absl::OkStatus();
  db_->SetBusyTimeout(kPatience);
  if (absl::Status status = db_->Execute("BEGIN IMMEDIATE"); !status.ok()) return status;
  absl::StatusOr<SqliteStatement> forget = SqliteStatement::Prepare(
      db_.get(), "DELETE FROM cases WHERE executable = (SELECT id FROM executables WHERE name = ?1) AND name = ?2");
  absl::StatusOr<SqliteStatement> forget_passed =
      SqliteStatement::Prepare(db_.get(), "DELETE FROM stepwise WHERE executable = ?1 AND name = ?2");
  absl::Status status = forget.ok() ? forget_passed.status() : forget.status();
  for (const KnownCase& known : cases) {
    for (absl::StatusOr<SqliteStatement>* statement : {&forget, &forget_passed}) {
      if (!status.ok()) break;
      (*statement)->Bind(1, known.unit);
      (*statement)->Bind(2, known.name);
      status = (*statement)->Run();
    }
  }
  if (status.ok()) status = db_->Execute("COMMIT");
  if (!status.ok()) (void)db_->Execute("ROLLBACK");
  return status;
}

std::optional<absl::Duration> History::Startup(absl::string_view unit) {
  return OfUnit(unit, "SELECT startup FROM executables WHERE id = ?1");
}

std::optional<absl::Duration> History::SuiteSetup(absl::string_view unit) {
  return OfUnit(unit, "SELECT suite_setup FROM executables WHERE id = ?1");
}

std::optional<absl::Duration> History::OfUnit(absl::string_view unit, const char* query) {
  if (db_ == nullptr) return std::nullopt;
  absl::StatusOr<SqliteStatement> select = SqliteStatement::Prepare(db_.get(), query);
  const std::optional<int64_t> row_of_unit = FindUnit(unit);
  if (!select.ok() || !row_of_unit.has_value()) return std::nullopt;
  select->Bind(1, *row_of_unit);
  const absl::StatusOr<bool> row = select->Step();
  if (!row.ok() || !*row || select->IsNull(0)) return std::nullopt;
  return absl::Nanoseconds(select->Integer(0));
}

double History::Speed(absl::string_view host) {
  if (db_ == nullptr) return 1;
  absl::StatusOr<SqliteStatement> select =
      SqliteStatement::Prepare(db_.get(), "SELECT speed FROM hosts WHERE name = ?1");
  if (!select.ok()) return 1;
  select->Bind(1, host);
  const absl::StatusOr<bool> row = select->Step();
  if (!row.ok() || !*row) return 1;
  const double speed = select->Real(0);
  return speed > 0 && std::isfinite(speed) ? std::clamp(speed, 1 / kMaxSpeed, kMaxSpeed) : 1;
}

}  // namespace dtest
