// A program of the project that the coordinator runs when its tests have ended: it may take its time, and whoever waits
// may stop waiting.

#ifndef DTEST_COORDINATOR_LAUNCH_RUN_SCRIPT_H_
#define DTEST_COORDINATOR_LAUNCH_RUN_SCRIPT_H_

#include <cstddef>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/launch/spawn.h"

namespace dtest {

struct ScriptOptions {
  SpawnOptions spawn;
  std::function<bool()> stop = {};  // asked several times a second: true ends it
  absl::Duration limit = absl::InfiniteDuration();
  size_t most_said = 4 << 10;  // bytes of its output, the last ones
};

struct ScriptEnd {
  int wait_status = 0;
  std::string said;  // on stdout and stderr
};

// To its end, with nothing on stdin. Aborted: `stop` was true. DeadlineExceeded: the limit; it was asked to end, so
// that what it says then is the message's end. In both cases its process group is killed. Else as Spawn.
absl::StatusOr<ScriptEnd> RunScript(const ScriptOptions& options);

// The end of what was said, less blanks around it: what fits into a message.
absl::string_view LastSaid(absl::string_view said);

// A new file, for nobody else to read. The message names it.
absl::Status WriteNewFile(const std::string& path, absl::string_view contents);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_LAUNCH_RUN_SCRIPT_H_
