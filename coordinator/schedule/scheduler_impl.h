// The scheduler's state machine, in six files by what they decide:
//
//   scheduler.cc   which event concerns what; hosts, units and cases that come and go; the end of a turn
//   dispatch.cc    which host gets what next: listings, leases, prefetches
//   stealing.cc    which queued leases move between hosts
//   speculation.cc second copies of the last running cases, and what becomes of the two
//   verdicts.cc    what a result, a lost host or an impossible unit makes of a case
//   stopping.cc    fail-fast, interrupts, time limits, the end of the run
//
// A turn: the event changes records and *touches* hosts (they may want more now); then Distribute gives work to the
// touched hosts, or, when work came up that others could do, to all *hungry* ones (hosts that wanted more and got
// nothing). So a result costs what its own host costs, however many hosts and cases there are.

#ifndef DTEST_COORDINATOR_SCHEDULE_SCHEDULER_IMPL_H_
#define DTEST_COORDINATOR_SCHEDULE_SCHEDULER_IMPL_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "coordinator/schedule/case_array.h"
#include "coordinator/schedule/cost_model.h"
#include "coordinator/schedule/host_table.h"
#include "coordinator/schedule/pending.h"
#include "coordinator/schedule/placement.h"
#include "coordinator/schedule/scheduler.h"

namespace dtest {

using schedule::CaseArray;
using schedule::CaseList;
using schedule::CaseRecord;
using schedule::CaseState;
using schedule::CostModel;
using schedule::Hold;
using schedule::HostRecord;
using schedule::HostTable;
using schedule::kNone;
using schedule::LeaseRecord;
using schedule::Pending;
using schedule::Placement;

// Attempts that end as infra error, after which the case does; and listings of one unit that come to nothing.
inline constexpr uint32_t kInfraAttempts = 3;
inline constexpr uint32_t kListingAttempts = 3;
// Leases in a row that end without a word about their first case, after which that case ends as infra error.
inline constexpr uint32_t kFruitlessLeases = 5;

class Scheduler::Impl {
 public:
  explicit Impl(const SchedulerOptions& options);

  void Handle(absl::Time now, SchedulerEvent event, std::vector<SchedulerAction>* actions);
  absl::Time NextDeadline() const;
  Progress progress() const;
  absl::Duration TimeLeft(absl::Time now) const;
  void CheckInvariants() const;

 private:
  struct UnitRecord {
    enum class State : uint8_t {
      kUnknown,   // not added yet
      kUnlisted,  // in unlisted_
      kListing,   // on host `lister`
      kListed,    // CasesKnown or CasesUnknown is to come
      kDone,      // its cases are known, or never will be
    };
    State state = State::kUnknown;
    uint32_t lister = kNone;
    std::vector<std::string> listing_failures;  // "<host>: <why>"
    std::vector<uint32_t> tried;                // hosts that were lost while they listed it
  };
  // A case that was running when its run was cut: by the end of the run or the loss of its host.
  struct Cut {
    uint32_t host = kNone;
    absl::Time began, ended;
    std::string lost;                // why the host was lost; empty: it was not
    bool stopping = false;           // the run was being stopped by then
    std::optional<CaseResult> told;  // what the agent said of it: outcome kNotRun
  };

  // ---- scheduler.cc
  void On(const HostJoined& event);
  void On(const HostGone& event);
  void On(const UnitAdded& event);
  void On(const CasesKnown& event);
  void On(const CasesUnknown& event);
  void On(const BundleComplete& event);
  void On(const FromHost& event);
  void On(const StopRun& event);
  void On(const Tick& event);
  void OnMessage(uint32_t h, const Prepared& message);
  void OnMessage(uint32_t h, const Listed& message);
  void OnMessage(uint32_t h, const Heartbeat& message);
  void OnMessage(uint32_t h, const Idle& message);
  void EndTurn();
  void Touch(uint32_t h);
  void Send(uint32_t h, decltype(SendTo::message) message);
  std::string HostName(uint32_t h) const;
  UnitRecord& Record(uint32_t unit);
  // What a lost or draining host, or one that cannot, means for the listing it was given.
  void ListingCameToNothing(uint32_t unit, const std::string& why);
  void Drain(uint32_t h, const std::string& why);
  // Gives up units that no host is left for.
  void CheckPlaceable();

  // ---- dispatch.cc
  void Distribute();
  void Feed(std::vector<uint32_t> hosts);
  bool HasSlotFree(const HostRecord& host) const;
  bool Wants(uint32_t h) const;
  bool GiveOne(uint32_t h);
  bool GiveListing(uint32_t h);
  bool MayRetry(uint32_t h, const Pending::Retry& retry) const;
  bool GiveRetry(uint32_t h);
  bool GiveLong(uint32_t h);
  bool GiveShort(uint32_t h);
  bool GivePrefetch(uint32_t h);
  bool MayPlace(uint32_t h, uint32_t unit) const;
  uint32_t ChooseShort(uint32_t h) const;
  // `probing`: it would be longer if the cases had been seen before.
  CaseList CutBatch(uint32_t unit, double speed, bool* probing);
  double EvenShare() const;
  void SendLease(uint32_t h, uint32_t unit, const CaseList& list);
  void MarkHungry(uint32_t h);

  // ---- stealing.cc
  void Steal(uint32_t thief);
  bool RecallSome(uint32_t victim, uint32_t thief, bool idle);
  bool WorthMoving(const LeaseRecord& lease, uint32_t victim, uint32_t thief) const;
  void OnMessage(uint32_t h, const Released& message);
  void OnMessage(uint32_t h, const Refused& message);

