#include "agent/execute/environment.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace dtest {

Environment::Environment(const char* const* variables) {
  for (; *variables != nullptr; ++variables) {
    const absl::string_view variable = *variables;
    const size_t equals = variable.find('=');
    if (equals != absl::string_view::npos) Set(variable.substr(0, equals), variable.substr(equals + 1));
  }
}

void Environment::Set(absl::string_view name, absl::string_view value) {
  variables_.insert_or_assign(std::string(name), std::string(value));
}

void Environment::Unset(absl::string_view name) { variables_.erase(std::string(name)); }

std::string Environment::Get(absl::string_view name) const {
  const auto found = variables_.find(std::string(name));
  return found == variables_.end() ? "" : found->second;
}

void Environment::Prepend(absl::string_view name, const std::vector<std::string>& directories) {
  if (directories.empty()) return;
  // An empty element would mean the working directory.
  const std::string before = Get(name);
  Set(name, absl::StrCat(absl::StrJoin(directories, ":"), before.empty() ? "" : ":", before));
}

std::vector<std::string> Environment::ToStrings() const {
  std::vector<std::string> strings;
  strings.reserve(variables_.size());
  for (const auto& [name, value] : variables_) strings.push_back(absl::StrCat(name, "=", value));
  return strings;
}

std::string FindProgram(absl::string_view name, absl::string_view search_path) {
  for (const absl::string_view directory : absl::StrSplit(search_path, ':', absl::SkipEmpty())) {
    std::string found = absl::StrCat(directory, "/", name);
    if (access(found.c_str(), X_OK) == 0) return found;
  }
  return "";
}

}  // namespace dtest
