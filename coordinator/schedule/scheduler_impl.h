// The scheduler's state machine. Its state is in parts that stand alone (cases, pending, hosts, placement,
// listings...); what they are used for is in seven files by what they decide:
//
//   scheduler.cc   which event concerns what; hosts, units and cases that come and go; the end of a turn
//   dispatch.cc    which host gets what next: listings, leases, prefetches
//   reservations.cc  where cases run that need locks, slots, tags, a host to themselves
//   stealing.cc    which queued leases move between hosts
//   speculation.cc second copies of the last running cases, and what becomes of the two
//   verdicts.cc    what a result, a lost host or an impossible unit makes of a case
//   stopping.cc    fail-fast, interrupts, time limits, the end of the run
//
// A turn: the event changes records and *touches* hosts (attention.h: they may want more now); then Distribute gives
// work to the touched hosts, or, when work came up that others could do, to all *hungry* ones (hosts that wanted more
// and got nothing). So a result costs what its own host costs, however many hosts and cases there are.

#ifndef DTEST_COORDINATOR_SCHEDULE_SCHEDULER_IMPL_H_
#define DTEST_COORDINATOR_SCHEDULE_SCHEDULER_IMPL_H_

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "coordinator/schedule/attention.h"
#include "coordinator/schedule/case_array.h"
#include "coordinator/schedule/case_times.h"
#include "coordinator/schedule/cost_model.h"
#include "coordinator/schedule/cut_cases.h"
#include "coordinator/schedule/host_table.h"
#include "coordinator/schedule/ids.h"
#include "coordinator/schedule/listings.h"
#include "coordinator/schedule/needs.h"
#include "coordinator/schedule/pending.h"
#include "coordinator/schedule/placement.h"
#include "coordinator/schedule/policy_table.h"
#include "coordinator/schedule/scheduler.h"
#include "coordinator/schedule/suite_groups.h"
#include "coordinator/schedule/unit_order.h"

namespace dtest {

using schedule::Attention;
using schedule::CaseArray;
using schedule::CaseList;
using schedule::CaseNumber;
using schedule::CaseRecord;
using schedule::CaseState;
using schedule::CostModel;
using schedule::Cut;
using schedule::CutCases;
using schedule::GroupId;
using schedule::Groups;
using schedule::Hold;
using schedule::HostRecord;
using schedule::HostTable;
using schedule::IdVector;
using schedule::kNoCase;
using schedule::kNoGroup;
using schedule::kNoHost;
using schedule::kNoLease;
using schedule::kNoNeeds;
using schedule::kNoUnit;
using schedule::LeaseRecord;
using schedule::LeaseSlab;
using schedule::Listings;
using schedule::NeedsId;
using schedule::NeedsTable;
using schedule::NeedyCases;
using schedule::Pending;
using schedule::Placement;
using schedule::PolicyTable;
using schedule::RetryQueue;

// Attempts that end as infra error, after which the case does.
inline constexpr uint32_t kInfraAttempts = 3;
// Leases in a row that end without a word about their first case, after which that case ends as infra error.
inline constexpr uint32_t kFruitlessLeases = 5;

class Scheduler::Impl {
 public:
  explicit Impl(const SchedulerOptions& options);

  void Handle(absl::Time now, SchedulerEvent event, std::vector<SchedulerAction>* actions);
  absl::Time NextDeadline() const;
  Progress progress() const;
  absl::Duration TimeLeft(absl::Time now) const;
  std::optional<absl::Duration> SuiteSetup(UnitId unit) const {
    return costs_.has_learnt_suite_setup(unit) ? std::make_optional(costs_.SuiteSetup(unit)) : std::nullopt;
  }
  void CheckInvariants() const;

