#include "coordinator/history/history.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/history/sqlite.h"

namespace dtest {
namespace {

constexpr const char* kSchema = R"sql(
CREATE TABLE executables(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, startup INTEGER);
CREATE TABLE cases(executable INTEGER NOT NULL, name TEXT NOT NULL, duration INTEGER, high INTEGER,
  runs INTEGER NOT NULL, failures INTEGER NOT NULL, last_outcome INTEGER NOT NULL, last_run INTEGER NOT NULL,
  PRIMARY KEY(executable, name)) WITHOUT ROWID;
CREATE TABLE hosts(name TEXT PRIMARY KEY, speed REAL NOT NULL, attempts INTEGER NOT NULL, last_run INTEGER NOT NULL)
  WITHOUT ROWID;
PRAGMA user_version = 1;
)sql";

constexpr absl::Duration kOpenPatience = absl::Seconds(5);
constexpr absl::Duration kFinishPatience = absl::Seconds(10);  // for another process, when the run is over
constexpr absl::Duration kWriteInterval = absl::Seconds(5);
constexpr size_t kSlice = 5000;          // attempts written by one Flush: about 10 ms
constexpr size_t kMaxPending = 1 << 20;  // more are forgotten: something has kept us from writing for long

constexpr double kHighUp = 0.5;  // weights of the expectile: 10 : 1
constexpr double kHighDown = 0.05;

constexpr uint64_t kMinAttempts = 20;  // of known duration on a host, to say how fast it is
constexpr double kMaxSpeed = 20;       // and its inverse

bool FeedsDuration(Outcome outcome) { return outcome == Outcome::kPassed || outcome == Outcome::kFailed; }
bool IsRun(Outcome outcome) {
  return FeedsDuration(outcome) || outcome == Outcome::kCrashed || outcome == Outcome::kTimedOut;
}

int64_t Mean(int64_t old, int64_t latest) {
  return old + std::llround(History::kNewWeight * static_cast<double>(latest - old));
}

int64_t Expectile(int64_t old, int64_t latest) {
  return old + std::llround((latest > old ? kHighUp : kHighDown) * static_cast<double>(latest - old));
}

int64_t Nanoseconds(absl::Duration duration) { return std::max<int64_t>(0, absl::ToInt64Nanoseconds(duration)); }

}  // namespace

struct History::Pending {
  uint32_t executable = 0;
  uint32_t host = 0;
  Outcome outcome = Outcome::kPassed;
  std::string name;
  absl::Duration duration;
  absl::Time time;
};

struct History::HostSample {
  std::string name;
  double speed = 1;       // before this run
  uint64_t attempts = 0;  // of known duration, written so far
  double expected = 0;    // their expected durations on an average host, seconds
  double actual = 0;      // what they took
  absl::Time last_run;
};

// ---- Opening ---------------------------------------------------------------------------------------------------

History::History(std::string path) : path_(std::move(path)) {}

History::~History() { (void)WritePending(pending_.size(), absl::ZeroDuration()); }

absl::StatusOr<std::unique_ptr<History>> History::Open(const std::string& path) {
  std::error_code error;
  const std::filesystem::path directory = std::filesystem::path(path).parent_path();
  if (!directory.empty()) std::filesystem::create_directories(directory, error);
  if (error) {
    return absl::UnavailableError(absl::StrCat("history ", path, ": cannot create its directory: ", error.message()));
  }
  std::unique_ptr<History> history(new History(path));
  absl::Status status = history->OpenOrReplace();
  if (absl::IsDataLoss(status)) {
    history->warning_ = std::string(history->Damaged(status).message());
    status = history->OpenOrReplace();
  }
  if (!status.ok()) return status;
  return history;
}

