// Hosts, and the leases they hold. A host's leases are in two lists: those that its slots are believed to run, oldest
// first, and the queue behind them. The belief follows the agent's rule (first come, first served) and is corrected by
// results, refusals and heartbeats; being wrong costs a refused Recall, nothing else.
//
// A speculative copy is a lease of its own, on another host, on one case. The case stays in the list of the original
// lease; the copy names it and has an empty list. Sums of cases and estimates count it once, with the original.
//
// A lease on a case with needs holds its locks, and counts on its host for as many slots as it takes.
//
// One thread. Borrows the cases and the table of needs.

#ifndef DTEST_COORDINATOR_SCHEDULE_HOST_TABLE_H_
#define DTEST_COORDINATOR_SCHEDULE_HOST_TABLE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/schedule/case_array.h"
#include "coordinator/schedule/ids.h"
#include "coordinator/schedule/max_tree.h"
#include "coordinator/schedule/needs.h"
#include "dtest/ids.h"
#include "dtest/messages.h"

namespace dtest::schedule {

struct LeaseRecord {
  LeaseId id;  // serial number << 24 | position in the slab; 0: this record is free
  HostId host = kNoHost;
  UnitId unit = kNoUnit;
  uint32_t iteration = 1;                          // of all of its cases
  NeedsId needs = kNoNeeds;                        // of its only case; it is not recalled for others, nor copied
  std::vector<GroupId> groups;                     // of its cases, as it began; it is not copied if there are any
  CaseList cases;                                  // without a result yet, in the order they run
  int64_t nanos = 0;                               // expected for them
  LeaseSlab previous = kNoLease, next = kNoLease;  // in the host's list
  HostId thief = kNoHost;                          // host that it was recalled for
  LeaseSlab twin = kNoLease;                       // the other lease, while there are two on one case
  CaseNumber copy_of = kNoCase;  // in the copy of these: the case, which is in the `cases` of its twin
  uint32_t missing = 0;          // heartbeats in a row that did not mention it
  uint64_t heartbeat = 0;        // the last that did
  absl::Time sent;
  absl::Time started;             // while `running`: when its next case is believed to have started
  std::optional<uint32_t> ender;  // position in HostRecord::ends, while `running`
  bool running = false;           // in the list of running leases
  bool recalled = false;          // Released or Refused is to come
  bool cancelled = false;         // and it will be Released: what it has is not run any more
  bool reported = false;          // has yielded a result
  bool arrived = false;           // the agent is known to have received it
  // What the last heartbeat of its host said that it runs, by position in the listing, and since when.
  std::optional<uint32_t> shown;
  absl::Time shown_since;
  struct Told {
    CaseNumber i;
    uint32_t attempt = 1;
  };
  // Of the cases that have yielded one, as they came: how many suites they were of, and what they made for others, too.
  uint32_t suites = 0, last_suite = 0;
  absl::Duration shared;
  std::vector<Told> told;  // whose results it has yielded, as they came: properties and failures may come late
};

struct LeaseList {
  LeaseSlab head = kNoLease, tail = kNoLease;
  uint32_t count = 0;
  int64_t nanos = 0;
};

struct HostRecord {
  enum class State : uint8_t {
    kExpected,  // has not joined yet, or will return
    kUp,
    kGone,  // for good
  };
  State state = State::kExpected;
  bool draining = false;  // up, takes no more work
  bool stopped = false;   // answered Interrupt with Idle
  bool hungry = false;    // in the scheduler's list of hosts that could take more
  bool touched = false;   // in the list of hosts that an event of this turn concerns
  uint32_t slots = 0;
  uint32_t closed = 0;  // of these: the host has too much to do to use them; one is always open
  double speed = 1;
  LeaseList running, queued;
  std::vector<double> ends;       // when each running lease is expected to end, seconds since HostTable's base
  std::vector<LeaseSlab> enders;  // parallel: which lease
  int64_t stealable_nanos = 0;    // of the queued leases that are not recalled yet
  uint32_t stealable = 0;
  uint32_t listings = 0;
  uint32_t arriving = 0;        // leases recalled from other hosts for this one
  int64_t arriving_nanos = 0;   // what they were expected to take when they were recalled
  UnitId current = kNoUnit;     // that it takes batches of
  uint32_t prefetches = 0;      // not answered yet
  uint32_t needy = 0;           // leases with needs
  uint32_t extra = 0;           // slots that those take beyond one each
  NeedsId reserved = kNoNeeds;  // it takes nothing else, until there is room for a case with these
  bool probing = false;  // its last batch was kept small: more such leases would not make the queue longer in seconds
  // Until then tests of an earlier life may run there: so no case that wants it for itself does; and nothing at all,
  // where one of those did.
  absl::Time alone_from = absl::InfinitePast(), free_from = absl::InfinitePast();
  std::string why_gone;
  absl::Time joined = absl::InfinitePast();

