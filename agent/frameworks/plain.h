// A plain program is one case: exit status 0 passes, 77 skips (as in Automake and Meson), anything else fails. Where
// another framework claims its output (TestFramework::Claims), that one judges instead. A TAP failure in the output of
// a program that passed unclaimed is its warning.

#ifndef DTEST_AGENT_FRAMEWORKS_PLAIN_H_
#define DTEST_AGENT_FRAMEWORKS_PLAIN_H_

#include <memory>
#include <string>
#include <vector>

#include "agent/frameworks/framework.h"

namespace dtest {

class PlainFramework : public TestFramework {
 public:
  static constexpr int kSkipStatus = 77;
  static constexpr size_t kHead = 64 << 10;  // bytes of output by which another framework may claim it

  bool NeedsListing() const override { return false; }
  Invocation ListInvocation(absl::string_view temp_dir) const override;
  absl::StatusOr<CaseInfos> ParseListing(absl::string_view output, absl::Span<const std::string> files) const override;
  Invocation RunInvocation(const BatchRequest& request) const override;
  std::unique_ptr<OutputReader> NewReader(const BatchRequest& request) const override;
};

const TestFramework& PlainAdapter();

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_PLAIN_H_
