#include "coordinator/bundle/pytest_root.h"

#include <fnmatch.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
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
  } else if (name == ini && DirectoryOf(path) == directory) {
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

const PytestRoot& PytestRoots::Make(const std::string& directory) {
  const std::vector<std::string> upwards = Upwards(directory);
  const auto keep = [this](PytestRoot root) -> const PytestRoot& {
    const auto [kept, is_new] = roots_.try_emplace(root.directory);
    if (is_new) kept->second = std::make_unique<PytestRoot>(std::move(root));
    return *kept->second;
  };
  PytestRoot root;
  for (const std::string& above : upwards) {
    const Signs& signs = SignsOf(above);
    if (!signs.ini.has_value()) continue;
    root.directory = above;
    root.ini = signs.ini_name;
    if (signs.ini->python_files.has_value()) root.python_files = *signs.ini->python_files;
    if (signs.ini->no_recursion.has_value()) root.no_recursion = *signs.ini->no_recursion;
    root.doctests = signs.ini->doctests;
    root.doctests.Read(arguments_);
    return keep(std::move(root));
  }
  const auto setup = std::find_if(upwards.begin(), upwards.end(),
                                  [this](const std::string& above) { return SignsOf(above).has_setup; });
  root.doctests.Read(arguments_);
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
  return keep(std::move(root));
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
