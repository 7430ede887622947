// What is known of cases that were running when their host was lost or the run was stopped: kept until they are leased
// again or have their verdict. And which hosts were lost while each was running there. One thread.

#ifndef DTEST_COORDINATOR_SCHEDULE_CUT_CASES_H_
#define DTEST_COORDINATOR_SCHEDULE_CUT_CASES_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "coordinator/schedule/ids.h"
#include "dtest/outcome.h"

namespace dtest::schedule {

struct Cut {
  HostId host = kNoHost;
  absl::Time began, ended;
  std::string lost;                // why the host was lost; empty: it was not
  bool stopping = false;           // the run was being stopped by then
  std::optional<CaseResult> told;  // what the agent said of it: outcome kNotRun
};

class CutCases {
 public:
  void Note(CaseNumber i, Cut cut) { cuts_.insert_or_assign(i, std::move(cut)); }
  // Null if it was not cut.
  const Cut* Find(CaseNumber i) const {
    const auto found = cuts_.find(i);
    return found == cuts_.end() ? nullptr : &found->second;
  }
  // It runs again.
  void Forget(CaseNumber i) {
    if (!cuts_.empty()) cuts_.erase(i);
  }
  // It has its verdict.
  void Settle(CaseNumber i) {
    Forget(i);
    if (!losses_.empty()) losses_.erase(i);
  }

  // A host was lost while it ran there: which, and why.
  void NoteLoss(CaseNumber i, std::string text) { losses_[i].push_back(std::move(text)); }
  std::string Losses(CaseNumber i) const {
    const auto found = losses_.find(i);
    return found == losses_.end() ? std::string() : absl::StrJoin(found->second, ", ");
  }

 private:
  absl::flat_hash_map<CaseNumber, Cut> cuts_;
  absl::flat_hash_map<CaseNumber, std::vector<std::string>> losses_;
};

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_CUT_CASES_H_
