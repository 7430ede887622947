// What this host is, as Hello tells it. Free functions; any thread.

#ifndef DTEST_AGENT_LOOP_HOST_INFO_H_
#define DTEST_AGENT_LOOP_HOST_INFO_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "dtest/messages.h"

namespace dtest {

// Fills machine, system, glibc, cores, memory and free_disk (of the file system that `store` is on, or will be).
Hello DescribeHost(absl::string_view store);

// Cores this process may use: its affinity mask, less where a cgroup limits it to fewer. At least 1.
uint32_t UsableCores();

// The quota of a cgroup v2 `cpu.max` file in cores, rounded up; 0 if it sets none or is not one.
uint32_t CoresOfQuota(absl::string_view cpu_max);

// Where an agent keeps its store unless told otherwise: $XDG_CACHE_HOME/dtest, ~/.cache/dtest, or, for an account
// without a home, /tmp/dtest-<uid>. The launcher's bootstrap script chooses the same.
std::string DefaultStoreRoot();

}  // namespace dtest

#endif  // DTEST_AGENT_LOOP_HOST_INFO_H_
