// What --stress came to: how often cases ran, and where they failed. From a run's events, live or of its log.
//
// One thread (the loop's).

#ifndef DTEST_COORDINATOR_REPORT_STRESS_H_
#define DTEST_COORDINATOR_REPORT_STRESS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/event/sink.h"
#include "dtest/ids.h"

namespace dtest {

class StressReport : public Sink {
 public:
  absl::Status Handle(const RunEvent& event) override;  // never fails

  // Lines that say it; empty for a run without --stress.
  std::string Text() const;

 private:
  struct Count {
    uint64_t attempts = 0, failed = 0;
  };
  bool stress_ = false;  // as the run's command says
  Count all_;
  std::map<std::string, Count> by_host_;
  absl::flat_hash_set<CaseId> cases_;
  absl::Time began_ = absl::InfiniteFuture(), ended_ = absl::InfinitePast();  // of attempts
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_REPORT_STRESS_H_
