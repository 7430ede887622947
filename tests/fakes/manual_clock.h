// A clock that stands still unless it is moved. One thread.

#ifndef DTEST_TESTS_FAKES_MANUAL_CLOCK_H_
#define DTEST_TESTS_FAKES_MANUAL_CLOCK_H_

#include <algorithm>
#include <functional>

#include "absl/time/time.h"

namespace dtest {

class ManualClock {
 public:
  absl::Time now() const { return now_; }
  void Advance(absl::Duration by) { now_ += by; }
  void AdvanceTo(absl::Time time) { now_ = std::max(now_, time); }
  // For whoever takes a clock.
  std::function<absl::Time()> AsFunction() const {
    return [this] { return now_; };
  }

 private:
  absl::Time now_ = absl::FromUnixSeconds(1'000'000'000);
};

}  // namespace dtest

#endif  // DTEST_TESTS_FAKES_MANUAL_CLOCK_H_
