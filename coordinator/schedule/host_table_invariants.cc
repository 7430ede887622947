#include "coordinator/schedule/check.h"
#include "coordinator/schedule/host_table.h"

namespace dtest::schedule {

void HostTable::CheckInvariants() const {
  uint64_t leases = 0, cases = 0;
  std::vector<std::pair<NeedsId, HostId>> with_needs;
  int64_t nanos = 0;
  for (HostId h : hosts_.ids()) {
    const HostRecord& host = hosts_[h];
    int64_t stealable_nanos = 0;
    uint32_t stealable = 0, needy = 0, extra = 0;
    for (const LeaseList* list : {&host.running, &host.queued}) {
      int64_t sum = 0;
      uint32_t count = 0;
      LeaseSlab previous = kNoLease;
      for (LeaseSlab slab = list->head; slab != kNoLease; previous = slab, slab = leases_[slab].next) {
        const LeaseRecord& lease = leases_[slab];
        Check(lease.id.value() != 0 && lease.host == h, "a host's leases are live and its own");
        Check(lease.previous == previous, "a host's leases are linked both ways");
        Check(lease.running == (list == &host.running), "a lease is in the list it says");
        int64_t estimate = 0;
        uint32_t held = 0;
        for (CaseNumber i = lease.cases.head; i != kNoCase; i = cases_[i].next, ++held) {
          const CaseRecord& c = cases_[i];
          Check(c.state == CaseState::kLeased && c.holder == slab, "a leased case knows the one lease that holds it");
          Check(c.unit == lease.unit, "a lease is of one executable");
          estimate += Nanos(c.seconds);
        }
        Check(held == lease.cases.count, "a lease has as many cases as it counts");
        if (lease.copy_of != kNoCase) {
          Check(held == 0 && cases_[lease.copy_of].state == CaseState::kLeased &&
                    cases_[lease.copy_of].holder == lease.twin,
                "a copied case is held by the twin of the copy");
          estimate = Nanos(cases_[lease.copy_of].seconds);
        }
        if (lease.twin != kNoLease) {
          const LeaseRecord& twin = leases_[lease.twin];
          Check(twin.twin == slab && twin.id.value() != 0 && twin.host != h, "twins live, on two hosts");
          Check((lease.copy_of == kNoCase) != (twin.copy_of == kNoCase), "one of two twins is the copy");
          Check(!lease.cancelled, "a cancelled lease is nobody's twin");
        }
        Check(estimate == lease.nanos, "the estimate of a lease is the sum of its cases");
        ++count;
        sum += lease.nanos;
        cases += held;
        if (lease.copy_of == kNoCase) nanos += lease.nanos;
        if (lease.needs != kNoNeeds) {
          Check(lease.twin == kNoLease && lease.thief == kNoHost, "a lease with needs is neither copied nor moved");
          with_needs.emplace_back(lease.needs, h);
          ++needy;
          extra += needs_.SlotsOf(lease.needs, host.slots) - 1;
        }
        if (!lease.running && !lease.recalled && lease.copy_of == kNoCase && lease.needs == kNoNeeds) {
          ++stealable;
          stealable_nanos += lease.nanos;
        }
      }
      Check(host.ends.size() == host.running.count, "every running lease has an expected end");
      Check(count == list->count && sum == list->nanos, "the backlog of a host is the sum of its leases");
      leases += count;
    }
    Check(needy == host.needy && extra == host.extra, "what leases with needs take of their host is counted");
    Check(host.closed < std::max(host.slots, 1u), "a slot is always open");
    Check(extra == 0 || host.busy() + extra <= host.slots, "nothing is given to slots that a case with needs takes");
    Check(stealable == host.stealable && stealable_nanos == host.stealable_nanos, "what can be recalled is counted");
    Check((stealable > 0) == (HasBacklog(h)), "hosts with a backlog are in the tree");
    Check(host.state == HostRecord::State::kUp || host.busy() == 0, "a host that is not up holds nothing");
  }
  Check(leases == live_leases_ && cases == leased_cases_ && nanos == leased_nanos_, "leases are counted");
  uint64_t live = 0;
  for (const LeaseRecord& lease : leases_) live += lease.id.value() != 0;
  Check(live == live_leases_, "every live lease is in a host's list");
  needs_.CheckInvariants(std::move(with_needs));
}

}  // namespace dtest::schedule
