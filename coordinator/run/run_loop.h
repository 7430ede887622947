// A run: the one loop that joins hosts, bundle, scheduler and reports. It turns what happens into events of the pure
// scheduler, carries out the scheduler's actions, and tells the sinks. A turn is
//
//   wait  ->  hear hosts, workers, signals  ->  scheduler  ->  carry out its actions  ->  flush sinks
//
// and nothing in it waits for a host or a disk. One thread; Run may be called once.

#ifndef DTEST_COORDINATOR_RUN_RUN_LOOP_H_
#define DTEST_COORDINATOR_RUN_RUN_LOOP_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/event/run_event.h"
#include "coordinator/event/sink_set.h"
#include "coordinator/history/durations_file.h"
#include "coordinator/history/history.h"
#include "coordinator/report/terminal.h"
#include "coordinator/run/host_pool.h"
#include "coordinator/run/run_bundle.h"
#include "coordinator/run/running_cases.h"
#include "coordinator/run/selection.h"
#include "coordinator/run/shipping.h"
#include "coordinator/run/signals.h"
#include "coordinator/run/workers.h"
#include "coordinator/schedule/scheduler.h"

namespace dtest {

class RunLoop : private HostPool::Delegate {
 public:
  struct Options {
    std::string run_id;
    std::string version;
    std::vector<std::string> command;
    std::string working_directory;               // absolute; what tests see as their own
    bool list_only = false;                      // list, and run nothing
    std::shared_ptr<const Durations> durations;  // where history knows nothing; may be null
    absl::Time began = absl::InfiniteFuture();   // when the command was given, for RunStarted::setup
    bool peers = true;                           // hosts may fetch chunks from one another
    HostPool::Options pool;
    RunBundle::Options bundle;
    SchedulerOptions scheduler;
    RunSettings settings;          // host_name and slots are filled in for each host
    std::optional<uint32_t> jobs;  // slots of a host whose line gives none
    absl::Duration host_timeout;   // Welcome::lease_timeout
    absl::Duration heartbeat_interval = absl::Seconds(1);
    std::function<void(absl::string_view host, absl::string_view line)> log;  // what agents write; may be empty
  };

  // What the loop reads and writes besides hosts. All outlive it; `history` and `terminal` may be null.
  struct Surroundings {
    SinkSet* sinks;
    History* history;
    TerminalReport* terminal;
    Signals* signals;
  };

  static absl::StatusOr<std::unique_ptr<RunLoop>> Create(Options options, std::vector<HostSpec> hosts,
                                                         std::vector<TestProgram> programs, Selection selection,
                                                         Surroundings surroundings);
  ~RunLoop() override;

  // Runs to the end, whatever the end is. Every sink has seen RunFinished when it returns.
  RunEnd Run();

  // After Run: the cases of each unit, and those of them that are selected (for `dtest list`).
  struct Listing {
    std::string unit;
    CaseInfos cases;
    std::vector<uint32_t> selected;
  };
  std::vector<Listing> TakeListings();

 private:
  struct HostState {
    std::string name;
    uint32_t slots = 0;
    absl::Time hello;             // the coordinator's clock when Hello came: CaseResult::start counts from here
    std::vector<bool> has_table;  // by unit: the host listed it, or CaseTable was sent
  };
  struct UnitState {
    CaseInfos cases;  // empty until listed, then never changed
    std::vector<uint32_t> selected;
    bool listed = false;
    absl::Duration ready;  // since the run began: when its specification was made
  };

  RunLoop(Options options, std::vector<HostSpec> hosts, std::vector<TestProgram> programs, Selection selection,
          Surroundings surroundings);

  absl::Time Now() const;
  void Emit(decltype(RunEvent::what) what);
  void Schedule(SchedulerEvent event);
  void CarryOut();
  void Act(SendTo& action);
  void Act(AttemptEnded& action);
  void Act(PropertiesCame& action);
  void Act(AttemptCopied& action);
  void Act(ListingFailed& action);
  void Act(Warn& action);
  void Act(Finish& action);
  void EnsureTable(HostId host, UnitId unit);

  void UnitReady(UnitId id, const absl::Status& status, const std::vector<std::string>& warnings);
  // `asked`: a host was, which took `startup`.
  void CasesListed(UnitId id, CaseInfos cases, absl::Duration startup, bool asked);
  void TellSelected(UnitId id);
  void ListingBroke(UnitId id, std::string error, std::string output);

  void HostIsUp(HostId host, const Hello& hello) override;
  void HostIsDown(HostId host, bool was_up, const absl::Status& reason) override;
  void HostSays(HostId host, FromAgent message) override;
  void HostLogs(HostId host, absl::string_view line) override;
  void HostNotes(HostId host, absl::string_view line) override;

  // Slots of hosts that are up, and of those still to come whose number is given.
  uint32_t KnownSlots() const;
  void HandleSignals();
  void PrintRunning();
  std::string StoppingText(int number) const;
  LongCase Describe(const RunningCases::Entry& running) const;
  void ShowProgress();
  void LetHostsGo();

  const Options options_;
  const Selection selection_;
  const Surroundings out_;
  const absl::Time started_;         // wall clock
  const int64_t started_monotonic_;  // ns, at the same moment
  RunBundle bundle_;
  Shipping shipping_;
  Workers workers_;  // after what its jobs use, so that it ends before
  Scheduler scheduler_;
  std::unique_ptr<HostPool> pool_;
  std::vector<HostState> hosts_;
  RunningCases running_;
  std::optional<CurveKeyPair> peer_keys_;  // none: no host fetches from another
  std::vector<UnitState> units_;
  uint32_t units_pending_ = 0;     // their specification is being made
  uint32_t workers_assigned_ = 0;  // DTEST_WORKER numbers given out
  uint32_t hosts_up_ = 0;
  uint64_t processes_ = 0;  // for RunFinished
  absl::Duration startup_;
  absl::Time now_;  // of this turn: read once
  absl::Time next_shipped_report_;
  absl::Time next_estimate_ = absl::InfinitePast();
  absl::Duration time_left_ = absl::InfiniteDuration();  // as last estimated
  absl::flat_hash_set<std::string> noted_;               // what HostNotes has told, of whichever host
  std::vector<SchedulerAction> actions_;
  bool carrying_out_ = false;
  bool stopping_ = false;  // a first signal came
  std::optional<RunEnd> end_;
  std::string end_reason_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_RUN_LOOP_H_
