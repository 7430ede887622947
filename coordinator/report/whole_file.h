// Files that are written whole or not at all: into a temporary file beside them, which is then renamed.
//
// `shown` begins every error and says which file of whose wish is meant, such as "--junit results.xml". Any thread.

#ifndef DTEST_COORDINATOR_REPORT_WHOLE_FILE_H_
#define DTEST_COORDINATOR_REPORT_WHOLE_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace dtest {

// Replaces the file, or makes it. What was there stays if this fails.
absl::Status ReplaceFile(absl::string_view shown, const std::string& path, absl::string_view contents);

// Whether that could be begun now: the directory exists and may be written.
absl::Status CheckReplaceable(absl::string_view shown, const std::string& path);

// Everything, to a descriptor.
absl::Status WriteAll(absl::string_view shown, int fd, absl::string_view bytes);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_REPORT_WHOLE_FILE_H_
