// A launcher of hosts that does nothing by itself: a test says what becomes of each start. Records what it was asked.
// One thread.

#ifndef DTEST_TESTS_FAKES_FAKE_FLEET_H_
#define DTEST_TESTS_FAKES_FAKE_FLEET_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/launch/fleet.h"

namespace dtest {

class FakeFleet : public Launcher {
 public:
  struct Started {
    HostId host;
    std::string token;
  };

  // What happens on a host, seen by the next Poll.
  void Connected(HostId host) { events_.push_back({host, FleetEvent::Kind::kConnected, absl::OkStatus(), ""}); }
  void Failed(HostId host, absl::Status why) {
    events_.push_back({host, FleetEvent::Kind::kFailed, std::move(why), ""});
  }
  void Ended(HostId host, absl::Status why, std::string last_words = "", bool agent_ended = true) {
    events_.push_back({host, FleetEvent::Kind::kEnded, std::move(why), std::move(last_words), agent_ended});
  }
  void Notices(HostId host, std::string text) {
    events_.push_back({host, FleetEvent::Kind::kNotice, absl::OkStatus(), std::move(text)});
  }

  const std::vector<Started>& started() const { return started_; }
  const std::vector<HostId>& closed() const { return closed_; }

  void Start(HostId host, std::string token) override { started_.push_back({host, std::move(token)}); }
  void Close(HostId host) override { closed_.push_back(host); }
  int event_fd() const override { return -1; }
  std::vector<FleetEvent> Poll() override { return std::exchange(events_, {}); }
  LaunchStats stats(HostId) const override { return {}; }

 private:
  std::vector<Started> started_;
  std::vector<HostId> closed_;
  std::vector<FleetEvent> events_;
};

}  // namespace dtest

#endif  // DTEST_TESTS_FAKES_FAKE_FLEET_H_
