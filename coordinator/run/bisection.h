// Which of the cases that ran before a case in its process make it fail: delta debugging (Zeller and Hildebrandt,
// "Simplifying and Isolating Failure-Inducing Input", 2002), with sets tried beside one another. What answers is real
// runs, so an answer may be wrong: a set is never tried twice but to be verified, the search only ever goes on with
// fewer cases or smaller parts of them, and what it ends with is verified.
//
//   checked    behind all of them it fails, and alone it passes; else both are tried three times in all
//   pairs      each of them alone before it, where they are few: one is nearly always enough
//   search     parts of the set, then the set without each part, then smaller parts, until no case can be left out
//   verified   the set that is left fails three times, and the case passes alone three times
//
// Sets are tried in an order of their own and the first of them that fails is gone on with, whichever answers first: so
// the result does not depend on who is faster.
//
// Pure; one thread.

#ifndef DTEST_COORDINATOR_RUN_BISECTION_H_
#define DTEST_COORDINATOR_RUN_BISECTION_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace dtest {

enum class TrialVerdict : uint8_t {
  kPasses,
  kFails,
  kUnresolved,  // it has no verdict, failed otherwise, or did not run behind all of the set in one process
};

class Bisection {
 public:
  // Positions of the cases that ran before it, from 0, ascending.
  using Set = std::vector<uint32_t>;
  struct Trial {
    uint32_t number = 0;
    Set behind;
  };
  enum class End : uint8_t {
    kFound,
    kPassesBehindAll,
    kUnresolvedBehindAll,  // there is no telling: not even all of them can be run before it in one process
    kUnresolvedAlone,      // nor alone, though it fails behind all
    kFailsAlone,
    kFlaky,          // answers contradict one another: `tally` has them
    kTooManyTrials,  // `smallest` is as far as it came
  };
  struct Tally {
    uint32_t passes = 0, fails = 0, unresolved = 0;
    uint32_t all() const { return passes + fails + unresolved; }
  };
  static constexpr uint32_t kTimes = 3;  // that what counts is tried

  // `cases`: how many ran before it, at least one; `parallel`: trials at a time, at least one.
  Bisection(uint32_t cases, uint32_t parallel);

  // What is to be tried now; nullopt: nothing before another answer, or as it is over.
  std::optional<Trial> Next();
  // Of each trial once.
  void Answer(uint32_t number, TrialVerdict verdict);

  std::optional<End> end() const { return end_; }
  const Set& smallest() const { return smallest_; }  // behind which it failed, by now
  Tally tally(const Set& set) const;
  uint32_t trials() const { return next_number_; }  // begun
  uint32_t unresolved() const { return unresolved_; }

 private:
  enum class Stage : uint8_t { kCheck, kCheckAgain, kPairs, kSearch, kVerify };
  struct Candidate {
    Set set;
    std::optional<TrialVerdict> verdict;
    bool begun = false;
  };

  void Begin(Stage stage, std::vector<Set> sets);
  void BeginSearch(size_t parts);
  void GoOn();  // as the stage is over, to the next
  void GoOnFromCheck();
  void GoOnFromCheckAgain();
  void GoOnFromSearch();
  void GoOnFromVerify();
  const Candidate* FirstThatFails() const;  // and before which all have answered; null: none yet
  bool AllAnswered() const;

  const uint32_t parallel_;
  const uint32_t most_trials_;
  Set all_;
  Set smallest_;
  Stage stage_ = Stage::kCheck;
  size_t parts_ = 0;  // of `smallest_`, in the search
  std::vector<Candidate> candidates_;
  std::map<uint32_t, std::pair<Set, std::optional<size_t>>> running_;  // by number; of this stage: which candidate
  std::map<Set, Tally> tallies_;
  uint32_t next_number_ = 0;
  uint32_t unresolved_ = 0;
  std::optional<End> end_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_BISECTION_H_
