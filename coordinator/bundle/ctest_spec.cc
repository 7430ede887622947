#include "coordinator/bundle/ctest_spec.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "coordinator/bundle/file_tree.h"
#include "coordinator/bundle/files.h"
#include "coordinator/bundle/program_file.h"

namespace dtest {
namespace {

constexpr char kLibraryPath[] = "LD_LIBRARY_PATH";
constexpr char kShell[] = "/bin/sh";  // every host's

// What each host has of its own, or has nothing to do with a test's files.
constexpr const char* kSystem[] = {"/bin", "/boot", "/dev", "/etc",  "/lib", "/lib32", "/lib64", "/libx32",
                                   "/opt", "/proc", "/run", "/sbin", "/sys", "/usr",   "/var"};

// Of a name in PATH; empty: there is none.
std::string InSearchPath(absl::string_view name) {
  const char* const variable = std::getenv("PATH");
  for (const absl::string_view directory :
       absl::StrSplit(variable == nullptr ? "" : variable, ':', absl::SkipEmpty())) {
    std::string path = absl::StrCat(directory, "/", name);
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

absl::Status CheckRequired(const CTestUnit& unit) {
  for (const std::string& file : unit.required_files) {
    if (access(file.c_str(), F_OK) == 0) continue;
    return absl::NotFoundError(
        absl::StrCat("needs the file ", Printable(file), " (REQUIRED_FILES), which is not there"));
  }
  return absl::OkStatus();
}

// What the unit names, and what becomes of it.
class NamedFiles {
 public:
  NamedFiles(const CTestUnit& unit, std::string root) : unit_(unit), root_(std::move(root)) {
    for (const std::string& argument : unit.arguments) {
      Name(argument);
      if (!absl::StartsWith(argument, "/") && !absl::StartsWith(argument, "-")) {
        Look(absl::StrCat(unit.working_directory, "/", argument), /*or_warn=*/false);
      }
    }
    for (const EnvChange& change : unit.env_changes) Name(change.value);
    std::string unused;
    if (!RelativeTo(unit.top, unit.working_directory, &unused)) Look(unit.working_directory, /*or_warn=*/false);
    for (const std::string& file : unit.required_files) Look(file, /*or_warn=*/true);
  }

  // Relative to the root, each once.
  const std::vector<std::string>& below() const { return below_; }
  // Absolute paths of what is here and at no place of a host's.
  const std::vector<std::string>& only_here() const { return only_here_; }

 private:
  void Name(absl::string_view text) {
    for (const std::string& path : AbsolutePathsIn(text)) Look(path, /*or_warn=*/true);
  }

  void Look(const std::string& path, bool or_warn) {
    struct stat status;
    if (stat(path.c_str(), &status) != 0) return;  // it may be made there
    const absl::StatusOr<std::string> absolute = AbsolutePath(path);
    if (!absolute.ok() || !seen_.insert(*absolute).second) return;
    std::string relative, unused;
    if (RelativeTo(root_, *absolute, &relative)) {
      const bool holds_tree = S_ISDIR(status.st_mode) && RelativeTo(*absolute, unit_.top, &unused);
      if (!relative.empty() && !holds_tree && (S_ISDIR(status.st_mode) || S_ISREG(status.st_mode))) {
        below_.push_back(std::move(relative));
      }
      return;
    }
    const bool system = absl::c_any_of(kSystem, [&](const char* of) { return RelativeTo(of, *absolute, &unused); });
    if (!system && or_warn && *absolute != "/") only_here_.push_back(*absolute);
  }

  const CTestUnit& unit_;
  const std::string root_;
  absl::flat_hash_set<std::string> seen_;
  std::vector<std::string> below_, only_here_;
};

void AddOnce(const std::vector<std::string>& more, std::vector<std::string>* all) {
  for (const std::string& one : more) {
    if (!absl::c_linear_search(*all, one)) all->push_back(one);
  }
}

// Another program, with its libraries, comes along with the first.
void Merge(const UnitSpec& other, TreeBuilder* tree, UnitSpec* spec) {
  for (const ManifestEntry& entry : other.files) tree->AddEntry(entry);
  AddOnce(other.library_dirs, &spec->library_dirs);
  AddOnce(other.base_library_dirs, &spec->base_library_dirs);
  AddOnce(other.host_libraries, &spec->host_libraries);
}

}  // namespace

void AddCTest(const CTestUnit& unit, UnitSpec* spec) {
  spec->arguments = unit.arguments;
  spec->env_changes = unit.env_changes;
  spec->judging = unit.judging;
}

absl::StatusOr<UnitSpec> InPlaceCTestSpec(UnitId id, const TestProgram& program) {
  const CTestUnit& unit = *program.ctest;
  if (absl::Status there = CheckRequired(unit); !there.ok() && !unit.judging.disabled) return there;
  UnitSpec spec = InPlaceSpec(id, program);
  AddCTest(unit, &spec);
  spec.working_directory = unit.working_directory;
  if (unit.judging.disabled) spec.path = kShell;  // which is not started: its own may not be built
  return spec;
}

bool IsHosts(const std::string& root, const std::string& path) {
  std::string unused;
  if (RelativeTo(root, path, &unused)) return false;
  const std::string found = InSearchPath(BaseName(path));
  return !found.empty() && RealPath(found) == RealPath(path);
}

std::string LibraryPathOf(const CTestUnit& unit, const std::string& ours) {
  std::string path = ours;
  for (const EnvChange& change : unit.env_changes) {
    if (change.name != kLibraryPath) continue;
    const std::string separator = path.empty() ? "" : change.separator;
    switch (change.kind) {
      case EnvChange::Kind::kSet:
        path = change.value;
        break;
      case EnvChange::Kind::kUnset:
        path.clear();
        break;
      case EnvChange::Kind::kAppend:
        path = absl::StrCat(path, separator, change.value);
        break;
      case EnvChange::Kind::kPrepend:
        path = absl::StrCat(change.value, separator, path);
        break;
    }
  }
  return path;
}

absl::StatusOr<UnitSpec> MakeCTestSpec(UnitId id, const TestProgram& program, const SpecOptions& options,
                                       LibraryResolver& resolver, Catalog& catalog) {
  const CTestUnit& unit = *program.ctest;
  const std::optional<std::string> root = RealPath(options.root);
  if (!root.has_value()) return FileError(errno, "resolving the working directory", options.root);
  if (unit.judging.disabled) {
    UnitSpec spec = InPlaceSpec(id, program);
    spec.in_place = false;
    spec.path = kShell;
    spec.machine.clear();
    spec.interpreter.clear();
    spec.judging = unit.judging;
    return spec;
  }
  if (absl::Status there = CheckRequired(unit); !there.ok()) return there;

  UnitSpec spec;
  const bool hosts = IsHosts(*root, program.path);
  TreeBuilder tree(*root, catalog);
  if (hosts) {
    TestProgram nothing = program;  // of it is shipped
    nothing.script = true;
    spec = InPlaceSpec(id, nothing);
    spec.in_place = false;
    spec.path = std::string(BaseName(program.path));
    const auto data = options.layout->Data(options.root, options.data, options.placed, catalog);
    if (!data.ok()) return data.status();
    for (const ManifestEntry& entry : **data) tree.AddEntry(entry);
  } else {
    absl::StatusOr<UnitSpec> made = MakeSpec(id, program, options, resolver, catalog);
    if (!made.ok()) return made.status();
    spec = *std::move(made);
    for (const ManifestEntry& entry : spec.files) tree.AddEntry(entry);
  }
  AddCTest(unit, &spec);
  spec.mirrors = *root;
  const absl::StatusOr<std::string> directory = AbsolutePath(unit.working_directory);
  if (!directory.ok()) return directory.status();
  if (!RelativeTo(*root, *directory, &spec.working_directory)) {
    return absl::InvalidArgumentError(absl::StrCat("runs in ", Printable(*directory),
                                                   ", and hosts have a copy of what is in ", Printable(*root),
                                                   " only: run dtest from a directory that holds both"));
  }

  const NamedFiles named(unit, *root);
  for (const std::string& relative : named.below()) {
    if (absl::Status added = tree.Add(relative); !added.ok()) return added;
    const std::string path = absl::StrCat(*root, "/", relative);
    struct stat status;
    if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    TestProgram other;
    other.path = path;
    ProgramFile file = ReadProgramFile(path, status, /*here=*/false);
    if (file.kind != ProgramFile::Kind::kElf || !file.problem.empty()) continue;
    other.elf = std::move(file.elf);
    const absl::StatusOr<UnitSpec> made = MakeSpec(id, other, options, resolver, catalog);
    if (!made.ok()) return made.status();
    Merge(*made, &tree, &spec);
  }
  if (!named.only_here().empty() && options.warnings != nullptr) {
    options.warnings->push_back(absl::StrCat(program.name, " names ", absl::StrJoin(named.only_here(), ", "),
                                             ", which only this machine has: hosts get what is in ", Printable(*root),
                                             " (the working directory)"));
  }
  spec.files = tree.entries();
  if (absl::Status fits = CheckFits(spec); !fits.ok()) return fits;
  return spec;
}

}  // namespace dtest
