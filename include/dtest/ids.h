// Identifiers that both programs exchange. Each is a distinct type, so that a host cannot be passed where a lease is
// meant. All are plain values: copyable, hashable, ordered, free of threads and ownership.

#ifndef DTEST_IDS_H_
#define DTEST_IDS_H_

#include <compare>
#include <cstdint>
#include <utility>

namespace dtest {

template <typename Tag, typename Rep>
class StrongId {
 public:
  constexpr StrongId() = default;
  constexpr explicit StrongId(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }
  friend constexpr auto operator<=>(StrongId, StrongId) = default;
  template <typename H>
  friend H AbslHashValue(H h, StrongId id) {
    return H::combine(std::move(h), id.value_);
  }

 private:
  Rep value_ = 0;
};

// Index of a host in the inventory: dense from 0, chosen by the coordinator, fixed for the run.
using HostId = StrongId<struct HostIdTag, uint32_t>;
// Index of a unit (what is listed and started as one: a test executable, a script) in the run's bundle: dense from 0,
// chosen by the coordinator, fixed for the run.
using UnitId = StrongId<struct UnitIdTag, uint32_t>;
// 0-based index of a slot on one host.
using SlotId = StrongId<struct SlotIdTag, uint32_t>;
// A batch of cases held by one host. Chosen by the scheduler, unique in the run and never reused.
using LeaseId = StrongId<struct LeaseIdTag, uint64_t>;
// One life of an agent process. Chosen at random by the agent when it starts.
using Epoch = StrongId<struct EpochTag, uint64_t>;

// A case: the unit and the case's 0-based position in that unit's listing.
struct CaseId {
  UnitId unit;
  uint32_t index = 0;
  friend constexpr auto operator<=>(const CaseId&, const CaseId&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const CaseId& id) {
    return H::combine(std::move(h), id.unit, id.index);
  }
};

}  // namespace dtest

#endif  // DTEST_IDS_H_
