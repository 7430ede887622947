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
         absl::StartsWith(inner, absl::StrCat(outer, "::")) ||
         (absl::StrContains(outer, "::") && absl::StartsWith(inner, absl::StrCat(outer, "[")));
}

}  // namespace

bool PytestUnits::AddFound(const std::string& walked, const std::string& path, bool executable_script) {
  const std::string directory(DirectoryOf(path));
  const PytestRoot& root = roots_.RootOf(directory);
  const PytestRoot::Use use = root.UseOf(walked, path);
  if (use == PytestRoot::Use::kNone) return false;
  std::string file;
  RelativeTo(root.directory, path, &file);
  if (use == PytestRoot::Use::kTests && executable_script && !roots_.IsDeclared(directory)) {
    programs_[root.directory].push_back(std::move(file));
    return false;
  }
  PytestUnit& unit = AddBelow(root, walked);
  unit.files.push_back(std::move(file));
  if (use != PytestRoot::Use::kTests) return false;
  unit.may_be_empty = false;
  return true;
}

void PytestUnits::AddWalked(const std::string& walked, bool any_test) {
  const PytestRoot& root = roots_.RootOf(walked);
  if (roots_.HasCollector(walked) || (!any_test && !root.ini.empty())) AddBelow(root, walked);
}

bool PytestUnits::AddNamed(const std::string& path, absl::string_view node, bool executable_script) {
  const std::string directory(DirectoryOf(path));
  const PytestRoot& root = roots_.RootOf(directory);
  const bool python = absl::EndsWith(path, kExtension);
  const bool declared = roots_.IsDeclared(directory);
  const bool other = root.UseOf(directory, path) == PytestRoot::Use::kMaybe || (declared && !node.empty());
  if (!python && !other) return false;
  if (executable_script && node.empty() && !declared) return false;
  std::string relative;
  RelativeTo(root.directory, path, &relative);
  PytestUnit& unit = Add(root, absl::StrCat(relative, node));
  unit.files.push_back(std::move(relative));
  unit.may_be_empty = false;
  return true;
}

// The directory as it was given, or the root below it: pytest itself finds what is in there, as it is configured.
PytestUnit& PytestUnits::AddBelow(const PytestRoot& root, const std::string& walked) {
  std::string relative;
  return Add(root, RelativeTo(root.directory, walked, &relative) ? relative : "");
}

PytestUnit& PytestUnits::Add(const PytestRoot& root, std::string path) {
  PytestUnit& unit = units_[root.directory];
  unit.root = root.directory;
  unit.ini = root.ini;
  std::vector<std::string>& paths = unit.paths;
  if (std::any_of(paths.begin(), paths.end(), [&](const std::string& other) { return Covers(other, path); })) {
    return unit;
  }
  paths.erase(std::remove_if(paths.begin(), paths.end(), [&](const std::string& other) { return Covers(path, other); }),
              paths.end());
  paths.push_back(std::move(path));
  return unit;
}

std::vector<PytestUnit> PytestUnits::Take() && {
  std::vector<PytestUnit> units;
  for (auto& [directory, unit] : units_) {
    for (const auto& [other, unused] : units_) {
      std::string relative;
      if (other != directory && RelativeTo(directory, other, &relative)) unit.ignored.push_back(relative);
    }
    for (std::string& program : programs_[directory]) {
      const bool named = std::find(unit.files.begin(), unit.files.end(), program) != unit.files.end();
      if (!named) unit.ignored.push_back(std::move(program));
    }
    units.push_back(std::move(unit));
  }
  return units;
}

}  // namespace dtest
