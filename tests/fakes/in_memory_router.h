// The coordinator's end of links that are lists: what it sends is kept, what it receives a test has put there. One
// thread; nothing waits.

#ifndef DTEST_TESTS_FAKES_IN_MEMORY_ROUTER_H_
#define DTEST_TESTS_FAKES_IN_MEMORY_ROUTER_H_

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "protocol/router.h"

namespace dtest {

class InMemoryRouter : public Router {
 public:
  struct Sent {
    std::string identity;
    std::string frame;
  };
  void Arrives(std::string identity, std::string frame) {
    arrived_.push_back(Received{std::move(identity), std::move(frame)});
  }
  std::vector<Sent> TakeSent() { return std::exchange(sent_, {}); }
  // How long the last Sleep was for.
  absl::Duration slept() const { return slept_; }

  absl::Status Send(absl::string_view identity, std::shared_ptr<const std::string> frame) override {
    sent_.push_back({std::string(identity), *frame});
    return absl::OkStatus();
  }
  std::optional<Received> Receive() override {
    if (arrived_.empty()) return std::nullopt;
    Received received = std::move(arrived_.front());
    arrived_.pop_front();
    return received;
  }
  void WatchFd(int) override {}
  void UnwatchFd(int) override {}
  absl::Status Sleep(absl::Duration timeout) override {
    slept_ = timeout;
    return absl::OkStatus();
  }

 private:
  std::vector<Sent> sent_;
  std::deque<Received> arrived_;
  absl::Duration slept_;
};

}  // namespace dtest

#endif  // DTEST_TESTS_FAKES_IN_MEMORY_ROUTER_H_
