#include "agent/core/slot_throttle.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace dtest {
namespace {

constexpr double kNewest = 0.3;  // its share of the smoothed count of tasks
// More tasks than this for each processor, and one, are too many: tests that wait for one another make some come and
// go.
constexpr double kTooMany = 1.5;
constexpr double kStall = 0.1;
constexpr uint32_t kPatience = 5, kPatienceWithMemory = 10;

uint32_t Less(uint32_t slots, uint32_t by) { return slots > by ? slots - by : 1; }

}  // namespace

uint32_t SlotThrottle::Look(const HostLoad& load, uint32_t busy) {
  runnable_ = runnable_.has_value() ? (1 - kNewest) * *runnable_ + kNewest * load.runnable : load.runnable;
  std::string why;
  const bool shown = busy <= bearable_;
  if (load.memory_stall.value_or(0) > kStall) {
    if (shown && after_memory_ == 0) {
      bearable_ = Less(bearable_, std::max(bearable_ / 4, 1u));
      after_memory_ = kPatienceWithMemory;
    }
    patience_ = kPatience;
    why = absl::StrFormat("its tasks wait %.0f %% of the time for memory", 100 * *load.memory_stall);
  } else if (*runnable_ > kTooMany * load.processors + 1) {
    if (shown) bearable_ = Less(bearable_, 1);
    patience_ = kPatience;
    why = absl::StrFormat("%.0f tasks share its %u processors", *runnable_, load.processors);
  } else if (patience_ > 0) {
    --patience_;
  } else if (*runnable_ < load.processors) {
    bearable_ = std::min(bearable_ + 1, slots_);
  }
  if (after_memory_ > 0) --after_memory_;
  const uint32_t equal = (slots_ + load.rivals) / (load.rivals + 1);  // rounded up
  const uint32_t share = load.rivals == 0 ? slots_ : std::max(equal, slots_ - std::min(slots_, load.rival_tests));
  if (share < bearable_)
    why = absl::StrCat(load.rivals, " other ", load.rivals == 1 ? "run" : "runs", " of dtest there");
  open_ = std::min(bearable_, share);
  if (!why.empty()) why_ = std::move(why);
  return open_;
}

}  // namespace dtest