  // ---- speculation.cc
  struct Straggler {
    uint32_t lease;     // its position
    uint32_t i;         // the case that it runs
    double seconds;     // expected on a host of speed 1
    double remaining;   // expected where it runs
    double until_over;  // how long until it has taken longer than expected; 0: it has
  };
  // At the end of the run, and at most ten times a second: leases copies to idle slots.
  void Speculate();
  // What the lease runs, if that is known and may be copied.
  std::optional<Straggler> RunningCaseOf(uint32_t slab);
  // The idle host where a copy ends first, if it pays there; kNone: nowhere.
  uint32_t PlaceForCopy(const Straggler& straggler, const std::vector<uint32_t>& idle) const;
  void SendCopy(const Straggler& straggler, uint32_t h);
  void OnCopyResults(uint32_t h, LeaseRecord& copy, const Results& message);
  // The original has told the result of the case, now in no list, that its twin is a copy of: settles what becomes of
  // the copy. True if the result counts.
  bool SettleCopy(LeaseRecord& original, const CaseResult& result);
  // The case that there are two leases on, this being one of them; kNone if there are not.
  uint32_t CopiedCase(const LeaseRecord& lease) const {
    return lease.twin == kNone || lease.copy_of != kNone ? lease.copy_of : hosts_.lease(lease.twin).copy_of;
  }
  void TellCopy(const LeaseRecord& copy, CopyStage stage);
  void CopyLost(LeaseRecord& copy);
  // Ends the process of a lease; it stays live, and so its cases nobody else's, until its agent has said Released.
  void CancelLease(LeaseRecord& lease);
  void CancelCopies();
  // A lease is over, in whatever way. If it was copied, the copy has the case from now on.
  CaseList EndLease(LeaseRecord& lease);

  // ---- verdicts.cc
  void OnMessage(uint32_t h, const Results& message);
  void OnLateProperties(const LeaseRecord& lease, const std::vector<LateProperties>& late);
  // Whether a result with this outcome is not the last of the case.
  bool TriesAgain(const CaseRecord& c, Outcome outcome) const;
  // The case is in no list, or stays held by a cancelled lease if it is tried again.
  void OnResult(uint32_t h, uint32_t i, CaseResult result);
  // The host was lost while it ran this case.
  void NoteLoss(uint32_t h, uint32_t i, const std::string& reason);
  // The cases of `list`, in no list now, are pending again, first of all.
  void TakeBack(const CaseList& list);
  // The host was lost with these cases of a lease; `suspect`: its first was running.
  void Lost(uint32_t h, const CaseList& list, bool suspect, const std::string& reason);
  void Final(uint32_t i, std::optional<HostId> host, CaseResult result);
  void FinalWithoutRun(uint32_t i, Outcome outcome, const std::string& message);
  // The case that this lease is known to be running, and since when; kNone if nothing says that one is.
  uint32_t RunningIn(const LeaseRecord& lease, absl::Time* began) const;
  // The lease, which its slot was running, ends now before its time.
  void NoteCut(const LeaseRecord& lease, const std::string& lost);
  // The verdict of a case that was running when the run ended as `end` says.
  void FinalCut(uint32_t i, const Cut& cut, RunEnd end);
  void SetTimes(const Cut& cut, CaseResult* result) const;  // when the case began, and for how long it is known to run
  uint32_t WireAttempt(const CaseRecord& c) const { return (c.iteration - 1) * attempts_per_iteration_ + c.attempt; }
  uint32_t IterationOf(uint32_t wire_attempt) const { return (wire_attempt - 1) / attempts_per_iteration_ + 1; }
  uint32_t AttemptOf(uint32_t wire_attempt) const { return (wire_attempt - 1) % attempts_per_iteration_ + 1; }

  // ---- stopping.cc
  void BeginStop(RunEnd end, absl::Duration grace);
  void CheckEnd();
  void EndRun(RunEnd end);
  static const char* WhyNotRun(RunEnd end);

  const SchedulerOptions options_;
  const uint32_t attempts_per_iteration_;

  absl::Time now_ = absl::InfinitePast();
  std::vector<SchedulerAction>* actions_ = nullptr;  // of the turn

  CaseArray cases_;
  CostModel costs_;
  Pending pending_;
  HostTable hosts_;
  Placement placement_;
  std::vector<UnitRecord> units_;
  std::deque<uint32_t> unlisted_;
  uint32_t unresolved_ = 0;  // units whose cases are not known yet
  bool bundle_complete_ = false;
  bool any_unknown_ = false;  // cases that history does not know

  uint64_t finished_ = 0;
  uint32_t failures_ = 0;  // final
  // Why and where hosts were lost under a case, for the few that are suspect.
  absl::flat_hash_map<uint32_t, std::vector<std::string>> losses_;
  absl::flat_hash_map<uint32_t, Cut> cut_;  // until the case is leased again, or has its verdict
  std::mt19937_64 random_;

  std::vector<uint32_t> touched_;
  std::vector<uint32_t> hungry_;
  uint32_t first_in_turn_ = kNone;  // the thief that released work is for
  bool work_added_ = false;         // that hosts not touched could take
  bool check_placeable_ = false;
  double ahead_ = 0;     // seconds, see Wants
  bool patient_ = true;  // economies (shipping, stealing for a queue) may keep a host waiting
  absl::Time rebalance_ = absl::InfiniteFuture();
  uint64_t heartbeats_ = 0;
  absl::Time look_ = absl::InfinitePast();     // stragglers are not looked for before
  absl::Time watch_ = absl::InfiniteFuture();  // and at the latest then

  absl::Time run_deadline_ = absl::InfiniteFuture();
  bool stopping_ = false;
  RunEnd stop_end_ = RunEnd::kCompleted;
  absl::Time stop_deadline_ = absl::InfiniteFuture();
  bool over_ = false;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_SCHEDULE_SCHEDULER_IMPL_H_
