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
    const bool brought = std::any_of(data_files.begin(), data_files.end(), [&](absl::string_view file) {
      return absl::ConsumePrefix(&file, path) && (file.empty() || file[0] == '/');
    });
    return absl::StrCat(
        path, " is a file of this machine; ",
        brought ? absl::StrCat("--data brought it to ", host, " as ", relative, " below the working directory")
                : absl::StrCat("--data '", relative, "' brings it to ", host, ", as ", relative,
                               " below the working directory"),
        ", so name it by its relative path");
  }
  return "";
}

}  // namespace dtest
