// The adapters of test binaries of Go, which `go test -c` builds: of Go 1.20 and later, which mark the lines that say
// what runs (-test.v=test2json), and of earlier ones (-test.v). Pure: see framework.h.
//
// A process is told its cases by a regular expression of their whole names, which are words. Tests that call t.Parallel
// wait until those before them have ended, and run one after the other then (-test.parallel=1): they are paused. What a
// test runs by t.Run is known only as it runs, and is part of it. Benchmarks are left out, and told of.

#ifndef DTEST_AGENT_FRAMEWORKS_GOTEST_H_
#define DTEST_AGENT_FRAMEWORKS_GOTEST_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "agent/frameworks/framework.h"

namespace dtest {

class GoTestFramework : public TestFramework {
 public:
  // Of names in one argument: MAX_ARG_STRLEN is 32 pages, of 4 KiB at least.
  static constexpr size_t kMostNameBytes = 120 << 10;

  explicit GoTestFramework(bool marked) : marked_(marked) {}

  bool NeedsListing() const override { return true; }
  Invocation ListInvocation(absl::string_view temp_dir) const override;
  absl::StatusOr<CaseInfos> ParseListing(absl::string_view output, absl::Span<const std::string> files) const override;
  std::vector<std::string> ListingNotes(absl::string_view output, absl::Span<const std::string> files) const override;
  size_t CasesAProcess(const BatchRequest& request) const override;
  Invocation RunInvocation(const BatchRequest& request) const override;
  std::unique_ptr<OutputReader> NewReader(const BatchRequest& request) const override;

 private:
  const bool marked_;
};

const TestFramework& GoTestAdapter();
const TestFramework& GoTest119Adapter();

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_GOTEST_H_
