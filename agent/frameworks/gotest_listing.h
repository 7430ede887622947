// What a test binary of Go prints when it is asked for its tests: -test.list=. Pure.

#ifndef DTEST_AGENT_FRAMEWORKS_GOTEST_LISTING_H_
#define DTEST_AGENT_FRAMEWORKS_GOTEST_LISTING_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dtest/case_info.h"

namespace dtest {

struct GoListing {
  CaseInfos cases;            // tests, fuzz targets and examples, in the order in which they run
  size_t benchmarks = 0;      // left out: only -test.bench runs them
  size_t other_lines = 0;     // what a TestMain prints
  std::string an_other_line;  // the first
};

// A name a line. InvalidArgument: a name comes twice, or may be at the end of a line that begins with something else,
// where it would be lost; nothing is listed.
absl::StatusOr<GoListing> ParseGoListing(absl::string_view output);

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_GOTEST_LISTING_H_
