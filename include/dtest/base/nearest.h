// "Did you mean": the known word that a mistyped one is most like. Pure; any thread.

#ifndef DTEST_BASE_NEAREST_H_
#define DTEST_BASE_NEAREST_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace dtest {

// The word with the smallest optimal-string-alignment distance (insertions, deletions, substitutions, swaps of
// neighbours; letters' case does not matter), the first of several. Empty where each is further than a third of the longer
// word's length, rounded up, or has no letter in common: then it is another word, not a slip.
absl::string_view Nearest(absl::string_view word, absl::Span<const absl::string_view> known);

// "; did you mean '<prefix><nearest>'?", or empty.
std::string DidYouMean(absl::string_view word, absl::Span<const absl::string_view> known,
                       absl::string_view prefix = "");

}  // namespace dtest

#endif  // DTEST_BASE_NEAREST_H_
