#include "agent/frameworks/capture.h"

#include <algorithm>
#include <utility>

namespace dtest {

void Capture::Append(absl::string_view bytes) {
  total_ += bytes.size();
  if (head_.size() < head_cap_) {
    const size_t taken = std::min<uint64_t>(bytes.size(), head_cap_ - head_.size());
    head_.append(bytes.data(), taken);
    bytes.remove_prefix(taken);
  }
  if (bytes.size() > tail_cap_) bytes.remove_prefix(bytes.size() - tail_cap_);
  if (tail_.size() < tail_cap_) {
    const size_t taken = std::min<uint64_t>(bytes.size(), tail_cap_ - tail_.size());
    tail_.append(bytes.data(), taken);
    bytes.remove_prefix(taken);
  }
  while (!bytes.empty()) {
    const size_t taken = std::min<uint64_t>(bytes.size(), tail_cap_ - tail_at_);
    tail_.replace(tail_at_, taken, bytes.data(), taken);
    tail_at_ = (tail_at_ + taken) % tail_cap_;
    bytes.remove_prefix(taken);
  }
}

uint64_t Capture::cut() const { return total_ - head_.size() - tail_.size(); }

std::string Capture::Take() {
  std::string all = std::move(head_);
  all.append(tail_, tail_at_, std::string::npos);
  all.append(tail_, 0, tail_at_);
  Clear();
  return all;
}

void Capture::Clear() {
  total_ = 0;
  tail_at_ = 0;
  head_.clear();
  tail_.clear();
}

}  // namespace dtest
