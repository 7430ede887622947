#include "coordinator/run/welcomer.h"

#include <algorithm>
#include <utility>

namespace dtest {

Welcomer::Welcomer(Options options, std::vector<HostSpec> hosts)
    : options_(std::move(options)), hosts_(std::move(hosts)), slots_(hosts_.size()) {}

Welcome Welcomer::Greet(HostId id, const Hello& hello) {
  const HostSpec& spec = hosts_[id.value()];
  uint32_t& slots = slots_[id.value()];
  slots = spec.slots ? *spec.slots : options_.jobs ? *options_.jobs : std::max(1u, hello.cores);
  const bool in_place = spec.kind == HostSpec::Kind::kLocal;
  Welcome welcome;
  welcome.settings = options_.settings;
  welcome.settings.host_name = spec.name;
  welcome.settings.slots = slots;
  welcome.settings.working_directory = in_place ? options_.working_directory : std::string();
  welcome.heartbeat_interval = options_.heartbeat_interval;
  welcome.lease_timeout = options_.host_timeout;
  welcome.worker_base = workers_assigned_;
  workers_assigned_ += slots;
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
