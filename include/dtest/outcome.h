// What became of one attempt at one case. Plain values, shared by the wire messages, the scheduler and the reports.

#ifndef DTEST_OUTCOME_H_
#define DTEST_OUTCOME_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "dtest/ids.h"

namespace dtest {

enum class Outcome : uint8_t {
  kPassed = 0,
  kFailed = 1,      // the test said so: an assertion, a non-zero exit of a plain unit
  kCrashed = 2,     // the process died in this case: a signal, or an exit before the case had ended
  kTimedOut = 3,    // the case passed its time limit and was killed
  kSkipped = 4,     // the test said so (GTEST_SKIP, exit 77), or is disabled
  kInfraError = 5,  // dtest could not run it: hosts lost, unit could not be started. Never the test's fault
  kNotRun = 6,      // the run ended first (fail-fast, interrupt, run timeout); from an agent: stopped by its Interrupt
};
inline constexpr int kOutcomeCount = 7;

// "passed", "failed", "crashed", "timed out", "skipped", "infra error", "not run": the words all reports use.
constexpr const char* OutcomeName(Outcome outcome) {
  constexpr const char* kNames[kOutcomeCount] = {"passed",  "failed",      "crashed", "timed out",
                                                 "skipped", "infra error", "not run"};
  return kNames[static_cast<int>(outcome)];
}

// True for outcomes that make the run fail (exit status 1) and that `--retries` tries again.
constexpr bool IsFailure(Outcome outcome) {
  return outcome == Outcome::kFailed || outcome == Outcome::kCrashed || outcome == Outcome::kTimedOut ||
         outcome == Outcome::kInfraError;
}

// The result of one attempt, as an agent measured it.
struct CaseResult {
  uint32_t index = 0;    // position in the unit's listing
  uint32_t attempt = 1;  // 1-based; copied from the lease
  Outcome outcome = Outcome::kPassed;
  bool leaky = false;       // left processes behind, or held its output open, after it ended
  SlotId slot;              // where it ran
  absl::Duration start;     // since the agent said Hello, on the agent's monotonic clock
  absl::Duration duration;  // on the agent's monotonic clock; never negative
  // What set-up and tear-down took of it, where the framework says so; never negative.
  absl::Duration setup, teardown;
  // Of `setup`, what it made for other cases, too: fixtures of their module or session. Never negative.
  absl::Duration shared;
  std::string message;      // one or more lines: the first assertion, the signal, the skip reason; empty when passed
  std::string output;       // stdout and stderr in the order they were read, cut in the middle past the cap. Empty when
                            // passed or skipped, unless there is a warning or RunSettings::keep_all_output
  uint64_t output_cut = 0;  // bytes left out of `output`
  std::string warning;      // what failed nothing and is told all the same, in a line: what a sanitizer said first,
                            // which parts of the case were skipped. `output` has all of it
  // Which of its agent's test processes ran it, from 1 (0: none), and how many cases had begun there before it. So what
  // ran before it in its process are the results with equal `process` and smaller `place`.
  uint32_t process = 0;
  uint32_t place = 0;
  // RecordProperty: (key, value). Those known only after the result had left follow it (LateProperties).
  std::vector<std::pair<std::string, std::string>> properties;

  friend bool operator==(const CaseResult&, const CaseResult&) = default;
};

}  // namespace dtest

#endif  // DTEST_OUTCOME_H_
