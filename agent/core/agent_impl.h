// Inside of the agent core (agent/core/agent.h), spread over five sources: what the coordinator says (agent.cc), slots
// and time (agent_slots.cc), what processes do (agent_cases.cc), what becomes of their cases as they end
// (agent_verdicts.cc), and which of these made one end badly (agent_inquest.cc). Include agent.h instead.

#ifndef DTEST_AGENT_CORE_AGENT_IMPL_H_
#define DTEST_AGENT_CORE_AGENT_IMPL_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "agent/core/agent.h"
#include "agent/core/held_lease.h"

namespace dtest {

class Agent::Impl {
 public:
  explicit Impl(const AgentOptions& options) : options_(options), hello_(options.hello) {}

  void Handle(absl::Time now, AgentEvent event, std::vector<AgentAction>* actions);
  absl::Time NextDeadline() const;
  uint32_t busy() const;  // slots that are not idle
  void CheckInvariants() const;

 private:
  struct Unit {
    enum class State { kKnown, kPreparing, kReady, kFailed };
    State state = State::kKnown;
    std::string error;          // if kFailed
    bool report = true;         // its processes are asked for one
    uint32_t early_deaths = 0;  // of its processes in a row, before any case began
    std::string early_death;    // the last of them, as it was told
  };

  struct Slot {
    enum class State {
      kIdle,
      kSettingUp,  // a set-up: its own, or the host's
      kListing,    // a listing process
      kRunning,    // a batch's process; `lease` is null once the lease was cancelled
      kBetween,    // no process; a fresh one for the rest of `lease` starts at the next tick
    };
    State state = State::kIdle;
    bool of_host = false;  // of kSettingUp
    UnitId unit;
    HeldLease* lease = nullptr;
    HeldLease* next = nullptr;              // its process goes on with it behind `lease`
    std::optional<LeaseId> next_cancelled;  // it goes on with what nobody wants any more: Released is owed
    bool followed = false;                  // `lease` began in a process that had run another
    std::optional<LeaseId> cancelled;       // Released is owed when the process has ended

    // Of the process.
    absl::Time spawned;
    absl::Duration startup;    // to the first case; of the last process of the lease
    size_t batch_left = 0;     // cases of the batch without result
    bool report = true;        // it was asked for one
    bool confirms = false;     // runs the case of the lease's doubt, alone
    bool lost_output = false;  // a result came from the report only
    bool any_began = false;
    bool any_finished = false;
    bool any_failed = false;                        // explains a non-zero exit status
    size_t running = HeldLease::kNone;              // position in the lease
    std::vector<std::string> tried;                 // addresses that the running case is kept from, each once
    bool tried_unsure = false;                      // one of them perhaps by what ran before it
    absl::Time began;                               // the running case
    absl::Time torn_down = absl::InfiniteFuture();  // it has ended, and its suite is being torn down since then
    uint32_t process = 0;                           // which one of this agent's, from 1
    uint32_t begun = 0;                             // cases, the running one included
    std::vector<RanCase> ran;                       // that ended
    size_t suspect = HeldLease::kNone;              // looks into this case, which may have its result already
    std::optional<CaseResult> held;                 // waits for the end of the process
    std::vector<CaseResult> doubtful;               // so do these
    // Once it is to go, what it still says no longer counts.
    enum class Fate {
      kOpen,
      kStopped,      // killed, past its limit or for what it did; `held`, if there is one, tells of it
      kInterrupted,  // signalled; only failures count
      kDropped,      // killed; nobody waits for it
    };
    Fate fate = Fate::kOpen;
    struct Stopped {
      Outcome outcome;
      std::string what;  // it did
      absl::Time since;  // nothing of a case had been heard
    };
    std::optional<Stopped> stopped;               // outside of cases: whom that is put down to is told as it ends
    bool exited = false;                          // and is not limited any more
    absl::Time limit = absl::InfiniteFuture();    // when it will be past its limit
    absl::Duration allowed;                       // of a batch: from when that began to count until then
    absl::Time kill_at = absl::InfiniteFuture();  // SIGKILL after the grace

