// A build tree as CTest knows it: asks `ctest --show-only=json-v1` there, on this machine, since nobody else has the
// tree. That runs the tree's own CTestTestfile.cmake and none of its tests.
//
// No state; any thread.

#ifndef DTEST_COORDINATOR_BUNDLE_CTEST_TREE_H_
#define DTEST_COORDINATOR_BUNDLE_CTEST_TREE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/bundle/ctest_listing.h"

namespace dtest {

// What CMake leaves in each directory of a build tree that may have tests.
inline constexpr char kCTestFile[] = "CTestTestfile.cmake";

struct CTestTree {
  std::string directory;  // that was asked for
  std::string top;        // where the build tree's CMakeCache.txt is: `directory` or one above; `directory` if nowhere
  CTestListing listing;
};

struct CTestOptions {
  std::string config;                                    // the build configuration to test, as of ctest -C; empty: none
  absl::Duration time_limit = absl::InfiniteDuration();  // of ctest's answer
};

// `directory`: absolute, with a kCTestFile. Errors name it, with what ctest said: NotFound: there is no ctest;
// DeadlineExceeded; InvalidArgument: the tree is of several configurations, and none is chosen; ctest failed; or what
// it printed is no listing; errno's code: it cannot be started.
absl::StatusOr<CTestTree> ReadCTestTree(const std::string& directory, const CTestOptions& options);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_CTEST_TREE_H_
