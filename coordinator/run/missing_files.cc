#include "coordinator/run/missing_files.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace dtest {
namespace {

constexpr size_t kPaths = 16;
constexpr size_t kEnd = 32 << 10;  // bytes of either end of a long text

bool EndsPath(char c) {
  return absl::ascii_isspace(static_cast<unsigned char>(c)) || absl::ascii_iscntrl(static_cast<unsigned char>(c)) ||
         absl::StrContains("'\"`<>()[]{},;:|=", c);
}

// The path that begins at text[begin], less the full stop of its sentence.
absl::string_view PathAt(absl::string_view text, size_t begin) {
  size_t end = begin;
  while (end < text.size() && !EndsPath(text[end])) ++end;
  while (end > begin + 1 && (text[end - 1] == '.' || text[end - 1] == '/')) --end;
  return text.substr(begin, end - begin);
}

bool IsSourcePlace(absl::string_view after) {
  return after.size() > 1 && (after[0] == ':' || after[0] == '(') &&
         absl::ascii_isdigit(static_cast<unsigned char>(after[1]));
}

void AddPaths(absl::string_view text, absl::string_view prefix, std::vector<std::string>* paths) {
  size_t found = text.find(prefix);
  while (found != absl::string_view::npos && paths->size() < kPaths) {
    const absl::string_view path = PathAt(text, found);
    const size_t next = found + std::max(path.size(), prefix.size());
    const bool begins = found == 0 || EndsPath(text[found - 1]);
    if (begins && path.size() > prefix.size() && !IsSourcePlace(text.substr(found + path.size())) &&
        std::find(paths->begin(), paths->end(), path) == paths->end()) {
      paths->emplace_back(path);
    }
    found = text.find(prefix, next);
  }
}

// What text says of as not being there, in Python's words.
std::vector<std::string> PathsMissed(absl::string_view text) {
  constexpr absl::string_view kWords = "No such file or directory: ";
  std::vector<std::string> paths;
  if (text.size() > 2 * kEnd) text.remove_prefix(text.size() - 2 * kEnd);
  for (size_t found = text.find(kWords); found != absl::string_view::npos && paths.size() < kPaths;
       found = text.find(kWords)) {
    text.remove_prefix(found + kWords.size());
    const size_t end = text.empty() ? absl::string_view::npos : text.find(text[0], 1);
    if (end == absl::string_view::npos || (text[0] != '\'' && text[0] != '"')) continue;
    paths.emplace_back(text.substr(1, end - 1));
  }
  return paths;
}

// The path below `root` of what a process on another host calls `path`; empty: there is no such file here.
std::string CounterpartOf(absl::string_view path, absl::string_view root,
                          absl::FunctionRef<bool(const std::string&)> exists) {
  while (absl::ConsumePrefix(&path, "./")) continue;
  if (path.empty() || absl::StrContains(path, "../")) return "";
  if (path[0] != '/') return exists(absl::StrCat(root, "/", path)) ? std::string(path) : "";
  // There the tree lies elsewhere. A base name alone says too little.
  for (size_t slash = path.find('/'); slash != absl::string_view::npos; slash = path.find('/')) {
    path.remove_prefix(slash + 1);
    if (absl::StrContains(path, '/') && exists(absl::StrCat(root, "/", path))) return std::string(path);
  }
  return "";
}

bool IsBrought(const std::vector<std::string>& data_files, absl::string_view path) {
  return std::any_of(data_files.begin(), data_files.end(), [&](absl::string_view file) {
    return absl::ConsumePrefix(&file, path) && (file.empty() || file[0] == '/');
  });
}

}  // namespace

std::vector<std::string> PathsNamed(absl::string_view text, absl::string_view root) {
  std::vector<std::string> paths;
  if (!absl::StartsWith(root, "/") || root == "/") return paths;
  const std::string prefix = absl::StrCat(root, "/");
  if (text.size() <= 2 * kEnd) {
    AddPaths(text, prefix, &paths);
  } else {
    AddPaths(text.substr(0, kEnd), prefix, &paths);
    AddPaths(text.substr(text.size() - kEnd), prefix, &paths);
  }
  return paths;
}

std::string MissingFilesHint(absl::string_view message, absl::string_view output, absl::string_view host,
                             absl::string_view root, const std::vector<std::string>& data_files,
                             absl::FunctionRef<bool(const std::string&)> exists) {
  std::vector<std::string> paths = PathsNamed(message, root);
  for (std::string& path : PathsNamed(output, root)) {
    if (std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(std::move(path));
  }
  for (const std::string& path : paths) {
    if (!exists(path)) continue;
    const std::string relative = path.substr(root.size() + 1);
    const bool brought = IsBrought(data_files, path);
    return absl::StrCat(
        path, " is a file of this machine; ",
        brought ? absl::StrCat("--data brought it to ", host, " as ", relative, " below the working directory")
                : absl::StrCat("--data '", relative, "' brings it to ", host, ", as ", relative,
                               " below the working directory"),
        ", so name it by its relative path");
  }
  for (const absl::string_view text : {message, output}) {
    for (const std::string& path : PathsMissed(text)) {
      const std::string relative = CounterpartOf(path, root, exists);
      if (relative.empty() || IsBrought(data_files, absl::StrCat(root, "/", relative))) continue;
      return absl::StrCat("this machine has ", relative, ", which may be ignored by git: --data '", relative,
                          "' brings it to ", host);
    }
  }
  return "";
}

}  // namespace dtest
