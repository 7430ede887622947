// Patterns over text, as GoogleTest's filters and OpenSSH's host patterns have them: '*' stands for any string, '?' for
// any one byte, everything else for itself (brackets and backslashes, too). Pure; any thread.
//
// Patterns over files, where '/' and a leading dot are special, are fnmatch(3)'s business (coordinator/bundle).

#ifndef DTEST_BASE_GLOB_H_
#define DTEST_BASE_GLOB_H_

#include "absl/strings/string_view.h"

namespace dtest {

enum class LetterCase : bool { kIgnored, kMatters };

// Whether the pattern matches all of `text`. Time: at most |pattern| * |text|. kIgnored is for ASCII letters.
bool GlobMatches(absl::string_view pattern, absl::string_view text, LetterCase letters = LetterCase::kMatters);

}  // namespace dtest

#endif  // DTEST_BASE_GLOB_H_