// kDataLoss: what is there cannot be used.
absl::Status History::OpenOrReplace() {
  absl::StatusOr<std::unique_ptr<SqliteDatabase>> db = SqliteDatabase::Open(path_);
  if (!db.ok()) return db.status();
  db_ = *std::move(db);
  db_->SetBusyTimeout(kOpenPatience);
  // Reading the version first shows whether this is a database at all.
  absl::StatusOr<int64_t> version = db_->Integer("PRAGMA user_version");
  if (!version.ok()) return version.status();
  if (*version == 0) {
    // Two processes may be creating it: the second finds it done.
    if (absl::Status status = db_->Execute("BEGIN IMMEDIATE"); !status.ok()) return status;
    version = db_->Integer("PRAGMA user_version");
    const absl::StatusOr<int64_t> tables = db_->Integer("SELECT count(*) FROM sqlite_master");
    absl::Status status = !version.ok() ? version.status() : tables.status();
    if (status.ok() && *version == 0) {
      status = *tables == 0 ? db_->Execute(kSchema)
                            : absl::DataLossError(absl::StrCat("history ", path_, ": is a database of something else"));
    }
    if (status.ok()) status = db_->Execute("COMMIT");
    if (!status.ok()) {
      (void)db_->Execute("ROLLBACK");
      return status;
    }
    if (version = db_->Integer("PRAGMA user_version"); !version.ok()) return version.status();
  }
  if (*version != kSchemaVersion) {
    return absl::DataLossError(
        absl::StrCat("history ", path_, ": has version ", *version, ", this dtest knows version ", kSchemaVersion));
  }
  // Tells a damaged schema now, before the run has begun.
  absl::StatusOr<SqliteStatement> probe =
      SqliteStatement::Prepare(db_.get(),
                               "SELECT e.id, e.startup, c.duration, c.high, c.runs, c.failures, c.last_outcome, "
                               "c.last_run, h.speed, h.attempts, "
                               "h.last_run FROM executables e, cases c, hosts h LIMIT 1");
  if (!probe.ok()) return absl::DataLossError(probe.status().message());
  // A write ahead log keeps readers going while another run writes. NORMAL: consistent after a power cut, without a
  // sync for each transaction. Where another process is busy this one goes on as the file is; it is correct either way.
  const absl::Status status = db_->Execute("PRAGMA synchronous = NORMAL; PRAGMA journal_mode = WAL");
  return absl::IsUnavailable(status) ? absl::OkStatus() : status;
}

// Where the file cannot be used, moves it out of the way; `status` with what was done about it.
absl::Status History::Damaged(absl::Status status) {
  if (!absl::IsDataLoss(status)) return status;
  db_.reset();
  const std::string stamp = absl::FormatTime("%Y%m%dT%H%M%SZ", absl::Now(), absl::UTCTimeZone());
  std::string aside = absl::StrCat(path_, ".broken-", stamp);
  for (int i = 2; access(aside.c_str(), F_OK) == 0; ++i) aside = absl::StrCat(path_, ".broken-", stamp, "-", i);
  if (rename(path_.c_str(), aside.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(status.message(), "; it cannot be renamed either: remove it"));
  }
  for (const char* suffix : {"-wal", "-shm"}) {
    rename(absl::StrCat(path_, suffix).c_str(), absl::StrCat(aside, suffix).c_str());
  }
  return absl::DataLossError(absl::StrCat(status.message(), "; it was set aside as ", aside,
                                          " and a new history is begun: durations are learnt again"));
}

// ---- Reading ---------------------------------------------------------------------------------------------------

std::optional<int64_t> History::FindExecutable(absl::string_view name) {
  absl::StatusOr<SqliteStatement> find =
      SqliteStatement::Prepare(db_.get(), "SELECT id FROM executables WHERE name = ?1");
  if (!find.ok()) return std::nullopt;
  find->Bind(1, name);
  const absl::StatusOr<bool> row = find->Step();
  if (!row.ok() || !*row) return std::nullopt;
  return find->Integer(0);
}

