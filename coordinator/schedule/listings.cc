#include "coordinator/schedule/listings.h"

#include "absl/strings/str_join.h"
#include "coordinator/schedule/check.h"

namespace dtest::schedule {

namespace {

constexpr size_t kMostAttempts = 3;

}  // namespace

bool Listings::Add(UnitId unit, bool listed) {
  units_.GrowTo(unit);
  State& state = units_[unit].state;
  if (state != State::kUnknown) return false;
  state = listed ? State::kListed : State::kUnlisted;
  if (!listed) unlisted_.push_back(unit);
  ++open_;
  return true;
}

bool Listings::IsOpen(UnitId unit) const {
  return StateOf(unit) != State::kUnknown && StateOf(unit) != State::kResolved;
}

bool Listings::HasTried(UnitId unit, HostId host) const {
  const std::vector<HostId>& tried = units_[unit].tried;
  return std::find(tried.begin(), tried.end(), host) != tried.end();
}

void Listings::Begin(UnitId unit, HostId host) {
  units_[unit].state = State::kBeingListed;
  units_[unit].lister = host;
}

void Listings::SetListed(UnitId unit) {
  units_[unit].state = State::kListed;
  units_[unit].lister = kNoHost;
}

void Listings::Resolve(UnitId unit) {
  if (IsUnlisted(unit)) std::erase(unlisted_, unit);
  units_[unit].state = State::kResolved;
  units_[unit].lister = kNoHost;
  --open_;
}

std::optional<std::string> Listings::ComesToNothing(UnitId id, const std::string& why) {
  Unit& unit = units_[id];
  unit.tried.push_back(unit.lister);
  unit.failures.push_back(why);
  unit.lister = kNoHost;
  if (unit.failures.size() < kMostAttempts) {
    unit.state = State::kUnlisted;
    unlisted_.push_front(id);
    return std::nullopt;
  }
  unit.state = State::kResolved;
  --open_;
  return absl::StrJoin(unit.failures, "; ");
}

void Listings::CheckInvariants(const IdVector<HostId, uint32_t>& listings) const {
  uint32_t open = 0, unlisted = 0;
  IdVector<HostId, uint32_t> counted(listings.size());
  for (const Unit& unit : units_) {
    unlisted += unit.state == State::kUnlisted;
    open += unit.state != State::kUnknown && unit.state != State::kResolved;
    Check((unit.state == State::kBeingListed) == (unit.lister != kNoHost), "a unit is listed by somebody");
    if (unit.lister != kNoHost) ++counted[unit.lister];
  }
  Check(unlisted == unlisted_.size(), "unlisted units are queued");
  Check(open == open_, "units without known cases are counted");
  for (HostId h : listings.ids()) Check(counted[h] == listings[h], "listings are counted");
}

}  // namespace dtest::schedule
