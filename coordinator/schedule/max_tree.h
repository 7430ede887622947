// A tournament tree: which of n numbered keys is the largest, with O(log n) to change one and O(1) to ask. Flat
// arrays of 16 bytes a key.

#ifndef DTEST_COORDINATOR_SCHEDULE_MAX_TREE_H_
#define DTEST_COORDINATOR_SCHEDULE_MAX_TREE_H_

#include <cstdint>
#include <vector>

namespace dtest::schedule {

class MaxTree {
 public:
  // Keys 0 .. n-1 exist from now on; those that are new are 0.
  void Grow(uint32_t n) {
    if (n <= keys_.size()) return;
    uint32_t leaves = leaves_;
    while (leaves < n) leaves *= 2;
    keys_.resize(leaves, 0);
    leaves_ = leaves;
    winner_.assign(2 * leaves, 0);
    for (uint32_t i = 0; i < leaves; ++i) winner_[leaves + i] = i;
    for (uint32_t i = leaves - 1; i > 0; --i) winner_[i] = Play(i);
  }
  void Set(uint32_t i, double key) {
    if (keys_[i] == key) return;
    keys_[i] = key;
    for (uint32_t node = (leaves_ + i) / 2; node > 0; node /= 2) winner_[node] = Play(node);
  }
  double key(uint32_t i) const { return keys_[i]; }
  // The number of the largest key, the lowest number among equals. At least one key must exist.
  uint32_t Top() const { return leaves_ == 1 ? 0 : winner_[1]; }

 private:
  uint32_t Play(uint32_t node) const {
    const uint32_t left = winner_[2 * node], right = winner_[2 * node + 1];
    return keys_[right] > keys_[left] ? right : left;
  }
  std::vector<double> keys_;
  std::vector<uint32_t> winner_;  // of each inner node, 1 is the root; leaves are themselves
  uint32_t leaves_ = 1;
};

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_MAX_TREE_H_
