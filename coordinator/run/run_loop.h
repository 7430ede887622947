// A run: the one loop that joins hosts, bundle, scheduler and reports. It turns what happens into events of the pure
// scheduler, carries out the scheduler's actions, and tells the sinks. A turn is
//
//   wait  ->  hear hosts, workers, signals  ->  scheduler  ->  carry out its actions  ->  flush sinks
//
// and nothing in it waits for a host or a disk. Hosts, bundle, clock and signals are interfaces: tests and the
// simulator run this loop in virtual time. One thread; Run may be called once. Three sources: the loop itself and the
// scheduler's actions (run_loop.cc), units (run_loop_units.cc), hosts (run_loop_hosts.cc).

#ifndef DTEST_COORDINATOR_RUN_RUN_LOOP_H_
#define DTEST_COORDINATOR_RUN_RUN_LOOP_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/event/run_event.h"
#include "coordinator/event/sink_set.h"
#include "coordinator/history/durations_file.h"
#include "coordinator/history/history.h"
#include "coordinator/inventory/inventory.h"
#include "coordinator/report/left_cases.h"
#include "coordinator/report/terminal.h"
#include "coordinator/run/budget.h"
#include "coordinator/run/bundle.h"
#include "coordinator/run/hosts.h"
#include "coordinator/run/predecessors.h"
#include "coordinator/run/quarantine.h"
#include "coordinator/run/run_status.h"
#include "coordinator/run/run_unit.h"
#include "coordinator/run/selection.h"
#include "coordinator/run/shipping.h"
#include "coordinator/run/signals.h"
#include "coordinator/run/stepwise.h"
#include "coordinator/run/welcomer.h"
#include "coordinator/schedule/scheduler.h"
#include "coordinator/settings/overrides.h"

namespace dtest {

class RunLoop : public Hosts::Delegate {
 public:
  struct Options {
    std::string run_id;
    std::string version;
    std::vector<std::string> command;
    std::string working_directory;               // absolute; what tests see as their own
    bool list_only = false;                      // list, and run nothing
    bool failed_first = false;                   // cases that failed when they ran last go out first...
    bool new_first = false;                      // ...and those that history has not seen
    bool allow_unrunnable = false;               // a unit without a case is a warning, no failure
    std::shared_ptr<const Durations> durations;  // where history knows nothing; may be null
    absl::Time began = absl::InfiniteFuture();   // when the command was given, for RunStarted::setup
    SchedulerOptions scheduler;
    CasePolicies policies;
    Quarantine quarantine;
    Budget budget;
    std::vector<CasesLeft> left;       // what the run that is repeated left, also what is not to run here
    RunSettings settings;              // as in Welcomer::Options, but for run_id
    HostEnvironment environment_here;  // as in Welcomer::Options
    std::optional<uint32_t> jobs;      // slots of a host whose line gives none
    uint32_t min_hosts = 0;            // the run ends as soon as it is certain that fewer come up
    absl::Duration host_timeout;       // Welcome::lease_timeout
    absl::Duration heartbeat_interval = absl::Seconds(1);
    std::optional<CurveKeyPair> peer_keys;  // hosts may fetch chunks from one another, under these
    std::function<void(absl::string_view host, absl::string_view line)> log;  // what agents write; may be empty
    // What may help with a failure on a host that is not this machine, for a person. Asked for each; may be empty.
    std::function<std::string(const CaseResult& failure, absl::string_view host)> hint;
    // What processes have gathered, as it comes. May be empty, and so may the next two.
    std::function<void(Gathered)> gathered;
    // What that comes to: asked once, when no more comes, and may take its time. `stop`, asked now and then: whether
    // nobody waits for it any more.
    struct CoverageReport {
      std::optional<CoverageMeasured> measured;  // none: nothing was
      std::vector<std::string> warnings;
    };
    std::function<CoverageReport(const std::function<bool()>& stop)> report_coverage;
    // Has the reports of frameworks themselves made, likewise. `interrupted`: why not all was run; empty: all was.
    struct FrameworkReports {
      std::vector<ReportsMade> made;
      std::vector<std::string> warnings;
    };
    std::function<FrameworkReports(absl::string_view interrupted, const std::function<bool()>& stop)> make_reports;
  };

  // What the loop reads and writes besides hosts. All outlive it; `terminal` may be null, and `history` but for a
  // selection that needs it.
  struct Surroundings {
    SinkSet* sinks;
    History* history;
    TerminalReport* terminal;
    SignalSource* signals;
    Bundle* bundle;
    std::function<absl::Time()> clock;  // in whole microseconds, as RunClock; never goes back
    Stepwise* stepwise = nullptr;       // may be null: it is a run as any other
  };

  RunLoop(Options options, std::vector<HostSpec> hosts, Selection selection, Surroundings surroundings);
  ~RunLoop() override;

  // Runs to the end, whatever the end is. Every sink has seen RunClosed when it returns. `hosts`: as many as there were
  // HostSpecs, whose delegate this loop is.
  RunEnd Run(Hosts* hosts);

  // After Run: the cases of each unit, and those of them that are selected (for `dtest list`).
  struct Listing {
    std::string unit;
    CaseInfos cases;
    std::vector<uint32_t> selected;
  };
  std::vector<Listing> TakeListings();
  // After Run, for what matches no case.
  const Selection& selection() const { return selection_; }

