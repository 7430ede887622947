// Runs of a case behind some of those that ran before it, several beside one another: each is a process of its own that
// does what `dtest reproduce` does, with a state directory and an output of its own, so that neither history nor the
// runs that are kept see anything of it. The first has the number of the worker that the case had (DTEST_WORKER), those
// beside it have others, since tests keep apart by it what is theirs: a database, a port.
//
// One thread, and no other may run: trials are forked from this process.

#ifndef DTEST_COORDINATOR_CLI_BISECT_TRIALS_H_
#define DTEST_COORDINATOR_CLI_BISECT_TRIALS_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/cli/recorded_case.h"
#include "coordinator/run/bisection.h"
#include "coordinator/run/signals.h"
#include "coordinator/settings/options.h"
#include "dtest/base/fd.h"
#include "dtest/outcome.h"

namespace dtest {

// "crashed: signal 11 (SIGSEGV)": on one line.
std::string FailureLine(Outcome outcome, absl::string_view message);

// True if the outcomes are equal, and so are the places ("file:line") that the messages begin with; where neither has
// one, the words of their first lines: numbers, addresses and punctuation differ from run to run, and with what ran
// before.
bool IsSameFailure(Outcome outcome, absl::string_view message, Outcome other, absl::string_view other_message);

class BisectTrials {
 public:
  // `run`: of the case, which is the last of Options::only, behind all of these; `recorded`: how it failed;
  // `directory`: for what trials write. `run_it` is RunCommand.
  BisectTrials(Options run, RecordedAttempt recorded, std::string directory, int (*run_it)(const Options&));
  ~BisectTrials();  // ends those that run, and waits for them
  BisectTrials(const BisectTrials&) = delete;
  BisectTrials& operator=(const BisectTrials&) = delete;

  // `behind`: positions in Options::only.
  absl::Status Start(const Bisection::Trial& trial);

  struct Answer {
    uint32_t number = 0;
    TrialVerdict verdict = TrialVerdict::kUnresolved;  // another failure than the recorded one is no answer
    std::string failure;                               // how it failed, as FailureLine; empty: it did not
    std::vector<std::string> gone;  // cases that there are no more, and why; so it did not run as it was to
  };
  // Waits for the next one that has an answer. FailedPrecondition: a trial could not be run, with what it said;
  // Cancelled: a signal came. Unavailable, Internal: as the system says.
  absl::StatusOr<Answer> Wait();

 private:
  struct Running {
    Bisection::Trial trial;
    pid_t pid = -1;
    uint32_t lane = 0;  // of those that run, each has another
    std::string directory;
  };
  absl::StatusOr<Answer> AnswerOf(const Running& ended, int status) const;

  const Options run_;
  const RecordedAttempt recorded_;
  const std::string directory_;
  int (*const run_it_)(const Options&);
  std::unique_ptr<Signals> signals_ = std::make_unique<Signals>();
  std::map<int, std::pair<Fd, Running>> running_;  // by a descriptor that is at its end when the trial is
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_BISECT_TRIALS_H_
