#include "agent/frameworks/wanted_cases.h"

#include <algorithm>
#include <utility>

namespace dtest {

std::vector<uint8_t> InBatch(const BatchRequest& request) {
  std::vector<uint8_t> in_batch(request.listing.size(), 0);
  for (const LeasedCase& leased : request.cases) in_batch[leased.index] = 1;
  return in_batch;
}

size_t CasesThatFit(const BatchRequest& request, size_t bytes) {
  if (request.cases.size() == request.listing.size()) return request.cases.size();
  size_t sum = 0, count = 0;
  for (const LeasedCase& leased : request.cases) {
    sum += request.listing.name(leased.index).size() + 1;
    if (sum > bytes) break;
    ++count;
  }
  return std::max<size_t>(count, 1);
}

WantedCases::WantedCases(const BatchRequest& request, absl::FunctionRef<bool(uint32_t)> is_off)
    : listing_(&request.listing) {
  cases_.reserve(request.cases.size());
  for (const LeasedCase& leased : request.cases) {
    if (!request.run_disabled && is_off(leased.index)) {
      off_.push_back(leased.index);
    } else {
      cases_.push_back({leased.index});
    }
  }
  std::sort(cases_.begin(), cases_.end(), [](const Case& a, const Case& b) { return a.index < b.index; });
}

bool WantedCases::Start(const char* off, CaseSink* sink) const {
  for (const uint32_t index : off_) {
    CaseResult result;
    result.index = index;
    result.outcome = Outcome::kSkipped;
    result.message = off;
    sink->Finished(std::move(result), Standing::kNeverRuns);
  }
  return !cases_.empty();
}

size_t WantedCases::PositionOf(uint32_t index) const {
  const auto found =
      std::lower_bound(cases_.begin(), cases_.end(), index, [](const Case& one, uint32_t i) { return one.index < i; });
  return found == cases_.end() || found->index != index ? kNone : static_cast<size_t>(found - cases_.begin());
}

void WantedCases::SetDone(size_t position) {
  if (!std::exchange(cases_[position].done, true)) ++done_;
}

size_t WantedCases::Missing() const {
  const auto missing = std::find_if(cases_.begin(), cases_.end(), [](const Case& one) { return !one.done; });
  return missing == cases_.end() ? kNone : static_cast<size_t>(missing - cases_.begin());
}

}  // namespace dtest
