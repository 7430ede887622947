// The adapter of Rust's libtest, the harness of programs that `rustc --test` or `cargo test` builds. Pure: see
// framework.h.
//
// Each test has a module path as its exact name, so a process is told its cases by their names, and runs them in the
// order of the listing, in one thread. Listing and verdicts go to a file of their own (--logfile), which every stable
// release has; its JSON (--format json) only nightly ones have. Which tests are ignored shows as they are run: libtest
// says so, with the reason, without running them.

#ifndef DTEST_AGENT_FRAMEWORKS_LIBTEST_H_
#define DTEST_AGENT_FRAMEWORKS_LIBTEST_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "agent/frameworks/framework.h"

namespace dtest {

class LibtestFramework : public TestFramework {
 public:
  // Bytes of names that one process is told, where it does not run all of its cases. Linux allows a process 2 MiB of
  // arguments and environment as a rule.
  static constexpr size_t kMostNameBytes = 512 << 10;

  bool NeedsListing() const override { return true; }
  Invocation ListInvocation(absl::string_view temp_dir) const override;
  absl::StatusOr<CaseInfos> ParseListing(absl::string_view output, absl::Span<const std::string> files) const override;
  size_t CasesAProcess(const BatchRequest& request) const override;
  Invocation RunInvocation(const BatchRequest& request) const override;
  std::unique_ptr<OutputReader> NewReader(const BatchRequest& request) const override;
};

const TestFramework& LibtestAdapter();

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_LIBTEST_H_
