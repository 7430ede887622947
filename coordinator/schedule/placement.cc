#include "coordinator/schedule/placement.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace dtest::schedule {

namespace {

constexpr double kBytesPerSecond = 50e6;  // of a link, assumed: half a gigabit, and compression makes up for sharing it
constexpr absl::Duration kShipRoundTrips = absl::Milliseconds(50);  // for asking, verifying and linking into place
constexpr size_t kMostReasons = 10;

}  // namespace

Placement::Host& Placement::At(HostId h) {
  hosts_.GrowTo(h);
  return hosts_[h];
}

void Placement::AddUnit(UnitId unit, uint64_t bytes) {
  units_.GrowTo(unit);
  units_[unit].known = true;
  units_[unit].bytes = bytes;
}

Hold Placement::hold(HostId h, UnitId unit) const {
  if (!hosts_.contains(h) || !hosts_[h].holds.contains(unit)) return Hold::kNone;
  return hosts_[h].holds[unit];
}

bool Placement::Has(HostId h, UnitId unit) const {
  const Hold hold = this->hold(h, unit);
  return hold == Hold::kRequested || hold == Hold::kReady || (hold == Hold::kNone && units_[unit].bytes == 0);
}

bool Placement::IsOnlyHolder(HostId h, UnitId unit) const {
  const Hold hold = this->hold(h, unit);
  return (hold == Hold::kRequested || hold == Hold::kReady) && !hosts_[h].retired &&
         units_[unit].holder_slots == hosts_[h].slots;
}

bool Placement::Ready(HostId h, UnitId unit) const { return units_[unit].bytes == 0 || hold(h, unit) == Hold::kReady; }

void Placement::Request(HostId h, UnitId unit, uint32_t slots) {
  Host& host = At(h);
  if (hold(h, unit) != Hold::kNone || host.retired) return;
  if (!host.holds.contains(unit)) host.holds.resize(units_.size());
  host.holds[unit] = Hold::kRequested;
  host.held.push_back(unit);
  host.slots = slots;
  units_[unit].holder_slots += slots;
}

void Placement::SetReady(HostId h, UnitId unit) {
  if (hold(h, unit) == Hold::kRequested) At(h).holds[unit] = Hold::kReady;
}

void Placement::SetUnfit(HostId h, UnitId unit, const std::string& host_name, const std::string& reason) {
  Host& host = At(h);
  const Hold before = hold(h, unit);
  Unit& e = units_[unit];
  if (before == Hold::kUnfit) return;
  if (!host.holds.contains(unit)) host.holds.resize(units_.size());
  host.holds[unit] = Hold::kUnfit;
  if (before != Hold::kNone) {
    host.held.erase(std::remove(host.held.begin(), host.held.end(), unit), host.held.end());
    if (!host.retired) e.holder_slots -= host.slots;
  }
  if (!host.retired) ++e.unfit;
  e.reasons.emplace_back(host_name, reason);
}

void Placement::Retire(HostId h) {
  Host& host = At(h);
  if (host.retired) return;
  host.retired = true;
  for (UnitId unit : host.held) units_[unit].holder_slots -= host.slots;
  for (UnitId unit : host.holds.ids()) {
    if (host.holds[unit] == Hold::kUnfit) --units_[unit].unfit;
  }
}

void Placement::Forget(HostId h) {
  Retire(h);
  hosts_[h] = Host();
}

const std::vector<UnitId>& Placement::held(HostId h) const {
  static const std::vector<UnitId> kNothing;
  return hosts_.contains(h) ? hosts_[h].held : kNothing;
}

std::string Placement::Reasons(UnitId unit) const {
  const auto& reasons = units_[unit].reasons;
  std::string text;
  for (size_t k = 0; k < std::min(reasons.size(), kMostReasons); ++k) {
    absl::StrAppend(&text, k > 0 ? "; " : "", reasons[k].first, ": ", reasons[k].second);
  }
  if (reasons.size() > kMostReasons) absl::StrAppend(&text, "; and ", reasons.size() - kMostReasons, " more hosts");
  return text;
}

absl::Duration Placement::ShipTime(UnitId unit) const {
  const uint64_t bytes = units_[unit].bytes;
  return bytes == 0 ? absl::ZeroDuration() : kShipRoundTrips + absl::Seconds(bytes / kBytesPerSecond);
}

}  // namespace dtest::schedule
