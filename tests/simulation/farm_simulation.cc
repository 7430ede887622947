// farm_simulation HOSTS SLOTS CASES [--known]: a large healthy farm in virtual time, with the real scheduler, agent
// cores and codec. Prints how long the run took compared with what is possible at best, and what the coordinator paid
// for it.
//
// Durations are heavy-tailed: lognormal with a median of 2 s, cut at 100 s, in units of 100 cases (each agent
// keeps the names of all cases of the units that it runs any of: of large units a thousand agents need 50 GB). With
// --known (and by default) history knows them within 20 %; with --unknown it knows nothing.
//
// The lower bound is max(sum of durations / slots, longest case). The coordinator's processor time is that of decoding
// what agents say, the scheduler, and encoding the answers. It is measured by playing all that reached the coordinator
// to a second one: a coordinator does not share its processor's caches with a thousand agents, nor check what the
// simulation checks. Memory is what the scheduler had allocated at its peak, its actions included.
//
// farm_simulation steal_latency [ROUND_TRIP_MS]: eight hosts with four slots, and cases of which some take 30 times
// what history says on a host, so that queues stand still behind them. Prints for how long slots stood idle that had
// run dry while leases waited on another host: the median, as a part of the round trip.
//
// Exit status 1 if the run is not complete, or a ratio is so bad that the scheduler must be broken (timings decide
// nothing).

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "simulation/sim_world.h"

namespace {

// Every block says whether the scheduler allocated it, so that it is counted back wherever it is freed.
bool in_scheduler = false;
uint64_t live = 0, peak = 0;
constexpr size_t kHeader = 16;
struct Header {
  uint64_t size;
  uint64_t counted;
};
static_assert(sizeof(Header) == kHeader);

}  // namespace

