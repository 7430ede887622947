// Virtual time: things to do, in the order of their times, and among equals in the order they were asked for.

#ifndef DTEST_TESTS_SIMULATION_SIM_CLOCK_H_
#define DTEST_TESTS_SIMULATION_SIM_CLOCK_H_

#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace dtest::simulation {

class SimClock {
 public:
  absl::Time now() const { return now_; }
  void At(absl::Time time, std::function<void()> what) {
    queue_.push(Entry{time < now_ ? now_ : time, ++serial_, std::move(what)});
  }
  void After(absl::Duration delay, std::function<void()> what) { At(now_ + delay, std::move(what)); }
  // Does the next thing; false if there is none.
  bool Step() {
    if (queue_.empty()) return false;
    std::function<void()> what = std::move(const_cast<Entry&>(queue_.top()).what);
    now_ = queue_.top().time;
    queue_.pop();
    what();
    return true;
  }
  // When the next thing happens; InfiniteFuture if there is none.
  absl::Time next() const { return queue_.empty() ? absl::InfiniteFuture() : queue_.top().time; }
  // Does nothing of what was to be done until then.
  void Skip(absl::Time time) { now_ = time; }
  uint64_t steps() const { return serial_; }
  // Forgets what was to be done.
  void Clear() { queue_ = {}; }

 private:
  struct Entry {
    absl::Time time;
    uint64_t serial;
    std::function<void()> what;
    bool operator<(const Entry& other) const { return time != other.time ? time > other.time : serial > other.serial; }
  };
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  uint64_t serial_ = 0;
  std::priority_queue<Entry> queue_;
};

}  // namespace dtest::simulation

#endif  // DTEST_TESTS_SIMULATION_SIM_CLOCK_H_
