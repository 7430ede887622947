#include "simulation/sim_loop.h"

#include <array>
#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"
#include "protocol/liveness.h"
#include "simulation/sim_process.h"

namespace dtest::simulation {

namespace {

// A loop that sleeps so often without any time passing would burn a processor.
constexpr uint64_t kMostSleepsAtOnce = 10000;

// The needs of cases as a user says them: overrides by name.
CasePolicies PoliciesOf(const Scenario& scenario) {
  std::vector<PolicyOverride> overrides;
  std::vector<CaseLock> locks;
  for (size_t k = 0; k < scenario.needs.size(); ++k) {
    const CasePolicy& needs = scenario.needs[k];
    PolicyOverride& one = overrides.emplace_back(PolicyOverride{"", *Filter::Parse(absl::StrCat("*n", k + 1))});
    one.locks.emplace();
    for (const CaseLock& lock : needs.locks) one.locks->push_back(lock.name);
    one.exclusive = needs.exclusive;
    one.slots = needs.slots;
    one.tags = needs.tags;
    locks.insert(locks.end(), needs.locks.begin(), needs.locks.end());
  }
  return CasePolicies(scenario.policy, std::move(overrides), std::move(locks));
}

RunLoop::Options LoopOptions(const Scenario& scenario, const std::vector<Bundle::Unit>& units) {
  RunLoop::Options options;
  options.scheduler = scenario.scheduler;
  options.policies = PoliciesOf(scenario);
  options.settings.list_timeout = scenario.list_timeout;
  options.settings.kill_grace = scenario.kill_grace;
  options.settings.adapt_slots = scenario.adapts;
  options.heartbeat_interval = scenario.heartbeat_interval;
  options.host_timeout = scenario.lease_timeout;
  auto durations = std::make_shared<Durations>();
  for (size_t e = 0; e < units.size(); ++e) {
    const std::vector<SimCase>& cases = scenario.units[e].cases;
    for (size_t k = 0; k < cases.size(); ++k) {
      if (cases[k].expected) durations->units[units[e].name][CaseName(cases[k], k)] = *cases[k].expected;
    }
  }
  options.durations = std::move(durations);
  return options;
}

std::vector<HostSpec> HostSpecs(const Scenario& scenario) {
  std::vector<HostSpec> specs;
  for (size_t h = 0; h < scenario.hosts.size(); ++h) {
    HostSpec& spec = specs.emplace_back();
    spec.name = absl::StrCat("host", h);
    spec.slots = scenario.hosts[h].slots;
  }
  return specs;
}

Digest DigestOf(size_t unit) {
  std::array<uint8_t, Digest::kSize> bytes{};
  bytes[0] = 1;
  bytes[1] = static_cast<uint8_t>(unit);
  bytes[2] = static_cast<uint8_t>(unit >> 8);
  return Digest(bytes);
}

}  // namespace

// ---- Between run loop, host pool and world

class SimLoop::Reached final : public Router, public Launcher {
 public:
  explicit Reached(SimLoop* loop) : loop_(*loop) {}

  // Router
  absl::Status Send(absl::string_view identity, Session::Frame frame) override {
    return loop_.world_.SendFrame(identity, std::move(frame));
  }
  std::optional<Received> Receive() override {
    if (loop_.frames_.empty()) return std::nullopt;
    auto [token, frame] = std::move(loop_.frames_.front());
    loop_.frames_.pop_front();
    return Received{std::move(token), *frame};
  }
  void WatchFd(int) override {}
  void UnwatchFd(int) override {}
  absl::Status Sleep(absl::Duration timeout) override { return loop_.Sleep(timeout); }

  // Launcher
  void Start(HostId host, std::string token) override { loop_.world_.StartHost(host.value(), std::move(token)); }
  void Close(HostId host) override { loop_.world_.CloseHost(host.value()); }
  int event_fd() const override { return -1; }
  std::vector<FleetEvent> Poll() override { return std::exchange(loop_.fleet_events_, {}); }
  LaunchStats stats(HostId) const override { return {}; }

 private:
  SimLoop& loop_;
};

class SimLoop::Watched final : public Hosts, public Hosts::Delegate {
 public:
  Watched(HostPool::Options options, std::vector<HostSpec> hosts, SimLoop* loop)
      : run_(*loop->loop_),
        world_(loop->world_),
        pool_(std::move(options), std::move(hosts), this,
              {std::make_unique<Reached>(loop), std::make_unique<Reached>(loop)}) {}

