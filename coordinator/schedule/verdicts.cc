// What becomes of a case: a result, a lost host, nothing at all.

#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/schedule/scheduler_impl.h"

namespace dtest {

void Scheduler::Impl::OnMessage(uint32_t h, const Results& message) {
  LeaseRecord* lease = hosts_.Find(message.lease, h);
  if (lease == nullptr) return;  // taken back or cancelled: what it says no longer counts
  if (lease->copy_of != kNone) {
    OnCopyResults(h, *lease, message);
    return;
  }
  const uint32_t e = lease->unit;
  bool told_cut = false;
  for (const CaseResult& result : message.results) {
    // Results come in the order of the lease: this is nearly always the first case.
    uint32_t previous = kNone, i = lease->cases.head;
    while (i != kNone && (cases_[i].index != result.index || WireAttempt(cases_[i]) != result.attempt)) {
      previous = i;
      i = cases_[i].next;
    }
    if (i == kNone) continue;
    if (result.outcome == Outcome::kNotRun) {  // cut off by our Interrupt; its verdict comes with the end of the run
      if (stopping_) cut_[i] = Cut{h, now_ - result.duration, now_, "", true, result};
      told_cut = true;
      continue;
    }
    hosts_.MarkRunning(*lease, now_);
    hosts_.TakeCase(*lease, previous, now_);
    lease->reported = lease->arrived = true;
    if (CopiedCase(*lease) == i && !SettleCopy(*lease, result)) continue;
    // Properties come in a later message. The last result of a lease has waited for them.
    if (!message.done && lease->cases.count > 0) {
      if (lease->told.empty()) lease->told.reserve(lease->cases.count);
      lease->told.push_back({result.index, result.attempt});
    }
    OnResult(h, i, result);
  }
  if (!message.results.empty()) pending_.EstimatesChanged(e);
  OnLateProperties(*lease, message.late_properties);
  if (!message.done) return;
  if (message.startup > absl::ZeroDuration()) costs_.LearnStartup(e, absl::ToDoubleSeconds(message.startup));
  const bool fruitless =
      !lease->reported && !lease->cancelled && placement_.hold(h, e) != Hold::kUnfit && !hosts_[h].draining;
  // An agent that is interrupted drops what it had queued without a word: what comes back was in a slot.
  if (stopping_ && !told_cut && !lease->cancelled && lease->cases.count > 0 && placement_.Ready(h, e)) {
    NoteCut(*lease, "");
  }
  CaseList left = EndLease(*lease);
  if (left.count == 0) return;
  work_added_ = true;
  if (fruitless && ++cases_[left.head].returns >= kFruitlessLeases) {
    FinalWithoutRun(left.RemoveAfter(cases_, kNone), Outcome::kInfraError,
                    absl::StrCat("handed out ", kFruitlessLeases, " times, last to ", HostName(h),
                                 ", and came back every time without a result"));
  }
  TakeBack(left);
}

// A speculative copy never has any: the result of the only case of a process waits for its end.
void Scheduler::Impl::OnLateProperties(const LeaseRecord& lease, const std::vector<LateProperties>& late) {
  auto next = lease.told.begin();                           // nearly always they come in the order of the results
  absl::flat_hash_set<std::pair<uint32_t, uint32_t>> told;  // else
  for (const LateProperties& properties : late) {
    const LeasedCase c{properties.index, properties.attempt};
    next = std::find(next, lease.told.end(), c);
    if (next != lease.told.end()) {
      ++next;
    } else {
      if (told.empty()) {
        for (const LeasedCase& one : lease.told) told.insert({one.index, one.attempt});
      }
      if (!told.contains({c.index, c.attempt})) continue;
    }
    actions_->push_back(PropertiesCame{CaseId{UnitId(lease.unit), c.index}, HostId(lease.host), IterationOf(c.attempt),
                                       AttemptOf(c.attempt), properties.properties});
  }
}

bool Scheduler::Impl::TriesAgain(const CaseRecord& c, Outcome outcome) const {
  if (stopping_ || !IsFailure(outcome)) return false;
  return outcome == Outcome::kInfraError ? c.infra + 1u < kInfraAttempts : c.failures < options_.retries;
}

void Scheduler::Impl::OnResult(uint32_t h, uint32_t i, CaseResult result) {
  CaseRecord& c = cases_[i];
  const double seconds = std::max(0.0, absl::ToDoubleSeconds(result.duration)) * hosts_[h].speed;
  if (result.outcome != Outcome::kSkipped && result.outcome != Outcome::kInfraError) {
    costs_.Learn(c.unit, c.suite, seconds);
  }
  const bool infra = result.outcome == Outcome::kInfraError;
  if (!TriesAgain(c, result.outcome)) {
    Final(i, HostId(h), std::move(result));
    return;
  }
  AttemptEnded ended{CaseId{UnitId(c.unit), c.index}, HostId(h), c.iteration, false, false, {}};
  ended.result = std::move(result);
  ended.result.attempt = c.attempt;
  actions_->push_back(std::move(ended));
  infra ? ++c.infra : ++c.failures;
  ++c.attempt;
  c.avoid = h;
  if (c.holder != kNone) return;  // the same attempt is being ended elsewhere: the next one waits for that
  pending_.AddRetry(i, now_);
  work_added_ = true;
  if (placement_.unfit(c.unit) > 0) check_placeable_ = true;
}

void Scheduler::Impl::TakeBack(const CaseList& list) {
  std::vector<uint32_t> order;
  order.reserve(list.count);
  for (uint32_t i = list.head; i != kNone; i = cases_[i].next) order.push_back(i);
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    const CaseRecord& c = cases_[*it];
    // What was leased alone before stays alone.
    if (c.attempt > 1 || c.lost_hosts > 0) {
      pending_.AddRetry(*it, now_);
    } else {
      pending_.AddFront(*it);
    }
  }
  if (list.count > 0 && placement_.unfit(cases_[list.head].unit) > 0) check_placeable_ = true;
}

