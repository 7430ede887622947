// What each agent is welcomed with: how many slots its host has, and which numbers its slots have in the run
// (DTEST_WORKER). Pure; one thread, the loop's.

#ifndef DTEST_COORDINATOR_RUN_WELCOMER_H_
#define DTEST_COORDINATOR_RUN_WELCOMER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/inventory/inventory.h"
#include "dtest/ids.h"
#include "dtest/messages.h"
#include "protocol/zmq_transport.h"

namespace dtest {

class Welcomer {
 public:
  struct Options {
    RunSettings settings;           // host_name, slots and working_directory are filled in for each host
    std::string working_directory;  // of hosts that run in place; others have the tree's root
    std::optional<uint32_t> jobs;   // slots of a host whose line gives none; else its cores
    absl::Duration host_timeout;    // Welcome::lease_timeout
    absl::Duration heartbeat_interval;
    std::optional<CurveKeyPair> peer_keys;  // none: no host fetches from another
    HostEnvironment environment_here = {};  // of hosts that run in place
  };
  Welcomer(Options options, std::vector<HostSpec> hosts);

  // To be called once for each Hello. The host's slots get their numbers with the first, and keep them.
  Welcome Greet(HostId host, const Hello& hello);
  // Of a host that was greeted: changes its lease timeout, and nothing else. Nothing for a host on this machine: its
  // agent sees its stream end when we die, nothing else separates us, so it may be silent here for as long as it likes.
  std::optional<Welcome> WithLease(HostId host, absl::Duration lease_timeout) const;

  const std::vector<HostSpec>& hosts() const { return hosts_; }

 private:
  Welcome WelcomeOf(HostId host, absl::Duration lease_timeout) const;
  // Slots of hosts that were greeted, and of those still to come whose number is given.
  uint32_t KnownSlots() const;

  const Options options_;
  const std::vector<HostSpec> hosts_;
  std::vector<uint32_t> slots_;    // by host; 0: not greeted yet
  std::vector<uint32_t> bases_;    // by host: DTEST_WORKER of its first slot
  uint32_t workers_assigned_ = 0;  // DTEST_WORKER numbers given out
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_WELCOMER_H_
