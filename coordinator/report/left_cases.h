// What an earlier run left and this one has not run (CasesLeft), as far as the events so far tell. One thread.

#ifndef DTEST_COORDINATOR_REPORT_LEFT_CASES_H_
#define DTEST_COORDINATOR_REPORT_LEFT_CASES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "coordinator/event/run_event.h"

namespace dtest {

class LeftCases {
 public:
  struct One {
    std::string unit;
    CasesLeft::Case what;
    std::string why;
    bool failed = false;
    bool left_out = false;
    bool selected = false;  // it has a verdict in this run, or lacks one
  };

  void Add(const CasesLeft& left);
  void Select(const CasesSelected& selected);
  void Tell(const UnitListed& listed);

  // All that was told, each once, in the order in which it was told first; also what is selected by now.
  const std::vector<One>& all() const { return all_; }
  // How many are not selected, by whether somebody has said so.
  uint64_t count() const { return count_[false]; }
  uint64_t left_out() const { return count_[true]; }
  // Whether the case failed in the earlier run.
  bool Failed(absl::string_view unit, absl::string_view name) const;
  // Whether the unit has cases that are not selected.
  bool Has(absl::string_view unit) const;

 private:
  struct OfUnit {
    absl::flat_hash_map<std::string, size_t> by_name;  // in all_
    bool stand_for = false;                            // some of these do, for others
  };
  void Take(One* one);

  std::vector<One> all_;
  absl::flat_hash_map<std::string, OfUnit> units_;
  uint64_t count_[2] = {};
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_REPORT_LEFT_CASES_H_
