// What this host has to do, from /proc (proc(5), Documentation/accounting/psi.rst of the kernel). Any thread.

#ifndef DTEST_AGENT_LOOP_HOST_LOAD_H_
#define DTEST_AGENT_LOOP_HOST_LOAD_H_

#include <string>

#include "agent/core/slot_throttle.h"

namespace dtest {

// What cannot be read is left out: then the host looks idle in that respect. `proc`: another root, for tests.
HostLoad ReadHostLoad(const std::string& proc = "/proc");

}  // namespace dtest

#endif  // DTEST_AGENT_LOOP_HOST_LOAD_H_