    // Whom its end is put down to is still open.
    bool Undecided() const { return fate == Fate::kOpen || stopped.has_value(); }
    bool HasProcess() const {
      return state == State::kSettingUp || state == State::kListing || state == State::kRunning;
    }
  };

  template <typename Message>
  void Send(Message message) {
    SendFinished();
    actions_->emplace_back(Reply{std::move(message)});
  }

  // How long the coordinator may be silent.
  absl::Duration Silence() const { return welcomed_ ? welcome_.lease_timeout : options_.welcome_timeout; }

  void Leave(std::string reason);

  // ---- Messages of the coordinator

  void On(FromCoordinator&& event);
  void On(CoordinatorHeard&&) { heard_ = now_; }

  void OnMessage(Welcome&& message);
  void OnMessage(AddUnit&& message);
  void OnMessage(Prefetch&& message);
  void OnMessage(List&& message);
  void OnMessage(CaseTable&&) {}  // the loop keeps the cases

  void OnMessage(Lease&& message);
  void OnMessage(Recall&& message);
  void OnMessage(Cancel&& message);
  void OnMessage(Interrupt&& message);
  void OnMessage(Shutdown&&) { Leave(""); }

  // ---- Preparation

  // Starts to prepare it if nobody has; its state tells what to do.
  const Unit& Prepare(UnitId id);
  void On(FilesReady&& event);
  // Says it of those that nobody was told of.
  void TellPrepared();

  // It cannot run here: says so, and gives back what waits for it.
  void Fail(UnitId id, std::string error, bool drain);
  void GiveBackQueued(UnitId id);
  // So is every unit from now on.
  void TakeNothingMore(const std::string& error);

  // ---- Slots

  // Gives idle slots to what is ready: listings first, then leases in order.
  void Dispatch();

  // Has idle slots set up for what is ready and has none; at most `most` of them.
  void StartSetups(uint32_t most);
  bool IsReady(UnitId id) const;  // it can be listed and run
  void On(SetupEnded&& event);

  // One over the remaining cases of the slot's lease.
  void StartProcess(Slot* slot);
  // What the slot's process is to run behind its lease; null: nothing that may follow it is next.
  HeldLease* FollowerOf(const Slot& slot);
  void On(BatchEnds&& event);
  // The process will not get to what was to follow.
  void GiveUpNext(Slot* slot);
  // The process goes on: its lease is over, and the next one begins.
  void Follow(Slot* slot);
  StartBatch BatchOf(const Slot& slot, const HeldLease& lease, std::vector<LeasedCase> cases) const;
  // What runs until the next word of the framework counts against the limit of the case at that position of the lease.
  void StartLimit(Slot* slot, size_t position);
  void FreeSlot(Slot* slot);
  SlotId IdOf(const Slot* slot) const { return SlotId(static_cast<uint32_t>(slot - slots_.data())); }

  Slot* SlotOf(const HeldLease* lease);
  Slot* SlotBefore(const HeldLease* lease);  // whose process is to go on with it

  // The slot with a process of this kind; null if it has none (then the event is late and means nothing).
  Slot* Live(SlotId id, Slot::State state);
  void Signal(Slot* slot, int signal) { actions_->emplace_back(KillSlot{IdOf(slot), signal}); }

  // The process goes, and with it all that it still says. Its lease is the caller's business.
  void DropProcess(Slot* slot, int signal, absl::Time kill_at);
  void SendIdleIfOwed();

  // ---- What processes do

  void On(BatchCut&& event);
  void On(CaseBegan&& event);
  void On(CasePaused&& event);
  void On(SuiteTearDown&& event);
  void MarkStartup(Slot* slot);
  void On(CaseFinished&& event);
  void On(ProcessExited&& event);
  void On(ProcessEnded&& event);
  void On(AgentSignalled&& event);
  void On(NetworkTried&& event);

