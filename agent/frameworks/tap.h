// Producers of the Test Anything Protocol, in any language: a unit is one case, since nobody can list their points
// without running them.
//
// It fails by a point that does (less TODO), a plan that is missing or does not agree with the points, "Bail out!", a
// version that is not known, a status other than 0, and is skipped by "1..0 # SKIP" or if all of its points are. The
// points that failed are its message.
//
// A plain program claims to be one by its output: its first line is a version, a plan, a point with a number or
// "Bail out!", or a version follows, or a point and a plan (lines on stderr may come before).

#ifndef DTEST_AGENT_FRAMEWORKS_TAP_H_
#define DTEST_AGENT_FRAMEWORKS_TAP_H_

#include <memory>

#include "agent/frameworks/framework.h"

namespace dtest {

class TapFramework : public TestFramework {
 public:
  static constexpr size_t kLongestLine = 16 << 10;  // more of a line is output, and no part of a point's name

  bool NeedsListing() const override { return false; }
  Invocation ListInvocation(absl::string_view temp_dir) const override;
  absl::StatusOr<CaseInfos> ParseListing(absl::string_view output, absl::Span<const std::string> files) const override;
  Invocation RunInvocation(const BatchRequest& request) const override;
  std::unique_ptr<OutputReader> NewReader(const BatchRequest& request) const override;
  bool Claims(absl::string_view output) const override;
};

const TestFramework& TapAdapter();

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_TAP_H_
