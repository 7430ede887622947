// Entries of files that are kept beside the tests (quarantine, budget) and mean no case of a run: they are out of date,
// unless they mean cases of units that are not in it. Free function, any thread.

#ifndef DTEST_COORDINATOR_RUN_KNOWN_ELSEWHERE_H_
#define DTEST_COORDINATOR_RUN_KNOWN_ELSEWHERE_H_

#include <algorithm>
#include <vector>

#include "coordinator/filter/filter.h"
#include "coordinator/history/history.h"

namespace dtest {

// Whether the filter matches one of them, as far as their names tell.
inline bool MatchesAny(const Filter& filter, const std::vector<History::KnownCase>& cases) {
  return std::any_of(cases.begin(), cases.end(), [&filter](const History::KnownCase& one) {
    FilterSubject subject;
    subject.unit = one.unit;
    subject.info.name = one.name;
    subject.has_info = false;
    return filter.Matches(subject);
  });
}

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_KNOWN_ELSEWHERE_H_