  // The lease's slot is without a process from now on: goes on with the rest of it, or is free.
  void NextProcess(Slot* slot);
  // What the process' cases have waited for.
  void GatherDoubtful(Slot* slot);
  // Position of the case in the slot's process; kNone if it is none of it, or has ended.
  static size_t PositionIn(const Slot& slot, uint32_t index);
  void FinishCase(Slot* slot, size_t position);
  // "killed by signal 9 (Killed)", or what it was stopped for.
  static std::string How(const Slot& slot, const ProcessEnded& event);
  static bool EndedWell(const Slot& slot, const ProcessEnded& event);
  // A failed case explains the end.
  static bool Explained(const Slot& slot, const ProcessEnded& event);
  // The process does not run what was listed: fails its cases that have not run.
  void EndWrong(Slot* slot, ProcessEnded* event);
  static std::string NotRun(const ProcessEnded& event);  // the message of such a case

  // ---- Inquests (agent_inquest.cc)

  using Questions = std::vector<Inquest::Question>;
  // The process ended badly in none of its cases, and more than one may have done it.
  static bool EndIsAsked(const Slot& slot, const ProcessEnded& event);
  // That, and what else went wrong outside of its cases and more than one of them may have done.
  static Questions QuestionsOf(const Slot& slot, ProcessEnded* event);
  // Those of the cases that ran in the process, as positions.
  static std::vector<size_t> Ran(const Slot& slot, const std::vector<uint32_t>& cases);
  // `last`: the result that the end of the process decided, if any.
  void BeginInquest(Slot* slot, Questions questions, std::optional<CaseResult> last);
  // One of its processes has ended.
  void EndInquiry(Slot* slot, ProcessEnded* event);
  // The case failed after all; `failure` has why, and with what output.
  void Accuse(Slot* slot, RanCase* ran, CaseResult failure);
  static void SkipNeedless(Inquest* inquest);
  void Conclude(Slot* slot);
  // Its last result is another host's to tell: what the inquest is about is told of the cases before.
  void GiveUpInquest(Slot* slot);
  // As far as it got: what nobody is found to have done is told of the last case that may have.
  void SettleInquest(Slot* slot);

  // The result that the end of the process decides: of the running case, the held one, or the one to blame.
  std::optional<CaseResult> LastResult(Slot* slot, ProcessEnded* event);

  // The process died, or hung, before any case had begun, and one was blamed: so may be the others, without a process.
  void DiedEarly(Slot* slot, const ProcessEnded& event, const CaseResult& blamed);
  // Nobody's process comes to its first case: fails all that remains.
  bool NeverBegins(Slot* slot);

  // The next case that the process would have begun.
  static size_t NextOf(const Slot& slot);
  // Makes failures of those results the event names, and of those that alone may have done what it names.
  void Correct(Slot* slot, const ProcessEnded& event);
  // The case that ran in this process failed after all. Of a result that has left by a late failure, with `output`.
  void CorrectOne(Slot* slot, uint32_t index, const CaseResult& failure);
  static void MakeFailed(CaseResult* result, const std::string& message, Outcome outcome);
  // The result of a case of this process that has not left yet; null if there is none.
  CaseResult* StillHere(Slot* slot, uint32_t index);
  // Where a failure of a case that ran in this process is to be told: its result that has not left yet, or else a late
  // failure, a new one if it has none that waits.
  CaseResult& ToFail(Slot* slot, RanCase* ran);
  // Whether the crash of the running case asks for a second look at it, alone.
  bool MayBeAnothers(const Slot& slot, const ProcessEnded& event) const;
  // What the second look has shown; nothing if it waits for the rest of the lease.
  std::optional<CaseResult> Confirmed(Slot* slot, const ProcessEnded& event, CaseResult result);
  // Nothing more will tell: the crash that was doubted is the verdict. SettleDoubt also gathers it.
  static CaseResult Condemn(HeldLease* lease);
  void SettleDoubt(HeldLease* lease);
  void EndInterrupted(Slot* slot, ProcessEnded* event);
  void AddOutput(CaseResult* result, ProcessEnded* event) const;
  // Of a result that turns out to need none.
  void DropOutput(CaseResult* result) const;

