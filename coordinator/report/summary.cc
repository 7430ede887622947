#include "coordinator/report/summary.h"

#include <algorithm>
#include <numeric>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "coordinator/report/text.h"

namespace dtest {
namespace {

// A log may be damaged or foreign: a host id past this is not made room for.
constexpr uint32_t kMaxHosts = 1 << 20;

bool Slower(const RunSummary::Attempt& a, const RunSummary::Attempt& b) { return a.duration > b.duration; }

RunSummary::Attempt ToAttempt(const CaseEnded& ended) {
  return {std::string(ended.unit), std::string(ended.name), std::string(ended.host),
          ended.iteration,         ended.result.attempt,    ended.result.outcome,
          ended.result.duration,   ended.result.setup,      ended.result.teardown};
}

}  // namespace

RunSummary::RunSummary() : RunSummary(Options()) {}
RunSummary::RunSummary(const Options& options) : options_(options) {}

absl::Status RunSummary::Handle(const RunEvent& event) {
  if (std::holds_alternative<RunClosed>(event.what)) return absl::OkStatus();
  started_ = std::min(started_, event.time);
  ended_ = std::max(ended_, event.time);
  if (const auto* ended = std::get_if<CaseEnded>(&event.what)) {
    On(*ended);
  } else if (const auto* listed = std::get_if<UnitListed>(&event.what)) {
    On(*listed);
  } else if (const auto* selected = std::get_if<CasesSelected>(&event.what)) {
    left_.Select(*selected);
  } else if (const auto* left = std::get_if<CasesLeft>(&event.what)) {
    left_.Add(*left);
  } else if (const auto* started = std::get_if<RunStarted>(&event.what)) {
    run_id_ = started->run_id;
    working_directory_ = started->working_directory;
    repeat_ = started->repeat;
    hosts_.resize(std::max(hosts_.size(), started->hosts.size()));
    for (size_t i = 0; i < started->hosts.size(); ++i) hosts_[i].name = started->hosts[i];
  } else if (const auto* up = std::get_if<HostUp>(&event.what)) {
    if (Host* host = HostOf(up->host)) {
      if (!host->up) ++hosts_up_;
      host->up = host->was_up = true;
      host->down = false;
      host->slots = up->slots;
      host->reason.clear();
    }
  } else if (const auto* down = std::get_if<HostDown>(&event.what)) {
    if (Host* host = HostOf(down->host)) {
      if (host->up) --hosts_up_;
      host->up = false;
      host->down = true;
      host->reason = down->reason;
    }
  } else if (const auto* copied = std::get_if<CaseCopied>(&event.what)) {
    copies_ += copied->stage == CopyStage::kStarted;
    copies_won_ += copied->stage == CopyStage::kWon;
  } else if (const auto* shipped = std::get_if<HostShipped>(&event.what)) {
    if (Host* host = HostOf(shipped->host)) host->shipped += shipped->bytes;
  } else if (const auto* coverage = std::get_if<CoverageMeasured>(&event.what)) {
    coverage_ = *coverage;
  } else if (const auto* made = std::get_if<ReportsMade>(&event.what)) {
    if (!made->error.empty() && reports_fault_.empty()) {
      reports_fault_ = absl::StrCat("pytest's reports of ", made->unit_name, ": ", made->error);
    }
  } else if (const auto* end = std::get_if<RunFinished>(&event.what)) {
    finished_ = true;
    end_ = *end;
  }
  return absl::OkStatus();
}

void RunSummary::On(const UnitListed& listed) {
  units_ += seen_.insert(listed.unit).second;  // what proves to be listed wrongly is told of twice
  left_.Tell(listed);
  if (listed.unreached) unreached_.push_back(listed.name);
  listed_ += listed.cases;
  selected_ += listed.selected;
  if (!listed.error.empty()) unlisted_.push_back({listed.name, listed.error, listed.output});
}

void RunSummary::On(const CaseEnded& ended) {
  const Outcome outcome = ended.result.outcome;
  const IteratedCase key(ended.id, ended.iteration);
  if (ended.replaces.has_value()) {
    TakeBack(ended);
  } else {
    busy_ += ended.result.duration;
    if (outcome != Outcome::kNotRun && outcome != Outcome::kSkipped) KeepIfSlow(ended);
  }
  if (ended.result.leaky) leaky_.insert(key);
  if (!ended.final) return;
  ended.forgiven() ? ++forgiven_ : ++counts_[static_cast<size_t>(outcome)];
  if (!ended.quarantine.empty()) KeepQuarantined(ended);
  if (ended.flaky) flaky_.insert(key);
  if (outcome == Outcome::kNotRun) {
    std::vector<Attempt>& cut = ended.host.empty() ? not_begun_ : interrupted_;
    if (!ended.host.empty()) ++interrupted_count_;
    if (cut.size() < options_.max_failures) cut.push_back(ToAttempt(ended));
  }
  if (IsFailure(outcome) && !ended.forgiven() && failed_.size() < options_.max_failures) {
    failed_.push_back(ToAttempt(ended));
    failed_.back().headline = Headline(ended.result.message);
  }
}

// The attempt is judged anew: its time has been counted, and what its verdict was does not count.
void RunSummary::TakeBack(const CaseEnded& ended) {
  --counts_[static_cast<size_t>(*ended.replaces)];
  flaky_.erase({ended.id, ended.iteration});
  const auto is_of_case = [&](const Attempt& one) {
    return one.unit == ended.unit && one.name == ended.name && one.iteration == ended.iteration;
  };
  std::erase_if(quarantined_, [&](const Quarantined& one) { return is_of_case(one.attempt); });
  for (Attempt& one : slowest_) {
    if (is_of_case(one) && one.attempt == ended.result.attempt) one.outcome = ended.result.outcome;
  }
}

void RunSummary::KeepQuarantined(const CaseEnded& ended) {
  const bool passed = ended.result.outcome == Outcome::kPassed;
  if ((!passed && !ended.forgiven()) || quarantined_.size() >= options_.max_failures) return;
  quarantined_.push_back(
      {ToAttempt(ended), ended.forgiven(), std::string(ended.quarantine), std::string(ended.owner), ended.hint});
  quarantined_.back().attempt.headline = Headline(ended.result.message);
}

void RunSummary::KeepIfSlow(const CaseEnded& ended) {
  if (slowest_.size() == options_.slowest) {
    if (slowest_.empty() || ended.result.duration <= slowest_.front().duration) return;
    std::pop_heap(slowest_.begin(), slowest_.end(), Slower);
    slowest_.pop_back();
  }
  slowest_.push_back(ToAttempt(ended));
  std::push_heap(slowest_.begin(), slowest_.end(), Slower);
}

RunSummary::Host* RunSummary::HostOf(HostId id) {
  if (id.value() >= kMaxHosts) return nullptr;
  if (id.value() >= hosts_.size()) hosts_.resize(id.value() + 1);
  return &hosts_[id.value()];
}

std::vector<RunSummary::Attempt> RunSummary::Slowest() const {
  std::vector<Attempt> slowest = slowest_;
  std::stable_sort(slowest.begin(), slowest.end(), [](const Attempt& a, const Attempt& b) {
    return std::tie(b.duration, a.unit, a.name, a.iteration, a.attempt) <
           std::tie(a.duration, b.unit, b.name, b.iteration, b.attempt);
  });
  return slowest;
}

uint64_t RunSummary::cases() const { return std::accumulate(counts_.begin(), counts_.end(), forgiven_); }

uint64_t RunSummary::failures() const {
  uint64_t failures = 0;
  for (int i = 0; i < kOutcomeCount; ++i) {
    if (IsFailure(static_cast<Outcome>(i))) failures += counts_[i];
  }
  return failures;
}

uint32_t RunSummary::hosts_used() const {
  return std::count_if(hosts_.begin(), hosts_.end(), [](const Host& host) { return host.was_up; });
}

uint32_t RunSummary::slots_used() const {
  uint32_t slots = 0;
  for (const Host& host : hosts_) slots += host.slots;
  return slots;
}

uint64_t RunSummary::shipped_bytes() const {
  uint64_t bytes = 0;
  for (const Host& host : hosts_) bytes += host.shipped;
  return bytes;
}

uint32_t RunSummary::shipped_hosts() const {
  return std::count_if(hosts_.begin(), hosts_.end(), [](const Host& host) { return host.shipped > 0; });
}

std::string RunSummary::CoverageFault() const {
  if (!coverage_.has_value()) return "";
  if (!coverage_->error.empty()) return absl::StrCat("coverage: ", coverage_->error);
  if (!coverage_->missed) return "";
  // With digits enough to be seen to be less.
  return absl::StrFormat("coverage %.2f %%, less than the %g %% that are required", coverage_->percent.value_or(0),
                         coverage_->required);
}

int RunSummary::ExitStatus() const {
  if (!finished_ || end_.end == RunEnd::kNoHosts || end_.end == RunEnd::kInternal) return kExitBroken;
  if (end_.end == RunEnd::kInterrupted) return kExitInterrupted;
  if (failures() > 0 || !unlisted_.empty() || end_.end == RunEnd::kFailFast) return kExitFailed;
  if (count(Outcome::kNotRun) > 0 || end_.end == RunEnd::kTimedOut) return kExitFailed;
  if (left_.count() > 0 || (coverage_.has_value() && coverage_->missed)) return kExitFailed;
  if ((coverage_.has_value() && !coverage_->error.empty()) || !reports_fault_.empty()) return kExitBroken;
  if (without_verdict() > 0) return kExitBroken;
  return cases() == 0 ? kExitNothingSelected : kExitPassed;
}

}  // namespace dtest
