// What a run came to: the aggregate that the closing lines, the status line and the exit status are made from.
//
// One thread (the loop's). A sink that borrows a RunSummary is handed each event after the summary was.

#ifndef DTEST_COORDINATOR_REPORT_SUMMARY_H_
#define DTEST_COORDINATOR_REPORT_SUMMARY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/event/sink.h"
#include "coordinator/report/left_cases.h"
#include "dtest/ids.h"
#include "dtest/outcome.h"

namespace dtest {

// Exit statuses that a run can end with (4, wrong usage, is the command line's).
enum ExitStatusCode : int {
  kExitPassed = 0,
  kExitFailed = 1,
  kExitInterrupted = 2,
  kExitBroken = 3,
  kExitUsage = 4,
  kExitNothingSelected = 5,
};

class RunSummary : public Sink {
 public:
  struct Options {
    size_t slowest = 0;          // as --durations: how many to keep
    size_t max_failures = 1000;  // how many to keep the details of
  };

  // One attempt, without its output. Strings are as in the event: any bytes.
  struct Attempt {
    std::string unit, name, host;
    uint32_t iteration = 1;
    uint32_t attempt = 1;
    Outcome outcome = Outcome::kPassed;
    absl::Duration duration;
    absl::Duration setup = {}, teardown = {};  // of it, where the framework says so
    std::string headline = {};                 // of its message, clean (report/text.h); only in failed()
  };
  struct Host {
    std::string name;
    bool up = false;       // now
    bool was_up = false;   // at any time
    uint32_t slots = 0;    // of its last agent
    uint64_t shipped = 0;  // bytes
    bool down = false;     // now: it failed to come up, or was lost. Neither up nor down: it is still connecting
    std::string reason;    // why it is down; empty while it is up or has not been heard of
  };
  struct Unlisted {
    std::string unit, error, output;
  };

  RunSummary();
  explicit RunSummary(const Options& options);

  absl::Status Handle(const RunEvent& event) override;  // never fails

  // Cases by final verdict; each iteration of --repeat counts.
  uint64_t count(Outcome outcome) const { return counts_[static_cast<size_t>(outcome)]; }
  uint64_t cases() const;                          // all final verdicts
  uint64_t failures() const;                       // of those, IsFailure, but for quarantined ones that are forgiven
  uint64_t forgiven() const { return forgiven_; }  // quarantined, failed, in no count() of an outcome
  uint64_t flaky() const { return flaky_.size(); }
  uint64_t leaky() const { return leaky_.size(); }  // cases of which at least one attempt was
  uint64_t copies() const { return copies_; }       // speculative ones that were started
  uint64_t copies_won() const { return copies_won_; }
  uint64_t selected() const { return selected_; }  // iterations not counted
  uint64_t repeat() const { return repeat_; }      // how often each is to run
  // Verdicts that there should be by now: each iteration of what is selected in the units that were listed.
  uint64_t expected() const { return selected_ * repeat_; }
  // Of those, the ones that are missing although the run is over: the coordinator died, or dtest has a bug.
  uint64_t without_verdict() const { return finished_ && cases() < expected() ? expected() - cases() : 0; }
  // What an earlier run left, of which left().count() cases fail this one, as they have not been run.
  const LeftCases& left() const { return left_; }
  uint64_t listed() const { return listed_; }
  uint32_t units() const { return units_; }  // known by now, also those that could not be listed
  const std::vector<Unlisted>& unlisted() const { return unlisted_; }
  // Names of units that the run ended before, as far as it is known that there are any.
  const std::vector<std::string>& unreached() const { return unreached_; }

