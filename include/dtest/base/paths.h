// Paths as byte strings, in whatever encoding the file system has. Any thread; no state.

#ifndef DTEST_BASE_PATHS_H_
#define DTEST_BASE_PATHS_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace dtest {

// "/a/b/c" -> "/a/b" and "c"; "c" -> "." and "c"; "/c" -> "/" and "c". Views into `path`, or constant.
absl::string_view DirectoryOf(absl::string_view path);
absl::string_view BaseName(absl::string_view path);

// `path` as seen from `directory`, where it lies below it ("/a/b" in "/a" is "b"); else all of it. By their bytes
// alone: neither is looked up. A view into `path`.
absl::string_view PathBelow(absl::string_view directory, absl::string_view path);

// `text` with `to` for each `from` in it, a directory, where its path stands for itself or for what is below it: behind
// the beginning of the text, the name of an option ("-I/a") or what cannot be of a path, and before '/', the end or
// what cannot be of a name. Nothing for an empty `from` or "/".
std::string ReplacePath(absl::string_view text, absl::string_view from, absl::string_view to);

// realpath(3): absolute, without symbolic links. nullopt with errno set where that fails.
std::optional<std::string> RealPath(const std::string& path);

}  // namespace dtest

#endif  // DTEST_BASE_PATHS_H_
