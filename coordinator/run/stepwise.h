// --stepwise: a run stops at its first failure, and the next one goes on there. What has passed in one of these runs
// does not run again until the series of them is over, which a run ends in which nothing failed that it had to run, or
// a run that has nothing of what failed. So each case passes once in a series that ends well. A series is one of the
// working directory; between its runs the history keeps it.
//
// pytest leaves out what stands before the test that failed. Here cases run beside each other, and what has passed is a
// set.
//
// One thread (the loop's).

#ifndef DTEST_COORDINATOR_RUN_STEPWISE_H_
#define DTEST_COORDINATOR_RUN_STEPWISE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/event/sink.h"
#include "coordinator/history/history.h"
#include "dtest/case_info.h"

namespace dtest {

class Stepwise : public Sink {
 public:
  struct Options {
    std::string directory = {};           // absolute
    std::vector<std::string> units = {};  // of this run
    bool skip = false;                    // go on behind what failed
    bool anew = false;                    // begin a series, whatever was before
  };
  // Reads what the runs before have come to; fails as SQLite does. `history` outlives it.
  static absl::StatusOr<std::unique_ptr<Stepwise>> Make(History* history, Options options);

  // The run goes on where one before it stopped.
  bool goes_on() const { return !before_.empty(); }
  // After so many failures the run stops. With `skip` what failed before does not count.
  uint32_t max_fail() const { return options_.skip && !goes_on() ? 2 : 1; }
  // For a person, as the run begins; empty: it begins a series.
  std::string BeginText() const;

  // Takes cases of `unit` that have passed out of `selected`, positions in `cases`. Of equal names nobody can say which
  // has passed: none is left out.
  void LeaveOutPassed(const std::string& unit, const CaseInfos& cases, std::vector<uint32_t>* selected);
  // Whether LeaveOutPassed would leave out the one case of a unit.
  bool HasPassed(const std::string& unit, absl::string_view name) const;
  uint64_t left_out() const { return left_out_; }
  // For a person, when the run is over, or, `listed`, what would run is known; empty: nothing was left out.
  std::string EndText(bool listed) const;

  // Whether the case is to be handed out first, as it failed in the run before.
  bool IsFirst(const std::string& unit, absl::string_view name) const;
  // Whether its failure does not stop the run.
  bool IsSkipped(const std::string& unit, absl::string_view name) const { return options_.skip && IsFirst(unit, name); }

  // Writes to the history when the run has finished, and can fail only then.
  absl::Status Handle(const RunEvent& event) override;

 private:
  // Of the cases of a unit, by name: whether they passed.
  using Known = absl::flat_hash_map<std::string, bool>;
  // In this run, the worst of all iterations.
  enum class State : uint8_t { kPassed, kUnfinished, kFailed };

  Stepwise(History* history, Options options) : history_(*history), options_(std::move(options)) {}
  void Note(const CaseEnded& ended);
  absl::Status Write(const RunFinished& finished, absl::Time now);

  History& history_;
  const Options options_;
  absl::flat_hash_map<std::string, Known> before_;  // by unit, of this run's; empty: this run begins a series
  uint64_t failed_before_ = 0;                      // cases of before_
  std::string a_failed_one_;                        // for a person
  absl::flat_hash_map<std::pair<std::string, std::string>, State> states_;  // by unit and name
  uint64_t left_out_ = 0;
  bool failed_ = false;  // a case, or the listing of a unit
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_STEPWISE_H_
