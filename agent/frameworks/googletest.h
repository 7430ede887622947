// GoogleTest programs, of any release since 1.8: --gtest_list_tests, --gtest_filter, and the lines of its default
// printer.
//
// Names are "Suite.Case" as listed: by the file of --gtest_output=json, which releases since 1.8.1 write beside the
// list, else by the list itself (googletest_listing.h). DISABLED_ cases are listed and reported as skipped without a
// process, since GoogleTest itself leaves them out silently.
//
// A batch is selected by the shortest filter that names it: none at all for all cases of the unit, Suite.* for whole
// suites, exact names for the rest, because releases before 1.12 match every test against every pattern. It is one
// argument: a batch whose filter would not fit (Linux' MAX_ARG_STRLEN, 128 KiB) is cut. --gtest_flagfile is no way out:
// where GoogleTest is built with Abseil's flags, 1.13 dies of it and later releases ignore it, and run everything.
// Names with characters that mean something in a filter (dynamically registered tests may have them) get '?' in their
// place; should that select more than was asked for, the reader ignores it.

#ifndef DTEST_AGENT_FRAMEWORKS_GOOGLETEST_H_
#define DTEST_AGENT_FRAMEWORKS_GOOGLETEST_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "agent/frameworks/framework.h"

namespace dtest {

class GoogleTestFramework : public TestFramework {
 public:
  static constexpr absl::string_view kFilterFlag = "--gtest_filter=";
  // Of the filter alone. MAX_ARG_STRLEN is 32 pages, of 4 KiB at least, and counts the zero at the end.
  static constexpr size_t kLongestFilterArgument = (128 << 10) - 1 - kFilterFlag.size();

  bool NeedsListing() const override { return true; }
  Invocation ListInvocation(absl::string_view temp_dir) const override;
  absl::StatusOr<CaseInfos> ParseListing(absl::string_view output, absl::Span<const std::string> files) const override;
  std::vector<std::string> ListingNotes(absl::string_view output, absl::Span<const std::string> files) const override;
  size_t CasesAProcess(const BatchRequest& request) const override;
  Invocation RunInvocation(const BatchRequest& request) const override;
  std::unique_ptr<OutputReader> NewReader(const BatchRequest& request) const override;
};

const TestFramework& GoogleTestAdapter();

// GoogleTest does not run it without --gtest_also_run_disabled_tests.
bool IsDisabledGoogleTest(absl::string_view name, absl::string_view suite);
// Leaves out what is listed and not requested, so that these cases run and what was not listed; empty: no filter is
// needed. '?' stands for a '*' or ':' of a name that is left out, and so leaves out what differs from it in that byte
// alone. An error says why there is no such filter.
absl::StatusOr<std::string> GoogleTestFilterOfTheOthers(const BatchRequest& request);
// The filter that selects these cases of the listing, sorted by index; empty: no filter is needed.
std::string GoogleTestFilter(const BatchRequest& request);

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_GOOGLETEST_H_