  // To those results of the process that have not left yet; for the others they are gathered to follow them.
  void AttachProperties(Slot* slot, CaseResult* last, std::vector<ProcessEnded::Property>* properties);

  // Something went wrong after the batch's last case had ended.
  static void AfterLast(CaseResult* result, const std::string& what, Outcome outcome);

  // The result of a case that did not end by itself. Blame also finishes it.
  CaseResult Verdict(const Slot& slot, size_t position, Outcome outcome, std::string message);
  CaseResult Blame(Slot* slot, size_t position, Outcome outcome, std::string message);

  // Where, when and how long; slot.began must be set.
  void Fill(const Slot& slot, size_t position, CaseResult* result);
  static void TellTried(const Slot& slot, CaseResult* result);
  void On(ListingEnded&& event);
  // In parts that fit into messages, or as an error where it can be told in none.
  void SendListing(Listed listed);

  // ---- Results

  void Gather(HeldLease* lease, CaseResult result);
  void Gathered(HeldLease* lease, uint64_t bytes);  // something of so many
  void Flush(HeldLease* lease);

  // The slot's lease is over. Said at once, unless all went well and the queue is deep: then the coordinator need not
  // hurry, and many small leases wake it, and what is between, once.
  void FinishLease(Slot* slot);
  void SendFinished();  // before anything else is said: the coordinator relies on the order

  // ---- Time

  void On(SlotsOpen&& event);
  void On(AgentTick&&);
  void PastLimit(Slot* slot);
  // Ends the slot's process. Its running case ends with this outcome, since `what`; outside of cases, the one it is put
  // down to as it ends.
  void Stop(Slot* slot, Outcome outcome, const std::string& what, absl::Time outside_since);
  // Does not wait for that: the run is ending.
  void TellStopped(Slot* slot);
  void Beat();

  const AgentOptions options_;
  bool welcomed_ = false;
  bool exited_ = false;
  bool idle_owed_ = false;
  bool dispatch_ = false;  // something changed that may let a slot start
  Welcome welcome_;
  absl::Time hello_;
  absl::Time heard_ = absl::InfiniteFuture();  // until the first event there is no clock to measure silence with
  absl::Time next_heartbeat_ = absl::InfiniteFuture();
  absl::Time last_now_ = absl::InfinitePast();
  absl::flat_hash_map<UnitId, Unit> units_;
  absl::flat_hash_map<LeaseId, std::unique_ptr<HeldLease>> leases_;  // all that are held
  absl::flat_hash_set<LeaseId> seen_;
  absl::flat_hash_set<std::string> tried_outside_;  // notes of what was tried outside of cases
  std::deque<HeldLease*> queue_;                    // those without a slot
  std::deque<UnitId> listings_;
  std::vector<Slot> slots_;
  enum class HostSetup { kWanted, kRuns, kDone };
  HostSetup host_setup_ = HostSetup::kDone;
  std::vector<UnitId> untold_;                       // ready, but for the host, which is being set up
  std::vector<bool> set_up_;                         // by slot
  std::string useless_;                              // why this host takes nothing more; empty: it does
  uint32_t open_ = UINT32_MAX;                       // of these: so many may be busy
  uint32_t processes_ = 0;                           // started for cases
  std::vector<Results> finished_;                    // the last words of leases, to be said together
  absl::Time finished_at_ = absl::InfiniteFuture();  // at the latest then

  // During Handle only.
  absl::Time now_;
  std::vector<AgentAction>* actions_ = nullptr;
};

}  // namespace dtest

#endif  // DTEST_AGENT_CORE_AGENT_IMPL_H_
