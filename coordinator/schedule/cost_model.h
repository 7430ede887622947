// What a case is expected to take, from history or from what this run has seen, and how long a batch should be.
//
// A case without history is expected to take what its suite took so far, drawn towards what its unit took, drawn
// from what all units took, and SchedulerOptions::default_case before anything is seen. Averages are
// exponentially weighted (1/n for the first, then 1/16 for each new one), in seconds on a host of speed 1.
//
// Pure; one thread.

#ifndef DTEST_COORDINATOR_SCHEDULE_COST_MODEL_H_
#define DTEST_COORDINATOR_SCHEDULE_COST_MODEL_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/schedule/ids.h"

namespace dtest::schedule {

// Until the end, if `work` (on slots of speed 1) is shared evenly by `capacity` (slots times speed), and the longest of
// what runs takes `longest` more. Infinite without capacity.
absl::Duration TimeLeft(absl::Duration work, double capacity, absl::Duration longest);

class CostModel {
 public:
  CostModel(absl::Duration default_case, absl::Duration longest_batch);

  // `suites` is how many suites the unit has (numbered from 0), `startup` what starting its process costs, and
  // `suite_setup` what it costs to begin with a suite, on average.
  void AddUnit(UnitId unit, uint32_t suites, absl::Duration startup, absl::Duration suite_setup);

  // A case of this suite took so long on a host of this speed.
  void Learn(UnitId unit, uint32_t suite, absl::Duration took, double speed = 1);
  void LearnStartup(UnitId unit, absl::Duration took);
  // A lease had cases of so many suites, and in its time made so much that their cases share: not nothing. Whether
  // KeepsTogether is true of longer suites for that.
  bool LearnSuiteSetup(UnitId unit, absl::Duration took, uint32_t suites);

  // How long it is expected to take to start a process of the unit.
  absl::Duration Startup(UnitId unit) const { return absl::Seconds(units_[unit].startup.seconds); }
  // What it costs to begin with a suite: a batch that takes the rest of one saves another batch as much.
  absl::Duration SuiteSetup(UnitId unit) const {
    return units_.contains(unit) ? absl::Seconds(units_[unit].suite_setup.seconds) : absl::ZeroDuration();
  }
  // Whether this run has taught it that.
  bool has_learnt_suite_setup(UnitId unit) const { return units_.contains(unit) && units_[unit].learnt_suite_setup; }
  // Whether a suite whose cases are expected to take so long should be in one batch: divided it would cost a sixteenth
  // more, or a larger part. By what was expected before the first result; where nothing was, by what has been learnt,
  // whenever that has become twice as much.
  bool KeepsTogether(UnitId unit, absl::Duration suite) const { return units_[unit].dear_suite > suite; }
  // Whether this run has taught it anything.
  bool has_learnt() const { return all_.count > 0; }

  // What a case that history does not know is expected to take.
  absl::Duration Unknown(UnitId unit, uint32_t suite) const;
  // The same averaged over the unit. Constant between Learn and Refresh of that unit, so that sums hold.
  absl::Duration UnknownMean(UnitId unit) const;
  // Brings what is expected of a unit that has not run yet up to date with what the others took.
  void Refresh(UnitId unit);

  // A case of the unit that is expected to take longer is leased alone: a quarter of the longest batch, or so long that
  // a start of its process and of its suite, as expected before the first, are a fifth of the two. Fixed.
  absl::Duration long_case(UnitId unit) const { return units_[unit].long_case; }

  // How long the next batch of short cases should be. `pending`: what all that is unassigned is expected to take,
  // `left`: all that is not finished; `capacity`: slots times speed.
  //
  // A third of an even share of what is pending per slot, at most longest_batch, so that batches shrink towards the
  // end. But at least so much that start-up is 5 % of it, as far as an even share of all that is left goes: with less
  // than that to do per slot, cutting further shortens the run although it burns more processor time.
  absl::Duration BatchLength(UnitId unit, absl::Duration pending, absl::Duration left, double capacity) const;
  // The most cases of unknown length in one batch: few while nothing was seen of the unit, then eight times what
  // was seen, so that one look at long cases is cheap and thousands of tiny ones are reached in few steps.
  uint32_t BatchUnknownCases(UnitId unit) const;

 private:
  struct Average {
    float seconds = 0;
    uint32_t count = 0;
    void Add(double value);
  };
  struct Unit {
    Average cases;
    Average startup, suite_setup;
    absl::Duration dear_suite;       // see KeepsTogether
    bool knows_suite_setup = false;  // from history
    bool learnt_suite_setup = false;
    double prior = 0;  // expected before the first result
    absl::Duration long_case;
    std::vector<Average> suites;
  };
  double MeanSeconds(const Unit& unit) const { return unit.cases.count > 0 ? unit.cases.seconds : unit.prior; }

  double default_case_;
  double longest_batch_;
  Average all_;
  IdVector<UnitId, Unit> units_;
};

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_COST_MODEL_H_
