// The cases of one lease that the agent holds, and where each stands. Part of the agent core; one thread.

#ifndef DTEST_AGENT_CORE_HELD_LEASE_H_
#define DTEST_AGENT_CORE_HELD_LEASE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "dtest/messages.h"
#include "dtest/outcome.h"

namespace dtest {

// A case that ended in a process, and how its result told it.
struct RanCase {
  size_t position = 0;  // in the lease
  CaseResult told;      // without output and properties
};

// Something went wrong outside of a process' cases (see agent.h): they are run once more, each alone.
struct Inquest {
  struct Question {
    std::string how;                     // it went wrong
    Outcome outcome = Outcome::kFailed;  // of the one to blame, where nobody does it alone
    std::vector<size_t> candidates;  // positions: of `ran` in the order they ran, and the next one if that may be it
    std::string cases;               // all that ran, by name
    std::string output;
    uint64_t output_cut = 0;
    bool hung = false;  // so asking may take long: one that does it is enough
    bool found = false;
  };
  std::vector<Question> questions;
  std::vector<RanCase> ran;
  std::vector<size_t> suspects;    // positions of candidates that are run
  size_t next = 0;                 // suspect to run
  std::optional<CaseResult> last;  // of the process, or of the last suspect: told when all is known
};

class HeldLease {
 public:
  static constexpr size_t kNone = ~size_t{0};

  // A case named twice in one lease is held once. Positions are in the lease's order, in which its process runs them:
  // the first that remains is the next to run.
  explicit HeldLease(Lease lease);

  LeaseId id() const { return id_; }
  UnitId unit() const { return unit_; }
  uint32_t iteration() const { return iteration_; }  // of all of its cases
  bool unlisted_too() const { return unlisted_too_; }
  const std::vector<std::pair<std::string, std::string>>& env() const { return env_; }
  bool may_follow() const { return may_follow_; }
  Sandbox sandbox() const { return sandbox_; }
  size_t remaining() const { return remaining_; }  // neither reported nor held back
  const LeasedCase& at(size_t position) const { return cases_[position]; }

  // Position of a remaining case; kNone if there is none. O(1) when cases come in order, else O(log n).
  size_t Find(uint32_t index);
  // Position of the first remaining case; kNone if none remains.
  size_t First();
  // The case of this index that remains no longer; null if there is none. O(log n).
  const LeasedCase* Finished(uint32_t index) const;
  // It has a result: it remains no longer.
  void Finish(size_t position);
  // The first `limit` remaining cases, in order.
  std::vector<LeasedCase> Remaining(size_t limit) const;

  // What waits for company: results, and properties of results that have left; `gathered_bytes` of text and properties.
  // `flush_at` is InfiniteFuture if there is nothing.
  std::vector<CaseResult> gathered;
  std::vector<LateProperties> late_properties;
  std::vector<LateFailure> late_failures;
  uint64_t gathered_bytes = 0;
  absl::Time flush_at = absl::InfiniteFuture();

  // A crash whose case may not be the one that crashed (see agent.h).
  struct Doubt {
    CaseResult crash;                 // unless...
    std::optional<CaseResult> alone;  // how the case ended alone, its output lost; another crash makes it the verdict
  };
  std::optional<Doubt> doubt;             // without `alone`: the case remains, and is run next, alone
  bool one_by_one = false;                // one process a case from here on
  std::vector<uint32_t> died_setting_up;  // the last process did, a suite with these cases to run

  std::optional<Inquest> inquest;

 private:
  size_t PositionOf(uint32_t index) const;  // kNone if it is not in the lease

  LeaseId id_;
  UnitId unit_;
  uint32_t iteration_;
  bool unlisted_too_;
  std::vector<std::pair<std::string, std::string>> env_;
  bool may_follow_;
  Sandbox sandbox_;
  std::vector<LeasedCase> cases_;
  std::vector<uint32_t> by_index_;  // positions, sorted by the index of their case
  std::vector<uint8_t> finished_;   // parallel to cases_
  size_t remaining_ = 0;
  size_t first_ = 0;   // no remaining case before it
  size_t cursor_ = 0;  // where the next one is expected
};

}  // namespace dtest

#endif  // DTEST_AGENT_CORE_HELD_LEASE_H_
