// A test of a CTest tree that is a process of its own: one case, judged as CTest does it (Judging in dtest/messages.h).
// After cmCTestRunTest::EndTest of CMake 3.25, in its order:
//   1. a process that died by a signal crashed, and one that took too long timed out, whatever else is said of it;
//   2. skipped: its status is `skip_status`, or an expression of `skip` is found;
//   3. it is well where one of `pass`, or, if there are none, status 0, and none of `fail` is found; `will_fail` turns
//      that round.
// Expressions are looked for in all that it printed, also in what is cut from the report, as CTest joins it: a zero
// byte is the end of a line, CRs before that are dropped, and a last line without one gets its LF.

#ifndef DTEST_AGENT_FRAMEWORKS_CTEST_H_
#define DTEST_AGENT_FRAMEWORKS_CTEST_H_

#include <memory>

#include "agent/frameworks/framework.h"

namespace dtest {

class CTestFramework : public TestFramework {
 public:
  bool NeedsListing() const override { return false; }
  Invocation ListInvocation(absl::string_view temp_dir) const override;
  absl::StatusOr<CaseInfos> ParseListing(absl::string_view output, absl::Span<const std::string> files) const override;
  Invocation RunInvocation(const BatchRequest& request) const override;
  std::unique_ptr<OutputReader> NewReader(const BatchRequest& request) const override;
};

const TestFramework& CTestAdapter();

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_CTEST_H_
