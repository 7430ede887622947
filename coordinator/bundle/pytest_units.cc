#include "coordinator/bundle/pytest_units.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/bundle/files.h"

namespace dtest {
namespace {

constexpr absl::string_view kExtension = ".py";

}  // namespace

void PytestUnits::Paths::Add(const std::string& path) {
  if (IsCovered(path)) return;
  if (path.empty()) kept_.clear();
  Forget(absl::StrCat(path, "/"));
  Forget(absl::StrCat(path, "::"));
  if (absl::StrContains(path, "::")) Forget(absl::StrCat(path, "["));
  kept_.emplace(path, added_++);
}

// What it is part of: a directory, a file, a class, all parameters of a test.
bool PytestUnits::Paths::IsCovered(const std::string& path) const {
  if (kept_.contains("") || kept_.contains(path)) return true;
  const size_t node = std::min(path.find("::"), path.size());
  for (size_t end = 0; end < path.size(); ++end) {
    const bool part = end < node ? path[end] == '/' : path[end] == '[' || path.compare(end, 2, "::") == 0;
    if (part && kept_.contains(path.substr(0, end))) return true;
  }
  return false;
}

void PytestUnits::Paths::Forget(const std::string& prefix) {
  const auto begin = kept_.lower_bound(prefix);
  auto end = begin;
  while (end != kept_.end() && absl::StartsWith(end->first, prefix)) ++end;
  kept_.erase(begin, end);
}

std::vector<std::string> PytestUnits::Paths::InOrder() const {
  std::vector<std::pair<uint64_t, absl::string_view>> numbered;
  for (const auto& [path, number] : kept_) numbered.emplace_back(number, path);
  std::sort(numbered.begin(), numbered.end());
  std::vector<std::string> paths;
  paths.reserve(numbered.size());
  for (const auto& [number, path] : numbered) paths.emplace_back(path);
  return paths;
}

bool PytestUnits::AddFound(const std::string& walked, const std::string& path, bool executable_script) {
  const std::string directory(DirectoryOf(path));
  const PytestRoot& root = roots_.RootOf(directory);
  const PytestRoot::Use use = root.UseOf(walked, path);
  if (use == PytestRoot::Use::kNone) return false;
  // A root within another, whose norecursedirs leave it out.
  if (const PytestRoot& outer = roots_.RootOf(walked); &outer != &root && !outer.Enters(walked, directory))
    return false;
  std::string file = Below(root, path);
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
  std::string unused;
  if (!given_.empty() && !RelativeTo(root.directory, walked, &unused) && !RelativeTo(walked, root.directory, &unused)) {
    return;  // others look there
  }
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
  std::string relative = Below(root, path);
  PytestUnit& unit = Add(root, absl::StrCat(relative, node));
  unit.files.push_back(std::move(relative));
  unit.may_be_empty = false;
  return true;
}

std::string PytestUnits::Below(const PytestRoot& root, const std::string& path) {
  std::string relative;
  if (!RelativeTo(root.directory, path, &relative) && outside_.empty()) outside_ = path;
  return relative;
}

// The directory as it was given, or the root below it: pytest itself finds what is in there, as it is configured.
PytestUnit& PytestUnits::AddBelow(const PytestRoot& root, const std::string& walked) {
  std::string relative;
  return Add(root, RelativeTo(root.directory, walked, &relative) ? relative : "");
}

PytestUnit& PytestUnits::Add(const PytestRoot& root, const std::string& path) {
  PytestUnit& unit = units_[root.directory];
  unit.root = root.directory;
  unit.ini = root.ini;
  paths_[root.directory].Add(path);
  return unit;
}

absl::StatusOr<std::vector<PytestUnit>> PytestUnits::Take() && {
  if (!outside_.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        Printable(outside_), " is a test of pytest and not below the root that --rootdir or -c gives, ",
        Printable(given_.directory), ": give tests below it, or --pytest none to leave those of pytest out"));
  }
  std::vector<PytestUnit> units;
  for (auto& [directory, unit] : units_) {
    for (const auto& [other, unused] : units_) {
      std::string relative;
      if (other != directory && RelativeTo(directory, other, &relative)) unit.ignored.push_back(relative);
    }
    std::vector<std::string>& programs = programs_[directory];
    const absl::flat_hash_set<absl::string_view> files(unit.files.begin(), unit.files.end());
    for (std::string& program : programs) {
      if (!files.contains(program)) unit.ignored.push_back(std::move(program));
    }
    unit.paths = paths_[directory].InOrder();
    units.push_back(std::move(unit));
  }
  return units;
}

}  // namespace dtest
