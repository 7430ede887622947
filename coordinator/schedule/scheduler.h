// The scheduler: which case runs when, on which host. A pure state machine without clock, thread, socket or name:
//
//   Handle(now, event) -> actions         NextDeadline()         CheckInvariants()
//
// `now` never goes back. The run loop carries actions out in order and feeds back what happens; it decides nothing.
// Queues are a hierarchy: the scheduler holds what is unassigned, an agent holds a short queue of leases so that its
// slots never wait for a round trip, a slot runs one lease (a batch). Work is moved between hosts only through the
// scheduler: Recall -> Released | Refused.
//
// Invariants, checked by CheckInvariants and by the simulator after every step: a case is in exactly one of {unlisted,
// pending, leased, finished}; it is held under at most one live lease, and two only while a speculative copy of it has
// been declared (AttemptCopied), on another host; no two live leases have cases of one group; every selected case
// reaches exactly one final verdict per iteration; sums of pending and leased estimates match their parts; a lock is
// held by its leases, and by no more than may hold it, and a host's slots suffice for what its leases need.
//
// One thread. Owns all it is given.

#ifndef DTEST_COORDINATOR_SCHEDULE_SCHEDULER_H_
#define DTEST_COORDINATOR_SCHEDULE_SCHEDULER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/event/run_event.h"
#include "coordinator/schedule/case_policy.h"
#include "coordinator/schedule/retry_budget.h"
#include "dtest/ids.h"
#include "dtest/messages.h"

