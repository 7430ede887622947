// Whether this host can run tests at all, asked before the agent calls itself ready: what a run needs and the host does
// not have is then told of the host, and not, file by file, of tests. Free function; any thread.

#ifndef DTEST_AGENT_LOOP_START_CHECK_H_
#define DTEST_AGENT_LOOP_START_CHECK_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace dtest {

// Below this a store takes nothing worth running.
inline constexpr uint64_t kLeastStoreRoom = 16 << 20;

// The store can be written, has room, and programs may run there. `store` is made if it is not there.
// FailedPrecondition or ResourceExhausted with what is wrong and what to do.
absl::Status CheckStore(const std::string& store);
// It is on a noexec mount.
bool MayNotRunPrograms(const std::string& directory);

}  // namespace dtest

#endif  // DTEST_AGENT_LOOP_START_CHECK_H_
