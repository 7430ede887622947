#include "coordinator/bundle/pytest_units.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/bundle/files.h"

namespace dtest {
namespace {

constexpr absl::string_view kExtension = ".py";

// Whether who collects `outer` collects `inner`, too.
bool Covers(absl::string_view outer, absl::string_view inner) {
  return outer.empty() || outer == inner || absl::StartsWith(inner, absl::StrCat(outer, "/")) ||
         absl::StartsWith(inner, absl::StrCat(outer, "::")) || absl::StartsWith(inner, absl::StrCat(outer, "["));
}

}  // namespace

bool PytestUnits::AddFound(const std::string& walked, const std::string& path, bool executable_script) {
  const std::string directory(DirectoryOf(path));
  const PytestRoot& root = roots_.RootOf(directory);
  if (!root.Collects(walked, path)) return false;
  if (executable_script && !roots_.IsDeclared(directory)) return false;
  // The directory as it was given, or the root below it: pytest itself finds what is in there, as it is configured.
  std::string relative;
  Add(root, RelativeTo(root.directory, walked, &relative) ? relative : "");
  return true;
}

bool PytestUnits::AddNamed(const std::string& path, absl::string_view node, bool executable_script) {
  if (!absl::EndsWith(path, kExtension)) return false;
  const std::string directory(DirectoryOf(path));
  if (executable_script && node.empty() && !roots_.IsDeclared(directory)) return false;
  const PytestRoot& root = roots_.RootOf(directory);
  std::string relative;
  RelativeTo(root.directory, path, &relative);
  Add(root, absl::StrCat(relative, node));
  return true;
}

void PytestUnits::Add(const PytestRoot& root, std::string path) {
  PytestUnit& unit = units_[root.directory];
  unit.root = root.directory;
  unit.ini = root.ini;
  std::vector<std::string>& paths = unit.paths;
  if (std::any_of(paths.begin(), paths.end(), [&](const std::string& other) { return Covers(other, path); })) return;
  paths.erase(std::remove_if(paths.begin(), paths.end(), [&](const std::string& other) { return Covers(path, other); }),
              paths.end());
  paths.push_back(std::move(path));
}

std::vector<PytestUnit> PytestUnits::Take() && {
  std::vector<PytestUnit> units;
  for (auto& [directory, unit] : units_) {
    for (const auto& [other, unused] : units_) {
      std::string relative;
      if (other != directory && RelativeTo(directory, other, &relative)) unit.ignored.push_back(relative);
    }
    units.push_back(std::move(unit));
  }
  return units;
}

}  // namespace dtest
