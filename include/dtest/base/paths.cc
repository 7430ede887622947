#include "dtest/base/paths.h"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"

namespace dtest {
namespace {

bool IsOfName(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-'; }

}  // namespace

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

std::string ReplacePath(absl::string_view text, absl::string_view from, absl::string_view to) {
  std::string replaced;
  if (from.size() < 2) return std::string(text);
  size_t copied = 0;
  for (size_t at = text.find(from); at != absl::string_view::npos; at = text.find(from, std::max(at + 1, copied))) {
    const size_t end = at + from.size();
    const bool begins = at == 0 || (text[at - 1] != '/' && !IsOfName(text[at - 1])) || (at == 2 && text[0] == '-');
    if (!begins || (end < text.size() && IsOfName(text[end]))) continue;
    replaced.append(text.data() + copied, at - copied).append(to.data(), to.size());
    copied = end;
  }
  replaced.append(text.data() + copied, text.size() - copied);
  return replaced;
}

std::optional<std::string> RealPath(const std::string& path) {
  const std::unique_ptr<char, decltype(&free)> real(realpath(path.c_str(), nullptr), &free);
  if (real == nullptr) return std::nullopt;
  return std::string(real.get());
}

}  // namespace dtest
