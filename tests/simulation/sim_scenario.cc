#include "simulation/sim_scenario.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace dtest::simulation {

namespace {

// SplitMix64: a good hash of small numbers.
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}
uint64_t Mix(uint64_t a, uint64_t b, uint64_t c, uint64_t d) { return Mix(Mix(Mix(Mix(a) ^ b) ^ c) ^ d); }
double Unit(uint64_t bits) { return (bits >> 11) * 0x1.0p-53; }

}  // namespace

CasePolicy Scenario::PolicyOf(uint32_t which) const {
  CasePolicy all = policy;
  if (which == 0) return all;
  const CasePolicy& needed = needs[which - 1];
  all.locks = needed.locks;
  all.exclusive = needed.exclusive;
  all.slots = needed.slots;
  all.tags = needed.tags;
  return all;
}

Fate Scenario::FateOf(uint32_t unit, uint32_t index, uint32_t execution) const {
  // Half of what goes wrong is the case's own nature, half of it chance.
  const uint64_t steady = Mix(seed, unit, index, 1);
  const uint64_t chance = Mix(seed, unit, index, 1000 + execution);
  const bool always = Unit(steady) < bad / 2;
  if (!always && Unit(chance) >= bad / 2) {
    return Unit(Mix(seed, unit, index, 4)) < spoils ? Fate::kSpoil : Fate::kPass;
  }
  const uint64_t kind = Mix(always ? steady : chance);
  if (Unit(kind) < kills_host) return Fate::kKillHost;
  constexpr Fate kFates[] = {Fate::kFail,  Fate::kFail, Fate::kFail, Fate::kSkip,
                             Fate::kCrash, Fate::kExit, Fate::kHang, Fate::kStubborn};
  return kFates[Mix(kind) % std::size(kFates)];
}

absl::Duration Scenario::DurationOf(uint32_t unit, uint32_t index) const {
  // Box and Muller, from two hashes.
  const double u = std::max(Unit(Mix(seed, unit, index, 2)), 1e-12), v = Unit(Mix(seed, unit, index, 3));
  const double normal = std::sqrt(-2 * std::log(u)) * std::cos(2 * M_PI * v);
  return absl::Seconds(std::min(longest_seconds, median_seconds * std::exp(sigma * normal)));
}

absl::Duration Scenario::DurationOn(uint32_t host, uint32_t unit, uint32_t index) const {
  const bool stalls_here = stalls > 0 && Unit(Mix(seed, unit, index, 500 + host)) < stalls;
  return DurationOf(unit, index) / hosts[host].speed * (stalls_here ? 30 : 1);
}

HostLoad Scenario::LoadOf(uint32_t host, absl::Time now) const {
  const uint64_t mood = Mix(seed, host, static_cast<uint64_t>(absl::ToUnixSeconds(now) / 2), 7);
  HostLoad load;
  load.processors = hosts[host].slots;
  load.runnable = mood % 4 * load.processors;
  load.memory_stall = (mood >> 8) % 8 == 0 ? 0.5 : 0;
  load.rivals = (mood >> 16) % 3;
  load.rival_tests = load.rivals * ((mood >> 24) % 4);
  return load;
}

std::string CaseName(const SimCase& c, size_t index) {
  return absl::StrCat("S", c.suite, c.selected ? ".C" : ".X", index, c.needs > 0 ? absl::StrCat("n", c.needs) : "");
}

CaseInfos CasesOf(const SimUnit& unit) {
  CaseInfos cases;
  for (size_t k = 0; k < unit.cases.size(); ++k) {
    const std::string name = CaseName(unit.cases[k], k), suite = absl::StrCat("S", unit.cases[k].suite);
    const std::string group = unit.cases[k].group > 0 ? absl::StrCat("G", unit.cases[k].group) : "";
    cases.Add({.name = name, .suite = suite, .group = group});
  }
  return cases;
}

