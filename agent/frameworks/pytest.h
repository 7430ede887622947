// pytest: the tests of a pytest root, by a plugin of ours (agent/pytest) that the interpreter of the project runs.
//
// A case is named by its node id, relative to the root. Its suite is the node id of its class or file, its labels are
// its marks, its parameter what stands in brackets. What cannot be collected is a case, too, named by the node id of
// its file, and fails with what pytest says of it: so the rest is run.
//
// The listing comes in a file, results through the report channel, both as records (pytest_records.h). What a test
// prints comes with its result, as pytest captured it; what pytest does not capture, as output of the process.

#ifndef DTEST_AGENT_FRAMEWORKS_PYTEST_H_
#define DTEST_AGENT_FRAMEWORKS_PYTEST_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "agent/frameworks/framework.h"

namespace dtest {

class PytestFramework final : public TestFramework {
 public:
  bool NeedsListing() const override { return true; }
  Invocation ListInvocation(absl::string_view temp_dir) const override;
  absl::StatusOr<CaseInfos> ParseListing(absl::string_view output, absl::Span<const std::string> files) const override;
  std::vector<std::string> ListingNotes(absl::string_view output, absl::Span<const std::string> files) const override;
  Invocation RunInvocation(const BatchRequest& request) const override;
  std::unique_ptr<OutputReader> NewReader(const BatchRequest& request) const override;
  std::string AnswerTo(const Invocation* next) const override;
};

const TestFramework& PytestAdapter();

// The plugin. Made from agent/pytest by the build.
extern const Companion kPytestCompanion;

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_PYTEST_H_