void* operator new(size_t size) {
  auto* header = static_cast<Header*>(std::malloc(size + kHeader));
  if (header == nullptr) std::abort();
  *header = {size, in_scheduler};
  if (in_scheduler) {
    live += size;
    peak = std::max(peak, live);
  }
  return header + 1;
}
// Sanitizers do not route this one through the other.
void* operator new(size_t size, const std::nothrow_t&) noexcept { return operator new(size); }
void operator delete(void* block) noexcept {
  if (block == nullptr) return;
  Header* header = static_cast<Header*>(block) - 1;
  if (header->counted != 0) live -= header->size;
  std::free(header);
}
void operator delete(void* block, size_t) noexcept { operator delete(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { operator delete(block); }

namespace {

int StealLatency(double round_trip) {
  using namespace dtest;
  using namespace dtest::simulation;
  std::vector<double> idle;
  uint64_t recalls = 0, released = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Scenario s;
    s.seed = seed;
    s.median_seconds = 0.3;
    s.sigma = 0.8;
    s.longest_seconds = 5;
    s.check_every_step = s.check_agents = false;
    s.network.delay = absl::Seconds(round_trip / 2);
    s.scheduler.hosts = 8;
    s.policy.processes = Processes::kCase;
    s.hosts.assign(8, SimHost());
    for (SimHost& host : s.hosts) host.slots = 4;
    SimUnit x;
    x.cached_listing = true;
    x.startup = absl::Milliseconds(3);
    x.cases.resize(1000);
    s.units = {x};
    s.stalls = 0.02;  // what history does not know of: nobody's estimate holds
    for (uint32_t k = 0; k < 1000; ++k) s.units[0].cases[k].expected = s.DurationOf(0, k);
    World world(&s);
    world.measure_idle = true;
    const Outcomes outcomes = world.Run();
    if (!outcomes.broken.empty() || outcomes.end != RunEnd::kCompleted) return 1;
    for (absl::Duration waited : outcomes.begrudged) idle.push_back(absl::ToDoubleSeconds(waited));
    recalls += outcomes.recalls;
    released += outcomes.released;
  }
  std::sort(idle.begin(), idle.end());
  std::printf("steal_latency: round trip %.0f ms, %llu recalls, %llu released, %zu slots ran dry beside a backlog\n",
              round_trip * 1e3, (unsigned long long)recalls, (unsigned long long)released, idle.size());
  if (idle.empty()) return 0;
  std::printf("idle, in round trips: median %.2f, nine of ten %.2f, longest %.2f\n", idle[idle.size() / 2] / round_trip,
              idle[idle.size() * 9 / 10] / round_trip, idle.back() / round_trip);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace dtest;
  using namespace dtest::simulation;
  if (argc >= 2 && std::strcmp(argv[1], "steal_latency") == 0) {
    return StealLatency(argc > 2 ? std::atof(argv[2]) / 1e3 : 0.02);
  }
  if (argc < 4) {
    std::fprintf(stderr, "usage: %s HOSTS SLOTS CASES [--unknown] [--process]\n", argv[0]);
    return 2;
  }
  const uint32_t hosts = std::atoi(argv[1]), slots = std::atoi(argv[2]), cases = std::atoi(argv[3]);
  bool known = true, process = false;
  for (int k = 4; k < argc; ++k) {
    if (std::strcmp(argv[k], "--unknown") == 0) known = false;
    if (std::strcmp(argv[k], "--process") == 0) process = true;
  }
  if (hosts == 0 || slots == 0 || cases == 0) {
    std::fprintf(stderr, "%s: HOSTS, SLOTS and CASES must be positive numbers\n", argv[0]);
    return 2;
  }

  Scenario s;
  s.seed = 1;
  s.median_seconds = 2;
  s.sigma = 1.2;
  s.longest_seconds = 100;
  s.policy.time_limit = absl::InfiniteDuration();
  s.check_every_step = s.check_agents = false;
  s.network.delay = absl::Milliseconds(1);
  s.heartbeat_interval = absl::Seconds(5);
  s.lease_timeout = absl::Seconds(60);
  s.scheduler.hosts = hosts;
  s.policy.processes = process ? Processes::kCase : Processes::kBatch;
  s.hosts.assign(hosts, SimHost());
  for (uint32_t h = 0; h < hosts; ++h) {
    s.hosts[h].slots = slots;
    s.hosts[h].joins_after = absl::Milliseconds(h % 50);
  }
  double work = 0, longest = 0;
  for (uint32_t left = cases; left > 0;) {
    SimUnit x;
    x.cached_listing = true;
    x.startup = absl::Milliseconds(3);
    x.cases.resize(std::min(left, 100u));
    left -= x.cases.size();
    const uint32_t e = s.units.size();
    for (uint32_t k = 0; k < x.cases.size(); ++k) {
      const absl::Duration takes = s.DurationOf(e, k);
      // Within 20 %, by a hash of the case.
      if (known) x.cases[k].expected = takes * (0.8 + 0.4 * ((k * 2654435761u >> 8) % 1000) / 1000);
      x.cases[k].suite = k / 20;
      work += absl::ToDoubleSeconds(takes);
      longest = std::max(longest, absl::ToDoubleSeconds(takes));
    }
    s.units.push_back(std::move(x));
  }
  const double bound = std::max(work / (double(hosts) * slots), longest);

  std::vector<World::Input> record;
  Outcomes outcomes;
  {
    World world(&s);
    world.record = &record;
    outcomes = world.Run();
  }
  if (!outcomes.broken.empty() || outcomes.end != RunEnd::kCompleted) {
    std::fprintf(stderr, "the run is broken: %s\n", outcomes.broken.c_str());
    return 1;
  }
  Outcomes replayed;
  {
    World world(&s);
    world.scheduler_scope = [](bool inside) { in_scheduler = inside; };
    replayed = world.Replay(record);
  }
  if (replayed.end != outcomes.end || replayed.attempts != outcomes.attempts || replayed.leases != outcomes.leases) {
    std::fprintf(stderr, "the coordinator decided otherwise when it was measured\n");
    return 1;
  }
  const double makespan = absl::ToDoubleSeconds(outcomes.makespan);
  std::printf("%u hosts x %u slots, %u cases, %s, %s\n", hosts, slots, cases, known ? "history" : "no history",
              process ? "a process each" : "batches");
  std::printf("makespan / lower bound    %.4f  (%.2f s / %.2f s, longest case %.1f s)\n", makespan / bound, makespan,
              bound, longest);
  std::printf("coordinator CPU per case  %.2f us  (scheduler alone %.2f us)\n",
              replayed.coordinator_seconds / cases * 1e6, replayed.scheduler_seconds / cases * 1e6);
  std::printf("peak memory per case      %.0f bytes\n", double(peak) / cases);
  std::printf("leases %llu, recalls %llu, released %llu, frames %llu, simulated events %llu\n",
              (unsigned long long)outcomes.leases, (unsigned long long)outcomes.recalls,
              (unsigned long long)outcomes.released, (unsigned long long)outcomes.frames,
              (unsigned long long)outcomes.events);
  return makespan > 2 * bound ? 1 : 0;
}
