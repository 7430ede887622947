// What a case is expected to take, from history or from what this run has seen, and how long a batch should be.
//
// A case without history is expected to take what its suite took so far, drawn towards what its unit took, drawn
// from what all units took, and SchedulerOptions::default_case before anything is seen. Averages are
// exponentially weighted (1/n for the first, then 1/16 for each new one), in seconds on a host of speed 1.

#ifndef DTEST_COORDINATOR_SCHEDULE_COST_MODEL_H_
#define DTEST_COORDINATOR_SCHEDULE_COST_MODEL_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace dtest::schedule {

// Seconds until the end, if `work` (seconds on slots of speed 1) is shared evenly by `capacity` (slots times speed),
// and the longest of what runs takes `longest` more. Infinite without capacity.
double TimeLeft(double work, double capacity, double longest);

class CostModel {
 public:
  CostModel(absl::Duration default_case, absl::Duration longest_batch);

  // `suites` is how many suites the unit has (numbered from 0), `startup` what starting its process costs.
  void AddUnit(uint32_t unit, uint32_t suites, absl::Duration startup);

  // A case of this suite took so long.
  void Learn(uint32_t unit, uint32_t suite, double seconds);
  void LearnStartup(uint32_t unit, double seconds);

  // Expected seconds to start a process of the unit.
  double Startup(uint32_t unit) const { return units_[unit].startup.seconds; }
  // Whether this run has taught it anything.
  bool has_learnt() const { return all_.count > 0; }

  // Expected seconds of a case that history does not know.
  double Unknown(uint32_t unit, uint32_t suite) const;
  // The same averaged over the unit. Constant between Learn and Refresh of that unit, so that sums hold.
  double UnknownMean(uint32_t unit) const;
  // Brings what is expected of a unit that has not run yet up to date with what the others took.
  void Refresh(uint32_t unit);

  // A case that is expected to take longer is leased alone.
  double long_case() const { return long_case_; }

  // Expected seconds of the next batch of short cases. `pending`: expected seconds of all that is unassigned, `left`:
  // of all that is not finished; `capacity`: slots times speed.
  //
  // A third of an even share of what is pending per slot, at most longest_batch, so that batches shrink towards the
  // end. But at least so much that start-up is 5 % of it, as far as an even share of all that is left goes: with less
  // than that to do per slot, cutting further shortens the run although it burns more processor time.
  double BatchSeconds(uint32_t unit, double pending, double left, double capacity) const;
  // The most cases of unknown length in one batch: few while nothing was seen of the unit, then eight times what
  // was seen, so that one look at long cases is cheap and thousands of tiny ones are reached in few steps.
  uint32_t BatchUnknownCases(uint32_t unit) const;

 private:
  struct Average {
    float seconds = 0;
    uint32_t count = 0;
    void Add(double value);
  };
  struct Unit {
    Average cases;
    Average startup;
    double prior = 0;  // expected before the first result
    std::vector<Average> suites;
  };
  double default_case_;
  double longest_batch_;
  double long_case_;
  Average all_;
  std::vector<Unit> units_;
};

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_COST_MODEL_H_
