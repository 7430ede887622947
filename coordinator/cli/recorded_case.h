// A case of a run of the past and what ran before it in its process, as the event log tells, and the options of a run
// of it once more. For `dtest reproduce` and `dtest bisect`.
//
// Free functions. OptionsToRunAgain changes the working directory of the process, as OptionsOfRun does.

#ifndef DTEST_COORDINATOR_CLI_RECORDED_CASE_H_
#define DTEST_COORDINATOR_CLI_RECORDED_CASE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/event/run_event.h"
#include "coordinator/settings/options.h"
#include "dtest/outcome.h"

namespace dtest {

struct RecordedAttempt {
  std::string unit, name, host;
  uint32_t host_start = 0;  // an agent that is started again counts its processes anew
  uint32_t process = 0, place = 0;
  uint32_t iteration = 1, attempt = 1;
  uint32_t worker = 0;  // DTEST_WORKER: slots are numbered through the hosts as these come up
  Outcome outcome = Outcome::kPassed;
  std::string message;  // one line of it; empty unless it failed

  bool failed() const { return IsFailure(outcome); }
};

struct RecordedCase {
  std::string log;  // its path
  RunStarted started;
  uint32_t workers = 0;                 // slots of the run
  uint32_t slots = 1;                   // of its host
  std::vector<RecordedAttempt> before;  // in its process, in order
  RecordedAttempt attempt;              // the last one that failed, or else the last
};

// Which attempt of several that failed is wanted: the last, or the last behind others if there is one.
enum class WantedAttempt : uint8_t { kLast, kBehindOthers };

// `wanted`: as reports name it, or in short where that is clear: without directories, the end of it behind a "::".
// NotFound, InvalidArgument: it is none, or several.
absl::StatusOr<RecordedCase> FindRecordedCase(const std::string& log, const std::string& wanted, WantedAttempt which);

// Leaves of what ran before it only what is named so; "none": nothing. NotFound, InvalidArgument: as above.
absl::Status LeaveBehind(const std::vector<std::string>& names, RecordedCase* recorded);

// Of a run of the case as it ran, behind those before it, in one process on its host, where things are kept and shown
// as `now` says. Errors as of OptionsOfRun.
absl::StatusOr<Options> OptionsToRunAgain(const RecordedCase& recorded, const Options& now);

// The command line of `dtest reproduce` that runs it behind all of `before`, which are some of those that ran before
// it.
std::string ReproduceLine(const RecordedCase& recorded, const Options& now);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_RECORDED_CASE_H_
