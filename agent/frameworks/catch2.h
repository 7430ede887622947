// Catch2 programs, versions 2 and 3: --list-tests, a filter of test names, and the XML reporter.
//
// Names are the tests' own, of any bytes; labels are their tags. A test with the tag "." ([.], [.tag], [!hide],
// [!benchmark]) is hidden: reported as skipped without a process, unless disabled cases are to run. [!shouldfail] and
// [!mayfail] are Catch2's to judge.
//
// A batch is selected by a filter of quoted names. Catch2 compares them without regard to case and to blanks around
// them; what else that selects, the reader ignores. It takes a '*' at either end for a wildcard, which nothing
// escapes: what that selects beside is excluded by name.
//
// Results come by XML through the report channel, as they happen. Catch2 keeps what a test writes to std::cout, cerr
// and clog until the test ends, and loses it where it crashes. What goes to stdout by other ways (printf) is put to the
// test that runs when it arrives, or comes next: in a process of several tests it may be another's.

#ifndef DTEST_AGENT_FRAMEWORKS_CATCH2_H_
#define DTEST_AGENT_FRAMEWORKS_CATCH2_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "agent/frameworks/framework.h"

namespace dtest {

// Of version 3. The versions differ in how they list.
class Catch2Framework : public TestFramework {
 public:
  // MAX_ARG_STRLEN is 32 pages, of 4 KiB at least, and counts the zero at the end.
  static constexpr size_t kLongestFilterArgument = (128 << 10) - 1;

  bool NeedsListing() const override { return true; }
  Invocation ListInvocation(absl::string_view temp_dir) const override;
  absl::StatusOr<CaseInfos> ParseListing(absl::string_view output, absl::Span<const std::string> files) const override;
  size_t CasesAProcess(const BatchRequest& request) const override;
  Invocation RunInvocation(const BatchRequest& request) const override;
  std::unique_ptr<OutputReader> NewReader(const BatchRequest& request) const override;
};

class Catch2Version2Framework : public Catch2Framework {
 public:
  Invocation ListInvocation(absl::string_view temp_dir) const override;
  absl::StatusOr<CaseInfos> ParseListing(absl::string_view output, absl::Span<const std::string> files) const override;
  // It is the number of what was listed.
  bool ListsWithStatus(int /*exit_code*/) const override { return true; }
};

const TestFramework& Catch2Adapter();
const TestFramework& Catch2Version2Adapter();

// It does not run unless it is named.
bool IsHiddenCatch2Test(const CaseInfo& info);
// Leaves out what is listed and not requested, so that these cases run and what was not listed. A '*' at an end of a
// name that is left out stands for anything, and leaves that out, too. An error says why there is no such filter.
absl::StatusOr<std::string> Catch2FilterOfTheOthers(const BatchRequest& request);
// The filter that selects these cases of the listing; empty: no filter is needed.
std::string Catch2Filter(const BatchRequest& request);

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_CATCH2_H_
