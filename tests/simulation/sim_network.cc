// World: the network, and what agents do to the world.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "simulation/sim_world.h"

namespace dtest::simulation {

namespace {

// Its processes go on meanwhile. Killing them may not take longer than kLossGrace after its lease, stall and all.
constexpr absl::Duration kLongestAgentStall = absl::Milliseconds(2500);

}  // namespace

void World::Transmit(uint32_t host, bool to_agent, Epoch epoch, Session::Frame frame) {
  ++outcomes_.frames;
  if (replaying_) return;
  const Network& network = scenario_.network;
  const Link& link = links_[host];
  if (clock_.now() < (to_agent ? link.cut_to_agent : link.cut_from_agent)) return;
  if (network.drop > 0 && Uniform() < network.drop) return;
  const int copies = network.twice > 0 && Uniform() < network.twice ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy) {
    absl::Duration delay = network.delay;
    if (network.jitter > absl::ZeroDuration()) delay += network.jitter * Uniform();
    clock_.After(delay, [this, host, to_agent, epoch, frame] {
      if (to_agent) {
        if (const std::shared_ptr<SimAgent> agent = links_[host].agent; agent && agent->epoch() == epoch) {
          agent->Receive(frame);
        }
      } else if (loop_ != nullptr) {
        loop_->FrameArrives(tokens_[epoch.value() - 1], frame);
      } else {
        Take(Input::kFrame, host, frame);
      }
    });
  }
}

void World::PartitionSometime(uint32_t host) {
  const Network& network = scenario_.network;
  if (network.mean_time_to_partition == absl::InfiniteDuration()) return;
  std::exponential_distribution<double> until(1), lasts(1);
  clock_.After(network.mean_time_to_partition * until(random_), [this, host, length = lasts(random_)] {
    Link& link = links_[host];
    const absl::Time end = clock_.now() + scenario_.network.mean_partition * length;
    const double ways = Uniform();
    if (ways < 0.7) link.cut_to_agent = end;
    if (ways > 0.3) link.cut_from_agent = end;
    PartitionSometime(host);
  });
}

void World::LoseHostSometime(uint32_t host) {
  if (scenario_.mean_time_to_host_loss == absl::InfiniteDuration()) return;
  std::exponential_distribution<double> until(1);
  clock_.After(scenario_.mean_time_to_host_loss * until(random_), [this, host] {
    if (links_[host].agent) HostDies(host, links_[host].agent->epoch());
    LoseHostSometime(host);
  });
}

void World::StallAgentSometime(uint32_t host) {
  if (scenario_.mean_time_to_agent_stall == absl::InfiniteDuration()) return;
  std::exponential_distribution<double> until(1), lasts(1);
  clock_.After(scenario_.mean_time_to_agent_stall * until(random_), [this, host, length = lasts(random_)] {
    if (links_[host].agent) links_[host].agent->Stall(std::min(scenario_.mean_stall * length, kLongestAgentStall));
    StallAgentSometime(host);
  });
}

void World::FromAgentHost(uint32_t host, Epoch epoch, Session::Frame frame) {
  Transmit(host, false, epoch, std::move(frame));
}

bool World::MayRunTwice(const CaseKey& key, const Place& a, const Place& b) const {
  const auto copies = copies_.find(key);
  if (copies == copies_.end() || a.attempt != b.attempt) return false;
  for (const AttemptCopied& copy : copies->second) {
    const auto runs = [&copy](const Place& p) {
      return copy.attempt == p.attempt && (copy.host.value() == p.host || copy.original.value() == p.host);
    };
    if (runs(a) && runs(b)) return true;
  }
  return false;
}

void World::CaseStarts(uint32_t host, Epoch epoch, uint32_t unit, uint32_t iteration, LeasedCase c) {
  const CaseKey key{unit, c.index, iteration};
  const Place here{host, c.attempt};
  std::vector<Place>& places = running_[key];
  if (places.size() > 1 || (places.size() == 1 && !MayRunTwice(key, here, places[0]))) {
    Broken(absl::StrCat("case ", unit, "/", c.index, " attempt ", c.attempt, " starts on host ", host,
                        " while it runs on host ", places[0].host));
  }
  places.push_back(here);
  // The slower of two copies may begin before it hears that the other has ended.
  if (MayRunTwice(key, here, here)) return;
  // Its process ended badly: it runs once more where it did not fail, to see whether it does that.
  if (scenario_.spoils > 0 && (passed_.contains({key, host}) || skipped_.contains({key, host}))) return;
  if (scenario_.check_every_step && verdicts_.contains(key) && !outcomes_.end) {
    // Only an agent that was given up may still do this.
    if (links_[host].up && links_[host].epoch == epoch)
      Broken(absl::StrCat("case ", unit, "/", c.index, " starts again after its verdict"));
  }
}

void World::CaseStops(uint32_t host, uint32_t unit, uint32_t iteration, LeasedCase c, std::optional<Outcome> said) {
  const CaseKey key{unit, c.index, iteration};
  const auto places = running_.find(key);
  std::erase(places->second, Place{host, c.attempt});
  if (places->second.empty()) running_.erase(places);
  if (said == Outcome::kPassed) passed_.insert({key, host});
  if (said == Outcome::kSkipped) skipped_.insert({key, host});
}

void World::HostDies(uint32_t host, Epoch epoch) {
  Link& link = links_[host];
  if (!link.agent || link.agent->epoch() != epoch) return;
  link.agent->Die();
  // Half of the time the link breaks audibly; else nothing is heard any more.
  if (Uniform() < 0.5 && clock_.now() >= link.cut_from_agent) AgentLeft(host, epoch);
}

void World::BatchStarts(uint32_t host, absl::Duration idle, bool begrudged) {
  uint32_t& backlog = links_[host].backlog;
  if (backlog > 0) --backlog;  // each lease is one process, where nothing crashes
  if (measure_idle && begrudged && idle > absl::ZeroDuration()) outcomes_.begrudged.push_back(idle);
}

bool World::OthersHaveBacklog(uint32_t host) const {
  if (!measure_idle) return false;
  for (uint32_t h = 0; h < links_.size(); ++h) {
    if (h != host && links_[h].backlog > 0) return true;
  }
  return false;
}

void World::AgentLeft(uint32_t host, Epoch epoch) {
  if (clock_.now() < links_[host].cut_from_agent) return;
  clock_.After(scenario_.network.delay, [this, host, epoch] {
    if (loop_ != nullptr) {
      StreamEnds(host, epoch, "link closed");
    } else if (links_[host].launched && links_[host].epoch == epoch) {
      LoseHost(host, "link closed");
    }
  });
}

}  // namespace dtest::simulation
