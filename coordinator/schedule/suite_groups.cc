#include "coordinator/schedule/suite_groups.h"

#include <algorithm>
#include <cmath>

#include "absl/container/flat_hash_map.h"

namespace dtest::schedule {

std::vector<uint32_t> GroupSuites(absl::Span<const SuiteCase> cases, const SuiteCosts& costs, uint32_t first) {
  struct Suite {
    absl::Duration expected;  // of its cases of which that is known
    int64_t known = 0, unknown = 0;
    absl::Duration part, filled;  // of its groups; the one that is being filled
    uint32_t group = 0;           // this one
  };
  absl::flat_hash_map<uint32_t, Suite> suites;
  for (const SuiteCase& c : cases) {
    Suite& suite = suites[c.suite];
    suite.expected += c.expected.value_or(absl::ZeroDuration());
    ++(c.expected.has_value() ? suite.known : suite.unknown);
  }
  std::vector<uint32_t> group_of(cases.size());
  uint32_t next = first;
  for (size_t k = 0; k < cases.size(); ++k) {
    Suite& suite = suites[cases[k].suite];
    if (suite.known == 0) continue;
    const absl::Duration mean = suite.expected / suite.known;
    const absl::Duration whole = suite.expected + suite.unknown * mean;
    if (!costs.keeps_together(whole)) continue;
    if (suite.group == 0) {
      const double parts = std::ceil(absl::FDivDuration(whole, std::max(costs.half_of_a_slot, costs.setup)));
      suite.part = whole / std::max(parts, 1.0);
    }
    if (suite.group == 0 || suite.filled >= suite.part) {
      suite.group = next++;
      suite.filled = absl::ZeroDuration();
    }
    group_of[k] = suite.group;
    suite.filled += cases[k].expected.value_or(mean);
  }
  return group_of;
}

}  // namespace dtest::schedule
