#include "coordinator/bundle/python_packages.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "coordinator/bundle/file_tree.h"
#include "coordinator/bundle/files.h"
#include "dtest/base/paths.h"

namespace dtest {
namespace {

namespace fs = std::filesystem;

constexpr char kCache[] = "__pycache__";

void ReadPth(const fs::path& path, PythonPackages* packages) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    absl::string_view text = line;
    absl::ConsumeSuffix(&text, "\r");
    if (absl::StartsWith(text, "import ") || absl::StartsWith(text, "import\t")) {
      if (absl::StartsWith(path.filename().string(), "__editable__")) packages->hooks.push_back(path.filename());
      continue;
    }
    std::error_code error;
    if (text.empty() || text[0] == '#') continue;
    // Relative to where the file is, as site.py has it.
    const fs::path named = fs::canonical(path.parent_path() / std::string(text), error);
    if (!error && fs::is_directory(named, error)) packages->sources.push_back(named.string());
  }
}

}  // namespace

absl::StatusOr<PythonPackages> FindPythonPackages(const std::string& environment) {
  const auto fail = [&environment](absl::string_view what) {
    return absl::FailedPreconditionError(absl::StrCat("[environment] ship: ", environment, " ", what,
                                                      "; name a virtual environment, as `python -m venv` makes it"));
  };
  std::error_code error;
  if (!fs::exists(absl::StrCat(environment, "/pyvenv.cfg"), error)) return fail("has no pyvenv.cfg");
  PythonPackages packages;
  for (const fs::directory_entry& entry : fs::directory_iterator(absl::StrCat(environment, "/lib"), error)) {
    const std::string name = entry.path().filename();
    absl::string_view version = name;
    if (!absl::ConsumePrefix(&version, "python") || !fs::is_directory(entry.path() / "site-packages", error)) continue;
    if (!packages.version.empty()) return fail("has packages of more than one Python");
    packages.version = std::string(version);
    const std::optional<std::string> real = RealPath((entry.path() / "site-packages").string());
    if (!real.has_value()) return FileError(errno, "resolving", (entry.path() / "site-packages").string());
    packages.directory = *real;
  }
  if (packages.version.empty()) return fail("has no lib/python3.*/site-packages");
  for (const fs::directory_entry& entry : fs::directory_iterator(packages.directory, error)) {
    if (entry.path().extension() == ".pth") ReadPth(entry.path(), &packages);
  }
  if (error)
    return absl::FailedPreconditionError(absl::StrCat("cannot read ", packages.directory, ": ", error.message()));
  std::sort(packages.sources.begin(), packages.sources.end());
  packages.sources.erase(std::unique(packages.sources.begin(), packages.sources.end()), packages.sources.end());
  return packages;
}

absl::StatusOr<std::vector<ManifestEntry>> PackageEntries(const std::string& directory, const std::string& place,
                                                          Catalog& catalog) {
  TreeBuilder tree(directory, catalog);
  std::error_code error;
  fs::recursive_directory_iterator end, entry(directory, error);
  for (; !error && entry != end; entry.increment(error)) {
    if (entry->path().filename() == kCache) {
      if (entry->is_directory(error)) entry.disable_recursion_pending();
      continue;
    }
    if (entry->is_directory(error) && !entry->is_symlink(error)) continue;
    absl::Status added = tree.Add(entry->path().lexically_relative(directory).string());
    if (!added.ok()) return added;
  }
  if (error) return absl::UnavailableError(absl::StrCat("cannot read ", directory, ": ", error.message()));
  std::vector<ManifestEntry> entries = tree.entries();
  for (ManifestEntry& one : entries) one.path = absl::StrCat(place, "/", one.path);
  return entries;
}

}  // namespace dtest