  bool usable() const { return state == State::kUp && !draining; }
  uint32_t open() const { return slots - closed; }
  double capacity() const { return open() * speed; }
  uint32_t busy() const { return running.count + queued.count + listings; }
  uint32_t occupied() const { return busy() + extra + closed; }
};

class HostTable {
 public:
  HostTable(CaseArray* cases, NeedsTable* needs, uint32_t hosts);

  IdRange<HostId> ids() const { return hosts_.ids(); }
  bool contains(HostId h) const { return hosts_.contains(h); }
  HostRecord& operator[](HostId h) { return hosts_[h]; }
  const HostRecord& operator[](HostId h) const { return hosts_[h]; }
  // The host exists from now on.
  void GrowTo(HostId h);

  void Join(HostId h, uint32_t slots, double speed);
  // The host must hold no lease any more.
  void Leave(HostId h, bool may_return);
  void Drain(HostId h);
  // So many of its slots are open from now on, as its heartbeat of that number says. What it does not mention is on its
  // way there, and will find no slot beyond them: it is queued. True if that is a change.
  bool SetOpen(HostId h, uint32_t open, uint64_t heartbeat, absl::Time now);

  // Hosts that work may be given to now, and those that it may be given to now or later.
  uint32_t usable() const { return usable_; }
  uint32_t possible() const { return possible_; }
  uint32_t slots() const { return slots_; }  // of hosts that are up
  // Slots times speed of usable hosts, and of those that may still join: as many slots as the others have on average,
  // of speed 1.
  double capacity() const { return capacity_; }
  double best_speed() const { return best_speed_; }  // of the same

  // A new lease at the end of the host's queue. References to leases live until the next NewLease.
  // `needs`: of its only case, which takes its locks.
  LeaseRecord& NewLease(HostId h, UnitId unit, const CaseList& list, absl::Time now, NeedsId needs = kNoNeeds);
  // A second lease on one case of the lease `original`, which has no copy yet.
  LeaseRecord& NewCopy(LeaseSlab original, CaseNumber i, HostId h, absl::Time now);
  // The two are twins no longer: the copy is an ordinary lease on the case, which no lease may hold now; or has no
  // case.
  void Adopt(LeaseRecord& copy);
  void Disown(LeaseRecord& copy);
  // The live lease of this id if this host holds it, else nullptr.
  LeaseRecord* Find(LeaseId id, HostId h);
  LeaseRecord& lease(LeaseSlab slab) { return leases_[slab]; }
  const LeaseRecord& lease(LeaseSlab slab) const { return leases_[slab]; }
  // Takes the case after `previous` out of the lease: it has a result.
  CaseNumber TakeCase(LeaseRecord& lease, CaseNumber previous, absl::Time now);
  void RemoveCase(LeaseRecord& lease, CaseNumber i, absl::Time now);  // the same, O(its cases)
  // The lease, which has no twin, is over: returns the cases that are left of it. A queued lease may be believed
  // to run then.
  CaseList End(LeaseRecord& lease, absl::Time now);
  void MarkRunning(LeaseRecord& lease, absl::Time now);
  void MarkQueued(LeaseRecord& lease);
  void MarkRecalled(LeaseRecord& lease, HostId thief);
  void MarkNotRecalled(LeaseRecord& lease);

