#include "coordinator/bundle/python_packages.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "coordinator/bundle/file_tree.h"
#include "coordinator/bundle/files.h"
#include "dtest/base/paths.h"

namespace dtest {
namespace {

namespace fs = std::filesystem;

constexpr char kCache[] = "__pycache__";

// Code of *.pth that is known to find no modules: of setuptools, virtualenv, coverage and pytest-cov.
constexpr absl::string_view kHarmless[] = {"_distutils", "import _virtualenv", "coverage.process_startup",
                                           "COV_CORE_SOURCE"};

// "include-system-site-packages = true", as venv and virtualenv write it.
bool HasSystemPackages(const std::string& configuration) {
  std::ifstream file(configuration);
  for (std::string line; std::getline(file, line);) {
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits('=', 1));
    if (absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(parts.first), "include-system-site-packages") &&
        absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(parts.second), "true")) {
      return true;
    }
  }
  return false;
}

void ReadPth(const fs::path& path, PythonPackages* packages) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    absl::string_view text = line;
    absl::ConsumeSuffix(&text, "\r");
    if (absl::StartsWith(text, "import ") || absl::StartsWith(text, "import\t")) {
      const bool harmless = std::any_of(std::begin(kHarmless), std::end(kHarmless),
                                        [&](absl::string_view known) { return absl::StrContains(text, known); });
      if (!harmless) packages->hooks.push_back(path.filename());
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
  packages.system_packages = HasSystemPackages(absl::StrCat(environment, "/pyvenv.cfg"));
  for (std::vector<std::string>* const list : {&packages.sources, &packages.hooks}) {
    std::sort(list->begin(), list->end());
    list->erase(std::unique(list->begin(), list->end()), list->end());
  }
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