  // A quarantined case that was judged.
  struct Quarantined {
    Attempt attempt;
    bool forgiven = false;  // else it passed
    std::string reason, owner, hint;
  };
  // In the order in which they ended, Options::max_failures at most.
  const std::vector<Quarantined>& quarantined() const { return quarantined_; }
  // Final failures in the order in which they ended, the first Options::max_failures of failures().
  const std::vector<Attempt>& failed() const { return failed_; }
  // Cases that were running when the run ended (not run, but with a host), the first Options::max_failures of
  // interrupted_count().
  const std::vector<Attempt>& interrupted() const { return interrupted_; }
  uint64_t interrupted_count() const { return interrupted_count_; }
  // Cases that were not run and had not begun, the first Options::max_failures of not_begun_count().
  const std::vector<Attempt>& not_begun() const { return not_begun_; }
  uint64_t not_begun_count() const { return count(Outcome::kNotRun) - interrupted_count_; }
  // The slowest attempts of any outcome, slowest first.
  std::vector<Attempt> Slowest() const;

  const std::vector<Host>& hosts() const { return hosts_; }  // HostId indexes this
  uint32_t hosts_up() const { return hosts_up_; }            // now
  uint32_t hosts_used() const;                               // up at any time
  uint32_t slots_used() const;                               // of those
  uint64_t shipped_bytes() const;
  uint32_t shipped_hosts() const;  // that were sent anything

  // What the tests have covered; null: that was not measured, or not yet.
  const CoverageMeasured* coverage() const { return coverage_.has_value() ? &*coverage_ : nullptr; }
  // How that fails the run; empty: it does not.
  std::string CoverageFault() const;

  // Of pytest's own reports one that was asked for and is not there: which, and why. Empty: there is none.
  const std::string& ReportsFault() const { return reports_fault_; }

  const std::string& run_id() const { return run_id_; }  // as in RunStarted, and so is the next
  const std::string& working_directory() const { return working_directory_; }
  bool finished() const { return finished_; }
  const RunFinished& end() const { return end_; }
  absl::Time started() const { return started_; }  // the first event
  // From the first event to the last, on the coordinator's clock.
  absl::Duration wall_time() const { return started_ < ended_ ? ended_ - started_ : absl::ZeroDuration(); }
  absl::Duration busy_time() const { return busy_; }  // of all attempts together

  // As docs/reports.md says, the first that applies: 3 if the run never finished, no host was left or dtest failed;
  // 2 after a signal; 1 if a case failed, a unit could not be listed or --max-fail ended the run; 1 if cases were not
  // run (run timeout, what an earlier run left), or less is covered than the project requires; 3 if what is covered
  // could not be reported; 3 if a selected case has no verdict (a bug of dtest: never taken for success); 5 if nothing
  // was selected; else 0.
  int ExitStatus() const;

 private:
  using IteratedCase = std::pair<CaseId, uint32_t>;

  void On(const CaseEnded& ended);
  void On(const UnitListed& listed);
  void TakeBack(const CaseEnded& ended);
  void KeepIfSlow(const CaseEnded& ended);
  void KeepQuarantined(const CaseEnded& ended);
  Host* HostOf(HostId id);

  const Options options_;
  std::array<uint64_t, kOutcomeCount> counts_ = {};
  uint64_t forgiven_ = 0;
  uint64_t selected_ = 0, listed_ = 0;
  uint64_t copies_ = 0, copies_won_ = 0;
  uint64_t repeat_ = 1;
  uint32_t units_ = 0, hosts_up_ = 0;
  absl::flat_hash_set<UnitId> seen_;
  absl::flat_hash_set<IteratedCase> flaky_, leaky_;  // leaky: at least one attempt was
  std::string run_id_, working_directory_;
  LeftCases left_;
  std::vector<Unlisted> unlisted_;
  std::vector<std::string> unreached_;
  std::vector<Quarantined> quarantined_;
  std::vector<Attempt> failed_;
  std::vector<Attempt> interrupted_;
  uint64_t interrupted_count_ = 0;
  std::vector<Attempt> not_begun_;
  std::vector<Attempt> slowest_;  // a heap with the fastest on top
  std::vector<Host> hosts_;
  absl::Time started_ = absl::InfiniteFuture();
  absl::Time ended_ = absl::InfinitePast();
  absl::Duration busy_;
  std::optional<CoverageMeasured> coverage_;
  std::string reports_fault_;
  bool finished_ = false;
  RunFinished end_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_REPORT_SUMMARY_H_
