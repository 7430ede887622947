// --budget: which cases took longer than they may. Pure; one thread (the loop's).

#ifndef DTEST_COORDINATOR_RUN_BUDGET_H_
#define DTEST_COORDINATOR_RUN_BUDGET_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/history/durations_file.h"
#include "coordinator/history/history.h"
#include "coordinator/settings/budget_file.h"
#include "dtest/case_info.h"

namespace dtest {

class Budget {
 public:
  // Allows everything.
  Budget() = default;
  Budget(BudgetFile file, Durations baseline) : any_(true), file_(std::move(file)), baseline_(std::move(baseline)) {
    matched_.resize(file_.entries.size());
  }
  // Both files. InvalidArgument: what is wrong, and where.
  static absl::StatusOr<Budget> Read(const std::string& path);

  // What a case may take.
  struct Limit {
    absl::Duration most = absl::InfiniteDuration();
    uint32_t entry = UINT32_MAX;  // of the file that says so; UINT32_MAX: the baseline
  };
  // Parallel to `cases`; empty where there is no budget.
  std::vector<Limit> LimitsOf(absl::string_view unit, const CaseInfos& cases);

  // Why a case that passed has failed after all, for people; nullopt: it may take so long. `speed` of its host,
  // relative to the average one: what a slow host takes longer is not the case's fault.
  std::optional<std::string> Excess(const Limit& limit, absl::Duration took, double speed) const;

  // As of Quarantine.
  bool has_unmatched() const;
  std::vector<std::string> Unmatched(const std::vector<History::KnownCase>& elsewhere) const;

 private:
  bool any_ = false;
  BudgetFile file_;
  Durations baseline_;
  std::vector<bool> matched_;  // by entry
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_BUDGET_H_
