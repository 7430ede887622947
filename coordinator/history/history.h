// What past runs taught: how long cases take, how often they fail, what a process of a unit costs to start, how
// fast hosts are. In one SQLite file that all runs of a user share, several at once too.
//
// It is a help and never a condition: a file that is broken is set aside (renamed) and a new one begun, one of a later
// dtest is left alone (history_file.h); a sink error only means that nothing is learnt from this run. What was not seen
// for 90 days is forgotten.
//
// One thread (the loop's). Two processes may use one file: each write is a transaction of its own, and what both learnt
// is kept.

#ifndef DTEST_COORDINATOR_HISTORY_HISTORY_H_
#define DTEST_COORDINATOR_HISTORY_HISTORY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/event/sink.h"
#include "coordinator/history/run_history.h"
#include "coordinator/history/stepwise_history.h"
#include "dtest/case_info.h"
#include "dtest/outcome.h"

namespace dtest {

class SqliteDatabase;

// What is known of one case. Names are any bytes.
struct CaseHistory {
  // On an average host. Exponentially weighted mean: each new attempt counts kNewWeight. Only attempts that passed or
  // failed count: a crash comes too early and a time-out is the limit, not the case. Empty: none did.
  std::optional<absl::Duration> duration;
  // An expectile of about 0.9 (weighted mean in which longer attempts count ten times as much): what it takes on a bad
  // day. Set when `duration` is.
  absl::Duration high;
  uint64_t runs = 0;      // attempts that passed, failed, crashed or timed out
  uint64_t failures = 0;  // of those, the ones that did not pass
  Outcome last_outcome = Outcome::kPassed;
  absl::Time last_run;  // to the second
  // What tells a flaky case from one that was broken for a while. Of attempts that count as runs:
  uint64_t passes = 0;                             // in a row, up to the latest
  uint64_t flips = 0;                              // passed after a failure, or failed after a pass
  absl::Time last_failure = absl::InfinitePast();  // to the second; InfinitePast: none, or not known
  absl::Time first_run = absl::InfinitePast();     // to the second; InfinitePast: before that was kept
};

// "3 of 40 runs failed, last on 2026-11-02, and the latest 14 passed", for people.
std::string RecordText(const CaseHistory& history);

// Whether the case passes and fails in turns, and did so lately: it has changed its mind three times, and what passed
// since its last failure does not make it likely (19 in 20) that it fails no more.
bool LooksFlaky(const CaseHistory& history);

class History : public Sink {
 public:
  static constexpr double kNewWeight = 0.3;
  static constexpr double kMaxSpeed = 20;  // of a host, and its inverse
  static constexpr int kSchemaVersion = 6;

  // Opens or creates `path`, and its directory. A file that cannot be used is renamed to "<path>.broken-<time>" and
  // warning() says so. Fails where no file can be opened or created (a read-only directory), and with
  // kFailedPrecondition on one of a later dtest: then run without history.
  static absl::StatusOr<std::unique_ptr<History>> Open(const std::string& path);
  ~History() override;  // writes what is left; an error is lost
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  // For a person; empty: nothing to say.
  const std::string& warning() const { return warning_; }

  // Parallel to `cases`. One query for the unit. Where the file cannot be read, nothing is known.
  std::vector<std::optional<CaseHistory>> Cases(absl::string_view unit, const CaseInfos& cases);
  // Everything, in the order of names (bytes). Fails as SQLite does.
  struct KnownCase {
    std::string unit, name;
    CaseHistory history;
  };
  absl::StatusOr<std::vector<KnownCase>> All();
  // The latest so many runs that finished and ran something, the oldest of them first.
  absl::StatusOr<std::vector<RunHistory>> Runs(size_t most);
  // Of the runs with --stepwise in this directory. Fails as SQLite does.
  absl::StatusOr<std::vector<StepwiseCase>> Stepwise(absl::string_view directory);
  // In one transaction; `anew`: in place of all that was kept of the directory.
  absl::Status KeepStepwise(absl::string_view directory, const std::vector<StepwiseCase>& cases, bool anew,
                            absl::Time now);
  // In one transaction.
  absl::Status Forget(const std::vector<KnownCase>& cases);
  // Process start-up cost of a unit: mean as of durations.
  std::optional<absl::Duration> Startup(absl::string_view unit);
  // What it costs to begin with one of its suites: mean as of durations.
  std::optional<absl::Duration> SuiteSetup(absl::string_view unit);
  // Relative to the average host; 1.0 where nothing is known. Learnt from runs in which several hosts ran cases of
  // known duration.
  double Speed(absl::string_view host);

  // Results::startup of a lease that ended. There is no event for it: the loop tells. Written when the run finishes, as
  // one sample: their mean in this run.
  void RecordStartup(absl::string_view unit, absl::Duration startup);
  // Of a unit whose start-up is recorded: what the scheduler makes of CaseResult::shared. Written when the run
  // finishes.
  void RecordSuiteSetup(absl::string_view unit, absl::Duration setup);

  // Results are collected and written in one transaction when the run finishes. In a long run some are written every
  // few seconds by Flush, in slices of some milliseconds, so that little is lost if the coordinator dies; there a file
  // that another process is writing to is left for later. What a run says of hosts and of start-up is one sample,
  // however long it takes: it is written at the end only.
  absl::Status Handle(const RunEvent& event) override;
  absl::Status Flush(absl::Time now) override;
  absl::Time NextFlush() const override;

 private:
  struct Pending;     // an attempt not written yet
  struct HostSample;  // sums over this run's attempts of known duration
  explicit History(std::string path);

  absl::Status WriteSlice();                        // of what is pending
  absl::Status WriteRest(absl::Duration patience);  // all that is pending, and what is known of the whole run
  absl::Status Transaction(absl::Duration patience, absl::FunctionRef<absl::Status()> write);
  absl::Status WriteRows(size_t count);
  absl::Status WriteSpeeds();
  absl::Status WriteStartups();
  absl::StatusOr<int64_t> UnitRow(absl::string_view name);
  std::optional<int64_t> FindUnit(absl::string_view name);
  // `query` is for a duration, of the row of the unit.
  std::optional<absl::Duration> OfUnit(absl::string_view unit, const char* query);
  absl::Status Damaged(const absl::Status& status);

  const std::string path_;
  std::string warning_;
  uint64_t inode_ = 0;                  // of the file that db_ has open
  std::unique_ptr<SqliteDatabase> db_;  // null after it was found damaged
  std::vector<Pending> pending_;
  absl::flat_hash_map<std::string, uint32_t> unit_index_;  // of this run
  std::vector<std::string> units_;
  absl::flat_hash_map<std::string, uint32_t> host_index_;
  std::vector<HostSample> hosts_;
  struct Startups {
    absl::Duration total;
    int64_t count = 0;
    std::optional<absl::Duration> suite_setup;
  };
  absl::flat_hash_map<std::string, Startups> startups_;  // of this run, by unit
  RunTally tally_;
  absl::Time last_write_ = absl::InfinitePast();
  absl::Time latest_;  // event: the only clock
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_HISTORY_HISTORY_H_
