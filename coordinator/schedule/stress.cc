// --stress: iterations that come into being as hosts have room for them, so that neither a long run nor a large farm
// makes a record for a case that is never run.

#include <algorithm>

#include "coordinator/schedule/scheduler_impl.h"

namespace dtest {

bool Scheduler::Impl::MoreIterations() const {
  return StressGoesOn() && std::any_of(stress_.cases.begin(), stress_.cases.end(),
                                       [this](const auto& one) { return one.iterations < options_.stress->times; });
}

void Scheduler::Impl::RepeatNoMore(const std::function<bool(const CaseRecord&)>& which) {
  std::erase_if(stress_.cases, [&](const auto& one) { return which(cases_[one.first]); });
}

bool Scheduler::Impl::AddNextIteration(uint64_t room) {
  const NeedyCases& needy = pending_.needy();
  const bool enough = pending_.count() - needy.count() >= room;
  for (size_t tried = 0; tried < stress_.cases.size() && !(enough && !stress_.needy);) {
    stress_.next %= stress_.cases.size();
    auto& one = stress_.cases[stress_.next];
    if (one.iterations >= options_.stress->times) {
      one = stress_.cases.back();
      stress_.cases.pop_back();
      continue;
    }
    ++stress_.next;
    ++tried;
    // Those that wait at a lock leave the others their slots.
    const NeedsId needs = policies_.NeedsOf(cases_[one.first].policy);
    if (needs == kNoNeeds ? enough : needy.count(needs) >= room) continue;
    const CaseNumber i = cases_.Add();
    order_.Begin(cases_[one.first].unit, 1);
    const CaseRecord& first = cases_[one.first];
    CaseRecord& c = cases_[i];
    c.unit = first.unit;
    c.index = first.index;
    c.suite = first.suite;
    c.policy = first.policy;
    c.needy = first.needy;
    c.uncounted = first.uncounted;
    c.iteration = ++one.iterations;
    c.known = first.known;
    c.seconds = first.known ? first.seconds : 0;
    c.high = first.high;
    pending_.AddBack(i);
    return true;
  }
  return false;
}

// One for each slot that is free, and as many again where the host wants some in its queue: it is asked each time that
// it has said something.
void Scheduler::Impl::AddIterations() {
  patient_ = false;  // that it runs everywhere is what is asked for
  uint64_t room = 0;
  const auto add_room = [&](HostId h) {
    const HostRecord& host = hosts_[h];
    if (!host.usable() || !Wants(h)) return;
    const uint32_t taken = host.busy() + host.arriving;
    room += host.open() + (taken < host.open() ? host.open() - taken : 0);
  };
  if (attention_.work_came_up() || finished_ == cases_.size()) {
    for (HostId h : hosts_.ids()) add_room(h);
  } else {
    for (HostId h : attention_.touched()) add_room(h);
  }
  while (room > 0 && AddNextIteration(room)) attention_.WorkCameUp();
}

}  // namespace dtest