 private:
  // ---- scheduler.cc
  void On(const HostJoined& event);
  void On(const HostGone& event);
  void On(const UnitAdded& event);
  void On(const CasesKnown& event);
  // Its cases come into being.
  void Admit(const CasesKnown& event);
  // Units that had to wait, and need not any more.
  void AdmitInOrder();
  void Resolve(UnitId unit);
  // By case: 0, it is in none. `suites`: of the cases.
  void Shuffle(const CasesKnown& event, const std::vector<uint32_t>& suites, std::vector<CaseNumber>* order);
  std::vector<uint32_t> GroupsOf(const CasesKnown& event, const std::vector<uint32_t>& suites) const;
  // `all`: what there is to do of the unit.
  std::vector<uint32_t> GroupSuites(const std::vector<schedule::SuiteCase>& cases, UnitId unit, absl::Duration setup,
                                    absl::Duration all, uint32_t first) const;
  bool GroupsSuites() const;  // but where the order is somebody else's
  // As this run has taught what it costs to begin with a suite of the unit, of which history knows nothing.
  void GroupLearntSuites(UnitId unit);
  void CheckGroups() const;
  void On(const CasesUnknown& event);
  void On(const BundleComplete& event);
  void On(const FromHost& event);
  void On(const StopRun& event);
  void On(const Tick& event);
  void OnMessage(HostId h, const Prepared& message);
  void OnMessage(HostId h, const Listed& message);
  void OnMessage(HostId h, const ListingWrong& message);
  void OnMessage(HostId h, const Heartbeat& message);
  void OnMessage(HostId h, const Idle& message);
  void EndTurn();
  void Send(HostId h, decltype(SendTo::message) message);
  std::string HostName(HostId h) const;
  // What a lost or draining host, or one that cannot, means for the listing it was given.
  void ListingCameToNothing(UnitId unit, const std::string& why);
  void Drain(HostId h, const std::string& why);
  // Gives up units that no host is left for.
  void CheckPlaceable();

  // ---- dispatch.cc
  void Distribute();
  void Feed(const std::vector<HostId>& hosts);
  bool HasSlotFree(const HostRecord& host) const;
  bool Wants(HostId h) const;
  bool GiveOne(HostId h);
  bool GiveListing(HostId h);
  // It failed here, and another host may take it; or it is to run apart, and another such case runs here; or some of
  // its group runs, anywhere.
  bool Avoids(HostId h, const RetryQueue::Kind& kind, absl::Time since) const;
  bool MayRetry(HostId h, const RetryQueue::Kind& kind, absl::Time since) const;
  bool HasSuspect(HostId h) const;  // holds a case that runs apart
  bool GiveRetry(HostId h);
  bool GiveFirst(HostId h);
  bool GiveLong(HostId h);
  bool GiveShort(HostId h);
  bool GivePrefetch(HostId h);
  bool MayPlace(HostId h, UnitId unit) const;
  // `first`: among those that have cases which are to be first.
  UnitId ChooseShort(HostId h, bool first) const;
  void GiveBatch(HostId h, UnitId e);
  // `probing`: it would be longer if the cases had been seen before.
  CaseList CutBatch(UnitId unit, double speed, bool* probing);
  // Groups that the unit offers, as many as make a batch; one of any length.
  CaseList CutGroups(UnitId unit, double speed, bool* probing);
  // How long a batch is to be, as expected on a host of this speed.
  double BatchSeconds(UnitId unit, double speed);
  absl::Duration EvenShare() const;
  bool HasOwnProcess(const CaseRecord& c) const { return policies_[c.policy].processes == Processes::kCase; }
  // Cases of one process have its environment.
  // Of their processes, the sandbox included.
  bool ShareEnvironment(const CaseRecord& a, const CaseRecord& b) const {
    if (a.policy == b.policy) return true;
    const CasePolicy &of_a = policies_[a.policy], &of_b = policies_[b.policy];
    return of_a.env == of_b.env && of_a.sandbox == of_b.sandbox;
  }
  LeasedCase Leased(HostId h, const CaseRecord& c) const {
    const absl::Duration high = absl::Seconds(c.high);
    return {c.index, c.attempt, schedule::TimeLimitOf(policies_[c.policy], high, hosts_[h].speed)};
  }
  void SendLease(HostId h, UnitId unit, const CaseList& list, NeedsId needs = kNoNeeds);

  // ---- reservations.cc
  // Leases to pending cases with needs: to touched hosts, and to all that have room where cases came or locks were
  // given back; and reservations, where there is no room.
  void ServeNeeds();
  bool GiveNeedy(HostId h);
  // There is room for a case with these needs there now.
  bool Fits(HostId h, NeedsId n) const;
  // There may be, once nothing else runs there.
  bool MayEverFit(HostId h, NeedsId n) const;
  void Reserve(NeedsId n);
  HostId HostToReserve(NeedsId n) const;
  void Unreserve(HostId h);
  // If the cases that it is reserved for could not run now. True if so.
  bool UnreserveInVain(HostId h);
  // Gives up the pending cases that need what no host has, nor any that may still join.
  void CheckNeeds();
  std::string WhatHostsHave() const;

