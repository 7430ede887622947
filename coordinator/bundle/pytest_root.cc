#include "coordinator/bundle/pytest_root.h"

#include <fnmatch.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "coordinator/bundle/files.h"

namespace dtest {
namespace {

constexpr uint64_t kLongestIni = 1 << 20, kLongestText = 16 << 20;
constexpr char kTexts[] = "test*.txt";  // searched for examples where nothing says which are
constexpr char kConftest[] = "conftest.py";

// Also of one that cannot be read: pytest says why.
bool Says(const std::string& path, absl::string_view text) {
  const absl::StatusOr<std::string> contents = ReadWholeFile(path, kLongestText);
  return !contents.ok() || absl::StrContains(*contents, text);
}

bool IsCollector(const std::string& conftest) { return Says(conftest, "pytest_collect_"); }

bool Has(const std::string& directory, absl::string_view name) {
  return access(absl::StrCat(directory, "/", name).c_str(), F_OK) == 0;
}

// It and all above it.
std::vector<std::string> Upwards(const std::string& directory) {
  std::vector<std::string> directories = {directory};
  while (directories.back().size() > 1) directories.emplace_back(DirectoryOf(directories.back()));
  return directories;
}

// As pytest's fnmatch_ex: a pattern without '/' is of the name, any other of the end of the path.
bool Matches(const std::string& pattern, const std::string& path) {
  if (!absl::StrContains(pattern, '/')) return fnmatch(pattern.c_str(), std::string(BaseName(path)).c_str(), 0) == 0;
  return fnmatch(absl::StrCat("*/", pattern).c_str(), path.c_str(), 0) == 0;
}

bool MatchesAny(const std::vector<std::string>& patterns, const std::string& path) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return Matches(pattern, path); });
}

bool IsInside(absl::string_view directory, absl::string_view path) {
  std::string unused;
  return RelativeTo(directory, path, &unused);
}

}  // namespace

absl::StatusOr<GivenRoot> GivenPytestRoot(const std::string& working_directory, const std::string& directory,
                                          const std::string& ini) {
  GivenRoot given;
  const auto find = [](const char* option, const std::string& typed, bool is_directory, std::string* found) {
    std::error_code error;
    const std::filesystem::path real = std::filesystem::canonical(typed, error);
    if (!error && std::filesystem::is_directory(real) == is_directory) {
      *found = real.string();
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        absl::StrCat(option, " ", Printable(typed), ": ",
                     error ? error.message() : absl::StrCat("it is ", is_directory ? "no directory" : "a directory")));
  };
  if (!ini.empty()) {
    if (absl::Status found = find("-c", ini, false, &given.ini); !found.ok()) return found;
    given.directory = IsInside(working_directory, given.ini) ? working_directory : std::string(DirectoryOf(given.ini));
  }
  if (!directory.empty()) {
    if (absl::Status found = find("--rootdir", directory, true, &given.directory); !found.ok()) return found;
  }
  if (!given.ini.empty() && !IsInside(given.directory, given.ini)) {
    return absl::InvalidArgumentError(absl::StrCat("-c ", Printable(ini), " is not below --rootdir ",
                                                   Printable(directory), ", where hosts would find it"));
  }
  return given;
}

PytestRoot::Use PytestRoot::UseOf(absl::string_view walked, absl::string_view path) const {
  const std::string file(path);
  const absl::string_view name = BaseName(path);
  const bool python = absl::EndsWith(name, ".py");
  const bool has_examples =
      python ? doctests.modules && name != "setup.py" && name != "__main__.py" : SearchesForExamples(file);
  Use use = Use::kNone;
  if (python && MatchesAny(python_files, file)) {
    use = Use::kTests;
  } else if (has_examples || (name == kConftest && IsCollector(file))) {
    use = Use::kMaybe;
  } else if (!ini.empty() && path == absl::StrCat(directory, "/", ini)) {
    use = Use::kConfiguration;
  }
  return use == Use::kNone || Enters(walked, DirectoryOf(path)) ? use : Use::kNone;
}

bool PytestRoot::Enters(absl::string_view walked, absl::string_view below) const {
  for (std::string above(below); above.size() > walked.size(); above = std::string(DirectoryOf(above))) {
    if (MatchesAny(no_recursion, above) || Has(above, "pyvenv.cfg")) return false;
  }
  return true;
}

