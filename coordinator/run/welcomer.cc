#include "coordinator/run/welcomer.h"

#include <algorithm>
#include <utility>

namespace dtest {

Welcomer::Welcomer(Options options, std::vector<HostSpec> hosts)
    : options_(std::move(options)), hosts_(std::move(hosts)), slots_(hosts_.size()), bases_(hosts_.size()) {}

Welcome Welcomer::Greet(HostId id, const Hello& hello) {
  const HostSpec& spec = hosts_[id.value()];
  uint32_t& slots = slots_[id.value()];
  if (slots == 0) {
    slots = spec.slots ? *spec.slots : options_.jobs ? *options_.jobs : std::max(1u, hello.cores);
    bases_[id.value()] = workers_assigned_;
    workers_assigned_ += slots;
  }
  return WelcomeOf(id, spec.kind == HostSpec::Kind::kLocal ? absl::InfiniteDuration() : options_.host_timeout);
}

std::optional<Welcome> Welcomer::WithLease(HostId id, absl::Duration lease_timeout) const {
  if (slots_[id.value()] == 0 || hosts_[id.value()].kind == HostSpec::Kind::kLocal) return std::nullopt;
  return WelcomeOf(id, lease_timeout);
}

Welcome Welcomer::WelcomeOf(HostId id, absl::Duration lease_timeout) const {
  const HostSpec& spec = hosts_[id.value()];
  const bool in_place = spec.kind == HostSpec::Kind::kLocal;
  Welcome welcome;
  welcome.settings = options_.settings;
  welcome.settings.host_name = spec.name;
  welcome.settings.slots = slots_[id.value()];
  if (in_place) welcome.settings.environment = options_.environment_here;
  welcome.settings.working_directory = in_place ? options_.working_directory : std::string();
  welcome.heartbeat_interval = options_.heartbeat_interval;
  welcome.lease_timeout = lease_timeout;
  welcome.worker_base = bases_[id.value()];
  welcome.worker_count = KnownSlots();
  if (spec.kind == HostSpec::Kind::kSsh && options_.peer_keys.has_value()) {
    welcome.peer_public_key = options_.peer_keys->public_key;
    welcome.peer_secret_key = options_.peer_keys->secret_key;
  }
  return welcome;
}

uint32_t Welcomer::KnownSlots() const {
  uint32_t slots = 0;
  for (size_t i = 0; i < hosts_.size(); ++i) {
    slots += slots_[i] != 0 ? slots_[i] : hosts_[i].slots.value_or(options_.jobs.value_or(0));
  }
  return slots;
}

}  // namespace dtest