std::vector<std::optional<CaseHistory>> History::Cases(absl::string_view executable,
                                                       const std::vector<std::string>& case_names) {
  std::vector<std::optional<CaseHistory>> histories(case_names.size());
  if (db_ == nullptr || case_names.empty()) return histories;
  absl::StatusOr<SqliteStatement> select =
      SqliteStatement::Prepare(db_.get(),
                               "SELECT name, duration, high, runs, failures, last_outcome, last_run FROM cases "
                               "WHERE executable = (SELECT id FROM executables WHERE name = ?1)");
  if (!select.ok()) return histories;
  select->Bind(1, executable);
  absl::flat_hash_map<absl::string_view, size_t> wanted;  // the first of equal names
  wanted.reserve(case_names.size());
  for (size_t i = 0; i < case_names.size(); ++i) wanted.try_emplace(case_names[i], i);
  absl::StatusOr<bool> row;
  while ((row = select->Step()).ok() && *row) {
    const auto at = wanted.find(select->Text(0));
    if (at == wanted.end()) continue;
    CaseHistory& history = histories[at->second].emplace();
    if (!select->IsNull(1)) {
      history.duration = absl::Nanoseconds(select->Integer(1));
      history.high = absl::Nanoseconds(select->Integer(2));
    }
    history.runs = static_cast<uint64_t>(select->Integer(3));
    history.failures = static_cast<uint64_t>(select->Integer(4));
    const int64_t outcome = select->Integer(5);
    if (outcome >= 0 && outcome < kOutcomeCount) history.last_outcome = static_cast<Outcome>(outcome);
    history.last_run = absl::FromUnixSeconds(select->Integer(6));
  }
  return histories;
}

std::vector<std::optional<absl::Duration>> History::Expected(absl::string_view executable,
                                                             const std::vector<std::string>& case_names) {
  std::vector<std::optional<absl::Duration>> expected(case_names.size());
  const std::vector<std::optional<CaseHistory>> histories = Cases(executable, case_names);
  for (size_t i = 0; i < histories.size(); ++i) {
    if (histories[i].has_value()) expected[i] = histories[i]->duration;
  }
  return expected;
}

