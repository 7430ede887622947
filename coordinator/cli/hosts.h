// From the command line to hosts that can be launched: the inventory, and what launching needs. Shared by the commands.
//
// Free functions, any thread.

#ifndef DTEST_COORDINATOR_CLI_HOSTS_H_
#define DTEST_COORDINATOR_CLI_HOSTS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/settings/options.h"
#include "coordinator/inventory/inventory.h"
#include "coordinator/run/host_pool.h"

namespace dtest {

// --hosts and --host, less what --tag leaves out; this machine if neither is given. InvalidArgument as the inventory
// says, or if no host has the tags.
absl::StatusOr<std::vector<HostSpec>> ChooseHosts(const Options& options);

// True if some host is reached over a stream, and so needs the agent and the bundle sent to it.
bool AnyRemote(const std::vector<HostSpec>& hosts);
bool AnyLocal(const std::vector<HostSpec>& hosts);

// How to launch them. NotFound if dtest-agent is not beside this program, in ../libexec/dtest, or where $DTEST_AGENT
// says.
absl::StatusOr<HostPool::Options> PoolOptions(const Options& options, const std::vector<HostSpec>& hosts,
                                              const std::string& run_id);

// How often agents report: once a second, more often where --host-timeout is short.
absl::Duration HeartbeatInterval(const Options& options);

// What to say of a host whose clock is so much ahead of this machine's (negative: behind); empty: close enough.
std::string ClockRemark(absl::Duration ahead);

// "20261121-012345-4f2a": UTC, and four random digits so that two runs of one second differ.
std::string MakeRunId();

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_HOSTS_H_