  // ---- stealing.cc
  void Steal(HostId thief);
  bool RecallSome(HostId victim, HostId thief, bool idle);
  bool WorthMoving(const LeaseRecord& lease, HostId victim, HostId thief) const;
  void OnMessage(HostId h, const Released& message);
  void OnMessage(HostId h, const Refused& message);

  // ---- speculation.cc
  struct Straggler {
    LeaseSlab lease;
    CaseNumber i;               // the case that it runs
    absl::Duration expected;    // on a host of speed 1
    absl::Duration remaining;   // expected where it runs
    absl::Duration until_over;  // how long until it has taken longer than expected; zero: it has
  };
  // At the end of the run, and at most ten times a second: leases copies to idle slots.
  void Speculate();
  // What the lease runs, if that is known and may be copied.
  std::optional<Straggler> RunningCaseOf(LeaseSlab slab);
  // The idle host where a copy ends first, if it pays there; kNoHost: nowhere.
  HostId PlaceForCopy(const Straggler& straggler, const std::vector<HostId>& idle) const;
  void SendCopy(const Straggler& straggler, HostId h);
  void OnCopyResults(HostId h, LeaseRecord& copy, const Results& message);
  // The original has told the result of the case, now in no list, that its twin is a copy of: settles what becomes of
  // the copy. True if the result counts.
  bool SettleCopy(LeaseRecord& original, const CaseResult& result);
  // The case that there are two leases on, this being one of them; kNoCase if there are not.
  CaseNumber CopiedCase(const LeaseRecord& lease) const {
    return lease.twin == kNoLease || lease.copy_of != kNoCase ? lease.copy_of : hosts_.lease(lease.twin).copy_of;
  }
  void TellCopy(const LeaseRecord& copy, CopyStage stage);
  void CopyLost(LeaseRecord& copy);
  // Ends the process of a lease; it stays live, and so its cases nobody else's, until its agent has said Released.
  void CancelLease(LeaseRecord& lease);
  void CancelCopies();
  // A lease is over, in whatever way. If it was copied, the copy has the case from now on.
  CaseList EndLease(LeaseRecord& lease);
  void ReleaseGroups(LeaseRecord& lease);

  // ---- verdicts.cc
  void OnMessage(HostId h, const Results& message);
  void OnLateProperties(const LeaseRecord& lease, const std::vector<LateProperties>& late);
  void OnLateFailures(const LeaseRecord& lease, const std::vector<LateFailure>& late);
  // Whether a result with this outcome is not the last of the case. Says so where only the budget is against it.
  bool TriesAgain(const CaseRecord& c, Outcome outcome);
  // The case, whose attempt has failed by its own fault, is tried again.
  void CountFailure(CaseRecord* c, bool behind);
  // Whether ending so counts for max_fail.
  bool CountsAsFailure(const CaseRecord& c, Outcome outcome) const {
    return IsFailure(outcome) && !(c.uncounted && QuarantineForgives(outcome));
  }
  // A heartbeat says that the lease has run this case for so long.
  void TellIfSlow(const LeaseRecord& lease, uint32_t index, absl::Duration elapsed);
  // The case, in no list, has failed there and runs once more, alone, after so long.
  void TryAgain(HostId h, CaseNumber i, absl::Duration delay);
  // Looks into a final failure: true if the case runs once more first.
  bool Explains(HostId h, CaseNumber i, const CaseResult& result);
  // The case is in no list, or stays held by a cancelled lease if it is tried again.
  void OnResult(HostId h, CaseNumber i, CaseResult result);
  // The host was lost while it ran this case.
  void NoteLoss(HostId h, CaseNumber i, const std::string& reason);
  // The cases of `list`, in no list now, are pending again, first of all.
  void TakeBack(const CaseList& list);
  // Of the cases that ran on a host as it was lost: how many hosts those have been lost with that have been with the
  // most, and how many cases that are.
  struct Suspects {
    uint32_t losses = 0, count = 0;
  };
  Suspects SuspectsOf(const std::vector<std::pair<LeaseSlab, bool>>& held);
  // The host was lost with these cases of a lease; its first was running since then, if `running_since` says so.
  void Lost(HostId h, const CaseList& list, std::optional<absl::Time> running_since, const std::string& reason,
            const Suspects& suspects);
  // `began`: where no agent said so.
  void Final(CaseNumber i, std::optional<HostId> host, CaseResult result,
             std::optional<absl::Time> began = std::nullopt);
  // Tells that an attempt ended; final or not, flaky or not is the caller's to say.
  AttemptEnded& TellEnd(const CaseRecord& c, std::optional<HostId> host, CaseResult&& result,
                        std::optional<absl::Time> began);
  // A result of a case that ran from `began` to `ended` on this host, whose agent told none.
  CaseResult UntoldResult(HostId h, absl::Time began, absl::Time ended) const;
  void FinalWithoutRun(CaseNumber i, Outcome outcome, const std::string& message);
  // The case that this lease is known to be running, and since when; kNoCase if nothing says that one is.
  CaseNumber RunningIn(const LeaseRecord& lease, absl::Time* began) const;
  // The lease, which its slot was running, ends now before its time.
  void NoteCut(const LeaseRecord& lease, const std::string& lost);
  // The verdict of a case that was running when the run ended as `end` says.
  void FinalCut(CaseNumber i, const Cut& cut, RunEnd end);