namespace dtest {

// ---- Events ----------------------------------------------------------------------------------------------------

// A host said Hello. The same HostId may come up again after HostGone (a fresh agent, nothing carried over).
struct HostJoined {
  HostId host;
  uint32_t slots = 1;
  double speed = 1.0;  // relative to the average host, from history
};

// The host is lost, failed to come up, or was drained by its agent and has said its last.
struct HostGone {
  HostId host;
  std::string reason;
  bool may_return = false;  // another HostJoined or HostGone for it follows: do not give up the run for lack of hosts
  // Until when tests may live on there, in an agent that has not noticed yet that it was given up; InfinitePast: none
  // does.
  absl::Time tests_end = absl::InfinitePast();
};

// A unit of the bundle; CasesKnown or CasesUnknown follows, by listing (an action of the scheduler) or, where
// the coordinator knows the cases, without (then `listed` is true and no List is sent).
struct UnitAdded {
  UnitId unit;
  uint64_t bytes = 0;  // of its files: the cost of shipping it to a host that has nothing
  bool listed = false;
};

struct SelectedCase {
  uint32_t index = 0;                           // position in the listing
  std::optional<absl::Duration> expected = {};  // from history
  absl::Duration high = absl::ZeroDuration();   // as well: on a bad day (CaseHistory::high); zero: unknown
  uint16_t policy = 0;                          // position in CasesKnown::policies
  bool uncounted = false;                       // failures that QuarantineForgives are not counted by max_fail
  bool first = false;                           // it is handed out before those of all units that are not
};

// A unit that others come after.
struct UnitBefore {
  UnitId unit;  // kNoUnit: one that is in no part of this run
  // What comes after it does not run unless all of its cases pass or are skipped, and there is one.
  bool must_pass = false;
  std::string what = {};  // for people, where it must pass: "its set-up build/start_server"
};

// The cases to run, in listing order, after filter and shard. May be empty. `startup` is the process start-up cost.
struct CasesKnown {
  UnitId unit;
  std::vector<CasePolicy> policies = {CasePolicy()};  // of the cases: each different one once
  std::vector<SelectedCase> cases = {};
  std::vector<uint32_t> suite_of = {};  // parallel to `cases`: equal numbers are one suite
  std::vector<uint32_t> file_of = {};   // as well, or empty: equal numbers are of one file
  std::vector<uint32_t> group_of = {};  // as well, or empty: equal numbers but 0 are to be in one process (groups.h)
  absl::Duration startup = absl::ZeroDuration();
  absl::Duration suite_setup = absl::ZeroDuration();  // what it costs to begin with a suite, by history
  bool unlisted_too = false;  // what it has and did not list may run, too: with the first of the cases (Lease)
  // Nothing of it is handed out before all cases of these have their last verdicts. Not honoured with --stress, which
  // is told. Units that wait for one another end as infra errors.
  std::vector<UnitBefore> after = {};
};

// Listing failed for good (the loop has reported it).
struct CasesUnknown {
  UnitId unit;
};

// No UnitAdded follows.
struct BundleComplete {};

// No HostJoined follows for hosts that have not joined or gone yet, except as HostGone::may_return promised.
// The loop sends one HostJoined or HostGone for each of the hosts it was constructed with.

struct FromHost {
  HostId host;
  std::variant<Prepared, Listed, ListingWrong, Results, Released, Refused, Heartbeat, Idle> message;
};

// A signal to the run. First: hand out nothing more, Interrupt agents with the grace. `force`: kill at once.
struct StopRun {
  RunEnd end = RunEnd::kInterrupted;
  bool force = false;
};

// The passing of time, when NextDeadline has come.
struct Tick {};

using SchedulerEvent =
    std::variant<HostJoined, HostGone, UnitAdded, CasesKnown, CasesUnknown, BundleComplete, FromHost, StopRun, Tick>;

// ---- Actions ---------------------------------------------------------------------------------------------------

// The loop sends AddUnit and CaseTable of a unit by itself before the first message that needs them.
struct SendTo {
  HostId host;
  std::variant<Prefetch, List, Lease, Recall, Cancel, Interrupt, Shutdown> message;
};

// An attempt ended, or (outcome kNotRun) the case has no result and will get none. Exactly one of a case and iteration
// is final, and the last, but that a later one may take its place (`replaces`): what had passed has failed after all,
// and ends so or runs once more. kNotRun with a host: it was running there when the run ended. Where no agent told the
// result, result.start and result.duration are what the scheduler knows of when the case began and how long it ran.
struct AttemptEnded {
  CaseId id;
  std::optional<HostId> host;
  uint32_t iteration = 1;
  bool final = true;
  bool flaky = false;
  CaseResult result;
  // When it began, by the clock of Handle; InfinitePast if that is not known. It is result.start past the moment when
  // the host joined, even if the host has joined anew since.
  absl::Time started = absl::InfinitePast();
  bool order_dependent = false;          // it failed behind others in one process, and passed alone
  std::optional<Outcome> replaces = {};  // the outcome that an AttemptEnded told of this attempt before
};

// RecordProperty values of an attempt, known only after its AttemptEnded; they follow those that its result had.
struct PropertiesCame {
  CaseId id;
  HostId host;
  uint32_t iteration = 1;
  uint32_t attempt = 1;  // within the iteration
  std::vector<std::pair<std::string, std::string>> properties;
};

// A speculative copy of an attempt began, won or lost (see CaseCopied in event/run_event.h).
struct AttemptCopied {
  CaseId id;
  HostId host;      // of the copy
  HostId original;  // where it runs, too
  uint32_t iteration = 1;
  uint32_t attempt = 1;  // within the iteration
  CopyStage stage = CopyStage::kStarted;
};

// The case has run for longer than expected, and still does; once an attempt.
struct CaseIsSlow {
  CaseId id;
  HostId host;
  uint32_t iteration = 1;
  uint32_t attempt = 1;     // within the iteration
  absl::Duration elapsed;   // as the host told last
  absl::Duration expected;  // by history; zero: it knows nothing of the case
};

// A unit cannot be listed: no host is left that could prepare it. `reason` says why, by host. The loop reports
// it.
struct ListingFailed {
  UnitId unit;
  std::string reason;
};

struct Warn {
  std::string text;
};

// Nothing is left to do and every verdict has been given; sent once, last.
struct Finish {
  RunEnd end = RunEnd::kCompleted;
};

using SchedulerAction =
    std::variant<SendTo, AttemptEnded, ListingFailed, Warn, Finish, AttemptCopied, PropertiesCame, CaseIsSlow>;

// ---- The machine -----------------------------------------------------------------------------------------------

// --stress: every case is run again and again, one iteration after the other, on whatever slot is free.
struct StressLimits {
  absl::Duration time = absl::InfiniteDuration();  // since the first is handed out; what runs then ends as it does
  uint32_t times = 1'000'000;                      // iterations of each case, at most
};

struct SchedulerOptions {
  uint32_t hosts = 0;     // in the inventory: each will join or be gone
  bool together = false;  // all cases of a unit are one lease, whatever they are expected to take
  bool explain = false;   // one more of a case that failed behind others in one process, which does not count
  uint32_t repeat = 1;    // iterations of every case
  std::optional<StressLimits> stress = {};  // in place of `repeat`
  uint32_t max_fail = 0;                    // stop after so many final failures; 0: never
  RetryBudget retry_budget;                 // further attempts of failed cases in the whole run
  std::optional<uint64_t> shuffle;          // seed: random order in place of longest first, and in each process
  bool listing_order = false;               // of the cases of each unit, in place of longest first
  bool speculate = false;                   // second copies of the last running cases on slots that would be idle
  absl::Duration run_timeout = absl::InfiniteDuration();
  absl::Duration kill_grace = absl::Seconds(10);         // after an interrupt
  absl::Duration default_case = absl::Milliseconds(50);  // expected duration where nothing is known
  absl::Duration longest_batch = absl::Seconds(2);       // expected run time of a batch of short cases, at most
  // A case that ran when this many hosts were lost is blamed, not retried, if no other was there as often.
  uint32_t hosts_a_case_may_take_down = 2;
  std::vector<std::string> host_names;  // by HostId, for messages only; a host without one is "host <number>"
  std::vector<std::vector<std::string>> host_tags;  // by HostId, sorted; a host without an entry has none
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Appends what to do to `actions` (which the loop clears and reuses, so that no turn allocates).
  void Handle(absl::Time now, SchedulerEvent event, std::vector<SchedulerAction>* actions);

  // When Tick wants to be handled at the latest; InfiniteFuture if never.
  absl::Time NextDeadline() const;

  // Progress, for status lines: all in cases, iterations counted separately.
  struct Progress {
    uint64_t selected = 0, finished = 0, running_or_queued = 0;
    uint32_t unlisted = 0;  // units whose cases are not known yet
    uint32_t slots = 0;     // on hosts that are up
  };
  Progress progress() const;
  // How long the cases known by now take from now on, on the hosts that are up. Infinite: that is not known, as no host
  // is up, or as neither history nor this run has told how long cases take. O(leases): not for every turn.
  absl::Duration TimeLeft(absl::Time now) const;

  // What it costs to begin with a suite of the unit, as far as this run has shown any that cost something.
  std::optional<absl::Duration> SuiteSetup(UnitId unit) const;

  // Aborts with a description when an invariant does not hold. O(cases): for tests and the simulator.
  void CheckInvariants() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_SCHEDULE_SCHEDULER_H_
