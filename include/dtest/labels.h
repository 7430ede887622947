// Labels of cases that mean something to dtest itself.

#ifndef DTEST_LABELS_H_
#define DTEST_LABELS_H_

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace dtest {

// A case that stands for a file whose cases are not known, since the framework could not read it. It fails.
inline constexpr char kUncollectedLabel[] = "collection-error";

// Whether a case of this name would be listed in place of the one that has that label and is named `uncollected`, a
// file, a class of one, or a directory, if that could be read.
inline bool IsCaseOf(absl::string_view name, absl::string_view uncollected) {
  if (uncollected == ".") return true;
  return absl::ConsumePrefix(&name, uncollected) && (absl::StartsWith(name, "::") || absl::StartsWith(name, "/"));
}

}  // namespace dtest

#endif  // DTEST_LABELS_H_
