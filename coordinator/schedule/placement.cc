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

void Placement::AddExecutable(uint32_t executable, uint64_t bytes) {
  if (executable >= executables_.size()) executables_.resize(executable + 1);
  executables_[executable].bytes = bytes;
}

Hold Placement::hold(uint32_t h, uint32_t executable) const {
  if (h >= hosts_.size() || executable >= hosts_[h].holds.size()) return Hold::kNone;
  return hosts_[h].holds[executable];
}

bool Placement::Has(uint32_t h, uint32_t executable) const {
  const Hold hold = this->hold(h, executable);
  return hold == Hold::kRequested || hold == Hold::kReady ||
         (hold == Hold::kNone && executables_[executable].bytes == 0);
}

bool Placement::IsOnlyHolder(uint32_t h, uint32_t executable) const {
  const Hold hold = this->hold(h, executable);
  return (hold == Hold::kRequested || hold == Hold::kReady) && !hosts_[h].retired &&
         executables_[executable].holder_slots == hosts_[h].slots;
}

bool Placement::Ready(uint32_t h, uint32_t executable) const {
  return executables_[executable].bytes == 0 || hold(h, executable) == Hold::kReady;
}

void Placement::Request(uint32_t h, uint32_t executable, uint32_t slots) {
  Host& host = At(h);
  if (hold(h, executable) != Hold::kNone || host.retired) return;
  if (executable >= host.holds.size()) host.holds.resize(executables_.size());
  host.holds[executable] = Hold::kRequested;
  host.held.push_back(executable);
  host.slots = slots;
  executables_[executable].holder_slots += slots;
}

void Placement::SetReady(uint32_t h, uint32_t executable) {
  if (hold(h, executable) == Hold::kRequested) At(h).holds[executable] = Hold::kReady;
}

void Placement::SetUnfit(uint32_t h, uint32_t executable, const std::string& host_name, const std::string& reason) {
  Host& host = At(h);
  const Hold before = hold(h, executable);
  Executable& e = executables_[executable];
  if (before == Hold::kUnfit) return;
  if (executable >= host.holds.size()) host.holds.resize(executables_.size());
  host.holds[executable] = Hold::kUnfit;
  if (before != Hold::kNone) {
    host.held.erase(std::remove(host.held.begin(), host.held.end(), executable), host.held.end());
    if (!host.retired) e.holder_slots -= host.slots;
  }
  if (!host.retired) ++e.unfit;
  e.reasons.emplace_back(host_name, reason);
}

void Placement::Retire(uint32_t h) {
  Host& host = At(h);
  if (host.retired) return;
  host.retired = true;
  for (uint32_t executable : host.held) executables_[executable].holder_slots -= host.slots;
  for (uint32_t executable = 0; executable < host.holds.size(); ++executable) {
    if (host.holds[executable] == Hold::kUnfit) --executables_[executable].unfit;
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

std::string Placement::Reasons(uint32_t executable) const {
  const auto& reasons = executables_[executable].reasons;
  std::string text;
  for (size_t k = 0; k < std::min(reasons.size(), kMostReasons); ++k) {
    absl::StrAppend(&text, k > 0 ? "; " : "", reasons[k].first, ": ", reasons[k].second);
  }
  if (reasons.size() > kMostReasons) absl::StrAppend(&text, "; and ", reasons.size() - kMostReasons, " more hosts");
  return text;
}

double Placement::ShipSeconds(uint32_t executable) const {
  const uint64_t bytes = executables_[executable].bytes;
  return bytes == 0 ? 0 : kShipRoundTrips + bytes / kBytesPerSecond;
}

}  // namespace dtest::schedule
