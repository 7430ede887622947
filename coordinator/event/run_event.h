// RunEvent: everything that happens in a run, in the order in which it happened. The event log, the terminal, JUnit and
// history are readers (Sink) of this one stream; the log holds all of it, so `dtest report` and `dtest reproduce` read
// the same events later.
//
// Values, built on the loop's thread. Times are wall-clock instants of the coordinator, since hosts' clocks may be
// wrong; durations were measured on the agent's monotonic clock. A string_view in an event is valid until Sink::Handle
// returns: a sink copies what it keeps. Names and output may hold any bytes, not only UTF-8.

#ifndef DTEST_COORDINATOR_EVENT_RUN_EVENT_H_
#define DTEST_COORDINATOR_EVENT_RUN_EVENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "dtest/case_info.h"
#include "dtest/ids.h"
#include "dtest/outcome.h"

namespace dtest {

struct RunStarted {
  std::string run_id;
  std::string version;               // as `dtest --version` prints
  std::vector<std::string> command;  // argv
  std::string working_directory;
  std::vector<std::string> hosts;               // names; HostId indexes this
  absl::Duration setup = absl::ZeroDuration();  // what the command took before this: finding tests, history
  uint32_t repeat = 1;                          // how often each selected case is to run
  std::vector<std::string> units = {};  // names; UnitId indexes this. Empty: not told (logs of earlier versions)
  bool reproduction = false;            // of a case of an earlier run, as it ran there (`dtest reproduce`)
  uint64_t left = 0;                    // cases that the run before left, which CasesLeft tells of as this begins
};

struct HostUp {
  HostId host;
  uint32_t slots = 0;
  std::string machine;  // uname -m
  std::string system;
};

// The host never came up (`was_up` false) or was lost later. Its cases run elsewhere.
struct HostDown {
  HostId host;
  bool was_up = false;
  std::string reason;
};

// A unit was listed, or could not be: then `error` says why, and the run fails. A second one for the same unit, with an
// error and no cases, says that the unit runs other cases than it listed.
struct UnitListed {
  UnitId unit;
  std::string name;       // as in reports; unique in the run
  uint32_t cases = 0;     // listed
  uint32_t selected = 0;  // after --filter and --shard, each counted once however often it is repeated
  std::string error;
  std::string output;                             // of the failed listing
  bool unreached = false;                         // the run ended before it was listed; no failure by itself
  absl::Duration ready = absl::ZeroDuration();    // since RunStarted: when its files had been hashed
  absl::Duration listing = absl::ZeroDuration();  // what the process that listed it took; zero: there was none
};

// The cases that UnitListed::selected counts, in listing order. In a run that completes each has a final CaseEnded in
// each iteration. Comes after the UnitListed and before other events of these cases; in several parts if they are many.
struct CasesSelected {
  struct Case {
    uint32_t index = 0;  // CaseId::index
    CaseInfo info;
  };
  UnitId unit;
  absl::string_view unit_name;
  std::vector<Case> cases;
};

// Cases of one unit that an earlier run left behind, failed or without a verdict, told by the run that repeats it
// (`dtest rerun`): of all of them as it begins. This run has not run them until a CasesSelected names them, or, of one
// without a name, a UnitListed tells of the unit. What a later one says of the same case takes the place of this.
struct CasesLeft {
  struct Case {
    std::string name;         // empty: all cases of the unit
    std::string suite = {};   // as in CaseInfo; empty: none, or as was said before
    bool stands_for = false;  // for what could not be collected (labels.h): any case of that is meant
  };
  std::string unit;
  std::vector<Case> cases;
  std::string why;        // for a person: "it failed in run 20261121-120000-abcd"
  bool failed = false;    // in the earlier run; else they have no verdict there
  bool left_out = false;  // somebody has said that they are not to be run, so that this run does not fail for it
};

// One attempt at one case ended, or the case was given up without one (kNotRun, kInfraError).
struct CaseEnded {
  CaseId id;
  absl::string_view unit;
  absl::string_view name;  // as in CaseInfo, and so are the next four
  absl::string_view suite;
  absl::string_view parameter;
  absl::string_view file;
  uint32_t line = 0;
  absl::string_view host;  // empty: never ran
  uint32_t iteration = 1;  // 1-based, of --repeat
  bool final = true;       // false: another attempt follows
  bool flaky = false;      // final, passed, after a failed attempt
  absl::Time started;      // InfinitePast if it never ran
  CaseResult result;       // result.attempt is 1-based within the iteration
  // Set: the case failed after all, when its process ended. This takes the place of the CaseEnded that told this
  // outcome of the same case and iteration. Final or not, as any failure.
  std::optional<Outcome> replaces;
  // Not empty: the case is order-dependent. It failed in a process that had run these cases before it, in this order,
  // and passed alone. It is flaky then; with --explain and no retries it has failed, and `result` is that failure.
  std::vector<absl::string_view> before;
  std::string hint;  // what may help with this, for a person; empty: nothing is known
  // Not empty: the case is quarantined, for this reason, by this owner (who may be nobody). Its failure does not fail
  // the run if QuarantineForgives it.
  absl::string_view quarantine;
  absl::string_view owner;

