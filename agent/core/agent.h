// The agent core: which lease runs in which slot, and what became of each case. A pure state machine without clock,
// thread, socket or process:
//
//   Handle(now, event) -> actions         NextDeadline()         CheckInvariants()
//
// `now` is the agent's monotonic clock expressed as an absl::Time and never goes back. The loop (agent/loop/loop.h)
// carries actions out in order and feeds back what happens; it decides nothing.
//
// A slot runs one lease at a time as one process over the lease's remaining cases. A process that could go on as its
// batch ends is given the next lease in the queue, if that is of the same unit, has the same environment and sandbox
// and may follow (Lease::may_follow): so what a framework shares among all cases is made once a slot, as long as there
// is work for it. Until the process gets there the lease is held for it, and can be recalled no more; if it never does,
// the lease is the first of the queue again. When the process dies or a case times out, the running case is blamed; the
// cases not reached go on in a fresh process in the same slot, after any message that came in between (so that such a
// remainder can be recalled). Listings take a slot like a lease, before any queued lease. A lease whose unit is not
// prepared waits; others overtake it.
//
// Who is blamed. A process that dies inside a case: that case. Before its first case: the first remaining one, once; if
// the next process of the unit dies so as well, all that remain (in the set-up of a suite: all of that suite), since it
// is no case's doing and each would cost a process. A unit none of whose processes gets there runs no more. After its
// last case (global tear-down, leak check), between cases, or in the tear-down of a suite: an inquest finds out, as it
// does where the framework says that a tear-down failed. Time limits cover those stretches too. Exit status 1 is
// explained by a failed case; no other status ever is, and no error of a sanitizer.
//
// An inquest runs those cases of that process that may have done it (between cases also the one that would have been
// next; in a suite's tear-down only that suite's) once more, one a process, but for those that have failed, which the
// coordinator may have given to another host by now. Those whose process ends badly again did it: results that have
// left are taken back by late failures. If none does, one on which a sanitizer had remarked did it; if there is none,
// one that had failed; and else the last one fails, with a message that names them all. The result of a process' last
// case is held back until the process has ended, and the inquest, so that nothing comes too late. A process that did
// not end by itself, or hung in a suite's tear-down, is looked into in the same way, until the first case is found
// whose process hangs alone.
//
// A process that runs what was not listed, or does not know what was, makes the listing wrong: that is said, and its
// cases that have not run are infra errors.
//
// A case that signals the agent has failed, and its process is killed: the agent and its other slots go on.
//
// A case that tries to reach what its sandbox keeps it from is told of: a warning, or, if it fails, a line of why,
// which says so where it may have been a child or a thread of a case that ran before it in the process. What does so
// outside of cases is told a person, each address of a unit once.
//
// A case that printed nothing may only have redirected the output, so that a later one died. It runs once more alone
// before the others. Only if its output then proves to be lost is it taken at its word, provisionally: the rest goes on
// one case a process, and if none of them crashes, the crash is its after all.
//
// The report that a framework writes at the end of a process is costly, and not asked for where the coordinator knows
// that it could tell nothing new (UnitSpec::prints_all). Should the framework finish in such a process without
// having told of all its cases, it takes a report to know why: they run once more, and the unit has one from then
// on.
//
// An interrupt lets running processes end within the grace. What fails until then is reported; what passes is not; a
// case cut off is kNotRun.
//
// Set-ups. A slot is set up before its first process, the host, which an environment is part of, before that of its
// first slot; each takes a slot, as a listing does, and what waits for it stays in the queue, where it can be recalled.
// Only as many slots are set up as there is work for. Their time limits are the loop's. One that fails makes the host
// useless: that is told once, with its output, what waits is given back, and nothing is taken any more. Tear-downs are
// the loop's: they run however the agent ends. What becomes ready while the host is set up is Prepared after that:
// until then its leases wait.
//
// A unit that cannot be prepared or started is answered by Prepared{error}, and its leases are given back (done
// without results) after it, so that the scheduler places them elsewhere. A List of it has no other answer.
//
// Work for which there may be messages under way (a remainder after a crash, a timeout) is done in AgentTick only: the
// loop hands over all events of a turn and then, if NextDeadline has come, one AgentTick.
//
// A cancelled lease is not held any more, but its process may live for a moment: it is named in heartbeats, and
// Released only when the process has ended.
//
// Invariants: a case of a held lease is in exactly one of {remaining, running, held back, reported} (or reported, and
// running once more for an inquest); no slot runs two things; every lease ever received was answered by done or
// Released, or ended by Interrupt; a lease id already seen is ignored.
//
// One thread.