  const Scheduler& scheduler() const { return scheduler_; }  // for its CheckInvariants

  // Hosts::Delegate
  void HostIsUp(HostId host, const Hello& hello) override;
  void HostIsDown(HostId host, bool was_up, const absl::Status& reason, bool may_return, absl::Time tests_end) override;
  void HostSays(HostId host, FromAgent message) override;
  void HostLogs(HostId host, absl::string_view line) override;
  void HostNotes(HostId host, absl::string_view line) override;

 private:
  // ---- The loop
  void Begin();
  void Turn();
  void End();
  void ReportCoverage();
  void MakeReports();
  void LetHostsGo();
  // After the run: whether a signal has come since that asks not to wait for what is left to do.
  bool WillNotWait();
  void HandleSignals();
  // Ctrl-Z: this process stops until it is continued, and agents on other machines know that it is silent by intention.
  void Suspend();
  void SetLeases(absl::Duration timeout);
  void ShowProgress();

  // ---- The scheduler
  void Schedule(SchedulerEvent event);
  void CarryOut();
  void Perform(SendTo& action);
  void Perform(AttemptEnded& action);
  void Perform(PropertiesCame& action);
  void Perform(AttemptCopied& action);
  void Perform(ListingFailed& action);
  void Perform(Warn& action);
  void Perform(CaseIsSlow& action);
  void Perform(Finish& action);

  // ---- Units
  void UnitReady(UnitId id, const absl::Status& status, const std::vector<std::string>& warnings);
  // Whether the listing that came with the unit may be used in place of listing it again.
  bool MayTrust(const Bundle::Unit& unit) const;
  // Nothing that is listed is left out.
  bool TakesAll() const { return selection_.TakesAll() && (out_.stepwise == nullptr || !out_.stepwise->goes_on()); }
  // `asked`: a host was, which took `startup`.
  void CasesListed(UnitId id, CaseInfos cases, absl::Duration startup, bool asked);
  void TellSelected(UnitId id);
  // `known`: parallel to its cases, or empty.
  void FindQuarantined(RunUnit* unit, const std::vector<std::optional<CaseHistory>>& known);
  // Whether a case with this history is to be handed out before others.
  bool IsFirst(const std::optional<CaseHistory>& history) const;
  std::vector<UnitBefore> UnitsBefore(const Declarations& declarations);
  // What a report says of the quarantine of a case that ended so.
  void AddQuarantine(const RunUnit& unit, CaseEnded* ended) const;
  // Tells of entries of quarantine and budget that match no case of this run.
  void TellUnmatched();
  // Cases that passed and took too long have failed.
  void ApplyBudget(HostId host, Results* results);
  void ListingBroke(UnitId id, std::string error, std::string output);
  void RunnerTold(HostId id, UnitId unit, std::string runner);
  void ListingProvedWrong(HostId id, const ListingWrong& wrong);
  void HostListed(HostId host, Listed listed);
  void SendCases(HostId host, UnitId unit);
  void HostHasResults(HostId host, Results results);

  void Send(HostId host, ToAgent message) { hosts_->Send(now_, host, std::move(message)); }
  void Emit(decltype(RunEvent::what) what) { out_.sinks->Handle({now_, std::move(what)}); }
  RunUnit& Unit(UnitId id) { return units_[id.value()]; }
  const std::string& HostName(HostId host) const { return welcomer_.hosts()[host.value()].name; }

  // Constant after construction.
  const Options options_;
  Selection selection_;
  Quarantine quarantine_;
  Budget budget_;
  LeftCases left_;  // as the run begins
  const Surroundings out_;
  const absl::Time started_;
  Hosts* hosts_ = nullptr;  // from Run on

  Scheduler scheduler_;
  Shipping shipping_;
  Welcomer welcomer_;
  std::vector<RunUnit> units_;
  absl::flat_hash_map<std::string, UnitId> by_name_;  // of them, where their order is asked for
  RunStatus status_;
  std::vector<std::vector<bool>> has_table_;  // by host and unit: the host listed it, or CaseTable was sent
  absl::flat_hash_map<std::pair<HostId, UnitId>, CaseInfos> listed_so_far_;  // listings of which more is to come
  Predecessors predecessors_;
  std::vector<double> speeds_;   // by host, as history has it
  uint32_t units_pending_ = 0;   // their specification is being made
  std::vector<bool> came_up_;    // by host: once, at least
  std::vector<bool> told_down_;  // by host: HostDown was emitted since it was last up
  uint32_t never_up_ = 0;        // hosts that did not come up, and will not
  uint32_t hosts_up_ = 0;
  uint64_t processes_ = 0;  // for RunFinished
  absl::Duration startup_;
  absl::Time now_;  // of this turn: read once
  absl::Time next_shipped_report_;
  absl::Time next_estimate_ = absl::InfinitePast();
  absl::Duration time_left_ = absl::InfiniteDuration();            // as last estimated
  absl::flat_hash_set<std::string> noted_;                         // what HostNotes has told, of whichever host
  absl::flat_hash_set<std::pair<LeaseId, uint32_t>> over_budget_;  // case of a lease that goes on, by index
  std::vector<SchedulerAction> actions_;
  bool carrying_out_ = false;
  bool stopping_ = false;  // a first signal came
  std::optional<RunEnd> end_;
  std::string end_reason_;
  std::string drained_;  // the host that was the last to take no more work, and why
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_RUN_LOOP_H_