  bool forgiven() const;  // it is quarantined, has failed, and does not fail the run
};

// Whether a quarantined case may end so without failing the run: it ran, and failed by itself. One that could not be
// run fails the run as any: green means that all was run.
constexpr bool QuarantineForgives(Outcome outcome) { return IsFailure(outcome) && outcome != Outcome::kInfraError; }
inline bool CaseEnded::forgiven() const { return !quarantine.empty() && QuarantineForgives(result.outcome); }

// One attempt at a case that ran.
struct CaseAttempt {
  CaseId id;
  absl::string_view unit;
  absl::string_view name;
  absl::string_view host;
  uint32_t iteration = 1;
  uint32_t attempt = 1;  // within the iteration
};

// RecordProperty values of one attempt that were known only after its CaseEnded; they follow those of its result. Comes
// after that CaseEnded, in parts if they are many.
struct CaseProperties : CaseAttempt {
  std::vector<std::pair<std::string, std::string>> properties;
};

// This attempt has run for longer than expected and goes on; told once, before its CaseEnded.
struct CaseSlow : CaseAttempt {
  absl::Duration elapsed;
  absl::Duration expected;  // by history, on a bad day; zero: it knows nothing of the case
};

// A speculative copy (--speculate): one attempt at a case runs on two hosts, and the first result counts. Each kStarted
// is followed by one kWon or kLost, before the CaseEnded of that attempt, which comes once.
enum class CopyStage : uint8_t {
  kStarted = 0,
  kWon = 1,   // the copy's result counts, or its original came to nothing and the case is the copy's alone
  kLost = 2,  // the original's does, or the copy came to nothing
};
inline constexpr int kCopyStageCount = 3;
struct CaseCopied {
  CaseId id;
  absl::string_view unit;
  absl::string_view name;
  absl::string_view host;      // of the copy
  absl::string_view original;  // host of the original
  uint32_t iteration = 1;
  uint32_t attempt = 1;
  CopyStage stage = CopyStage::kStarted;
};

// Bytes of test files that a host was sent since its last HostShipped, and whether it waits for more. Comes at most
// once a second, and whenever `fetching` changes.
struct HostShipped {
  HostId host;
  uint64_t bytes = 0;  // by the coordinator, compressed as they were sent
  uint64_t chunks = 0;
  uint64_t peer_bytes = 0;  // by other hosts
  uint64_t peer_chunks = 0;
  bool fetching = false;  // from now on: something it was told to list or run is not all there yet
};

// Something that a person should know and that changes no verdict.
struct Warning {
  std::string text;
  // Set: this attempt had failed, and then its process ended badly, too. `text` says how, and what was printed then.
  // Comes after the attempt's CaseEnded.
  std::optional<CaseAttempt> about = {};
};

// What all tests of the run have covered, where that was measured. Once, before RunFinished.
struct CoverageMeasured {
  std::optional<double> percent;  // none: nothing was reported, as the project asked for a run that failed, or `error`
  double required = 0;            // per cent, by the project (fail_under)
  bool missed = false;            // there is less: the run fails
  std::string text = {};          // reports that the project wants to see
  std::string error = {};         // not empty: why it could not be combined or reported: the run fails
};

// pytest's own reports of a unit were made, or could not be. At most once a unit, before RunFinished.
struct ReportsMade {
  UnitId unit;
  std::string unit_name;
  std::string text = {};   // what was printed meanwhile
  std::string error = {};  // not empty: what was asked for and is not there, and why: the run fails
};

enum class RunEnd : uint8_t {
  kCompleted = 0,    // every selected case has a verdict
  kFailFast = 1,     // --max-fail reached
  kInterrupted = 2,  // a signal
  kTimedOut = 3,     // --run-timeout
  kNoHosts = 4,      // every host failed
  kInternal = 5,     // dtest itself failed
};

struct RunFinished {
  RunEnd end = RunEnd::kCompleted;
  std::string reason;                             // for a person; empty when completed
  uint64_t processes = 0;                         // leases that ran: each started at least one
  absl::Duration startup = absl::ZeroDuration();  // of those, from spawn to the first case, all together
};

// The last event, after RunFinished: all reports are written and the agents have left.
struct RunClosed {
  absl::Duration reports = absl::ZeroDuration();  // from RunFinished until every sink had dealt with it
};

struct RunEvent {
  absl::Time time;
  std::variant<RunStarted, HostUp, HostDown, UnitListed, CaseEnded, HostShipped, Warning, RunFinished, RunClosed,
               CaseCopied, CaseProperties, CasesSelected, CaseSlow, CasesLeft, CoverageMeasured, ReportsMade>
      what;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_EVENT_RUN_EVENT_H_
