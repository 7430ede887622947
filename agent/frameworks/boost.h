// Boost.Test programs: --list_content=DOT, --run_test, and the log for people (HRF).
//
// A case's name is its full one, "suite/case". Disabled ones are reported as skipped without a process, unless disabled
// cases are to run. What the list tells of decorators is among the labels (boost_listing.h).
//
// A batch is selected by full names. What those depend on Boost.Test selects itself, also what is disabled, which it
// does not run when the program is run by itself: that is excluded. Cases that dependencies join are one group, so that
// what several depend on runs once; where they are apart, it runs again, and its results are ignored. Names that a
// filter takes for something else can only be given to test_case's constructor: others run beside them, and are
// ignored.
//
// Results come by the log through the report channel, as they happen; XML and JUnit are written when a buffer is full.
// Signals are not caught, so that a case that crashes does so: Boost.Test would go on where it had stopped, or end the
// process as if it had failed.

#ifndef DTEST_AGENT_FRAMEWORKS_BOOST_H_
#define DTEST_AGENT_FRAMEWORKS_BOOST_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "agent/frameworks/framework.h"

namespace dtest {

class BoostFramework : public TestFramework {
 public:
  // Of all filters together: arguments and environment have to fit beside them.
  static constexpr size_t kLongestFilters = (128 << 10) - 1;

  bool NeedsListing() const override { return true; }
  Invocation ListInvocation(absl::string_view temp_dir) const override;
  absl::StatusOr<CaseInfos> ParseListing(absl::string_view output, absl::Span<const std::string> files) const override;
  size_t CasesAProcess(const BatchRequest& request) const override;
  Invocation RunInvocation(const BatchRequest& request) const override;
  std::unique_ptr<OutputReader> NewReader(const BatchRequest& request) const override;
};

const TestFramework& BoostAdapter();

// The arguments; none: what is not disabled runs.
std::vector<std::string> BoostFilters(const BatchRequest& request);
// Leaves out what is listed and not requested, so that these cases run and what was not listed. An error says why there
// are no such filters.
absl::StatusOr<std::vector<std::string>> BoostFiltersOfTheOthers(const BatchRequest& request);

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_BOOST_H_
