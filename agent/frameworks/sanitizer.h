// What sanitizers say, wherever in a program's output they say it. Pure.

#ifndef DTEST_AGENT_FRAMEWORKS_SANITIZER_H_
#define DTEST_AGENT_FRAMEWORKS_SANITIZER_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace dtest {

// The first line by which AddressSanitizer, LeakSanitizer, MemorySanitizer, ThreadSanitizer or
// UndefinedBehaviorSanitizer begins a report in `text`, without what stands before it on that line if that is not the
// report's; empty if there is none. A view into `text`.
absl::string_view SanitizerHeadline(absl::string_view text);

// Bytes of a line in which a reader looks for one: a headline stands at the start.
inline constexpr size_t kLongestSanitizerLine = 8 << 10;

// Of several headlines, said one after the other, one is kept in `headline`: the first, but an ERROR, which ends the
// process, rather than what goes on (a warning, or UndefinedBehaviorSanitizer's remark).
void KeepSanitizerHeadline(absl::string_view text, std::string* headline);

// Follows the headline where it was said after a case, while its suite was torn down: it may be any case's of the
// suite.
inline constexpr char kSaidInSuiteTearDown[] = " (in the tear-down of its suite)";

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_SANITIZER_H_
