#include "coordinator/bundle/pytest_spec.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "coordinator/bundle/file_tree.h"
#include "coordinator/bundle/files.h"
#include "coordinator/bundle/python_packages.h"
#include "protocol/chunking.h"

namespace dtest {
namespace {

constexpr char kPython[] = "python3";

UnitSpec DescribePytest(UnitId id, const TestProgram& program) {
  UnitSpec spec;
  spec.id = id;
  spec.name = program.name;
  spec.framework = program.framework;
  return spec;
}

// What agent/pytest/dtest_pytest/request.py reads. `root`: of the project, as the process sees it.
std::vector<std::string> Arguments(const std::string& root, const PytestUnit& unit, const PytestSettings& settings) {
  std::vector<std::string> arguments = {absl::StrCat("--root=", root), absl::StrCat("--ini=", unit.ini)};
  for (const std::string& path : unit.paths) arguments.push_back(absl::StrCat("--path=", path));
  for (const std::string& path : unit.ignored) arguments.push_back(absl::StrCat("--ignore=", path));
  if (unit.may_be_empty) arguments.emplace_back("--may-be-empty=yes");
  if (settings.coverage != PytestSettings::Coverage::kProjects) {
    arguments.emplace_back(settings.coverage == PytestSettings::Coverage::kAlways ? "--coverage=yes" : "--coverage=no");
  }
  if (settings.reports != PytestSettings::Reports::kWanted) {
    arguments.emplace_back(settings.reports == PytestSettings::Reports::kAlways ? "--reports=yes" : "--reports=no");
  }
  for (const std::string& argument : settings.arguments) arguments.push_back(absl::StrCat("--arg=", argument));
  return arguments;
}

// Where a host has what tests are named by: `there`, as the process sees it, is `here` on this machine.
void AddPlace(const std::string& there, const std::string& here, std::vector<std::string>* arguments) {
  arguments->push_back(absl::StrCat("--there=", there));
  arguments->push_back(absl::StrCat("--here=", here));
}

bool IsExecutable(const std::string& path) { return access(path.c_str(), X_OK) == 0; }

// Of a name in PATH; empty: there is none.
std::string InSearchPath(const std::string& name) {
  const char* const variable = std::getenv("PATH");
  for (const absl::string_view directory :
       absl::StrSplit(variable == nullptr ? "" : variable, ':', absl::SkipEmpty())) {
    std::string path = absl::StrCat(directory, "/", name);
    if (IsExecutable(path)) return path;
  }
  return "";
}

constexpr const char* kCoverageConfigurations[] = {".coveragerc", ".coveragerc.toml", "setup.cfg", "tox.ini",
                                                   "pyproject.toml"};

bool MentionsCoverage(const std::string& path) {
  std::ifstream file(path);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return absl::StrContains(path, "/.coveragerc") ? !text.empty() : absl::StrContains(text, "coverage");
}

// From one directory to another, both absolute.
std::string RelativePath(absl::string_view from, absl::string_view to) {
  std::string up, below;
  for (absl::string_view above = from;; above = DirectoryOf(above)) {
    if (RelativeTo(above, to, &below)) break;
    absl::StrAppend(&up, up.empty() ? ".." : "/..");
  }
  const std::string path = absl::StrCat(up, up.empty() || below.empty() ? "" : "/", below);
  return path.empty() ? "." : path;
}

}  // namespace

std::vector<std::string> PytestArgumentsHere(const PytestUnit& unit, const PytestSettings& settings) {
  return Arguments(unit.root, unit, settings);
}

absl::StatusOr<std::string> PytestInterpreter(const std::string& root, const std::string& chosen) {
  if (!chosen.empty()) {
    std::string path = chosen;
    if (!absl::StrContains(chosen, '/')) {
      path = InSearchPath(chosen);
    } else if (chosen[0] != '/') {
      absl::StatusOr<std::string> absolute = AbsolutePath(chosen);
      if (!absolute.ok()) return absolute.status();
      path = *std::move(absolute);
    }
    if (!path.empty() && IsExecutable(path)) return path;
    return absl::NotFoundError(absl::StrCat("--pytest ", Printable(chosen), ": there is no such interpreter here"));
  }
  std::vector<std::string> places = {absl::StrCat(root, "/.venv/bin/python")};
  const char* const environment = std::getenv("VIRTUAL_ENV");
  if (environment != nullptr && *environment != '\0') places.push_back(absl::StrCat(environment, "/bin/python"));
  for (const std::string& place : places) {
    if (IsExecutable(place)) return place;
  }
  if (std::string path = InSearchPath(kPython); !path.empty()) return path;
  return absl::NotFoundError(absl::StrCat("the tests of pytest in ", Printable(root),
                                          " need a Python: there is none in .venv, VIRTUAL_ENV or PATH; --pytest names "
                                          "one, --pytest none leaves these tests out"));
}

absl::StatusOr<UnitSpec> MakePytestSpec(UnitId id, const TestProgram& program, const PytestSettings& settings,
                                        const SpecOptions& options, Catalog& catalog) {
  const PytestUnit& unit = *program.pytest;
  UnitSpec spec = DescribePytest(id, program);
  spec.path = !settings.interpreter.empty()          ? settings.interpreter
              : !settings.environments_there.empty() ? settings.environments_there
                                                     : kPython;
  if (absl::StrContains(spec.path, '/') && spec.path[0] != '/') {
    return absl::InvalidArgumentError(absl::StrCat("--pytest ", Printable(spec.path),
                                                   ": hosts have other directories: give a name that is in their PATH, "
                                                   "or an absolute path"));
  }
  // Where the project is in the tree, and from where its tests are started there.
  std::string place;
  if (!RelativeTo(options.root, unit.root, &place)) {
    place =
        absl::StrCat(".dtest/outside/", Sha256(DirectoryOf(unit.root)).Hex().substr(0, 8), "/", BaseName(unit.root));
  }
  std::string here;
  std::string root = place.empty() ? "." : place;
  if (RelativeTo(unit.root, options.root, &here) && unit.root != options.root) {
    spec.working_directory = here.empty() ? place : absl::StrCat(place, "/", here);
    root = RelativePath(options.root, unit.root);
  }
  spec.arguments = Arguments(root, unit, settings);
  AddPlace(root, unit.root, &spec.arguments);

  std::vector<std::string> tests = unit.files;
  if (!unit.ini.empty()) tests.push_back(unit.ini);
  absl::StatusOr<std::vector<std::string>> files = ProjectFiles(unit.root, tests);
  if (!files.ok()) return files.status();
  TreeBuilder project(unit.root, catalog);
  for (const std::string& file : *files) {
    if (absl::Status added = project.Add(file); !added.ok()) return added;
  }
  TreeBuilder tree(options.root, catalog);
  // coverage.py looks for its configuration where tests start.
  for (const char* const name : kCoverageConfigurations) {
    if (!MentionsCoverage(absl::StrCat(options.root, "/", name))) continue;
    if (absl::Status added = tree.Add(name); !added.ok()) return added;
  }
  absl::StatusOr<const std::vector<ManifestEntry>*> data =
      options.layout->Data(options.root, options.data, options.placed, catalog);
  if (!data.ok()) return data.status();
  for (const ManifestEntry& entry : **data) tree.AddEntry(entry);
  for (ManifestEntry& entry : project.entries()) {
    if (!place.empty()) entry.path = absl::StrCat(place, "/", entry.path);
    tree.AddEntry(std::move(entry));
  }
  if (!settings.packages.empty()) {
    absl::StatusOr<std::vector<ManifestEntry>> packages = PackageEntries(settings.packages, kPackagesPlace, catalog);
    if (!packages.ok()) return packages.status();
    for (ManifestEntry& entry : *packages) tree.AddEntry(std::move(entry));
    const std::string there =
        RelativePath(absl::StrCat("/", spec.working_directory), absl::StrCat("/", kPackagesPlace));
    spec.arguments.push_back(absl::StrCat("--packages=", there));
    if (settings.system_packages) spec.arguments.emplace_back("--system-packages=yes");
    AddPlace(there, settings.packages, &spec.arguments);
  }
  spec.files = tree.entries();
  if (absl::Status fits = CheckFits(spec); !fits.ok()) return fits;
  return spec;
}

absl::StatusOr<UnitSpec> InPlacePytestSpec(UnitId id, const TestProgram& program, const PytestSettings& settings) {
  const PytestUnit& unit = *program.pytest;
  UnitSpec spec = DescribePytest(id, program);
  spec.in_place = true;
  if (settings.environments_here.empty() || absl::StrContains(settings.interpreter, '/')) {
    absl::StatusOr<std::string> interpreter = PytestInterpreter(unit.root, settings.interpreter);
    if (!interpreter.ok()) return interpreter.status();
    spec.path = *std::move(interpreter);
  } else {
    spec.path = settings.interpreter.empty() ? settings.environments_here : settings.interpreter;
  }
  spec.arguments = PytestArgumentsHere(unit, settings);
  return spec;
}

}  // namespace dtest