  // ---- stress.cc
  // As many further iterations as the hosts of this turn have room for.
  void AddIterations();
  // Of the next case of which fewer than `room` wait; false: there is none.
  bool AddNextIteration(uint64_t room);
  // Such cases run nowhere.
  void RepeatNoMore(const std::function<bool(const CaseRecord&)>& which);
  bool MoreIterations() const;  // are to come, once a host has room for them
  bool StressGoesOn() const { return options_.stress.has_value() && !stopping() && now_ < stress_.until; }

  // ---- stopping.cc
  void BeginStop(RunEnd end, absl::Duration grace);
  void CheckEnd();
  // A lease that was cancelled for its copy has told results: its process may have ended badly after these.
  bool OwesLastWords() const;
  void EndRun(RunEnd end);
  static const char* WhyNotRun(RunEnd end);

  const SchedulerOptions options_;

  absl::Time now_ = absl::InfinitePast();
  std::vector<SchedulerAction>* actions_ = nullptr;  // of the turn

  CaseArray cases_;
  NeedsTable needs_;
  PolicyTable policies_;
  Groups groups_;
  CostModel costs_;
  Pending pending_;
  HostTable hosts_;
  Placement placement_;
  Attention attention_;
  Listings listings_;
  schedule::UnitOrder order_;
  bool told_no_order_ = false;
  CutCases cut_;
  std::vector<HostId> reserved_;  // see HostRecord
  // Failures of cases that run once more, alone, to see whether they pass.
  struct Failure {
    HostId host;
    CaseResult result;
    absl::Time started;
  };
  absl::flat_hash_map<CaseNumber, Failure> explained_;
  absl::flat_hash_set<UnitId> wrongly_listed_;  // a case that is not there is not tried again
  // The index of the case with which what is not listed may run, too.
  IdVector<UnitId, std::optional<uint32_t>> first_of_unit_;
  bool any_unknown_ = false;      // cases that history does not know
  bool check_placeable_ = false;  // at the end of the turn

  uint64_t finished_ = 0;
  uint32_t failures_ = 0;      // final, that count
  uint64_t retries_made_ = 0;  // after failures
  bool told_budget_ = false;
  std::mt19937_64 random_;
  uint64_t heartbeats_ = 0;

  absl::Duration ahead_;  // see Wants
  bool patient_ = true;   // economies (shipping, stealing for a queue) may keep a host waiting
  absl::Time rebalance_ = absl::InfiniteFuture();
  struct {
    absl::Time look_not_before = absl::InfinitePast();
    absl::Time look_at_latest = absl::InfiniteFuture();
  } stragglers_;

  struct {
    struct Case {
      CaseNumber first;         // its first iteration
      uint32_t iterations = 1;  // so far
    };
    std::vector<Case> cases;
    size_t next = 0;                            // in `cases`: whose turn it is
    bool needy = false;                         // some have needs
    absl::Time until = absl::InfiniteFuture();  // counts from the first lease
  } stress_;

  struct Stop {
    RunEnd end;
    absl::Time deadline;  // what has not ended by then is not waited for
  };
  bool stopping() const { return stop_.has_value(); }
  std::optional<Stop> stop_;
  absl::Time run_deadline_ = absl::InfiniteFuture();
  bool over_ = false;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_SCHEDULE_SCHEDULER_IMPL_H_
