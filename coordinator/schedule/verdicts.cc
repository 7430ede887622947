// What becomes of a case: a result, a lost host, nothing at all.

#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "coordinator/schedule/scheduler_impl.h"

namespace dtest {

void Scheduler::Impl::OnMessage(HostId h, const Results& message) {
  LeaseRecord* lease = hosts_.Find(message.lease, h);
  if (lease == nullptr) return;  // taken back or cancelled: what it says no longer counts
  if (lease->copy_of != kNoCase) {
    OnCopyResults(h, *lease, message);
    return;
  }
  const UnitId e = lease->unit;
  bool told_cut = false;
  for (const CaseResult& result : message.results) {
    // Results come in the order of the lease: this is nearly always the first case.
    CaseNumber previous = kNoCase, i = lease->cases.head;
    while (i != kNoCase && (cases_[i].index != result.index || cases_[i].attempt != result.attempt)) {
      previous = i;
      i = cases_[i].next;
    }
    if (i == kNoCase) continue;
    if (result.outcome == Outcome::kNotRun) {  // cut off by our Interrupt; its verdict comes with the end of the run
      if (stopping()) cut_.Note(i, {h, now_ - result.duration, now_, "", true, result});
      told_cut = true;
      continue;
    }
    hosts_.MarkRunning(*lease, now_);
    hosts_.TakeCase(*lease, previous, now_);
    if (lease->suites == 0 || lease->last_suite != cases_[i].suite) ++lease->suites;
    lease->last_suite = cases_[i].suite;
    lease->shared += result.shared;
    lease->reported = lease->arrived = true;
    if (CopiedCase(*lease) == i && !SettleCopy(*lease, result)) continue;
    // Properties come in a later message. The last result of a lease has waited for them.
    if (!message.done && lease->cases.count > 0) {
      if (lease->told.empty()) lease->told.reserve(lease->cases.count);
      lease->told.push_back({i, result.attempt});
    }
    OnResult(h, i, result);
  }
  if (!message.results.empty()) pending_.EstimatesChanged(e);
  OnLateProperties(*lease, message.late_properties);
  OnLateFailures(*lease, message.late_failures);
  if (!message.done) return;
  if (message.startup > absl::ZeroDuration()) costs_.LearnStartup(e, message.startup);
  // Start-up has what all cases share.
  const absl::Duration by_all = message.followed ? absl::ZeroDuration() : message.startup;
  if (lease->shared > by_all && costs_.LearnSuiteSetup(e, lease->shared - by_all, lease->suites)) GroupLearntSuites(e);
  const bool fruitless =
      !lease->reported && !lease->cancelled && placement_.hold(h, e) != Hold::kUnfit && !hosts_[h].draining;
  // An agent that is interrupted drops what it had queued without a word: what comes back was in a slot.
  if (stopping() && !told_cut && !lease->cancelled && lease->cases.count > 0 && placement_.Ready(h, e)) {
    NoteCut(*lease, "");
  }
  CaseList left = EndLease(*lease);
  if (left.count == 0) return;
  attention_.WorkCameUp();
  if (fruitless && ++cases_[left.head].returns >= kFruitlessLeases) {
    FinalWithoutRun(left.RemoveAfter(cases_, kNoCase), Outcome::kInfraError,
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
    next = std::find_if(next, lease.told.end(), [&](const LeaseRecord::Told& one) {
      return cases_[one.i].index == properties.index && one.attempt == properties.attempt;
    });
    if (next != lease.told.end()) {
      ++next;
    } else {
      if (told.empty()) {
        for (const LeaseRecord::Told& one : lease.told) told.insert({cases_[one.i].index, one.attempt});
      }
      if (!told.contains({properties.index, properties.attempt})) continue;
    }
    actions_->push_back(PropertiesCame{CaseId{lease.unit, properties.index}, lease.host, lease.iteration,
                                       properties.attempt, properties.properties});
  }
}

// A copy never has any, as above.
void Scheduler::Impl::OnLateFailures(const LeaseRecord& lease, const std::vector<LateFailure>& late) {
  for (const LateFailure& failure : late) {
    const auto told = std::find_if(lease.told.begin(), lease.told.end(), [&](const LeaseRecord::Told& one) {
      return cases_[one.i].index == failure.result.index && one.attempt == failure.result.attempt;
    });
    if (told == lease.told.end()) continue;
    CaseRecord& c = cases_[told->i];
    const bool had_verdict = !IsFailure(failure.told) && c.state == CaseState::kFinished;
    const bool again = had_verdict && TriesAgain(c, failure.result.outcome);
    AttemptEnded& ended = TellEnd(c, lease.host, CaseResult(failure.result), std::nullopt);
    ended.result.attempt = told->attempt;
    ended.replaces = had_verdict ? failure.told : Outcome::kFailed;  // else it is a remark on a failure
    ended.final = !again;
    if (again) {
      --finished_;
      order_.CaseIsBack(c.unit);
      CountFailure(&c, failure.result.place > 0);
      TryAgain(lease.host, told->i, schedule::RetryDelay(policies_[c.policy], c.failures));
    } else if (had_verdict) {
      failures_ += CountsAsFailure(c, failure.result.outcome);
    }
  }
}

bool Scheduler::Impl::TriesAgain(const CaseRecord& c, Outcome outcome) {
  if (stopping() || !IsFailure(outcome)) return false;
  if (outcome == Outcome::kInfraError) return !wrongly_listed_.contains(c.unit) && c.infra + 1u < kInfraAttempts;
  if (c.failures >= policies_[c.policy].retries) return false;
  const RetryBudget& budget = options_.retry_budget;
  if (budget.Allows(retries_made_, cases_.size(), listings_.complete())) return true;
  if (!std::exchange(told_budget_, true)) {
    const std::string share =
        budget.percent ? absl::StrCat(" (", *budget.most, " % of ", cases_.size(), " cases)") : "";
    actions_->push_back(Warn{absl::StrCat("the retry budget of ", budget.Attempts(cases_.size()), share,
                                          " is used up: what fails from now on is not tried again")});
  }
  return false;
}

void Scheduler::Impl::CountFailure(CaseRecord* c, bool behind) {
  ++c->failures;
  ++retries_made_;
  c->behind = behind;
}

void Scheduler::Impl::OnResult(HostId h, CaseNumber i, CaseResult result) {
  CaseRecord& c = cases_[i];
  if (result.outcome != Outcome::kSkipped && result.outcome != Outcome::kInfraError) {
    costs_.Learn(c.unit, c.suite, std::max(result.duration - result.shared, absl::ZeroDuration()), hosts_[h].speed);
  }
  const bool infra = result.outcome == Outcome::kInfraError;
  if (explained_.contains(i) || !TriesAgain(c, result.outcome)) {
    if (Explains(h, i, result)) return;
    Final(i, h, std::move(result));
    return;
  }
  const bool behind = result.place > 0;
  TellEnd(c, h, std::move(result), std::nullopt).final = false;
  if (infra) {
    ++c.infra;
    c.behind = behind;
  } else {
    CountFailure(&c, behind);
  }
  TryAgain(h, i, infra ? absl::ZeroDuration() : schedule::RetryDelay(policies_[c.policy], c.failures));
}

void Scheduler::Impl::TryAgain(HostId h, CaseNumber i, absl::Duration delay) {
  CaseRecord& c = cases_[i];
  ++c.attempt;
  c.avoid = h;
  c.told_slow = false;
  if (c.holder != kNoLease) return;  // the same attempt is being ended elsewhere: the next one waits for that
  delay > absl::ZeroDuration() ? pending_.AddRetryAt(i, now_ + delay) : pending_.AddRetry(i, now_);
  attention_.WorkCameUp();
  if (placement_.unfit(c.unit) > 0) check_placeable_ = true;
}

// Like a retry it runs alone; where it failed, since a host is no reason then.
bool Scheduler::Impl::Explains(HostId h, CaseNumber i, const CaseResult& result) {
  CaseRecord& c = cases_[i];
  const bool failed = IsFailure(result.outcome) && result.outcome != Outcome::kInfraError;
  if (!options_.explain || !failed || stopping() || result.place == 0 || c.holder != kNoLease) return false;
  const auto [held, is_new] = explained_.try_emplace(i, Failure{h, result, hosts_[h].joined + result.start});
  if (!is_new) return false;
  held->second.result.attempt = c.attempt;
  ++c.attempt;
  c.told_slow = false;
  pending_.AddRetry(i, now_);
  attention_.WorkCameUp();
  if (placement_.unfit(c.unit) > 0) check_placeable_ = true;
  return true;
}

void Scheduler::Impl::TakeBack(const CaseList& list) {
  std::vector<CaseNumber> order;
  order.reserve(list.count);
  for (CaseNumber i = list.head; i != kNoCase; i = cases_[i].next) order.push_back(i);
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

void Scheduler::Impl::NoteLoss(HostId h, CaseNumber i, const std::string& reason) {
  CaseRecord& c = cases_[i];
  c.avoid = h;
  if (c.lost_hosts < UINT8_MAX) ++c.lost_hosts;
  cut_.NoteLoss(i, absl::StrCat(HostName(h), " (", reason, ")"));
}

Scheduler::Impl::Suspects Scheduler::Impl::SuspectsOf(const std::vector<std::pair<LeaseSlab, bool>>& held) {
  Suspects suspects;
  for (const auto& [slab, ran] : held) {
    const LeaseRecord& lease = hosts_.lease(slab);
    if (!ran || lease.cancelled || lease.cases.head == kNoCase) continue;
    const uint32_t losses = cases_[lease.cases.head].lost_hosts + 1u;
    if (losses > suspects.losses) suspects = {losses, 0};
    suspects.count += losses == suspects.losses;
  }
  return suspects;
}

void Scheduler::Impl::Lost(HostId h, const CaseList& list, std::optional<absl::Time> running_since,
                           const std::string& reason, const Suspects& suspects) {
  CaseList left = list;
  if (running_since.has_value() && left.count > 0) {
    const CaseNumber i = left.RemoveAfter(cases_, kNoCase);
    NoteLoss(h, i, reason);
    const uint32_t losses = cases_[i].lost_hosts;
    // Of those that ran there, the only one that has been there so often; who was beside it each time must go on alone.
    const bool only = losses == suspects.losses && suspects.count == 1;
    if (losses >= std::max(options_.hosts_a_case_may_take_down, 1u) && only) {
      CaseResult result = UntoldResult(h, *running_since, now_);
      result.outcome = Outcome::kCrashed;
      result.message =
          absl::StrCat("every host that ran this case was lost, so it is not tried again: ", cut_.Losses(i));
      Final(i, h, std::move(result), running_since);
    } else {
      pending_.AddRetry(i, now_);
    }
  }
  TakeBack(left);
}

CaseResult Scheduler::Impl::UntoldResult(HostId h, absl::Time began, absl::Time ended) const {
  CaseResult result;
  result.start = std::max(began - hosts_[h].joined, absl::ZeroDuration());
  result.duration = std::max(ended - began, absl::ZeroDuration());
  return result;
}

AttemptEnded& Scheduler::Impl::TellEnd(const CaseRecord& c, std::optional<HostId> host, CaseResult&& result,
                                       std::optional<absl::Time> began) {
  actions_->emplace_back(std::in_place_type<AttemptEnded>);
  AttemptEnded& ended = std::get<AttemptEnded>(actions_->back());
  ended.id = {c.unit, c.index};
  ended.host = host;
  ended.iteration = c.iteration;
  ended.result = std::move(result);
  ended.result.index = c.index;
  ended.result.attempt = c.attempt;
  if (began.has_value()) {
    ended.started = *began;
  } else if (host.has_value()) {
    ended.started = hosts_[*host].joined + ended.result.start;
  }
  return ended;
}

void Scheduler::Impl::Final(CaseNumber i, std::optional<HostId> host, CaseResult result,
                            std::optional<absl::Time> began) {
  CaseRecord& c = cases_[i];
  bool order_dependent = result.outcome == Outcome::kPassed && c.failures > 0 && c.behind;
  if (const auto failure = explained_.find(i); failure != explained_.end()) {
    order_dependent = result.outcome == Outcome::kPassed;
    result = std::move(failure->second.result);
    host = failure->second.host;
    began = failure->second.started;
    c.attempt = static_cast<decltype(c.attempt)>(result.attempt);
    explained_.erase(failure);
  }
  const bool flaky = result.outcome == Outcome::kPassed && c.failures > 0;
  if (flaky && policies_[c.policy].flaky_fails) {
    result.outcome = Outcome::kFailed;
    result.message = absl::StrCat("it passed at attempt ", c.attempt, " only, and flaky-result is fail");
  }
  c.state = CaseState::kFinished;
  ++finished_;
  order_.CaseEnded(c.unit, IsFailure(result.outcome) || result.outcome == Outcome::kNotRun);
  failures_ += CountsAsFailure(c, result.outcome);
  cut_.Settle(i);
  AttemptEnded& ended = TellEnd(c, host, std::move(result), began);
  ended.flaky = flaky;
  ended.order_dependent = order_dependent;
}

void Scheduler::Impl::TellIfSlow(const LeaseRecord& lease, uint32_t index, absl::Duration elapsed) {
  CaseNumber i = lease.cases.head;  // nearly always this one: those before it have results
  while (i != kNoCase && cases_[i].index != index) i = cases_[i].next;
  if (i == kNoCase || lease.cancelled) return;
  CaseRecord& c = cases_[i];
  const double speed = hosts_[lease.host].speed;
  const absl::Duration high = absl::Seconds(c.high);
  if (c.told_slow || elapsed < schedule::SlowAfter(policies_[c.policy], high, speed)) return;
  c.told_slow = true;
  actions_->push_back(CaseIsSlow{CaseId{c.unit, c.index}, lease.host, c.iteration, c.attempt, elapsed, high / speed});
}

void Scheduler::Impl::FinalWithoutRun(CaseNumber i, Outcome outcome, const std::string& message) {
  CaseResult result;
  result.outcome = outcome;
  result.message = message;
  Final(i, std::nullopt, std::move(result));
}

CaseNumber Scheduler::Impl::RunningIn(const LeaseRecord& lease, absl::Time* began) const {
  if (lease.cancelled) return kNoCase;
  for (CaseNumber i = lease.shown.has_value() ? lease.cases.head : kNoCase; i != kNoCase; i = cases_[i].next) {
    if (cases_[i].index != *lease.shown) continue;
    *began = lease.shown_since;
    return i;
  }
  // After a result, and without the end of the lease, its next case runs.
  *began = lease.started;
  return lease.reported ? lease.cases.head : kNoCase;
}

void Scheduler::Impl::NoteCut(const LeaseRecord& lease, const std::string& lost) {
  absl::Time began;
  CaseNumber i = RunningIn(lease, &began);
  if (i == kNoCase) i = lease.cases.head;
  if (i != kNoCase) cut_.Note(i, {lease.host, began, now_, lost, stopping(), std::nullopt});
}

void Scheduler::Impl::FinalCut(CaseNumber i, const Cut& cut, RunEnd end) {
  CaseResult result = cut.told.value_or(UntoldResult(cut.host, cut.began, cut.ended));
  result.outcome = Outcome::kNotRun;
  char seconds[32];
  std::snprintf(seconds, sizeof(seconds), "%.1f s", absl::ToDoubleSeconds(result.duration));
  result.message = absl::StrCat("it was running for ", seconds);
  if (cut.lost.empty()) {
    absl::StrAppend(&result.message, " when the run ended (", WhyNotRun(end), ")");
  } else {
    absl::StrAppend(&result.message, " when ", HostName(cut.host), " was lost (", cut.lost,
                    "), and then the run ended (", WhyNotRun(end), ")");
  }
  Final(i, cut.host, std::move(result), cut.told.has_value() ? std::nullopt : std::optional(cut.began));
}

}  // namespace dtest