bool PytestRoot::SearchesForExamples(const std::string& path) const {
  if (!doctests.globs.empty()) return MatchesAny(doctests.globs, path);
  return Matches(kTexts, path) && Says(path, ">>>");
}

const PytestRoot& PytestRoots::RootOf(const std::string& directory) {
  const auto known = root_of_.find(directory);
  if (known != root_of_.end()) return *roots_.at(known->second);
  const PytestRoot& made = Make(directory);
  root_of_.emplace(directory, made.directory);
  return made;
}

const PytestRoots::Signs& PytestRoots::SignsOf(const std::string& directory) {
  std::unique_ptr<Signs>& signs = signs_[directory];
  if (signs != nullptr) return *signs;
  signs = std::make_unique<Signs>();
  signs->has_setup = Has(directory, "setup.py");
  signs->has_conftest = Has(directory, kConftest);
  for (const absl::string_view name : kPytestIniNames) {
    if (!Has(directory, name)) continue;
    const absl::StatusOr<std::string> contents = ReadWholeFile(absl::StrCat(directory, "/", name), kLongestIni);
    signs->ini = contents.ok() ? ParsePytestIni(name, *contents) : std::optional<PytestIni>(PytestIni());
    signs->ini_name = std::string(name);
    if (signs->ini.has_value()) break;
  }
  return *signs;
}

const PytestRoot& PytestRoots::Keep(PytestRoot root, const PytestIni& ini) {
  const auto [kept, is_new] = roots_.try_emplace(root.directory);
  if (!is_new) return *kept->second;
  PytestIni in_force = ini;
  in_force.Override(arguments_);
  if (in_force.python_files.has_value()) root.python_files = *std::move(in_force.python_files);
  if (in_force.no_recursion.has_value()) root.no_recursion = *std::move(in_force.no_recursion);
  root.doctests = std::move(in_force.doctests);
  root.doctests.Read(arguments_);
  kept->second = std::make_unique<PytestRoot>(std::move(root));
  return *kept->second;
}

const PytestRoot& PytestRoots::Make(const std::string& directory) {
  const std::vector<std::string> upwards = Upwards(directory);
  PytestRoot root;
  if (!given_.ini.empty()) {
    root.directory = given_.directory;
    RelativeTo(root.directory, given_.ini, &root.ini);
    const absl::StatusOr<std::string> contents = ReadWholeFile(given_.ini, kLongestIni);
    std::optional<PytestIni> ini;
    if (contents.ok()) ini = ParsePytestIni(BaseName(given_.ini), *contents);
    return Keep(std::move(root), ini.value_or(PytestIni()));
  }
  for (const std::string& above : upwards) {
    const Signs& signs = SignsOf(above);
    if (signs.ini.has_value()) {
      root.directory = given_.empty() ? above : given_.directory;
      RelativeTo(root.directory, absl::StrCat(above, "/", signs.ini_name), &root.ini);
      return Keep(std::move(root), *signs.ini);
    }
    if (above == given_.directory) break;
  }
  if (!given_.empty()) {
    root.directory = given_.directory;
    return Keep(std::move(root), PytestIni());
  }
  const auto setup = std::find_if(upwards.begin(), upwards.end(),
                                  [this](const std::string& above) { return SignsOf(above).has_setup; });
  const bool below = IsInside(working_directory_, directory);
  root.directory = below ? working_directory_ : directory;
  if (setup != upwards.end()) {
    root.directory = *setup;
  } else {
    for (const std::string& above : upwards) {
      if (below && !IsInside(working_directory_, above)) break;
      if (SignsOf(above).has_conftest) root.directory = above;
    }
  }
  return Keep(std::move(root), PytestIni());
}

bool PytestRoots::IsDeclared(const std::string& directory) {
  const PytestRoot& root = RootOf(directory);
  if (!root.ini.empty()) return true;
  for (const std::string& above : Upwards(directory)) {
    if (SignsOf(above).has_conftest) return true;
    if (above == root.directory) return false;
  }
  return false;
}

bool PytestRoots::HasCollector(const std::string& directory) {
  const PytestRoot& root = RootOf(directory);
  for (const std::string& above : Upwards(directory)) {
    if (SignsOf(above).has_conftest && IsCollector(absl::StrCat(above, "/", kConftest))) return true;
    if (above == root.directory) return false;
  }
  return false;
}

}  // namespace dtest