#ifndef DTEST_AGENT_CORE_AGENT_H_
#define DTEST_AGENT_CORE_AGENT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "agent/frameworks/process_end.h"
#include "dtest/messages.h"

namespace dtest {

// ---- Events ----------------------------------------------------------------------------------------------------

// A session message of the coordinator, in order, once.
struct FromCoordinator {
  std::variant<Welcome, AddUnit, Prefetch, List, CaseTable, Lease, Recall, Cancel, Interrupt, Shutdown> message;
};

// A frame proved that the coordinator lives and has heard this agent lately (protocol/liveness.h). A session message
// alone does not count, but for Welcome: it may have been under way for long.
struct CoordinatorHeard {};

// The store has everything of this unit in place (or `error`, as in messages.h: Prepared).
struct FilesReady {
  UnitId unit;
  std::string error;
  bool drain = false;
};

// The process takes only the first so many cases of its StartBatch: the framework cannot name more of them to one
// process. Comes before any other news of the batch.
struct BatchCut {
  SlotId slot;
  size_t cases = 0;  // at least one
};

// The process is about to end, its last case but for the tear-down, and could go on with other cases: answered by
// FollowBatch.
struct BatchEnds {
  SlotId slot;
};

// From the framework's reader of a slot's output. `index` is the position in the listing.
struct CaseBegan {
  SlotId slot;
  uint32_t index = 0;
};
// The case that runs waits in its process, which runs others meanwhile: it begins again, or if the process ends before
// that, it has not run.
struct CasePaused {
  SlotId slot;
  uint32_t index = 0;
};
// The case has ended, and its suite is being torn down: CaseFinished follows, at the latest as the process ends.
struct SuiteTearDown {
  SlotId slot;
  uint32_t index = 0;
};
// The framework said how the case ended; start, duration, attempt and slot are filled in by the core.
struct CaseFinished {
  SlotId slot;
  CaseResult result;
  bool doubtful = false;     // stays here until the process has ended, which may correct it
  bool from_report = false;  // the process never printed it: its output goes elsewhere
  bool never_runs = false;   // and has not begun: no process is asked to run it
};

// The slot's process has ended; what it left behind may live and write on, for the leak timeout. Nothing of it is past
// a limit any more. ProcessEnded (ListingEnded) follows.
struct ProcessExited {
  SlotId slot;
};

// The slot's process has ended and its output has been read to the end (or the leak timeout passed). Properties of
// results that have left already are sent after them.
struct ProcessEnded : ProcessEnd {
  SlotId slot;
  bool leaky = false;
  bool goes_on = false;     // only its batch has ended: it lives, and runs that of the last FollowBatch from now on
  std::string spawn_error;  // it could not even be started
  std::string cases;        // the names of those that began, for messages; empty where it ended well
};

// Something that the slot's process started, or itself, sent this agent a signal that would end it.
struct AgentSignalled {
  SlotId slot;
  int signal = 0;
};

// A process has tried to reach an address that its sandbox keeps it from, and is told in a moment that it cannot.
struct NetworkTried {
  std::optional<SlotId> slot;  // whose process it is, or waits for it to be forked; none: it cannot be told
  std::string address;         // for people
  std::string unit;            // by name: of what the slot runs
  bool sure = false;           // it is the process that runs the cases, in the thread that does
};

// A listing process ended and was read.
struct ListingEnded {
  SlotId slot;
  CaseInfos cases;
  std::string error;
  std::string output;
  absl::Duration duration;
  std::string spawn_error;  // it could not even be started: this host cannot run it
};

// What StartSetup began has ended.
struct SetupEnded {
  SlotId slot;
  std::string name;    // "the set-up of slot 2"
  std::string error;   // why nothing can run now, as "exited with status 1"; empty: it went well
  std::string output;  // if it did not; capped
};

// So many of its slots may have a process from now on; what runs goes on. At least one, whatever it says.
struct SlotsOpen {
  uint32_t slots = 0;
};

struct AgentTick {};

using AgentEvent = std::variant<FromCoordinator, CoordinatorHeard, FilesReady, BatchCut, BatchEnds, CaseBegan,
                                CasePaused, SuiteTearDown, CaseFinished, ProcessExited, ProcessEnded, AgentSignalled,
                                NetworkTried, ListingEnded, SetupEnded, SlotsOpen, AgentTick>;

// ---- Actions ---------------------------------------------------------------------------------------------------

struct Reply {
  std::variant<Prepared, Listed, ListingWrong, Results, Released, Refused, Heartbeat, Idle, Note> message;
};

// Bring the unit's files into place, or see that they are there; answered by FilesReady, once.
struct PrepareFiles {
  UnitId unit;
};

struct StartListing {
  SlotId slot;
  UnitId unit;
};

// Set up the slot, or in it the host; answered by SetupEnded, once.
struct StartSetup {
  SlotId slot;
  UnitId unit;  // of the first process that waits for it
  bool of_host = false;
};
inline bool HasCommands(const Setup& setup) { return !setup.command.empty() || !setup.teardown.empty(); }
// A directory of the host, which is there once the host is set up.
inline bool HasDirectory(const HostEnvironment& environment) {
  return !environment.command.empty() || !environment.path.empty();
}

// Run these cases in one process; answered by CaseBegan/CaseFinished as they happen and one ProcessEnded. BatchCut:
// only the first of them.
struct StartBatch {
  SlotId slot;
  UnitId unit;
  std::vector<LeasedCase> cases;
  bool report = true;         // ask the framework for a report at the end of the process, where it has such a thing
  uint32_t iteration = 1;     // of --repeat
  bool unlisted_too = false;  // as in Lease, and so is the next
  bool may_go_on = false;     // others of the unit may follow in its process
  std::vector<std::pair<std::string, std::string>> env = {};
  Sandbox sandbox = Sandbox::kNone;
};

// Answers BatchEnds. The process is to run these cases behind those it has: a ProcessEnded that says so follows, or one
// that does not, and then they have not begun. None: it is to end.
struct FollowBatch {
  SlotId slot;
  UnitId unit;
  std::optional<StartBatch> next;
};

// Signal the slot's process group. ProcessEnded (ListingEnded, SetupEnded) follows as always. Harmless if it has just
// ended.
struct KillSlot {
  SlotId slot;
  int signal = 0;
};

// Kill everything and leave.
struct Exit {
  std::string reason;  // empty: asked to
};

using AgentAction =
    std::variant<Reply, PrepareFiles, StartListing, StartSetup, StartBatch, FollowBatch, KillSlot, Exit>;

// ---- The machine -----------------------------------------------------------------------------------------------

struct AgentOptions {
  uint32_t cores = 1;  // slots, where RunSettings::slots is 0
  // Results wait for company at most this long. Those that end a lease go at once, unless all of them passed and the
  // queue holds eight leases for every slot.
  absl::Duration result_delay = absl::Milliseconds(20);
  uint32_t results_per_message = 512;
  uint64_t bytes_per_message = 256 << 10;  // of results' text and properties
  // Without a Welcome for this long the agent leaves.
  absl::Duration welcome_timeout = absl::Minutes(1);
  // When Hello was said: CaseResult::start counts from here. InfinitePast: from the first event.
  absl::Time hello = absl::InfinitePast();
  std::string machine;  // uname -m; units of another one are refused. Empty: not checked
};

class Agent {
 public:
  explicit Agent(const AgentOptions& options);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // Appends what to do to `actions`.
  void Handle(absl::Time now, AgentEvent event, std::vector<AgentAction>* actions);
  absl::Time NextDeadline() const;
  uint32_t busy() const;  // slots with a process, or between two of one lease
  void CheckInvariants() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dtest

#endif  // DTEST_AGENT_CORE_AGENT_H_