  uint64_t live_leases() const { return live_leases_; }
  uint64_t leased_cases() const { return leased_cases_; }
  // What the cases of live leases are expected to take on hosts of speed 1.
  absl::Duration leased() const { return absl::Nanoseconds(leased_nanos_); }
  // Of that, what slots have worked off already without having said so: how long ago the running cases started.
  absl::Duration elapsed(absl::Time now) const {
    return running_leases_ == 0 ? absl::ZeroDuration() : running_leases_ * (now - base_) - started_;
  }
  uint32_t live_leases(UnitId unit) const { return per_unit_.contains(unit) ? per_unit_[unit] : 0; }

  // Running leases of the host that are expected to end within `span` from now, or are over time.
  uint32_t EndingWithin(HostId h, absl::Duration span, absl::Time now) const;
  // How long it is expected to take until so many of the host's slots are free, if it is given nothing more.
  absl::Duration FreeIn(HostId h, uint32_t slots, absl::Time now) const;
  // Those that end within `span` of the first of them; 0 if that one takes more than `most` from now.
  uint32_t EndingNext(HostId h, absl::Duration most, absl::Duration span, absl::Time now) const;

  // Of the hosts that are up: what their leases are expected to take still on slots of speed 1, what the longest of the
  // running ones still takes, and slots times speed. Leases that are over time count as about to end. O(leases).
  struct Outlook {
    absl::Duration work, longest;
    double capacity = 0;
  };
  Outlook outlook(absl::Time now) const;

  // How long it is expected to take until the host's slots have started all of its queue that can be recalled.
  absl::Duration Backlog(HostId h) const { return absl::Seconds(backlog_.key(h.value())); }
  bool HasBacklog(HostId h) const { return backlog_.key(h.value()) > 0; }
  // The host with the longest such backlog; it has none if no host has any.
  HostId Victim() const { return HostId(backlog_.Top()); }
  // As if the host had no backlog, until RestoreVictim.
  void HideVictim(HostId h) { backlog_.Set(h.value(), 0); }
  void RestoreVictim(HostId h) { UpdateBacklog(h); }

  void CheckInvariants() const;

 private:
  LeaseRecord& NewRecord(HostId h, UnitId unit, absl::Time now);
  void Begin(LeaseRecord& lease);
  void StartQueued(HostId h, absl::Time now);  // the first, as far as slots are open
  void Link(LeaseRecord& lease);
  void Unlink(LeaseRecord& lease);
  void Account(const LeaseRecord& lease, int sign);
  // What a lease with needs takes of its host.
  void Occupy(const LeaseRecord& lease, int sign);
  void UpdateBacklog(HostId h);
  void Recount();
  void SetEnd(LeaseRecord& lease);
  void RemoveEnd(LeaseRecord& lease);
  LeaseSlab SlabOf(const LeaseRecord& lease) const { return LeaseSlab(static_cast<uint32_t>(&lease - leases_.data())); }

  CaseArray& cases_;
  NeedsTable& needs_;
  IdVector<HostId, HostRecord> hosts_;
  IdVector<LeaseSlab, LeaseRecord> leases_;
  std::vector<LeaseSlab> free_;
  IdVector<UnitId, uint32_t> per_unit_;  // live leases
  MaxTree backlog_;
  uint64_t serial_ = 0;
  uint64_t live_leases_ = 0;
  uint64_t leased_cases_ = 0;
  int64_t leased_nanos_ = 0;
  int64_t running_leases_ = 0;
  absl::Time base_ = absl::InfinitePast();         // when the first lease was made
  absl::Duration started_ = absl::ZeroDuration();  // sum of (started - base_) of running leases
  uint32_t usable_ = 0, possible_ = 0, slots_ = 0;
  double capacity_ = 0, best_speed_ = 1;
};

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_HOST_TABLE_H_
