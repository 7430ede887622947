#include "dtest/base/paths.h"

#include <cstdlib>
#include <memory>

#include "absl/strings/strip.h"

namespace dtest {

absl::string_view DirectoryOf(absl::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return ".";
  return slash == 0 ? path.substr(0, 1) : path.substr(0, slash);
}

absl::string_view BaseName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

absl::string_view PathBelow(absl::string_view directory, absl::string_view path) {
  absl::string_view rest = path;
  while (!directory.empty() && directory.back() == '/') directory.remove_suffix(1);
  if (directory.empty() || !absl::ConsumePrefix(&rest, directory) || !absl::ConsumePrefix(&rest, "/")) return path;
  return rest.empty() ? path : rest;
}

std::optional<std::string> RealPath(const std::string& path) {
  const std::unique_ptr<char, decltype(&free)> real(realpath(path.c_str(), nullptr), &free);
  if (real == nullptr) return std::nullopt;
  return std::string(real.get());
}

}  // namespace dtest
