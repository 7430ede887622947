// The tests of a CTest tree, from what `ctest --show-only=json-v1` prints (CMake 3.14 and later). The format is CMake's
// manual's, "ctest-1", section "Show as JSON Object Model"; what a property means is cmCTestRunTest's of CMake 3.25.
//
// Nothing is passed over: an entry that cannot be run as CTest would run it says why (CTestEntry::problem).
//
// Free functions of texts, any thread.

#ifndef DTEST_COORDINATOR_BUNDLE_CTEST_LISTING_H_
#define DTEST_COORDINATOR_BUNDLE_CTEST_LISTING_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dtest/declarations.h"
#include "dtest/messages.h"

namespace dtest {

struct CTestEntry {
  std::string name;
  std::vector<std::string> command;  // its first is the path of a program; empty: `problem` says why, or it never runs
  std::string working_directory;     // absolute; empty: that of the tree
  std::vector<std::string> required_files;  // that must be there for it to run
  std::vector<EnvChange> env_changes;       // ENVIRONMENT, and then ENVIRONMENT_MODIFICATION
  Judging judging;
  std::vector<std::string> depends;                     // names of tests: DEPENDS
  std::vector<std::string> setups, cleanups, required;  // fixtures
  CaseDeclaration declaration;
  std::vector<std::string> problems;  // each a clause about the test: "has no command: ..."
};

struct CTestListing {
  std::vector<CTestEntry> entries;
  std::vector<std::string> notes;  // for a person
};

// The lock of tests that are RUN_SERIAL: of these no two run at once, on whichever hosts.
inline constexpr char kSerialLock[] = "RUN_SERIAL";

// InvalidArgument: what is wrong with the text, and where.
absl::StatusOr<CTestListing> ParseCTestListing(absl::string_view output);

// Takes a change of ENVIRONMENT_MODIFICATION, "NAME=operation:value", behind those of `changes`. InvalidArgument: it is
// none.
absl::Status AddEnvironmentModification(absl::string_view text, std::vector<EnvChange>* changes);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_CTEST_LISTING_H_
