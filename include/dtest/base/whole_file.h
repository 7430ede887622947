// Files that are written whole or not at all: into a temporary file beside them, which is then renamed. Who reads at
// the same time sees the old contents or the new ones.
//
// `shown` begins every error and says which file of whose wish is meant, such as "--junit results.xml". Any thread and
// any number of processes, for one file, too: the last one wins.

#ifndef DTEST_BASE_WHOLE_FILE_H_
#define DTEST_BASE_WHOLE_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace dtest {

// Replaces the file, or makes it (mode 0666 less the umask). What was there stays if this fails. The name of the
// temporary file is that of the file and ".tmp-...": a process that is killed may leave it behind.
absl::Status ReplaceFile(absl::string_view shown, const std::string& path, absl::string_view contents);

// Whether that could be begun now: the directory exists and may be written.
absl::Status CheckReplaceable(absl::string_view shown, const std::string& path);

}  // namespace dtest

#endif  // DTEST_BASE_WHOLE_FILE_H_
