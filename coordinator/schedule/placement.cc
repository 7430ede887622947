#include "coordinator/schedule/placement.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace dtest::schedule {

namespace {

constexpr double kBytesPerSecond = 50e6;  // of a link, assumed: half a gigabit, and compression makes up for sharing it
constexpr double kShipRoundTrips = 0.05;  // seconds for asking, verifying and linking into place
constexpr size_t kMostReasons = 10;

}  // namespace

Placement::Host& Placement::At(uint32_t h) {
  if (h >= hosts_.size()) hosts_.resize(h + 1);
  return hosts_[h];
}

void Placement::AddUnit(uint32_t unit, uint64_t bytes) {
  if (unit >= units_.size()) units_.resize(unit + 1);
  units_[unit].bytes = bytes;
}

Hold Placement::hold(uint32_t h, uint32_t unit) const {
  if (h >= hosts_.size() || unit >= hosts_[h].holds.size()) return Hold::kNone;
  return hosts_[h].holds[unit];
}

bool Placement::Has(uint32_t h, uint32_t unit) const {
  const Hold hold = this->hold(h, unit);
  return hold == Hold::kRequested || hold == Hold::kReady || (hold == Hold::kNone && units_[unit].bytes == 0);
}

bool Placement::IsOnlyHolder(uint32_t h, uint32_t unit) const {
  const Hold hold = this->hold(h, unit);
  return (hold == Hold::kRequested || hold == Hold::kReady) && !hosts_[h].retired &&
         units_[unit].holder_slots == hosts_[h].slots;
}

bool Placement::Ready(uint32_t h, uint32_t unit) const {
  return units_[unit].bytes == 0 || hold(h, unit) == Hold::kReady;
}

void Placement::Request(uint32_t h, uint32_t unit, uint32_t slots) {
  Host& host = At(h);
  if (hold(h, unit) != Hold::kNone || host.retired) return;
  if (unit >= host.holds.size()) host.holds.resize(units_.size());
  host.holds[unit] = Hold::kRequested;
  host.held.push_back(unit);
  host.slots = slots;
  units_[unit].holder_slots += slots;
}

void Placement::SetReady(uint32_t h, uint32_t unit) {
  if (hold(h, unit) == Hold::kRequested) At(h).holds[unit] = Hold::kReady;
}

void Placement::SetUnfit(uint32_t h, uint32_t unit, const std::string& host_name, const std::string& reason) {
  Host& host = At(h);
  const Hold before = hold(h, unit);
  Unit& e = units_[unit];
  if (before == Hold::kUnfit) return;
  if (unit >= host.holds.size()) host.holds.resize(units_.size());
  host.holds[unit] = Hold::kUnfit;
  if (before != Hold::kNone) {
    host.held.erase(std::remove(host.held.begin(), host.held.end(), unit), host.held.end());
    if (!host.retired) e.holder_slots -= host.slots;
  }
  if (!host.retired) ++e.unfit;
  e.reasons.emplace_back(host_name, reason);
}

void Placement::Retire(uint32_t h) {
  Host& host = At(h);
  if (host.retired) return;
  host.retired = true;
  for (uint32_t unit : host.held) units_[unit].holder_slots -= host.slots;
  for (uint32_t unit = 0; unit < host.holds.size(); ++unit) {
    if (host.holds[unit] == Hold::kUnfit) --units_[unit].unfit;
  }
}

void Placement::Forget(uint32_t h) {
  Retire(h);
  hosts_[h] = Host();
}

const std::vector<uint32_t>& Placement::held(uint32_t h) const {
  static const std::vector<uint32_t> kNothing;
  return h < hosts_.size() ? hosts_[h].held : kNothing;
}

std::string Placement::Reasons(uint32_t unit) const {
  const auto& reasons = units_[unit].reasons;
  std::string text;
  for (size_t k = 0; k < std::min(reasons.size(), kMostReasons); ++k) {
    absl::StrAppend(&text, k > 0 ? "; " : "", reasons[k].first, ": ", reasons[k].second);
  }
  if (reasons.size() > kMostReasons) absl::StrAppend(&text, "; and ", reasons.size() - kMostReasons, " more hosts");
  return text;
}

double Placement::ShipSeconds(uint32_t unit) const {
  const uint64_t bytes = units_[unit].bytes;
  return bytes == 0 ? 0 : kShipRoundTrips + bytes / kBytesPerSecond;
}

}  // namespace dtest::schedule
