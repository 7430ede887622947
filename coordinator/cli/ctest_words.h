// Words of a command line as they are typed at ctest, made into dtest's own. Pure; any thread.

#ifndef DTEST_COORDINATOR_CLI_CTEST_WORDS_H_
#define DTEST_COORDINATOR_CLI_CTEST_WORDS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace dtest {

// --repeat until-pass:N and until-fail:N. InvalidArgument: what has no
// counterpart, and what to use.
absl::StatusOr<std::vector<std::string>> FromCTestWords(const std::vector<std::string>& words);

// What to use in place of an option of ctest's that dtest has not; empty: it is none.
std::string InPlaceOfCTestOption(absl::string_view name);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_CTEST_WORDS_H_
