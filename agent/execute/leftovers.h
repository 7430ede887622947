// What test processes leave behind. The agent is a subreaper, so whatever outlives its parent becomes a child of the
// agent, also after setsid or a double fork; a deeper descendant always has an ancestor that did. Free functions, one
// thread.
//
// Whose it was is told by a mark that every process of a slot inherits: the soft limit of RLIMIT_LOCKS, which Linux has
// not used since 2.4.25, and which nobody else sets. It outlives exec, setsid, an emptied environment and closed
// descriptors, needs no right, and costs one system call a process. docs/agent.md has what was rejected.

#ifndef DTEST_AGENT_EXECUTE_LEFTOVERS_H_
#define DTEST_AGENT_EXECUTE_LEFTOVERS_H_

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace dtest {

// Children of this process that are none of `known` (the test processes it started itself), alive. Dead ones are reaped
// on the way.
std::vector<pid_t> Orphans(absl::Span<const pid_t> known);

// True if `orphan` was started before `process` and therefore does not descend from it. False if either is unknown.
bool IsOlder(pid_t orphan, pid_t process);

// Whether it lives and descends from this process, as far as /proc tells.
bool DescendsFromUs(pid_t process);

// The mark of a slot of this agent: for Process::Options.
uint64_t SlotMark(uint32_t slot);

enum class Owner { kThisSlot, kAnotherSlot, kUnknown };
// Whether `orphan` came from `slot`, whose process has or had the group `group`. Told by group, session, mark, and
// DTEST_SLOT in its environment. Unknown: it took all of them off, or is not this user's any more.
Owner OwnerOf(pid_t orphan, uint32_t slot, pid_t group);

// Kills every process of this user, but this one, with a variable in its environment ("NAME=value") that begins with
// `beginning`; returns when none is left, after a second at the latest.
void KillProcessesWith(absl::string_view beginning);

}  // namespace dtest

#endif  // DTEST_AGENT_EXECUTE_LEFTOVERS_H_
