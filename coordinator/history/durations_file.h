// How long cases take, as a small JSON file that is committed or passed on as an artifact, so that all shards of a
// suite know the same. `dtest history export` writes it, `--shard-durations` reads it. docs/reports.md shows one.
//
//   {
//     "dtest_durations": 1,
//     "executables": {
//       "math_test": {
//         "Add.Large": 1.25,
//         "Add.Small": 0.0015
//       }
//     }
//   }
//
// Seconds. Names in order, one case a line, three digits that count: what changed shows in a diff and little else does.
// Names that are not UTF-8 have no place in JSON and are left out.
//
// Free functions, any thread.

#ifndef DTEST_COORDINATOR_HISTORY_DURATIONS_FILE_H_
#define DTEST_COORDINATOR_HISTORY_DURATIONS_FILE_H_

#include <cstddef>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace dtest {

struct Durations {
  // By unit, then by case: names as in reports. Not negative.
  std::map<std::string, std::map<std::string, absl::Duration>> units;
  std::string digest;  // of the file's bytes: 12 hex digits of their SHA-256

  size_t size() const;  // cases
};

// InvalidArgument "NAME:LINE: what is wrong" if the text is anything but such a file; fields that are not known are
// ignored, a case that is there twice is an error.
absl::StatusOr<Durations> ParseDurations(absl::string_view text, absl::string_view name);
// The same of a file; errors name it.
absl::StatusOr<Durations> ReadDurations(const std::string& path);
// The text of a file, without what has a name that is not UTF-8. `digest` is not looked at.
std::string FormatDurations(const Durations& durations);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_HISTORY_DURATIONS_FILE_H_
