// Drives a Scheduler by events at given times and looks at what it does, in the words of its scenarios.

#ifndef DTEST_TESTS_UNIT_SCHEDULE_SCHEDULER_FIXTURE_H_
#define DTEST_TESTS_UNIT_SCHEDULE_SCHEDULER_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "coordinator/schedule/scheduler.h"

namespace dtest {

class SchedulerFixture : public testing::Test {
 protected:
  static constexpr absl::Duration kMs = absl::Milliseconds(1);

  void Start(SchedulerOptions options) {
    options_ = options;
    scheduler_ = std::make_unique<Scheduler>(options_);
  }
  static SchedulerOptions Hosts(uint32_t n) {
    SchedulerOptions options;
    options.hosts = n;
    for (uint32_t h = 0; h < n; ++h) options.host_names.push_back("h" + std::to_string(h));
    return options;
  }

  // So that each lease is one case.
  SchedulerOptions OneProcessACase(uint32_t n) {
    policy_.processes = Processes::kCase;
    return Hosts(n);
  }

  // One event; afterwards `turn` is what it led to and `all` is everything so far.
  const std::vector<SchedulerAction>& Do(SchedulerEvent event) {
    turn.clear();
    scheduler_->Handle(now, std::move(event), &turn);
    scheduler_->CheckInvariants();
    all.insert(all.end(), turn.begin(), turn.end());
    return turn;
  }
  void After(absl::Duration d) { now += d; }

  void Join(uint32_t h, uint32_t slots = 1, double speed = 1) { Do(HostJoined{HostId(h), slots, speed}); }
  void Gone(uint32_t h, bool may_return = false) { Do(HostGone{HostId(h), "link closed", may_return}); }
  template <typename M>
  void From(uint32_t h, M message) {
    Do(FromHost{HostId(h), std::move(message)});
  }

  void Add(uint32_t e, uint64_t bytes = 0, bool listed = true) { Do(UnitAdded{UnitId(e), bytes, listed}); }
  // `expected` per case in seconds; negative: history knows nothing. All in one suite.
  void Cases(uint32_t e, const std::vector<double>& expected, absl::Duration startup = absl::ZeroDuration()) {
    CasesKnown known;
    known.unit = UnitId(e);
    known.policies = {policy_};
    known.startup = startup;
    for (size_t k = 0; k < expected.size(); ++k) {
      SelectedCase c{static_cast<uint32_t>(k), std::nullopt};
      if (expected[k] >= 0) c.expected = absl::Seconds(expected[k]);
      known.cases.push_back(c);
      known.suite_of.push_back(0);
    }
    Do(known);
  }
  void Complete() { Do(BundleComplete{}); }

  struct Given {
    uint32_t host;
    Lease lease;
    std::vector<uint32_t> indices;
  };
  template <typename M>
  std::vector<std::pair<uint32_t, M>> Sent(const std::vector<SchedulerAction>& actions) const {
    std::vector<std::pair<uint32_t, M>> found;
    for (const SchedulerAction& action : actions) {
      const SendTo* send = std::get_if<SendTo>(&action);
      if (send == nullptr || !std::holds_alternative<M>(send->message)) continue;
      found.emplace_back(send->host.value(), std::get<M>(send->message));
    }
    return found;
  }
  std::vector<Given> Leases(const std::vector<SchedulerAction>& actions) const {
    std::vector<Given> given;
    for (auto& [host, lease] : Sent<Lease>(actions)) {
      Given g{host, lease, {}};
      for (const LeasedCase& c : lease.cases) g.indices.push_back(c.index);
      given.push_back(std::move(g));
    }
    return given;
  }
  std::vector<AttemptEnded> Ended(const std::vector<SchedulerAction>& actions) const {
    return Of<AttemptEnded>(actions);
  }
  template <typename A>
  std::vector<A> Of(const std::vector<SchedulerAction>& actions) const {
    std::vector<A> found;
    for (const SchedulerAction& action : actions) {
      if (const A* a = std::get_if<A>(&action)) found.push_back(*a);
    }
    return found;
  }
  std::optional<RunEnd> Finished() const {
    const auto finishes = Of<Finish>(all);
    EXPECT_LE(finishes.size(), 1u);
    if (finishes.empty()) return std::nullopt;
    EXPECT_TRUE(std::holds_alternative<Finish>(all.back())) << "nothing comes after Finish";
    return finishes[0].end;
  }

  static CaseResult Result(const LeasedCase& c, Outcome outcome = Outcome::kPassed,
                           absl::Duration duration = absl::Milliseconds(10)) {
    CaseResult result;
    result.index = c.index;
    result.attempt = c.attempt;
    result.outcome = outcome;
    result.duration = duration;
    return result;
  }
  // All cases of the lease end like this, and the lease is over.
  void RunAll(const Given& given, Outcome outcome = Outcome::kPassed,
              absl::Duration duration = absl::Milliseconds(10)) {
    Results results{given.lease.id, given.lease.unit, {}, true, absl::ZeroDuration()};
    for (const LeasedCase& c : given.lease.cases) results.results.push_back(Result(c, outcome, duration));
    From(given.host, results);
  }
  void Return(const Given& given) {
    From(given.host, Results{given.lease.id, given.lease.unit, {}, true, absl::ZeroDuration()});
  }
  // Answers every lease so far and to come with passes until the run is over.
  void RunToTheEnd(absl::Duration duration = absl::Milliseconds(10)) {
    size_t next = 0;
    while (!Finished() && next < 100000) {
      std::vector<Given> leases = Leases(all);
      if (next >= leases.size()) break;
      After(duration);
      RunAll(leases[next++], Outcome::kPassed, duration);
    }
  }

  SchedulerOptions options_;
  CasePolicy policy_;  // of the cases that Cases() makes known
  std::unique_ptr<Scheduler> scheduler_;
  absl::Time now = absl::FromUnixSeconds(1000);
  std::vector<SchedulerAction> turn, all;
};

}  // namespace dtest

#endif  // DTEST_TESTS_UNIT_SCHEDULE_SCHEDULER_FIXTURE_H_