std::optional<absl::Duration> History::Startup(absl::string_view executable) {
  if (db_ == nullptr) return std::nullopt;
  absl::StatusOr<SqliteStatement> select =
      SqliteStatement::Prepare(db_.get(), "SELECT startup FROM executables WHERE name = ?1");
  if (!select.ok()) return std::nullopt;
  select->Bind(1, executable);
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

// ---- Writing ---------------------------------------------------------------------------------------------------

void History::RecordStartup(absl::string_view executable, absl::Duration startup) {
  const auto [entry, is_new] = startups_.try_emplace(std::string(executable), startup);
  if (!is_new) entry->second += kNewWeight * (startup - entry->second);
}

absl::Status History::Handle(const RunEvent& event) {
  if (std::holds_alternative<RunFinished>(event.what)) {
    if (db_ == nullptr) return absl::OkStatus();
    return WritePending(pending_.size(), kFinishPatience);
  }
  const auto* ended = std::get_if<CaseEnded>(&event.what);
  if (ended == nullptr || pending_.size() >= kMaxPending) return absl::OkStatus();
  const Outcome outcome = ended->result.outcome;
  if (!IsRun(outcome) && outcome != Outcome::kSkipped) return absl::OkStatus();
  const auto [executable, new_executable] =
      executable_index_.try_emplace(ended->executable, static_cast<uint32_t>(executables_.size()));
  if (new_executable) executables_.emplace_back(ended->executable);
  const auto [host, new_host] = host_index_.try_emplace(ended->host, static_cast<uint32_t>(hosts_.size()));
  if (new_host) {
    HostSample sample;
    sample.name = std::string(ended->host);
    hosts_.push_back(std::move(sample));
  }
  pending_.push_back(
      {executable->second, host->second, outcome, std::string(ended->name), ended->result.duration, event.time});
  if (last_write_ == absl::InfinitePast()) last_write_ = event.time;
  return absl::OkStatus();
}

absl::Time History::NextFlush() const {
  return pending_.empty() || db_ == nullptr ? absl::InfiniteFuture() : last_write_ + kWriteInterval;
}

absl::Status History::Flush(absl::Time now) {
  if (now < NextFlush()) return absl::OkStatus();
  last_write_ = now;
  const absl::Status status = WritePending(std::min(pending_.size(), kSlice), absl::ZeroDuration());
  return absl::IsUnavailable(status) ? absl::OkStatus() : status;
}

absl::Status History::WritePending(size_t count, absl::Duration patience) {
  const bool all = count == pending_.size();
  if (db_ == nullptr || (count == 0 && startups_.empty())) return absl::OkStatus();
  db_->SetBusyTimeout(patience);
  if (absl::Status status = db_->Execute("BEGIN IMMEDIATE"); !status.ok()) return Damaged(status);
  const std::vector<HostSample> before = hosts_;
  absl::Status status = WriteRows(count);
  if (status.ok()) status = WriteStartups();
  if (status.ok() && all) status = WriteSpeeds();
  if (status.ok()) status = db_->Execute("COMMIT");
  if (!status.ok()) {
    (void)db_->Execute("ROLLBACK");
    hosts_ = before;
    return Damaged(status);
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(count));
  startups_.clear();
  return absl::OkStatus();
}

absl::StatusOr<int64_t> History::ExecutableRow(absl::string_view name) {
  if (const std::optional<int64_t> known = FindExecutable(name)) return *known;
  absl::StatusOr<SqliteStatement> insert =
      SqliteStatement::Prepare(db_.get(), "INSERT INTO executables(name) VALUES(?1)");
  if (!insert.ok()) return insert.status();
  insert->Bind(1, name);
  if (absl::Status status = insert->Run(); !status.ok()) return status;
  return db_->last_insert_id();
}

absl::Status History::WriteRows(size_t count) {
  absl::StatusOr<SqliteStatement> select = SqliteStatement::Prepare(
      db_.get(), "SELECT duration, high, runs, failures FROM cases WHERE executable = ?1 AND name = ?2");
  if (!select.ok()) return select.status();
  absl::StatusOr<SqliteStatement> insert = SqliteStatement::Prepare(
      db_.get(),
      "INSERT INTO cases(executable, name, duration, high, runs, failures, last_outcome, last_run) "
      "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
  if (!insert.ok()) return insert.status();
  absl::StatusOr<SqliteStatement> update = SqliteStatement::Prepare(
      db_.get(),
      "UPDATE cases SET duration = ?3, high = ?4, runs = ?5, failures = ?6, last_outcome = ?7, last_run = ?8 "
      "WHERE executable = ?1 AND name = ?2");
  if (!update.ok()) return update.status();
  for (HostSample& host : hosts_) {
    if (host.attempts == 0) host.speed = Speed(host.name);
  }
  // In the order of the table, so that neighbours share its pages; attempts at one case stay in their order.
  std::stable_sort(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(count),
                   [](const Pending& a, const Pending& b) {
                     return std::tie(a.executable, a.name) < std::tie(b.executable, b.name);
                   });
  int64_t executable = 0;
  for (size_t i = 0; i < count; ++i) {
    const Pending& attempt = pending_[i];
    if (i == 0 || attempt.executable != pending_[i - 1].executable) {
      const absl::StatusOr<int64_t> row = ExecutableRow(executables_[attempt.executable]);
      if (!row.ok()) return row.status();
      executable = *row;
    }
    select->Bind(1, executable);
    select->Bind(2, attempt.name);
    const absl::StatusOr<bool> found = select->Step();
    if (!found.ok()) return found.status();
    std::optional<int64_t> duration, high;
    int64_t runs = 0, failures = 0;
    if (*found) {
      if (!select->IsNull(0)) {
        duration = select->Integer(0);
        high = select->Integer(1);
      }
      runs = select->Integer(2);
      failures = select->Integer(3);
    }
    select->Reset();

    HostSample& host = hosts_[attempt.host];
    host.last_run = std::max(host.last_run, attempt.time);
    if (duration.has_value() && attempt.outcome == Outcome::kPassed) {
      ++host.attempts;
      host.expected += static_cast<double>(*duration) / 1e9;
      host.actual += absl::ToDoubleSeconds(attempt.duration);
    }
    if (FeedsDuration(attempt.outcome)) {
      const int64_t latest = Nanoseconds(attempt.duration * host.speed);  // as on an average host
      high = high.has_value() ? Expectile(*high, latest) : latest;
      duration = duration.has_value() ? Mean(*duration, latest) : latest;
    }
    SqliteStatement& write = *found ? *update : *insert;
    write.Bind(1, executable);
    write.Bind(2, attempt.name);
    duration.has_value() ? write.Bind(3, *duration) : write.BindNull(3);
    high.has_value() ? write.Bind(4, *high) : write.BindNull(4);
    write.Bind(5, runs + (IsRun(attempt.outcome) ? 1 : 0));
    write.Bind(6, failures + (IsFailure(attempt.outcome) ? 1 : 0));
    write.Bind(7, static_cast<int64_t>(attempt.outcome));
    write.Bind(8, absl::ToUnixSeconds(attempt.time));
    if (absl::Status status = write.Run(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status History::WriteStartups() {
  absl::StatusOr<SqliteStatement> update = SqliteStatement::Prepare(
      db_.get(),
      "UPDATE executables SET startup = coalesce(startup + CAST(?2 * (?3 - startup) AS INTEGER), ?3) WHERE id = ?1");
  if (!update.ok()) return update.status();
  for (const auto& [name, startup] : startups_) {
    const absl::StatusOr<int64_t> row = ExecutableRow(name);
    if (!row.ok()) return row.status();
    update->Bind(1, *row);
    update->Bind(2, kNewWeight);
    update->Bind(3, Nanoseconds(startup));
    if (absl::Status status = update->Run(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

// A host's speed in this run is what its cases were expected to take by what they took. That a change made the whole
// suite slower must not look like slow hosts, so speeds are scaled such that the hosts known before keep their mean.
absl::Status History::WriteSpeeds() {
  struct Measured {
    const HostSample* host;
    double speed;
    std::optional<double> before;
  };
  std::vector<Measured> measured;
  absl::StatusOr<SqliteStatement> select =
      SqliteStatement::Prepare(db_.get(), "SELECT speed FROM hosts WHERE name = ?1");
  if (!select.ok()) return select.status();
  for (const HostSample& host : hosts_) {
    if (host.attempts < kMinAttempts || host.actual <= 0 || host.expected <= 0) continue;
    Measured one = {&host, host.expected / host.actual, std::nullopt};
    select->Bind(1, host.name);
    const absl::StatusOr<bool> row = select->Step();
    if (!row.ok()) return row.status();
    if (*row) one.before = std::clamp(select->Real(0), 1 / kMaxSpeed, kMaxSpeed);
    select->Reset();
    measured.push_back(one);
  }
  if (measured.size() < 2) return absl::OkStatus();  // a speed is relative to other hosts
  double log_scale = 0;
  int references = 0;
  const bool any_known =
      std::any_of(measured.begin(), measured.end(), [](const Measured& m) { return m.before.has_value(); });
  for (const Measured& m : measured) {
    if (any_known && !m.before.has_value()) continue;
    log_scale += std::log(m.before.value_or(1) / m.speed);
    ++references;
  }
  const double scale = std::exp(log_scale / references);
  absl::StatusOr<SqliteStatement> upsert = SqliteStatement::Prepare(
      db_.get(),
      "INSERT INTO hosts(name, speed, attempts, last_run) VALUES(?1, ?2, ?3, ?4) ON CONFLICT(name) DO UPDATE SET "
      "speed = excluded.speed, attempts = attempts + excluded.attempts, last_run = excluded.last_run");
  if (!upsert.ok()) return upsert.status();
  for (const Measured& m : measured) {
    const double speed = std::clamp(m.speed * scale, 1 / kMaxSpeed, kMaxSpeed);
    upsert->Bind(1, m.host->name);
    // A geometric mean: speeds are ratios.
    upsert->Bind(2, m.before.has_value() ? *m.before * std::pow(speed / *m.before, kNewWeight) : speed);
    upsert->Bind(3, static_cast<int64_t>(m.host->attempts));
    upsert->Bind(4, absl::ToUnixSeconds(m.host->last_run));
    if (absl::Status status = upsert->Run(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace dtest