  // Hosts
  void Start(absl::Time now) override { pool_.Start(now); }
  void WatchFd(int fd) override { pool_.WatchFd(fd); }
  absl::Status Turn(const std::function<absl::Time()>& clock, absl::Time deadline) override {
    return pool_.Turn(clock, deadline);
  }
  void Send(absl::Time now, HostId host, ToAgent message) override {
    world_.IsTold(host.value(), message);
    pool_.Send(now, host, std::move(message));
  }
  bool AllAcknowledged() const override { return pool_.AllAcknowledged(); }
  void ShutDown(absl::Time now) override { pool_.ShutDown(now); }
  bool AllGone() const override { return pool_.AllGone(); }

  // Hosts::Delegate
  void HostIsUp(HostId host, const Hello& hello) override {
    world_.HostIs(host.value(), true);
    run_.HostIsUp(host, hello);
  }
  void HostIsDown(HostId host, bool was_up, const absl::Status& reason, bool may_return,
                  absl::Time tests_end) override {
    world_.HostIs(host.value(), false);
    run_.HostIsDown(host, was_up, reason, may_return, tests_end);
  }
  void HostSays(HostId host, FromAgent message) override {
    world_.HasSaid(host.value(), message);
    run_.HostSays(host, std::move(message));
  }
  void HostLogs(HostId host, absl::string_view line) override { run_.HostLogs(host, line); }
  void HostNotes(HostId host, absl::string_view line) override { run_.HostNotes(host, line); }

