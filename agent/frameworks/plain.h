// A plain executable is one case: exit status 0 passes, 77 skips (as in Automake and Meson), anything else fails.

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

  bool NeedsListing() const override { return false; }
  Invocation ListInvocation(const BatchRequest& request) const override;
  absl::StatusOr<std::vector<std::string>> ParseListing(absl::string_view output) const override;
  Invocation RunInvocation(const BatchRequest& request) const override;
  std::unique_ptr<OutputReader> NewReader(const BatchRequest& request) const override;
};

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_PLAIN_H_
