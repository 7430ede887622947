#include "coordinator/schedule/pending.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "coordinator/schedule/check.h"

namespace dtest::schedule {

Pending::Pending(CaseArray* cases, CostModel* costs, PolicyTable* policies, Groups* groups, bool listing_order)
    : cases_(*cases),
      costs_(*costs),
      policies_(*policies),
      groups_(*groups),
      listing_order_(listing_order),
      needy_(&policies->needs()) {}

void Pending::AddUnit(UnitId unit) { units_.GrowTo(unit); }

absl::Duration Pending::Estimate(CaseNumber i) const {
  const CaseRecord& c = cases_[i];
  return c.known ? absl::Seconds(c.seconds) : costs_.Unknown(c.unit, c.suite);
}

void Pending::FixEstimate(CaseNumber i) {
  CaseRecord& c = cases_[i];
  if (!c.known) c.seconds = static_cast<float>(absl::ToDoubleSeconds(costs_.Unknown(c.unit, c.suite)));
}

bool Pending::Shorter(const Long& a, const Long& b) {
  if (a.seconds != b.seconds) return a.seconds < b.seconds;
  return a.i > b.i;  // in a heap of the longest, the first listed wins a tie
}

void Pending::Account(CaseNumber i, int sign) {
  const CaseRecord& c = cases_[i];
  Unit& e = units_[c.unit];
  e.count += sign;
  count_ += sign;
  if (c.known) {
    e.known_nanos += sign * Nanos(c.seconds);
  } else {
    e.unknown += sign;
  }
  EstimatesChanged(c.unit);
}

void Pending::EstimatesChanged(UnitId unit) {
  Unit& e = units_[unit];
  const int64_t nanos = e.known_nanos + e.unknown * absl::ToInt64Nanoseconds(costs_.UnknownMean(unit));
  nanos_ += nanos - e.nanos;
  e.nanos = nanos;
  Reindex(unit);
}

void Pending::Reindex(UnitId unit) {
  Unit& e = units_[unit];
  const int64_t work = e.list.count == 0 ? 0 : std::max<int64_t>(e.nanos, 1);
  // A key that is off by an eighth still names a good unit, and most changes cost nothing.
  if (work != e.indexed_nanos && (work == 0 || std::llabs(work - e.indexed_nanos) > e.indexed_nanos / 8)) {
    if (e.indexed_nanos != 0) by_work_.erase({-e.indexed_nanos, unit});
    if (work != 0) by_work_.insert({-work, unit});
    e.indexed_nanos = work;
  }
  const float of_offer = e.offers.empty() ? 0 : e.offers.begin()->seconds;
  const float longest = std::max(e.heap.empty() ? 0 : e.heap.front().seconds, of_offer);
  if (longest != e.indexed_longest) {
    if (e.indexed_longest != 0) by_longest_.erase({-e.indexed_longest, unit});
    if (longest != 0) by_longest_.insert({-longest, unit});
    e.indexed_longest = longest;
  }
  const bool first = e.first > 0 || (!e.offers.empty() && e.offers.begin()->first);
  if (first != e.indexed_first) {
    first ? (void)with_first_.insert(unit) : (void)with_first_.erase(unit);
    e.indexed_first = first;
  }
}

void Pending::Add(CaseNumber i, bool front) {
  CaseRecord& c = cases_[i];
  if (c.needy) return AddNeedy(i, absl::InfinitePast());
  if (c.grouped) return AddGrouped(i, front);
  Unit& e = units_[c.unit];
  const bool stays = listing_order_ || c.first;
  if (c.known && !stays && c.seconds > absl::ToDoubleSeconds(costs_.long_case(c.unit))) {
    c.state = CaseState::kLong;
    e.heap.push_back({c.seconds, i});
    std::push_heap(e.heap.begin(), e.heap.end(), Shorter);
  } else {
    c.state = CaseState::kShort;
    front ? e.list.PushFront(cases_, i) : e.list.PushBack(cases_, i);
    e.first += c.first;
  }
  Account(i, 1);
}

void Pending::AddNeedy(CaseNumber i, absl::Time now) {
  CaseRecord& c = cases_[i];
  c.state = CaseState::kNeedy;
  FixEstimate(i);
  needy_.Add(policies_.NeedsOf(c.policy), KindOf(c), i, Nanos(c.seconds), now);
  Account(i, 1);
}

void Pending::AddRetry(CaseNumber i, absl::Time now) {
  CaseRecord& c = cases_[i];
  if (c.needy) return AddNeedy(i, now);
  c.state = CaseState::kRetry;
  retries_.Add(KindOf(c), i, now);
  Account(i, 1);
}

void Pending::AddRetryAt(CaseNumber i, absl::Time due) {
  cases_[i].state = CaseState::kDelayed;
  retries_.AddAt(due, i);
}

bool Pending::ReleaseDelayed(absl::Time now) {
  bool any = false;
  for (; retries_.next_due() <= now; any = true) AddRetry(retries_.TakeDelayed(), now);
  return any;
}

void Pending::AddGrouped(CaseNumber i, bool front) {
  CaseRecord& c = cases_[i];
  const GroupId g = groups_.Of(c);
  in_groups_.GrowTo(g);
  Group& group = in_groups_[g];
  if (group.unit == kNoUnit) {
    group.unit = c.unit;
    units_[c.unit].groups.push_back(g);
  }
  c.state = CaseState::kGrouped;
  front ? group.list.PushFront(cases_, i) : group.list.PushBack(cases_, i);
  c.known ? group.known_nanos += Nanos(c.seconds) : ++group.unknown;
  group.first += c.first;
  MakeOffer(g);
  Account(i, 1);
}

void Pending::MakeOffer(GroupId g) {
  if (!in_groups_.contains(g)) return;
  Group& group = in_groups_[g];
  if (group.list.count == 0 || groups_.IsBusy(g)) return;
  const int64_t unknown = group.unknown * absl::ToInt64Nanoseconds(costs_.UnknownMean(group.unit));
  Offer offer{group.first > 0, std::max(static_cast<float>((group.known_nanos + unknown) * 1e-9), 1e-9F), 0, g};
  offer.rank = -offer.seconds;
  if (listing_order_) offer.rank = group.offer.has_value() ? group.offer->rank : static_cast<float>(++offered_);
  if (group.offer.has_value()) {
    // What is off by an eighth does no harm, and most changes cost nothing.
    const float off = std::abs(offer.seconds - group.offer->seconds);
    if (offer.first == group.offer->first && off <= group.offer->seconds / 8) return;
    units_[group.unit].offers.erase(*group.offer);
  }
  group.offer = offer;
  units_[group.unit].offers.insert(offer);
  Reindex(group.unit);
}

void Pending::Withdraw(GroupId g) {
  if (!in_groups_.contains(g) || !in_groups_[g].offer.has_value()) return;
  Group& group = in_groups_[g];
  units_[group.unit].offers.erase(*std::exchange(group.offer, std::nullopt));
  Reindex(group.unit);
}

CaseNumber Pending::TakeGrouped(GroupId g) {
  Group& group = in_groups_[g];
  const CaseNumber i = group.list.RemoveAfter(cases_, kNoCase);
  const CaseRecord& c = cases_[i];
  c.known ? group.known_nanos -= Nanos(c.seconds) : --group.unknown;
  group.first -= c.first;
  if (group.list.count == 0) Withdraw(g);
  Account(i, -1);
  return i;
}

CaseNumber Pending::TakeShort(UnitId unit) {
  Unit& e = units_[unit];
  const CaseNumber i = e.list.RemoveAfter(cases_, kNoCase);
  e.first -= cases_[i].first;
  Account(i, -1);
  return i;
}

void Pending::ForEachShort(UnitId unit, absl::FunctionRef<void(CaseNumber)> visit) const {
  for (CaseNumber i = units_[unit].list.head; i != kNoCase; i = cases_[i].next) visit(i);
}

void Pending::MoveToGroups(UnitId unit) {
  for (uint32_t left = short_count(unit); left > 0; --left) AddBack(TakeShort(unit));
}

CaseNumber Pending::TakeLong(UnitId unit) {
  std::vector<Long>& heap = units_[unit].heap;
  std::pop_heap(heap.begin(), heap.end(), Shorter);
  const CaseNumber i = heap.back().i;
  heap.pop_back();
  Account(i, -1);
  return i;
}

void Pending::TakeRetry(CaseNumber i) {
  retries_.Remove(KindOf(cases_[i]), i);
  Account(i, -1);
}

void Pending::TakeNeedy(CaseNumber i) {
  const CaseRecord& c = cases_[i];
  needy_.Remove(policies_.NeedsOf(c.policy), KindOf(c), i, Nanos(c.seconds));
  Account(i, -1);
  FixEstimate(i);
}

std::vector<CaseNumber> Pending::TakeAll(UnitId unit) {
  std::vector<CaseNumber> all = retries_.CasesOf(unit);
  for (CaseNumber i : all) TakeRetry(i);
  const std::set<std::pair<absl::Time, CaseNumber>> delayed = retries_.delayed();
  for (const auto& one : delayed) {
    if (cases_[one.second].unit != unit) continue;
    retries_.RemoveDelayed(one);
    all.push_back(one.second);
  }
  const std::vector<CaseNumber> needy = needy_.CasesOf(unit);
  for (CaseNumber i : needy) TakeNeedy(i);
  all.insert(all.end(), needy.begin(), needy.end());
  for (GroupId g : units_[unit].groups) {
    while (in_groups_[g].list.count > 0) all.push_back(TakeGrouped(g));
  }
  while (!units_[unit].heap.empty()) all.push_back(TakeLong(unit));
  while (units_[unit].list.count > 0) all.push_back(TakeShort(unit));
  return all;
}

void Pending::ForEach(const std::function<void(CaseNumber)>& visit) const {
  for (const auto& [due, i] : retries_.delayed()) visit(i);
  ForEachNow(visit);
}

void Pending::ForEachNow(const std::function<void(CaseNumber)>& visit) const {
  for (CaseNumber i : retries_.All()) visit(i);
  for (CaseNumber i : needy_.All()) visit(i);
  for (const Group& group : in_groups_) {
    for (CaseNumber i = group.list.head; i != kNoCase; i = cases_[i].next) visit(i);
  }
  for (const Unit& e : units_) {
    for (const Long& one : e.heap) visit(one.i);
    for (CaseNumber i = e.list.head; i != kNoCase; i = cases_[i].next) visit(i);
  }
}

void Pending::CheckInvariants() const {
  uint64_t count = 0;
  int64_t nanos = 0;
  IdVector<UnitId, uint32_t> counts(units_.size());
  IdVector<UnitId, int64_t> sums(units_.size());
  for (const auto& [due, i] : retries_.delayed()) {
    Check(cases_[i].state == CaseState::kDelayed && cases_[i].holder == kNoLease,
          "what waits for its time is marked so");
  }
  ForEachNow([&](CaseNumber i) {
    const CaseRecord& c = cases_[i];
    Check(c.holder == kNoLease, "a pending case is held by no lease");
    ++counts[c.unit];
    sums[c.unit] += c.known ? Nanos(c.seconds) : absl::ToInt64Nanoseconds(costs_.UnknownMean(c.unit));
  });
  for (CaseNumber i : retries_.All()) Check(cases_[i].state == CaseState::kRetry, "retries are marked so");
  for (CaseNumber i : needy_.All()) Check(cases_[i].state == CaseState::kNeedy, "cases with needs are marked so");
  needy_.CheckInvariants();
  for (GroupId g : in_groups_.ids()) {
    const Group& group = in_groups_[g];
    uint32_t listed = 0, first = 0, unknown = 0;
    int64_t known_nanos = 0;
    for (CaseNumber i = group.list.head; i != kNoCase; i = cases_[i].next) {
      Check(cases_[i].state == CaseState::kGrouped && groups_.Of(cases_[i]) == g, "cases of groups are marked so");
      ++listed;
      first += cases_[i].first;
      cases_[i].known ? known_nanos += Nanos(cases_[i].seconds) : ++unknown;
    }
    Check(listed == group.list.count && first == group.first && unknown == group.unknown,
          "cases of a group are counted");
    Check(known_nanos == group.known_nanos, "the estimate of a group is the sum of its parts");
    Check(group.offer.has_value() == (listed > 0 && !groups_.IsBusy(g)), "a group is offered while it may be had");
  }
  for (UnitId x : units_.ids()) {
    const Unit& e = units_[x];
    for (const Long& one : e.heap) {
      Check(cases_[one.i].state == CaseState::kLong, "long cases are marked so");
      Check(cases_[one.i].seconds == one.seconds, "long cases are expected to take what the heap says");
    }
    uint32_t listed = 0, first = 0;
    for (CaseNumber i = e.list.head; i != kNoCase; i = cases_[i].next) {
      Check(cases_[i].state == CaseState::kShort, "short cases are marked so");
      ++listed;
      first += cases_[i].first;
    }
    Check(first == e.first, "short cases that are to be first are counted");
    const bool offer_first = !e.offers.empty() && e.offers.begin()->first;
    Check((first > 0 || offer_first) == with_first_.contains(x), "units with what is to be first are listed");
    Check(listed == e.list.count, "a list has as many cases as it counts");
    Check(counts[x] == e.count, "pending cases per unit are counted");
    Check(sums[x] == e.nanos, "the pending estimate of a unit is the sum of its parts");
    Check((e.list.count > 0) == (e.indexed_nanos > 0), "units with short cases are indexed");
    Check((e.heap.empty() && e.offers.empty()) == (e.indexed_longest == 0), "units with long cases are indexed");
    count += e.count;
    nanos += e.nanos;
  }
  Check(count == count_, "pending cases are counted");
  Check(nanos == nanos_, "the pending estimate is the sum of its parts");
}

}  // namespace dtest::schedule
