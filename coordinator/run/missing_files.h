// What a failure on another host says of files that are only here: tests that name their data by absolute paths of the
// source tree fail there for a reason that their output does not make plain.
//
// Any thread. `exists` is asked for a few paths of one text at most.

#ifndef DTEST_COORDINATOR_RUN_MISSING_FILES_H_
#define DTEST_COORDINATOR_RUN_MISSING_FILES_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace dtest {

// The absolute paths below `root` that the text names, each once, in order, at most 16. Not those that say a place in a
// source ("/src/a.cc:12", "/src/a.cc(12)"), which a failure has anyway, nor `root` itself. A path ends at a space or
// quote, or at what separates words in a message; of what is longer than 64 kB only both ends are looked at.
std::vector<std::string> PathsNamed(absl::string_view text, absl::string_view root);

// For a person: that a file which the failure names, or which Python says is not there, is here, below `root` (the
// working directory), and how it comes to `host`. Empty if there is none. `data_files`: what --data brings already, as
// absolute paths.
std::string MissingFilesHint(absl::string_view message, absl::string_view output, absl::string_view host,
                             absl::string_view root, const std::vector<std::string>& data_files,
                             absl::FunctionRef<bool(const std::string&)> exists);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_MISSING_FILES_H_
