// What this host has to do, from /proc (proc(5), Documentation/accounting/psi.rst of the kernel). One thread.
//
// Other agents are known by the name of their process, as far as /proc shows processes of others (its option hidepid).
// All of /proc is looked through for them with the first of ten looks only: a large host has many processes.

#ifndef DTEST_AGENT_LOOP_HOST_LOAD_H_
#define DTEST_AGENT_LOOP_HOST_LOAD_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "agent/core/slot_throttle.h"

namespace dtest {

// The name of an agent's process, whichever file it was started from.
inline constexpr char kAgentProcess[] = "dtest-agent";

class HostLoadGauge {
 public:
  explicit HostLoadGauge(std::string proc = "/proc") : proc_(std::move(proc)) {}  // another root: for tests

  // What cannot be read is left out: then the host looks idle in that respect.
  HostLoad Read();

 private:
  void FindAgents();
  void CountRivals(HostLoad* load);

  const std::string proc_;
  uint32_t reads_ = 0;
  std::vector<uint32_t> agents_;  // but this process
};

}  // namespace dtest

#endif  // DTEST_AGENT_LOOP_HOST_LOAD_H_
