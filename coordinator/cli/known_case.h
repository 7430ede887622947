// What commands that ask history alone, without a listing, go by to select cases.

#ifndef DTEST_COORDINATOR_CLI_KNOWN_CASE_H_
#define DTEST_COORDINATOR_CLI_KNOWN_CASE_H_

#include "absl/status/status.h"
#include "coordinator/filter/filter.h"
#include "coordinator/history/history.h"
#include "coordinator/run/selection.h"
#include "dtest/outcome.h"

namespace dtest {

// InvalidArgument: its filters ask for what only a listing says.
inline absl::Status CheckNamesAreEnough(const Selection& selection) {
  if (!selection.NeedsInfo()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "label(), file() and parameter() cannot be asked here: history knows names only; choose by unit(), suite() or "
      "name()");
}

// A view: valid as long as `known`.
inline FilterSubject SubjectOf(const History::KnownCase& known) {
  FilterSubject subject;
  subject.unit = known.unit;
  subject.info.name = known.name;
  subject.has_info = false;
  subject.never_ran = known.history.runs == 0;
  subject.failed_last = !subject.never_ran && IsFailure(known.history.last_outcome);
  return subject;
}

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_KNOWN_CASE_H_
