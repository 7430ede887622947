#include "coordinator/history/history.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "coordinator/history/history_file.h"
#include "coordinator/history/sqlite.h"

namespace dtest {
namespace {

constexpr absl::Duration kFinishPatience = absl::Seconds(10);  // for another process, when the run is over
constexpr absl::Duration kWriteInterval = absl::Seconds(5);
constexpr size_t kSlice = 5000;          // attempts written by one Flush: about 10 ms
constexpr size_t kMaxPending = 1 << 20;  // more are forgotten: something has kept us from writing for long

constexpr absl::Duration kRunsKept = absl::Hours(24 * 365);
constexpr absl::Duration kStepwiseKept = absl::Hours(24 * 90);

constexpr double kHighUp = 0.5;  // weights of the expectile: 10 : 1
constexpr double kHighDown = 0.05;

constexpr uint64_t kMinAttempts = 20;  // of known duration on a host, to say how fast it is

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
  uint32_t unit = 0;
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

History::~History() { (void)WriteRest(absl::ZeroDuration()); }

absl::StatusOr<std::unique_ptr<History>> History::Open(const std::string& path) {
  absl::StatusOr<HistoryFile> file = OpenHistoryFile(path);
  if (!file.ok()) return file.status();
  std::unique_ptr<History> history(new History(path));
  history->db_ = std::move(file->db);
  history->inode_ = file->inode;
  history->warning_ = std::move(file->warning);
  return history;
}

// Where the file cannot be used, moves it out of the way; `status` with what was done about it.
absl::Status History::Damaged(const absl::Status& status) {
  if (absl::IsDataLoss(status)) db_.reset();
  return SetHistoryAside(path_, inode_, status);
}

// ---- Writing ---------------------------------------------------------------------------------------------------

void History::RecordStartup(absl::string_view unit, absl::Duration startup) {
  Startups& sum = startups_[std::string(unit)];
  sum.total += startup;
  ++sum.count;
}

void History::RecordSuiteSetup(absl::string_view unit, absl::Duration setup) {
  if (const auto known = startups_.find(unit); known != startups_.end()) known->second.suite_setup = setup;
}

absl::Status History::Handle(const RunEvent& event) {
  latest_ = std::max(latest_, event.time);
  tally_.Note(event);
  if (std::holds_alternative<RunFinished>(event.what)) {
    return WriteRest(kFinishPatience);
  }
  const auto* ended = std::get_if<CaseEnded>(&event.what);
  if (ended == nullptr || pending_.size() >= kMaxPending) return absl::OkStatus();
  // A flaky case passed, whatever is made of that.
  const Outcome outcome = ended->flaky ? Outcome::kPassed : ended->result.outcome;
  if (!IsRun(outcome) && outcome != Outcome::kSkipped) return absl::OkStatus();
  const auto [unit, new_unit] = unit_index_.try_emplace(ended->unit, static_cast<uint32_t>(units_.size()));
  if (new_unit) units_.emplace_back(ended->unit);
  const auto [host, new_host] = host_index_.try_emplace(ended->host, static_cast<uint32_t>(hosts_.size()));
  if (new_host) {
    HostSample sample;
    sample.name = std::string(ended->host);
    hosts_.push_back(std::move(sample));
  }
  pending_.push_back({unit->second, host->second, outcome, std::string(ended->name),
                      ended->result.duration - ended->result.shared, event.time});
  if (last_write_ == absl::InfinitePast()) last_write_ = event.time;
  return absl::OkStatus();
}

absl::Time History::NextFlush() const {
  return pending_.empty() || db_ == nullptr ? absl::InfiniteFuture() : last_write_ + kWriteInterval;
}

absl::Status History::Flush(absl::Time now) {
  if (now < NextFlush()) return absl::OkStatus();
  last_write_ = now;
  const absl::Status status = WriteSlice();
  return absl::IsUnavailable(status) ? absl::OkStatus() : status;
}

absl::Status History::WriteSlice() {
  if (db_ == nullptr || pending_.empty()) return absl::OkStatus();
  const size_t count = std::min(pending_.size(), kSlice);
  absl::Status status = Transaction(absl::ZeroDuration(), [&] { return WriteRows(count); });
  if (status.ok()) pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(count));
  return status;
}

absl::Status History::WriteRest(absl::Duration patience) {
  const bool has_host_samples =
      std::any_of(hosts_.begin(), hosts_.end(), [](const HostSample& host) { return host.attempts > 0; });
  if (db_ == nullptr) return absl::OkStatus();
  if (pending_.empty() && startups_.empty() && !has_host_samples && !tally_.IsWorthKeeping()) return absl::OkStatus();
  absl::Status status = Transaction(patience, [&] {
    absl::Status written = WriteRows(pending_.size());
    if (written.ok()) written = WriteStartups();
    if (written.ok()) written = WriteSpeeds();
    if (written.ok() && tally_.IsWorthKeeping()) written = WriteRun(db_.get(), tally_.run(), latest_ - kRunsKept);
    if (written.ok()) written = PruneHistory(db_.get(), latest_, units_);
    return written;
  });
  if (!status.ok()) return status;
  // What comes later, after another RunFinished, is another run's.
  pending_.clear();
  startups_.clear();
  hosts_.clear();
  host_index_.clear();
  tally_ = RunTally();
  return absl::OkStatus();
}

absl::Status History::Transaction(absl::Duration patience, absl::FunctionRef<absl::Status()> write) {
  db_->SetBusyTimeout(patience);
  if (absl::Status status = db_->Execute("BEGIN IMMEDIATE"); !status.ok()) return Damaged(status);
  const std::vector<HostSample> before = hosts_;
  absl::Status status = write();
  if (status.ok()) status = db_->Execute("COMMIT");
  if (status.ok()) return status;
  (void)db_->Execute("ROLLBACK");
  hosts_ = before;
  return Damaged(status);
}

absl::Status History::KeepStepwise(absl::string_view directory, const std::vector<StepwiseCase>& cases, bool anew,
                                   absl::Time now) {
  if (db_ == nullptr) return absl::OkStatus();
  return Transaction(kFinishPatience,
                     [&] { return WriteStepwise(db_.get(), directory, cases, anew, now, now - kStepwiseKept); });
}

absl::StatusOr<int64_t> History::UnitRow(absl::string_view name) {
  if (const std::optional<int64_t> known = FindUnit(name)) {
    absl::StatusOr<SqliteStatement> rename =
        SqliteStatement::Prepare(db_.get(), "UPDATE executables SET name = ?1 WHERE id = ?2 AND name != ?1");
    if (!rename.ok()) return rename.status();
    rename->Bind(1, name);
    rename->Bind(2, *known);
    if (absl::Status status = rename->Run(); !status.ok()) return status;
    return *known;
  }
  absl::StatusOr<SqliteStatement> insert =
      SqliteStatement::Prepare(db_.get(), "INSERT INTO executables(name, pruned) VALUES(?1, ?2)");
  if (!insert.ok()) return insert.status();
  insert->Bind(1, name);
  insert->Bind(2, absl::ToUnixSeconds(latest_));
  if (absl::Status status = insert->Run(); !status.ok()) return status;
  return db_->last_insert_id();
}

absl::Status History::WriteRows(size_t count) {
  absl::StatusOr<SqliteStatement> select =
      SqliteStatement::Prepare(db_.get(),
                               "SELECT duration, high, runs, failures, passes, flips, last_failure FROM cases "
                               "WHERE executable = ?1 AND name = ?2");
  if (!select.ok()) return select.status();
  absl::StatusOr<SqliteStatement> insert = SqliteStatement::Prepare(
      db_.get(),
      "INSERT INTO cases(executable, name, duration, high, runs, failures, last_outcome, last_run, passes, flips, "
      "last_failure, first_run) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?8)");
  if (!insert.ok()) return insert.status();
  absl::StatusOr<SqliteStatement> update = SqliteStatement::Prepare(
      db_.get(),
      "UPDATE cases SET duration = ?3, high = ?4, runs = ?5, failures = ?6, last_outcome = ?7, last_run = ?8, "
      "passes = ?9, flips = ?10, last_failure = ?11 WHERE executable = ?1 AND name = ?2");
  if (!update.ok()) return update.status();
  for (HostSample& host : hosts_) {
    if (host.attempts == 0) host.speed = Speed(host.name);
  }
  // In the order of the table, so that neighbours share its pages; attempts at one case stay in their order.
  std::stable_sort(
      pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(count),
      [](const Pending& a, const Pending& b) { return std::tie(a.unit, a.name) < std::tie(b.unit, b.name); });
  int64_t unit = 0;
  for (size_t i = 0; i < count; ++i) {
    const Pending& attempt = pending_[i];
    if (i == 0 || attempt.unit != pending_[i - 1].unit) {
      const absl::StatusOr<int64_t> row = UnitRow(units_[attempt.unit]);
      if (!row.ok()) return row.status();
      unit = *row;
    }
    select->Bind(1, unit);
    select->Bind(2, attempt.name);
    const absl::StatusOr<bool> found = select->Step();
    if (!found.ok()) return found.status();
    std::optional<int64_t> duration, high, last_failure;
    int64_t runs = 0, failures = 0, passes = 0, flips = 0;
    if (*found) {
      if (!select->IsNull(0)) {
        duration = select->Integer(0);
        high = select->Integer(1);
      }
      runs = select->Integer(2);
      failures = select->Integer(3);
      passes = select->Integer(4);
      flips = select->Integer(5);
      if (!select->IsNull(6)) last_failure = select->Integer(6);
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
    if (IsRun(attempt.outcome)) {
      const bool passed = attempt.outcome == Outcome::kPassed;
      if (runs > 0 && passed != (passes > 0)) ++flips;
      passes = passed ? passes + 1 : 0;
      if (!passed) last_failure = absl::ToUnixSeconds(attempt.time);
    }
    SqliteStatement& write = *found ? *update : *insert;
    write.Bind(1, unit);
    write.Bind(2, attempt.name);
    duration.has_value() ? write.Bind(3, *duration) : write.BindNull(3);
    high.has_value() ? write.Bind(4, *high) : write.BindNull(4);
    write.Bind(5, runs + (IsRun(attempt.outcome) ? 1 : 0));
    write.Bind(6, failures + (IsFailure(attempt.outcome) ? 1 : 0));
    write.Bind(7, static_cast<int64_t>(attempt.outcome));
    write.Bind(8, absl::ToUnixSeconds(attempt.time));
    write.Bind(9, passes);
    write.Bind(10, flips);
    last_failure.has_value() ? write.Bind(11, *last_failure) : write.BindNull(11);
    if (absl::Status status = write.Run(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status History::WriteStartups() {
  absl::StatusOr<SqliteStatement> update = SqliteStatement::Prepare(
      db_.get(),
      "UPDATE executables SET startup = coalesce(startup + CAST(?2 * (?3 - startup) AS INTEGER), ?3), suite_setup = "
      "coalesce(suite_setup + CAST(?2 * (?4 - suite_setup) AS INTEGER), ?4, suite_setup) WHERE id = ?1");
  if (!update.ok()) return update.status();
  for (const auto& [name, sum] : startups_) {
    const absl::StatusOr<int64_t> row = UnitRow(name);
    if (!row.ok()) return row.status();
    update->Bind(1, *row);
    update->Bind(2, kNewWeight);
    update->Bind(3, Nanoseconds(sum.total / sum.count));
    sum.suite_setup.has_value() ? update->Bind(4, Nanoseconds(*sum.suite_setup)) : update->BindNull(4);
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
    if (*row) one.before = std::clamp(select->Real(0), 1 / History::kMaxSpeed, History::kMaxSpeed);
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
    const double speed = std::clamp(m.speed * scale, 1 / History::kMaxSpeed, History::kMaxSpeed);
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
