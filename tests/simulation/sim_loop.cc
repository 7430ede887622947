#include "simulation/sim_loop.h"

#include <array>
#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"

namespace dtest::simulation {

namespace {

// A loop that looks so often without any time passing would burn a processor.
constexpr uint64_t kMostTurnsAtOnce = 10000;

RunLoop::Options LoopOptions(const Scenario& scenario, const std::vector<Bundle::Unit>& units) {
  RunLoop::Options options;
  options.scheduler = scenario.scheduler;
  options.settings.processes = scenario.scheduler.processes;
  options.settings.case_timeout = scenario.case_timeout;
  options.settings.list_timeout = scenario.list_timeout;
  options.settings.kill_grace = scenario.kill_grace;
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

std::string CaseName(const SimCase& c, size_t index) {
  return absl::StrCat("S", c.suite, c.selected ? ".C" : ".X", index);
}

CaseInfos CasesOf(const SimUnit& unit) {
  CaseInfos cases;
  for (size_t k = 0; k < unit.cases.size(); ++k) {
    const std::string name = CaseName(unit.cases[k], k), suite = absl::StrCat("S", unit.cases[k].suite);
    cases.Add({.name = name, .suite = suite});
  }
  return cases;
}

SimLoop::SimLoop(const Scenario* scenario, SimClock* clock, LoopWorld* world)
    : scenario_(*scenario), clock_(*clock), world_(*world), start_(clock->now()), up_(scenario->hosts.size()) {
  MakeUnits();
  sinks_.Add("checks", this);
  loop_.emplace(LoopOptions(scenario_, units_), HostSpecs(scenario_), *Selection::Make({"-*.X*"}),
                RunLoop::Surroundings{&sinks_, nullptr, nullptr, this, this, [this] { return clock_.now(); }});
}

void SimLoop::MakeUnits() {
  for (size_t e = 0; e < scenario_.units.size(); ++e) {
    const SimUnit& x = scenario_.units[e];
    Unit& unit = units_.emplace_back();
    unit.name = absl::StrCat("unit", e);
    UnitSpec& spec = unit.shipped.emplace();
    spec.id = UnitId(static_cast<uint32_t>(e));
    spec.name = unit.name;
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

void SimLoop::Run() {
  PlanSignals();
  loop_->Run(this);
}

// ---- What the world does

void SimLoop::Wake() {
  woken_ = true;
  if (read_clock_ != nullptr) (*read_clock_)();
}

void SimLoop::HostIsUp(uint32_t host, const Hello& hello) {
  Wake();
  up_[host] = true;
  loop_->HostIsUp(HostId(host), hello);
}

void SimLoop::HostSays(uint32_t host, FromAgent message) {
  Wake();
  loop_->HostSays(HostId(host), std::move(message));
}

void SimLoop::HostIsDown(uint32_t host, const std::string& reason) {
  Wake();
  const bool was_up = up_[host];
  up_[host] = false;
  loop_->HostIsDown(HostId(host), was_up, absl::UnavailableError(reason), /*may_return=*/false);
}

// ---- Hosts

absl::Status SimLoop::Turn(const std::function<absl::Time()>& clock, absl::Time deadline) {
  if (scenario_.check_every_step) loop_->scheduler().CheckInvariants();
  turns_at_once_ = clock_.now() == last_turn_ ? turns_at_once_ + 1 : 0;
  last_turn_ = clock_.now();
  if (turns_at_once_ > kMostTurnsAtOnce) world_.Breaks("the loop turns without end at one moment");
  read_clock_ = &clock;
  world_.TurnLinks();
  woken_ = false;
  while (!woken_ && !world_.IsBroken()) {
    if (clock_.next() > deadline) {
      clock_.Skip(std::max(deadline, clock_.now()));
      break;
    }
    if (!clock_.Step()) world_.Breaks("nothing is left to happen, and the run has not ended");
    if (clock_.now() - start_ > scenario_.must_end_within) world_.Breaks("the run does not end");
  }
  clock();
  read_clock_ = nullptr;
  return world_.IsBroken() ? absl::InternalError("broken") : absl::OkStatus();
}

void SimLoop::Send(absl::Time, HostId host, ToAgent message) {
  if (up_[host.value()]) world_.SendToHost(host.value(), std::move(message));
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
  for (uint32_t h = 0; h < up_.size(); ++h) {
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
    attempt.result = ended->result;
    if (attempt.host.has_value() && ended->started < start_) world_.Breaks("it is not known when an attempt began");
    world_.Check(attempt);
  } else if (const CaseCopied* copied = std::get_if<CaseCopied>(&event.what)) {
    world_.Check(AttemptCopied{copied->id, HostNamed(copied->host), HostNamed(copied->original), copied->iteration,
                               copied->attempt, copied->stage});
  } else if (const CaseProperties* late = std::get_if<CaseProperties>(&event.what)) {
    world_.Check(PropertiesCame{late->id, HostNamed(late->host), late->iteration, late->attempt, late->properties});
  } else if (const RunFinished* finished = std::get_if<RunFinished>(&event.what)) {
    if (finished->end == RunEnd::kInternal) world_.Breaks(absl::StrCat("the loop ends: ", finished->reason));
    world_.Check(Finish{finished->end});
  }
  return absl::OkStatus();
}

}  // namespace dtest::simulation