 private:
  RunLoop& run_;
  LoopWorld& world_;
  HostPool pool_;
};

SimLoop::SimLoop(const Scenario* scenario, SimClock* clock, LoopWorld* world)
    : scenario_(*scenario), clock_(*clock), world_(*world), start_(clock->now()), random_(scenario->seed) {
  MakeUnits();
  PlanStall();
  sinks_.Add("checks", this);
  loop_.emplace(LoopOptions(scenario_, units_), HostSpecs(scenario_), *Selection::Make({"-*.X*"}),
                RunLoop::Surroundings{&sinks_, nullptr, nullptr, this, this, [this] { return clock_.now(); }});
  HostPool::Options options;
  options.tcp = true;  // its links lose frames
  options.silence = LostAfter(scenario_.lease_timeout, scenario_.heartbeat_interval);
  hosts_ = std::make_unique<Watched>(std::move(options), HostSpecs(scenario_), this);
}

SimLoop::~SimLoop() = default;

void SimLoop::MakeUnits() {
  for (size_t e = 0; e < scenario_.units.size(); ++e) {
    const SimUnit& x = scenario_.units[e];
    Unit& unit = units_.emplace_back();
    unit.name = absl::StrCat("unit", e);
    UnitSpec& spec = unit.shipped.emplace();
    spec.id = UnitId(static_cast<uint32_t>(e));
    spec.name = unit.name;
    spec.framework = FrameworkOf(x);
    if (x.bytes > 0) spec.files.push_back({"program", DigestOf(e), x.bytes, true, ""});
    if (!x.cached_listing) continue;
    unit.listing.emplace();
    unit.listing->startup = x.startup;
    unit.listing->cases = CasesOf(x);
  }
}

void SimLoop::PlanSignals() {
  for (const absl::Duration after : {scenario_.stop_after, scenario_.force_after}) {
    if (after == absl::InfiniteDuration()) continue;
    clock_.After(after, [this] {
      signals_.push_back(SIGINT);
      Wake();
    });
  }
}

void SimLoop::PlanStall() {
  if (scenario_.mean_time_to_stall == absl::InfiniteDuration()) return;
  std::exponential_distribution<double> exponential(1);
  stall_at_ = clock_.now() + scenario_.mean_time_to_stall * exponential(random_);
  stall_ = scenario_.mean_stall * exponential(random_);
}

void SimLoop::Run() {
  PlanSignals();
  loop_->Run(hosts_.get());
}

// ---- What the world does

void SimLoop::FleetTells(FleetEvent event) {
  fleet_events_.push_back(std::move(event));
  Wake();
}

void SimLoop::FrameArrives(std::string token, Session::Frame frame) {
  frames_.emplace_back(std::move(token), std::move(frame));
  Wake();
}

absl::Status SimLoop::Sleep(absl::Duration timeout) {
  if (scenario_.check_every_step) loop_->scheduler().CheckInvariants();
  sleeps_at_once_ = clock_.now() == last_sleep_ ? sleeps_at_once_ + 1 : 0;
  last_sleep_ = clock_.now();
  if (sleeps_at_once_ > kMostSleepsAtOnce) world_.Breaks("the loop turns without end at one moment");
  absl::Time deadline = clock_.now() + timeout;
  absl::Time earliest = clock_.now();  // that it wakes up at
  if (clock_.now() >= stall_at_) {
    earliest += stall_;
    deadline = std::max(deadline, earliest);
    PlanStall();
  }
  woken_ = !frames_.empty();
  while ((!woken_ || clock_.now() < earliest) && !world_.IsBroken()) {
    const absl::Time until = woken_ ? earliest : deadline;
    if (clock_.next() > until) {
      clock_.Skip(until);
      break;
    }
    if (!clock_.Step()) world_.Breaks("nothing is left to happen, and the run has not ended");
    if (clock_.now() - start_ > scenario_.must_end_within) world_.Breaks("the run does not end");
  }
  return world_.IsBroken() ? absl::InternalError("broken") : absl::OkStatus();
}

// ---- Bundle

void SimLoop::Prepare(const Ready& ready) {
  tell_ready_ = ready;
  for (uint32_t e = 0; e < scenario_.units.size(); ++e) {
    clock_.After(scenario_.units[e].added_after, [this, e] {
      ready_.push_back(UnitId(e));
      Wake();
    });
  }
}

void SimLoop::RunCallbacks() {
  while (!ready_.empty()) {
    const UnitId unit = ready_.front();
    ready_.pop_front();
    tell_ready_(unit, absl::OkStatus(), {});
  }
}

std::optional<int> SimLoop::Take() {
  if (signals_.empty()) return std::nullopt;
  const int number = signals_.front();
  signals_.pop_front();
  return number;
}

// ---- Sink

HostId SimLoop::HostNamed(absl::string_view name) const {
  for (uint32_t h = 0; h < scenario_.hosts.size(); ++h) {
    if (name == absl::StrCat("host", h)) return HostId(h);
  }
  world_.Breaks(absl::StrCat("an event names a host that there is not: ", name));
  return HostId(0);
}

absl::Status SimLoop::Handle(const RunEvent& event) {
  if (const UnitListed* listed = std::get_if<UnitListed>(&event.what)) {
    const std::vector<SimCase>& cases = scenario_.units[listed->unit.value()].cases;
    uint32_t selected = 0;
    if (listed->error.empty() && !listed->unreached) {
      for (uint32_t k = 0; k < cases.size(); ++k) {
        if (!cases[k].selected) continue;
        world_.CaseIsSelected(listed->unit.value(), k);
        ++selected;
      }
    }
    if (selected != listed->selected) world_.Breaks("another number of cases is selected than there are");
  } else if (const CaseEnded* ended = std::get_if<CaseEnded>(&event.what)) {
    AttemptEnded attempt;
    attempt.id = ended->id;
    if (!ended->host.empty()) attempt.host = HostNamed(ended->host);
    attempt.iteration = ended->iteration;
    attempt.final = ended->final;
    attempt.flaky = ended->flaky;
    attempt.replaces = ended->replaces;
    attempt.result = ended->result;
    if (attempt.host.has_value() && ended->started < start_) world_.Breaks("it is not known when an attempt began");
    world_.Check(attempt);
  } else if (const CaseCopied* copied = std::get_if<CaseCopied>(&event.what)) {
    world_.Check(AttemptCopied{copied->id, HostNamed(copied->host), HostNamed(copied->original), copied->iteration,
                               copied->attempt, copied->stage});
  } else if (const CaseProperties* late = std::get_if<CaseProperties>(&event.what)) {
    world_.Check(PropertiesCame{late->id, HostNamed(late->host), late->iteration, late->attempt, late->properties});
  } else if (const CaseSlow* slow = std::get_if<CaseSlow>(&event.what)) {
    world_.Check(
        CaseIsSlow{slow->id, HostNamed(slow->host), slow->iteration, slow->attempt, slow->elapsed, slow->expected});
  } else if (const RunFinished* finished = std::get_if<RunFinished>(&event.what)) {
    if (finished->end == RunEnd::kInternal) world_.Breaks(absl::StrCat("the loop ends: ", finished->reason));
    world_.Check(Finish{finished->end});
  }
  return absl::OkStatus();
}

}  // namespace dtest::simulation
