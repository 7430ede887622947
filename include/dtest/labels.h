// Labels of cases that mean something to dtest itself. Pure; any thread.

#ifndef DTEST_LABELS_H_
#define DTEST_LABELS_H_

#include <cstddef>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace dtest {

// A case that stands for a file whose cases are not known, since the framework could not read it. It fails.
inline constexpr char kUncollectedLabel[] = "collection-error";

// Calls `handle` with the name of each directory, file and class that a case of this name may be in, from "." on. A
// case that has that label and one of these names stands for this one: if its file could be read, this one would be
// listed in its place.
template <typename Handle>
void ForEachUncollectedOf(absl::string_view name, Handle handle) {
  handle(absl::string_view("."));
  for (size_t end = 0; end < name.size(); ++end) {
    const absl::string_view rest = name.substr(end);
    if (absl::StartsWith(rest, "::") || absl::StartsWith(rest, "/")) handle(name.substr(0, end));
  }
}

}  // namespace dtest

#endif  // DTEST_LABELS_H_
