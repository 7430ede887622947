// How `dtest reproduce` names a case: in what reports print for a person to copy, and in what a person types. Pure; any
// thread.

#ifndef DTEST_COORDINATOR_CLI_REPRODUCE_COMMAND_H_
#define DTEST_COORDINATOR_CLI_REPRODUCE_COMMAND_H_

#include <string>

#include "absl/strings/string_view.h"

namespace dtest {

// "build/a_test.Suite.Case", or "build/a_test" where the unit is one case named like it. As reports show names: on one
// line, with "\\xff" for what cannot be shown.
std::string NameToReproduce(absl::string_view unit, absl::string_view name);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_REPRODUCE_COMMAND_H_
