#include "agent/frameworks/libtest.h"

#include "absl/strings/str_cat.h"
#include "agent/frameworks/libtest_listing.h"
#include "agent/frameworks/libtest_reader.h"
#include "agent/frameworks/wanted_cases.h"

namespace dtest {

Invocation LibtestFramework::ListInvocation(absl::string_view temp_dir) const {
  Invocation invocation;
  const std::string list = absl::StrCat(temp_dir, "/listing");
  invocation.arguments = {"--list", absl::StrCat("--logfile=", list)};
  invocation.read_back = {list};
  return invocation;
}

absl::StatusOr<CaseInfos> LibtestFramework::ParseListing(absl::string_view output,
                                                         absl::Span<const std::string> files) const {
  return ParseLibtestListing(files.empty() ? "" : files.front(), output);
}

size_t LibtestFramework::CasesAProcess(const BatchRequest& request) const {
  return CasesThatFit(request, kMostNameBytes);
}

Invocation LibtestFramework::RunInvocation(const BatchRequest& request) const {
  Invocation invocation;
  invocation.arguments = {"--test-threads=1", "--nocapture", "--color=never", absl::StrCat("--logfile=", kReportPath)};
  invocation.report = true;
  invocation.unset = {"RUST_TEST_SHUFFLE", "RUST_TEST_SHUFFLE_SEED"};  // of nightly releases
  if (request.run_disabled) invocation.arguments.emplace_back("--include-ignored");
  if (request.cases.size() == request.listing.size()) return invocation;
  invocation.arguments.emplace_back("--exact");
  for (const LeasedCase& leased : request.cases) {
    invocation.arguments.emplace_back(request.listing.name(leased.index));
  }
  return invocation;
}

std::unique_ptr<OutputReader> LibtestFramework::NewReader(const BatchRequest& request) const {
  return std::make_unique<LibtestReader>(request);
}

const TestFramework& LibtestAdapter() {
  static const LibtestFramework framework;
  return framework;
}

}  // namespace dtest