void Scheduler::Impl::NoteLoss(uint32_t h, uint32_t i, const std::string& reason) {
  CaseRecord& c = cases_[i];
  c.avoid = h;
  if (c.lost_hosts < UINT8_MAX) ++c.lost_hosts;
  losses_[i].push_back(absl::StrCat(HostName(h), " (", reason, ")"));
}

void Scheduler::Impl::Lost(uint32_t h, const CaseList& list, bool suspect, const std::string& reason) {
  CaseList left = list;
  if (suspect && left.count > 0) {
    const uint32_t i = left.RemoveAfter(cases_, kNone);
    NoteLoss(h, i, reason);
    if (cases_[i].lost_hosts >= std::max(options_.hosts_a_case_may_take_down, 1u)) {
      CaseResult result;
      if (const auto cut = cut_.find(i); cut != cut_.end() && cut->second.host == h) SetTimes(cut->second, &result);
      result.outcome = Outcome::kCrashed;
      result.message = absl::StrCat("every host that ran this case was lost, so it is not tried again: ",
                                    absl::StrJoin(losses_[i], ", "));
      Final(i, HostId(h), std::move(result));
    } else {
      pending_.AddRetry(i, now_);
    }
  }
  TakeBack(left);
}

void Scheduler::Impl::Final(uint32_t i, std::optional<HostId> host, CaseResult result) {
  CaseRecord& c = cases_[i];
  c.state = CaseState::kFinished;
  ++finished_;
  if (IsFailure(result.outcome)) ++failures_;
  if (c.lost_hosts > 0) losses_.erase(i);
  if (!cut_.empty()) cut_.erase(i);
  AttemptEnded ended{CaseId{UnitId(c.unit), c.index}, host, c.iteration, true, false, {}};
  ended.flaky = result.outcome == Outcome::kPassed && c.failures > 0;
  ended.result = std::move(result);
  ended.result.index = c.index;
  ended.result.attempt = c.attempt;
  actions_->push_back(std::move(ended));
}

void Scheduler::Impl::FinalWithoutRun(uint32_t i, Outcome outcome, const std::string& message) {
  CaseResult result;
  result.outcome = outcome;
  result.message = message;
  Final(i, std::nullopt, std::move(result));
}

uint32_t Scheduler::Impl::RunningIn(const LeaseRecord& lease, absl::Time* began) const {
  if (lease.cancelled) return kNone;
  for (uint32_t i = lease.shown == kNone ? kNone : lease.cases.head; i != kNone; i = cases_[i].next) {
    if (cases_[i].index != lease.shown) continue;
    *began = lease.shown_since;
    return i;
  }
  // After a result, and without the end of the lease, its next case runs.
  *began = lease.started;
  return lease.reported ? lease.cases.head : kNone;
}

void Scheduler::Impl::NoteCut(const LeaseRecord& lease, const std::string& lost) {
  absl::Time began;
  uint32_t i = RunningIn(lease, &began);
  if (i == kNone) i = lease.cases.head;
  if (i != kNone) cut_[i] = Cut{lease.host, began, now_, lost, stopping_, std::nullopt};
}

void Scheduler::Impl::SetTimes(const Cut& cut, CaseResult* result) const {
  result->duration = std::max(cut.ended - cut.began, absl::ZeroDuration());
  if (!cut.told.has_value()) result->start = std::max(cut.began - hosts_[cut.host].joined, absl::ZeroDuration());
}

void Scheduler::Impl::FinalCut(uint32_t i, const Cut& cut, RunEnd end) {
  CaseResult result = cut.told.value_or(CaseResult());
  result.outcome = Outcome::kNotRun;
  SetTimes(cut, &result);
  char seconds[32];
  std::snprintf(seconds, sizeof(seconds), "%.1f s", absl::ToDoubleSeconds(result.duration));
  result.message = absl::StrCat("it was running for ", seconds);
  if (cut.lost.empty()) {
    absl::StrAppend(&result.message, " when the run ended (", WhyNotRun(end), ")");
  } else {
    absl::StrAppend(&result.message, " when ", HostName(cut.host), " was lost (", cut.lost,
                    "), and then the run ended (", WhyNotRun(end), ")");
  }
  Final(i, HostId(cut.host), std::move(result));
}

}  // namespace dtest
