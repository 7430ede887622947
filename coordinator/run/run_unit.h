// A unit as the run loop knows it: what it lists, and which of that is selected. A plain value.

#ifndef DTEST_COORDINATOR_RUN_RUN_UNIT_H_
#define DTEST_COORDINATOR_RUN_RUN_UNIT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "coordinator/run/budget.h"
#include "dtest/case_info.h"
#include "dtest/declarations.h"
#include "dtest/ids.h"

namespace dtest {

struct RunUnit {
  std::string name;
  CaseInfos cases;                 // empty until listed, then never changed
  std::vector<uint32_t> selected;  // ascending positions in `cases`
  // What its build says of them, parallel to `cases`; null: it is none of its tests. Empty: it says nothing.
  std::vector<const CaseDeclaration*> declared = {};
  bool listed = false;           // or it is known that it cannot be
  bool listing_wrong = false;    // it does not run what it listed, and that has been said
  std::optional<HostId> lister;  // where it was listed in this run
  // What runs its tests, as the first host said, and others that differed; empty: nobody has said.
  std::string runner;
  HostId runner_host;
  absl::flat_hash_set<std::string> other_runners = {};
  absl::Duration ready;  // since the run began: when its specification was made
  // By index, of quarantined cases only.
  struct Quarantined {
    uint32_t entry = 0;    // of the run's Quarantine
    std::string evidence;  // what history says of the case, for people
  };
  absl::flat_hash_map<uint32_t, Quarantined> quarantined = {};
  std::vector<Budget::Limit> budget = {};  // parallel to `cases`; empty: all may take as long as they like
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_RUN_UNIT_H_
