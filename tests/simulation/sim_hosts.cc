// World: hosts as the product's host pool knows them. Each start is a stream and an agent behind it.

#include <utility>

#include "absl/strings/str_cat.h"
#include "simulation/sim_world.h"

namespace dtest::simulation {

namespace {

constexpr absl::Duration kRefusedAfter = absl::Seconds(2);
constexpr absl::Duration kStartAgainTakes = absl::Milliseconds(300);

FleetEvent EventOf(uint32_t host, FleetEvent::Kind kind, absl::Status status = absl::OkStatus()) {
  return {HostId(host), kind, std::move(status), ""};
}

}  // namespace

void World::StartHost(uint32_t h, std::string token) {
  Link& link = links_[h];
  const SimHost& host = scenario_.hosts[h];
  if (link.stream != Stream::kNone) Broken("a host is started that has not ended");
  link.stream = Stream::kStarting;
  link.epoch = Epoch(next_epoch_++);
  link.agent.reset();  // it lives on in the clock until it notices that nobody hears it
  tokens_.push_back(token);
  const bool refused = host.joins_after == absl::InfiniteDuration() || link.lives == host.lives;
  const absl::Duration takes = refused ? kRefusedAfter : link.lives == 0 ? host.joins_after : kStartAgainTakes;
  if (!refused) ++link.lives;
  clock_.After(takes, [this, h, epoch = link.epoch, token = std::move(token), refused] {
    Link& link = links_[h];
    if (link.stream != Stream::kStarting || link.epoch != epoch) return;
    if (!refused) return StartAgent(h, token);
    link.stream = Stream::kNone;
    loop_->FleetTells(EventOf(h, FleetEvent::Kind::kFailed, absl::UnavailableError("connection refused")));
  });
}

void World::StartAgent(uint32_t h, std::string token) {
  Link& link = links_[h];
  link.stream = Stream::kOpen;
  link.backlog = 0;
  by_token_[token] = {h, link.epoch};
  loop_->FleetTells(EventOf(h, FleetEvent::Kind::kConnected));
  link.agent =
      std::make_shared<SimAgent>(&scenario_, h, link.epoch, std::move(token), &clock_, static_cast<AgentWorld*>(this));
  link.agent->Start();
}

void World::CloseHost(uint32_t h) {
  Link& link = links_[h];
  clock_.After(scenario_.network.delay, [this, h, epoch = link.epoch, agent = link.agent] {
    if (agent != nullptr && clock_.now() >= links_[h].cut_to_agent) agent->StreamEnds();
    StreamEnds(h, epoch, "");
  });
}

void World::StreamEnds(uint32_t h, Epoch epoch, const std::string& why) {
  Link& link = links_[h];
  if (link.stream == Stream::kNone || link.epoch != epoch) return;
  const bool came_up = std::exchange(link.stream, Stream::kNone) == Stream::kOpen;
  FleetEvent event = EventOf(h, came_up ? FleetEvent::Kind::kEnded : FleetEvent::Kind::kFailed,
                             why.empty() ? absl::OkStatus() : absl::UnavailableError(why));
  event.agent_ended = Uniform() < 0.5;  // it has; but that is not always known
  loop_->FleetTells(std::move(event));
}

absl::Status World::SendFrame(absl::string_view token, Session::Frame frame) {
  const auto found = by_token_.find(token);
  if (found == by_token_.end()) return absl::NotFoundError("no such peer is connected");
  Transmit(found->second.first, true, found->second.second, std::move(frame));
  return absl::OkStatus();
}

void World::IsTold(uint32_t h, const ToAgent& message) {
  outcomes_.recalls += std::holds_alternative<Recall>(message);
  const Lease* lease = std::get_if<Lease>(&message);
  if (lease == nullptr) return;
  if (!links_[h].up) Broken(absl::StrCat("a lease goes to host ", h, ", which is not up"));
  IsLeased(h, *lease);
}

void World::IsLeased(uint32_t h, const Lease& lease) {
  Link& link = links_[h];
  ++outcomes_.leases;
  ++link.backlog;
  CheckGroups(lease);
  CheckOrder(lease);
  if (link.agent != nullptr) link.agent->IsLeased(lease);
}

void World::HasSaid(uint32_t h, const FromAgent& message) {
  if (!std::holds_alternative<Released>(message)) return;
  ++outcomes_.released;
  if (links_[h].backlog > 0) --links_[h].backlog;
}

void World::HostIs(uint32_t h, bool up) {
  links_[h].up = up;
  outcomes_.hosts_lost += !up;
}

}  // namespace dtest::simulation
