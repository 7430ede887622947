// Well-formed UTF-8 (Unicode 15, table 3-7): no overlong forms, no surrogates, nothing past U+10FFFF. Pure; any thread.

#ifndef DTEST_BASE_UTF8_H_
#define DTEST_BASE_UTF8_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace dtest {

// Bytes of the well-formed sequence that `bytes`, not empty, starts with; 0 if none.
size_t Utf8SequenceLength(absl::string_view bytes);
bool IsUtf8(absl::string_view bytes);

// Cuts to at most `limit` bytes, never within a sequence of well-formed text. Of other bytes, up to three more are cut.
absl::string_view Utf8Prefix(absl::string_view text, size_t limit);
absl::string_view Utf8Suffix(absl::string_view text, size_t limit);

}  // namespace dtest

#endif  // DTEST_BASE_UTF8_H_
