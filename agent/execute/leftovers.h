// What test processes leave behind. The agent is a subreaper, so whatever outlives its parent becomes a child of the
// agent, also after setsid or a double fork; a deeper descendant always has an ancestor that did. Free functions, one
// thread.

#ifndef DTEST_AGENT_EXECUTE_LEFTOVERS_H_
#define DTEST_AGENT_EXECUTE_LEFTOVERS_H_

#include <sys/types.h>

#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace dtest {

// Children of this process that are none of `known` (the test processes it started itself), alive. Dead ones are reaped
// on the way.
std::vector<pid_t> Orphans(absl::Span<const pid_t> known);

// True if `orphan` was started before `process` and therefore does not descend from it. False if either is unknown.
bool IsOlder(pid_t orphan, pid_t process);

// True if `orphan` came from the process group `group`, or has `marker` ("DTEST_SLOT=3") in its environment.
// `otherwise` is the answer if nothing can be told.
bool BelongsTo(pid_t orphan, pid_t group, absl::string_view marker, bool otherwise);

// Kills every process of this user, but this one, with a variable in its environment ("NAME=value") that begins with
// `beginning`; returns when none is left, after a second at the latest.
void KillProcessesWith(absl::string_view beginning);

}  // namespace dtest

#endif  // DTEST_AGENT_EXECUTE_LEFTOVERS_H_
