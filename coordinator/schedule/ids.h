// The scheduler's own identifiers beside those of the wire (dtest/ids.h), and what is indexed by identifiers. All are
// dense from 0; each has one value that stands for none.

#ifndef DTEST_COORDINATOR_SCHEDULE_IDS_H_
#define DTEST_COORDINATOR_SCHEDULE_IDS_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "dtest/ids.h"

namespace dtest::schedule {

// One iteration of one case: its place in the CaseArray. Fixed for the run.
using CaseNumber = StrongId<struct CaseNumberTag, uint32_t>;
// Place of a LeaseRecord in the HostTable. The next lease gets it when one has ended.
using LeaseSlab = StrongId<struct LeaseSlabTag, uint32_t>;

// Of cases that run in one process (groups.h).
using GroupId = StrongId<struct GroupIdTag, uint32_t>;

// Place of a policy in the PolicyTable.
using PolicyId = StrongId<struct PolicyIdTag, uint16_t>;

inline constexpr CaseNumber kNoCase(UINT32_MAX);
inline constexpr LeaseSlab kNoLease(UINT32_MAX);
inline constexpr GroupId kNoGroup(UINT32_MAX);
inline constexpr HostId kNoHost(UINT32_MAX);
inline constexpr UnitId kNoUnit(UINT32_MAX);

// The first `count` identifiers, for range-based for.
template <typename Id>
class IdRange {
 public:
  class Iterator {
   public:
    explicit Iterator(uint32_t at) : at_(at) {}
    Id operator*() const { return Id(at_); }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }

   private:
    uint32_t at_;
  };
  explicit IdRange(size_t count) : count_(static_cast<uint32_t>(count)) {}
  Iterator begin() const { return Iterator(0); }
  Iterator end() const { return Iterator(count_); }

 private:
  uint32_t count_;
};

// A vector that only its own kind of identifier indexes.
template <typename Id, typename T>
class IdVector {
 public:
  explicit IdVector(size_t size = 0) : values_(size) {}

  size_t size() const { return values_.size(); }
  bool contains(Id id) const { return id.value() < values_.size(); }
  T& operator[](Id id) { return values_[id.value()]; }
  const T& operator[](Id id) const { return values_[id.value()]; }
  // Default values up to and including that of `id`, where there are none yet.
  void GrowTo(Id id) {
    if (!contains(id)) values_.resize(id.value() + 1);
  }
  void resize(size_t size) { values_.resize(size); }
  Id Add(T value = T()) {
    values_.push_back(std::move(value));
    return Id(static_cast<uint32_t>(values_.size() - 1));
  }
  IdRange<Id> ids() const { return IdRange<Id>(values_.size()); }
  auto begin() { return values_.begin(); }
  auto end() { return values_.end(); }
  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }
  const T* data() const { return values_.data(); }

 private:
  std::vector<T> values_;
};

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_IDS_H_
