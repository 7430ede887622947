// What dtest tells every process of a run in its environment, tests and set-ups alike. Free functions; any thread.

#ifndef DTEST_AGENT_LOOP_SLOT_ENVIRONMENT_H_
#define DTEST_AGENT_LOOP_SLOT_ENVIRONMENT_H_

#include <string>
#include <utility>
#include <vector>

#include "agent/execute/environment.h"
#include "dtest/ids.h"
#include "dtest/messages.h"

namespace dtest {

using VariableList = std::vector<std::pair<std::string, std::string>>;

// Which run and which host.
void SetRunVariables(const Welcome& welcome, Environment* environment);
// And which slot.
void SetSlotVariables(const Welcome& welcome, SlotId slot, Environment* environment);
// Where it starts and where its temporary files are.
void SetDirectories(const std::string& working, const std::string& temporary, Environment* environment);
// The environment of the host in this directory: its programs come first.
inline constexpr char kEnvironmentVariable[] = "DTEST_ENVIRONMENT";
void SetHostEnvironment(const std::string& directory, Environment* environment);
void SetAll(const VariableList& variables, Environment* environment);
void Make(const EnvChange& change, Environment* environment);
// Puts the tree, an absolute path, in the place of what the unit has on the coordinator (UnitSpec::mirrors).
void NameTheTree(const std::string& tree, UnitSpec* spec);

}  // namespace dtest

#endif  // DTEST_AGENT_LOOP_SLOT_ENVIRONMENT_H_
