// An agent's end of a link that is two lists: what it sends is kept, what it receives a test has put there. One thread.

#ifndef DTEST_TESTS_FAKES_IN_MEMORY_DEALER_H_
#define DTEST_TESTS_FAKES_IN_MEMORY_DEALER_H_

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "protocol/dealer.h"

namespace dtest {

class InMemoryDealer final : public Dealer {
 public:
  void Arrives(std::string frame) { arrived_.push_back(std::move(frame)); }
  std::vector<std::shared_ptr<const std::string>> TakeSent() { return std::exchange(sent_, {}); }
  // Not received yet.
  size_t waiting() const { return arrived_.size(); }

  absl::Status Send(std::shared_ptr<const std::string> frame) override {
    sent_.push_back(std::move(frame));
    return absl::OkStatus();
  }
  std::optional<std::string> Receive() override {
    if (arrived_.empty()) return std::nullopt;
    std::string frame = std::move(arrived_.front());
    arrived_.pop_front();
    return frame;
  }

 private:
  std::vector<std::shared_ptr<const std::string>> sent_;
  std::deque<std::string> arrived_;
};

}  // namespace dtest

#endif  // DTEST_TESTS_FAKES_IN_MEMORY_DEALER_H_
