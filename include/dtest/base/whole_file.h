// Files that are written whole or not at all: into a temporary file beside them, which is then renamed. Who reads at
// the same time sees the old contents or the new ones.
//
// `shown` begins every error and says which file is meant and who asked for it, such as "--junit results.xml". Any
// thread and any number of processes, also for the same file: the last one wins.

#ifndef DTEST_BASE_WHOLE_FILE_H_
#define DTEST_BASE_WHOLE_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace dtest {

// Replaces the file, or makes it (mode 0666 less the umask). What was there stays if this fails. The name of the
// temporary file is that of the file and ".tmp-...": a process that is killed may leave it behind.
absl::Status ReplaceFile(absl::string_view shown, const std::string& path, absl::string_view contents);

// Whether ReplaceFile could begin: OK if the directory exists and may be written.
absl::Status CheckReplaceable(absl::string_view shown, const std::string& path);

}  // namespace dtest

#endif  // DTEST_BASE_WHOLE_FILE_H_
