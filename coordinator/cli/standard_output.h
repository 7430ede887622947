// Standard output of the commands. What cannot be written is never taken for written: a full disk ends a command with
// an error. A reader that went away (`dtest list | head`) is no error. One thread at a time.

#ifndef DTEST_COORDINATOR_CLI_STANDARD_OUTPUT_H_
#define DTEST_COORDINATOR_CLI_STANDARD_OUTPUT_H_

#include "absl/strings/string_view.h"

namespace dtest {

// Writes all of `text`, however slowly it is read. Returns 0, or the errno of what went wrong.
int WriteOutput(absl::string_view text);

// The exit status of a command that would end with `exit_status`, given what became of its output: 0, or an errno. If
// that is an error, explains it on standard error and returns kExitBroken.
int StatusAfterOutput(int error, int exit_status);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_STANDARD_OUTPUT_H_
