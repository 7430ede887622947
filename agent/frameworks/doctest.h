// doctest programs: --list-test-cases, filters of test names, and the XML reporter.
//
// Names are the tests' own, of any bytes, but where several have one (doctest_listing.h). A test with the decorator
// skip has the label "skip" and is reported as skipped without a process, unless disabled cases are to run. Of the
// other decorators the list tells nothing; they are doctest's to judge.
//
// A batch is selected by a filter of names, which are wildcards, separated by commas. Releases differ in what they
// escape, so a comma, a backslash and a quote are said by '?'. What that, or a '*' or '?' of the name itself, selects
// beside is excluded by name; where nothing tells the names apart, the range of positions (--first, --last) does.
//
// Results come by XML through the report channel, as they happen.

#ifndef DTEST_AGENT_FRAMEWORKS_DOCTEST_H_
#define DTEST_AGENT_FRAMEWORKS_DOCTEST_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "agent/frameworks/framework.h"

namespace dtest {

class DoctestFramework : public TestFramework {
 public:
  // MAX_ARG_STRLEN is 32 pages, of 4 KiB at least, and counts the zero at the end.
  static constexpr size_t kLongestArgument = (128 << 10) - 1;

  bool NeedsListing() const override { return true; }
  Invocation ListInvocation(absl::string_view temp_dir) const override;
  absl::StatusOr<CaseInfos> ParseListing(absl::string_view output, absl::Span<const std::string> files) const override;
  size_t CasesAProcess(const BatchRequest& request) const override;
  Invocation RunInvocation(const BatchRequest& request) const override;
  std::unique_ptr<OutputReader> NewReader(const BatchRequest& request) const override;
};

const TestFramework& DoctestAdapter();

// It does not run unless skipped ones are to.
bool IsSkippedDoctest(const CaseInfo& info);

struct DoctestSelection {
  std::vector<std::string> arguments;  // empty: all run
  bool exact = true;                   // false: others run, too
};
DoctestSelection SelectDoctests(const BatchRequest& request);
// Leaves out what is listed and not requested, so that these cases run and what was not listed. An error says why
// there is no such filter.
absl::StatusOr<std::string> DoctestFilterOfTheOthers(const BatchRequest& request);

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_DOCTEST_H_