Scenario RandomScenario(uint64_t seed) {
  std::mt19937_64 random(Mix(seed));
  const auto below = [&](uint64_t n) { return random() % n; };
  const auto unit = [&] { return Unit(random()); };
  const auto one_in = [&](uint64_t n) { return below(n) == 0; };

  Scenario s;
  s.seed = seed;
  s.median_seconds = std::pow(10, -4 + 4 * unit());
  s.sigma = one_in(4) ? 0 : 1.5 * unit();
  s.bad = one_in(3) ? 0 : 0.2 * unit();
  s.spoils = one_in(3) ? 0.1 * unit() : 0;
  s.kills_host = one_in(4) ? 0.2 * unit() : 0;
  if (!one_in(3)) {
    s.network.drop = 0.15 * unit();
    s.network.twice = 0.15 * unit();
    s.network.jitter = absl::Seconds(0.3 * unit() * unit());
  }
  s.network.delay = absl::Seconds(std::pow(10, -4 + 3 * unit()));
  if (one_in(3)) {
    s.network.mean_time_to_partition = absl::Seconds(5 + 60 * unit());
    s.network.mean_partition = absl::Seconds(40 * unit());
  }
  if (one_in(3)) s.mean_time_to_host_loss = absl::Seconds(10 + 90 * unit());

  SchedulerOptions& options = s.scheduler;
  s.policy.processes = one_in(4) ? Processes::kCase : Processes::kBatch;
  s.policy.retries = below(3);
  options.repeat = one_in(4) ? 1 + below(3) : 1;
  if (one_in(6)) options.max_fail = 1 + below(3);
  if (one_in(5)) options.shuffle = seed;
  if (one_in(8)) options.run_timeout = absl::Seconds(60 * unit());
  if (one_in(6)) {
    s.stop_after = absl::Seconds(40 * unit());
    if (one_in(2)) s.force_after = s.stop_after + absl::Seconds(10 * unit());
  }

  const uint64_t units = one_in(20) ? 0 : 1 + below(6);
  for (uint64_t e = 0; e < units; ++e) {
    SimUnit x;
    x.bytes = one_in(2) ? 0 : below(500 << 20);
    x.cached_listing = one_in(3);
    if (!x.cached_listing && one_in(8)) x.listing = static_cast<ListingFate>(1 + below(3));
    x.added_after = absl::Seconds(3 * unit() * unit());
    x.listing_takes = absl::Seconds(0.2 * unit());
    x.startup = absl::Seconds(0.001 + 0.05 * unit());
    x.keeps_much = one_in(2);
    if (x.keeps_much && one_in(2)) x.suite_setup = absl::Seconds(3 * unit() * unit());
    x.suite_setup_known = one_in(3);
    for (uint64_t before = 0; before < units; ++before) {
      // Seldom in a circle.
      if (one_in(before < e ? 6 : 60)) x.after.push_back({UnitId(static_cast<uint32_t>(before)), one_in(2), "another"});
    }
    const uint64_t cases = x.listing == ListingFate::kNothing ? 0 : below(60);
    const bool history = one_in(2);
    const uint64_t groups = one_in(3) ? 1 + below(6) : 0, ungrouped = 1 + below(4);
    for (uint64_t k = 0; k < cases; ++k) {
      SimCase c;
      c.selected = !one_in(10);
      c.suite = static_cast<uint32_t>(k / 7);
      if (groups > 0 && !one_in(ungrouped + 1)) c.group = static_cast<uint32_t>(1 + below(groups));
      if (history && !one_in(5)) {
        c.expected = s.DurationOf(static_cast<uint32_t>(e), static_cast<uint32_t>(k)) * (0.5 + unit());
      }
      x.cases.push_back(c);
    }
    s.units.push_back(x);
  }

  const uint64_t hosts = 1 + below(7);
  options.hosts = static_cast<uint32_t>(hosts);
  for (uint64_t h = 0; h < hosts; ++h) {
    SimHost host;
    host.slots = 1 + below(5);
    host.speed = one_in(3) ? 0.3 + 2 * unit() : 1;
    host.joins_after = one_in(10) ? absl::InfiniteDuration() : absl::Seconds(4 * unit() * unit());
    host.lives = 1 + below(8);
    host.fills_up = one_in(12);
    for (uint64_t e = 0; e < units; ++e) {
      host.unfit.push_back(one_in(15));
      host.cannot_spawn.push_back(one_in(30));
    }
    options.host_names.push_back("host" + std::to_string(h));
    s.hosts.push_back(host);
  }
  options.speculate = one_in(2);
  if (one_in(2)) s.stalls = 0.2 * unit();
  s.properties = one_in(2);
  if (one_in(3)) {
    s.mean_time_to_agent_stall = absl::Seconds(5 + 60 * unit());
    s.mean_stall = absl::Seconds(30 * unit() * unit());
  }
  if (one_in(4)) {
    s.mean_time_to_stall = absl::Seconds(10 + 60 * unit());
    s.mean_stall = absl::Seconds(40 * unit() * unit());
  }
  if (one_in(3)) {
    s.policy.retry_delay = absl::Seconds(5 * unit());
    s.policy.most_retry_delay = s.policy.retry_delay * (1 + 3 * unit());
  }
  if (one_in(4)) options.retry_budget = {static_cast<uint32_t>(below(8)), one_in(2)};
  s.policy.flaky_fails = one_in(4);
  s.policy.slow_after = absl::Seconds(10 * unit());
  s.adapts = seed / 16 % 4 == 1;
  if (seed % 16 == 7) {
    options.stress = StressLimits{absl::Seconds(8 * unit()), static_cast<uint32_t>(1 + below(6))};
    options.repeat = 1;
    options.speculate = false;
    s.policy.retries = 0;
  }
  if (one_in(2)) return s;

  // Cases that need more than a slot of any host; sometimes more than there is.
  std::vector<CaseLock> locks;
  for (const char* name : {"a", "b", "c"}) {
    locks.push_back({name, static_cast<uint32_t>(1 + below(2)), one_in(2) ? LockScope::kFarm : LockScope::kHost});
  }
  const uint64_t kinds = 1 + below(4);
  for (uint64_t kind = 0; kind < kinds; ++kind) {
    CasePolicy needed;
    for (const CaseLock& lock : locks) {
      if (one_in(3)) needed.locks.push_back(lock);
    }
    needed.exclusive = one_in(5);
    if (one_in(3)) needed.slots = 1 + below(5);
    if (one_in(5)) needed.tags = {"gpu"};
    if (one_in(5)) needed.same_host = "there";
    s.needs.push_back(needed);
  }
  for (uint64_t h = 0; h < hosts; ++h) {
    options.host_tags.emplace_back();
    if (one_in(2)) options.host_tags.back() = {"avx", "gpu"};
  }
  const double share = 0.6 * unit();
  for (SimUnit& x : s.units) {
    for (SimCase& c : x.cases) {
      if (unit() < share) c.needs = 1 + below(kinds);
    }
  }
  return s;
}

}  // namespace dtest::simulation
