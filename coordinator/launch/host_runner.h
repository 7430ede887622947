// One start of one host, from its thread's first instruction to its last: open the stream, bootstrap the agent, join
// stream and ROUTER until either ends.

#ifndef DTEST_COORDINATOR_LAUNCH_HOST_RUNNER_H_
#define DTEST_COORDINATOR_LAUNCH_HOST_RUNNER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "coordinator/inventory/inventory.h"
#include "coordinator/launch/fleet.h"
#include "coordinator/launch/host_control.h"
#include "coordinator/launch/turns.h"

namespace dtest {

// Written by the host's thread, read by any.
struct HostCounters {
  std::atomic<uint64_t> bytes_sent = 0;
  std::atomic<uint64_t> bytes_received = 0;
  std::atomic<int64_t> connect_nanoseconds = 0;
  std::atomic<bool> agent_shipped = false;
};

struct HostEnd {
  bool connected = false;  // it came up
  absl::Status status;     // as FleetEvent::status
  std::string last_words;  // the end of its stderr
  bool agent_ended = false;  // as FleetEvent::agent_ended
};

// Blocks. An agent is sent when it is the host's turn at `shipping`. `connected` is called once, when the agent is
// ready. Ends soon after control->Close().
HostEnd RunHost(const FleetOptions& options, const HostSpec& host, const std::string& token, const Turns& shipping,
                HostControl* control, HostCounters* counters, const std::function<void()>& connected);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_LAUNCH_HOST_RUNNER_H_
