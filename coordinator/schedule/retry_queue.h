// Cases that run alone and before others, first come, first served. Whether a host may take one depends on its kind
// only, its unit, the host that it failed on, whether it runs apart and its group, and on how long it has waited; so of
// each kind only the first needs to be looked at, and cases that no host can take now are in nobody's way.
//
// A case may have to wait for its time first (a retry with a delay): it is in the queue from then on.
//
// Finding one costs O(kinds that are waiting), adding and removing the first of a kind O(log of that). One thread.

#ifndef DTEST_COORDINATOR_SCHEDULE_RETRY_QUEUE_H_
#define DTEST_COORDINATOR_SCHEDULE_RETRY_QUEUE_H_

#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/schedule/case_array.h"

namespace dtest::schedule {

class RetryQueue {
 public:
  struct Kind {
    UnitId unit;
    HostId avoid = kNoHost;  // the host that it failed on, or that was lost with it
    bool apart = false;      // RunsApart
    GroupId group = kNoGroup;
    friend auto operator<=>(const Kind&, const Kind&) = default;
  };

  void Add(const Kind& kind, CaseNumber i, absl::Time now);
  // The case must be in the queue under this kind.
  void Remove(const Kind& kind, CaseNumber i);

  void AddAt(absl::Time due, CaseNumber i) { delayed_.insert({due, i}); }
  // When the first of those that wait for their time is due; InfiniteFuture if none waits.
  absl::Time next_due() const { return delayed_.empty() ? absl::InfiniteFuture() : delayed_.begin()->first; }
  // Removes the one that is due first, which must be there.
  CaseNumber TakeDelayed();
  void RemoveDelayed(const std::pair<absl::Time, CaseNumber>& one) { delayed_.erase(one); }
  const std::set<std::pair<absl::Time, CaseNumber>>& delayed() const { return delayed_; }

  // The first case, in the order of Add, for which accepts(kind, since) holds; kNoCase if there is none. `accepts` may
  // not answer "no" for a case and "yes" for one of the same kind that came later.
  template <typename Accepts>
  CaseNumber FindFirst(Accepts accepts) const {
    for (const auto& [serial, kind] : by_first_) {
      const Waiting& first = waiting_.at(kind).front();
      if (accepts(kind, first.since)) return first.i;
    }
    return kNoCase;
  }

  // Of those in the queue, in no particular order.
  std::vector<CaseNumber> All() const;
  std::vector<CaseNumber> CasesOf(UnitId unit) const;

 private:
  struct Waiting {
    uint64_t serial;
    CaseNumber i;
    absl::Time since;
  };
  uint64_t serial_ = 0;
  std::map<Kind, std::deque<Waiting>> waiting_;          // no empty ones
  std::map<uint64_t, Kind> by_first_;                    // by the serial number of the first that waits
  std::set<std::pair<absl::Time, CaseNumber>> delayed_;  // by when they are due
};

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_RETRY_QUEUE_H_
