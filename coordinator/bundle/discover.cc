#include "coordinator/bundle/discover.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "coordinator/bundle/directory_walk.h"
#include "coordinator/bundle/files.h"
#include "coordinator/bundle/program_file.h"
#include "coordinator/bundle/test_names.h"

namespace dtest {

namespace {

constexpr char kHere[] = "pytest";  // the name of a pytest root that is the working directory itself
constexpr size_t kNamesInNote = 5;
constexpr size_t kPlainNamesInNote = 12;  // what is about to run: told at more length

std::string JoinSome(const std::vector<std::string>& names, size_t most = kNamesInNote) {
  const size_t shown = std::min(names.size(), most);
  std::string text = absl::StrJoin(names.begin(), names.begin() + static_cast<ptrdiff_t>(shown), ", ");
  if (names.size() > shown) absl::StrAppend(&text, " and ", names.size() - shown, " more");
  return text;
}

std::string Count(size_t number, absl::string_view what) {
  return absl::StrCat(number, " ", what, number == 1 ? "" : "s");
}

std::string ReadLink(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t length = readlink(path.c_str(), target, sizeof(target));
  return std::string(target, length < 0 ? 0 : static_cast<size_t>(length));
}

std::string DanglingLink(const std::string& path) {
  return absl::StrCat(Printable(path), " is a dangling symbolic link: its target ", Printable(ReadLink(path)),
                      " does not exist");
}

bool LiesBeside(const std::vector<std::string>& paths, const std::string& path) {
  return absl::c_any_of(paths, [&](const std::string& other) { return DirectoryOf(other) == DirectoryOf(path); });
}

// What is found beside a script, by `dirname $0`, is another thing where its link is.
LastLink LastLinkOf(const ProgramFile& program) {
  return program.kind == ProgramFile::Kind::kScript ? LastLink::kKept : LastLink::kResolved;
}

// `given` as an absolute path. `real`, the same file, where `given` has "..", which may lead elsewhere behind a link.
std::string WithoutDots(const std::string& root, const std::string& given, const std::string& real) {
  std::string path = absl::StartsWith(given, "/") ? "" : root;
  for (const absl::string_view part : absl::StrSplit(given, '/')) {
    if (part == "..") return real;
    if (!part.empty() && part != ".") absl::StrAppend(&path, "/", part);
  }
  return path;
}

// Whether its name says that a file is a test: a script's at its edges only (test_names.h).
bool SaysTest(const WalkedFile& file, ProgramFile::Kind kind) {
  const absl::string_view name = BaseName(file.path);
  using Kind = ProgramFile::Kind;
  const bool unknown = kind == Kind::kEmpty || kind == Kind::kUnreadable;
  const bool elf = kind == Kind::kElf || kind == Kind::kDamaged || (unknown && !absl::StrContains(name, '.'));
  return elf ? HasTestWord(name) : NamedAsTest(name);
}

struct Found {
  TestProgram program;
  bool by_name = false;
  bool recognised = false;  // it shows its framework
};

class Finder {
 public:
  Finder(const DiscoverOptions& options, std::string root, LibraryResolver* resolver, GivenRoot pytest_root)
      : options_(options),
        root_(std::move(root)),
        resolver_(resolver),
        pytest_(root_, options.pytest_arguments, std::move(pytest_root)) {}

  absl::Status Add(const std::string& path);
  absl::StatusOr<Discovery> Finish(const std::vector<std::string>& paths) &&;

 private:
  using Plain = DiscoverOptions::Plain;

  // `shown`: as the user wrote it, but absolute.
  absl::Status AddFile(const std::string& path, const std::string& shown, const struct stat& status);
  absl::Status AddDirectory(const std::string& path, const std::string& shown);
  // "a_test.py::TestA::test_b"; false: it is no such thing.
  bool AddNode(const std::string& given);
  // The CTest trees among what was found in a directory.
  absl::Status AddTrees(const Walked& walked);
  void AddTreeUnits(const CTestTree& tree, std::vector<CTestUnits::Unit> units);
  // Its position in found_; nullopt: it cannot be run, and that is a warning.
  std::optional<size_t> AddTreeUnit(const CTestTree& tree, CTestUnits::Unit unit);
  // A name that no other test has.
  std::string TakeName(const std::string& name);
  // A file of a tree whose tests CTest says.
  void ConsiderUnlisted(const WalkedFile& file);
  // A file that pytest, and nobody else, collects.
  bool IsOfPytest(const WalkedFile& file);
  absl::Status AddPytestUnits();
  // A file in a directory: a test, runnable or not, or passed over.
  void Consider(const WalkedFile& file);
  void ConsiderProgram(const WalkedFile& file, ProgramFile program);
  void ConsiderOther(const WalkedFile& file, const ProgramFile& program);
  // True for a program that is a test already, and, with a note, for what is one under another name.
  bool SeenBefore(const WalkedFile& file, const ProgramFile& program);
  bool WantedPlain(const WalkedFile& file, ProgramFile::Kind kind);
  std::string FrameworkOf(const std::string& path, const ElfInfo& elf);
  void AddProgram(const std::string& path, const std::string& shown, bool by_name, ProgramFile program);
  void AddUnrunnable(const WalkedFile& file, std::string why, LastLink last = LastLink::kResolved);
  void NotePlain();
  void NoteTheRest();
  std::string NothingFound(const std::vector<std::string>& paths) const;

  const DiscoverOptions& options_;
  const std::string root_;
  LibraryResolver* const resolver_;
  DirectoryWalker walker_;
  PytestUnits pytest_;
  CTestUnits ctest_;
  std::string directory_;      // that is being walked, as it was given
  bool pytest_found_ = false;  // there
  std::vector<Found> found_;
  Discovery result_;                                                    // less its programs
  absl::flat_hash_map<Inode, std::vector<std::string>> programs_seen_;  // and the paths under which they are tests
  absl::flat_hash_set<std::string> names_;                              // of those
  size_t files_ = 0;
  std::vector<std::string> doubtful_;  // scripts that have "test" in the middle of their names
  std::vector<std::string> skipped_plain_, dangling_, dependencies_, others_;
  std::vector<std::string> unlisted_;  // in trees of CTest, and in none of its tests
  size_t not_executable_ = 0, no_programs_ = 0, no_heads_ = 0, special_ = 0;
};

absl::Status Finder::Add(const std::string& path) {
  const std::string shown = Printable(path);
  if (path.empty()) return absl::InvalidArgumentError("an empty path was given as a test");
  struct stat status;
  if (stat(path.c_str(), &status) != 0) {
    const int error = errno;
    struct stat link;
    if (error == ENOENT && lstat(path.c_str(), &link) == 0) return absl::NotFoundError(DanglingLink(path));
    if (options_.pytest && AddNode(path)) return absl::OkStatus();
    if (error == ENOENT) return absl::NotFoundError(absl::StrCat(shown, " does not exist"));
    return FileError(error, "looking at", path);
  }
  absl::StatusOr<std::string> absolute = AbsolutePath(path);
  if (!absolute.ok()) return absolute.status();
  const std::string as_given = WithoutDots(root_, path, *absolute);
  if (S_ISDIR(status.st_mode)) return AddDirectory(*absolute, as_given);
  if (!S_ISREG(status.st_mode)) {
    const char* what = S_ISFIFO(status.st_mode)   ? "FIFO"
                       : S_ISSOCK(status.st_mode) ? "socket"
                       : S_ISBLK(status.st_mode)  ? "block device"
                                                  : "character device";
    return absl::InvalidArgumentError(absl::StrCat(shown, " is a ", what, ", not a test program"));
  }
  return AddFile(*absolute, as_given, status);
}

absl::Status Finder::AddFile(const std::string& path, const std::string& shown, const struct stat& status) {
  ++files_;
  ProgramFile program = ReadProgramFile(path, status, options_.here);
  const bool executable_script = program.kind == ProgramFile::Kind::kScript && (status.st_mode & 0111) != 0;
  if (options_.pytest && pytest_.AddNamed(shown, "", executable_script)) return absl::OkStatus();
  if (!program.problem.empty()) {
    if (options_.allow_unrunnable) {
      result_.warnings.push_back(std::move(program.problem));
      return absl::OkStatus();
    }
    return program.error.ok() ? absl::InvalidArgumentError(program.problem) : program.error;
  }
  if (!names_.insert(UnitName(root_, shown, LastLinkOf(program))).second) return absl::OkStatus();
  programs_seen_[InodeOf(status)].push_back(path);
  AddProgram(path, shown, true, std::move(program));
  return absl::OkStatus();
}

absl::Status Finder::AddDirectory(const std::string& path, const std::string& shown) {
  Walked walked;
  directory_ = shown;
  if (absl::Status status = walker_.Walk(path, &walked); !status.ok()) return status;
  const auto first = static_cast<ptrdiff_t>(found_.size());
  pytest_found_ = false;
  files_ += walked.files.size();
  special_ += walked.special;
  if (absl::Status added = AddTrees(walked); !added.ok()) return added;
  const auto first_file = static_cast<ptrdiff_t>(found_.size());
  for (const WalkedFile& file : walked.files) {
    if (ctest_.IsNamed(file.path)) continue;  // CTest says how it runs
    ctest_.Holds(file.path) && !options_.also_unlisted ? ConsiderUnlisted(file) : Consider(file);
  }
  for (const auto& [entry, error] : walked.unreadable) AddUnrunnable(entry, std::string(error.message()));
  for (const WalkedFile& link : walked.dangling) {
    if (SaysTest(link, ProgramFile::Kind::kUnreadable) && MayNameProgram(BaseName(link.path))) {
      AddUnrunnable(link, DanglingLink(link.path));
    } else {
      dangling_.push_back(Printable(link.relative));
    }
  }
  if (options_.pytest && (options_.also_unlisted || !ctest_.Holds(path))) {
    pytest_.AddWalked(shown, pytest_found_ || found_.size() > static_cast<size_t>(first));
  }
  dependencies_.insert(dependencies_.end(), walked.dependencies.begin(), walked.dependencies.end());
  others_.insert(others_.end(), walked.others.begin(), walked.others.end());
  // What came by links belongs among the rest, by path.
  std::sort(found_.begin() + first_file, found_.end(),
            [](const Found& a, const Found& b) { return a.program.path < b.program.path; });
  return absl::OkStatus();
}

absl::Status Finder::AddTrees(const Walked& walked) {
  std::vector<std::string> directories;
  for (const WalkedFile& file : walked.files) {
    if (BaseName(file.path) == kCTestFile) directories.emplace_back(DirectoryOf(file.path));
  }
  std::sort(directories.begin(), directories.end());  // each before what is below it
  for (const std::string& directory : directories) {
    if (ctest_.Holds(directory)) continue;
    absl::StatusOr<CTestTree> tree = ReadCTestTree(directory, options_.ctest);
    if (!tree.ok()) return tree.status();
    const std::string shown = Printable(UnitName(root_, directory));
    for (const std::string& note : tree->listing.notes) result_.notes.push_back(absl::StrCat(shown, ": ", note));
    if (tree->listing.entries.empty()) {
      result_.notes.push_back(absl::StrCat(shown, " is a build tree in which CTest knows no test"));
      continue;
    }
    std::vector<CTestUnits::Unit> units = ctest_.Add(*tree, [this](const std::string& path) {
      struct stat status;
      if (stat(path.c_str(), &status) != 0) return std::string(kPlainFramework);
      const ProgramFile file = ReadProgramFile(path, status, options_.here);
      const bool runs = file.kind == ProgramFile::Kind::kElf && file.problem.empty();
      return runs ? FrameworkOf(path, file.elf) : std::string(kPlainFramework);
    });
    AddTreeUnits(*tree, std::move(units));
  }
  return absl::OkStatus();
}

void Finder::AddTreeUnits(const CTestTree& tree, std::vector<CTestUnits::Unit> units) {
  std::vector<std::vector<CTestOrder::Before>> after;
  std::vector<std::vector<CTestOrder::Brought>> brings;
  std::vector<std::optional<std::string>> names;  // of those that are there
  for (CTestUnits::Unit& unit : units) {
    after.push_back(std::move(unit.after));
    brings.push_back(std::move(unit.brings));
    if (!unit.note.empty()) {
      result_.notes.push_back(absl::StrCat(Printable(UnitName(root_, tree.directory)), ": ", unit.note));
    }
    const std::optional<size_t> found = AddTreeUnit(tree, std::move(unit));
    names.push_back(found.has_value() ? std::make_optional(found_[*found].program.name) : std::nullopt);
  }
  absl::flat_hash_map<std::string, size_t> position;
  for (size_t u = 0; u < names.size(); ++u) {
    if (names[u].has_value()) position.emplace(*names[u], u);
  }
  // What needs one that is not there is not there either, nor what needs that.
  for (bool any = true; any;) {
    any = false;
    for (size_t u = 0; u < names.size(); ++u) {
      const auto missing = std::find_if(after[u].begin(), after[u].end(), [&](const CTestOrder::Before& before) {
        return before.must_pass && !names[before.test].has_value();
      });
      if (!names[u].has_value() || missing == after[u].end()) continue;
      result_.warnings.push_back(
          absl::StrCat(Printable(*names[u]), " needs a set-up of its fixture that cannot be run"));
      std::erase_if(found_, [&](const Found& found) { return found.program.name == *names[u]; });
      names[u].reset();
      any = true;
    }
  }
  for (Found& found : found_) {
    const auto at = position.find(found.program.name);
    if (at == position.end()) continue;
    Declarations& declarations = found.program.ctest->declarations;
    for (const CTestOrder::Before& before : after[at->second]) {
      const std::optional<std::string>& name = names[before.test];
      if (!name.has_value()) continue;  // that it cannot be run has been told
      declarations.after.push_back(
          {*name, before.must_pass, absl::StrCat("the set-up ", Printable(*name), " of its fixture")});
    }
    for (const CTestOrder::Brought& brought : brings[at->second]) {
      const std::optional<std::string>& name = names[brought.test];
      if (name.has_value()) declarations.brings.push_back({*name, brought.fixture});  // as above
    }
  }
}

std::optional<size_t> Finder::AddTreeUnit(const CTestTree& tree, CTestUnits::Unit unit) {
  TestProgram program;
  program.path = unit.path;
  program.framework = unit.framework;
  program.unrunnable = unit.problem;
  if (unit.path.empty()) {
    program.script = true;  // it does not run
  } else {
    struct stat status = {};
    ProgramFile file;
    if (stat(unit.path.c_str(), &status) != 0) {
      file.problem = std::string(FileError(errno, "looking at", unit.path).message());
    } else {
      file = ReadProgramFile(unit.path, status, options_.here);
    }
    program.script = file.kind != ProgramFile::Kind::kElf;
    program.elf = std::move(file.elf);
    if (program.unrunnable.empty() && !unit.unit.judging.disabled) program.unrunnable = std::move(file.problem);
  }
  if (!program.unrunnable.empty() && options_.allow_unrunnable) {
    result_.warnings.push_back(std::move(program.unrunnable));
    return std::nullopt;
  }
  if (unit.test.empty()) {
    const std::string name = UnitName(root_, unit.path);
    if (unit.variant.empty()) {
      // One that was found, or given by name, as it is without CTest: what CTest says of it wins.
      const auto same = [&](const Found& found) {
        return !found.program.ctest.has_value() && found.program.name == name;
      };
      if (std::erase_if(found_, same) > 0) names_.erase(name);
    }
    program.name = TakeName(absl::StrCat(name, unit.variant.empty() ? "" : "@", unit.variant));
  } else {
    std::string below;
    const std::string name = UnitName(root_, RelativeTo(root_, tree.top, &below) ? tree.top : tree.directory);
    program.name = TakeName(absl::StrCat(name, name.empty() ? "" : "/", unit.test));
  }
  program.ctest = std::move(unit.unit);
  found_.push_back({std::move(program), false, true});
  return found_.size() - 1;
}

std::string Finder::TakeName(const std::string& name) {
  std::string taken = name;
  for (size_t nth = 2; !names_.insert(taken).second; ++nth) taken = absl::StrCat(name, "@", nth);
  return taken;
}

// Looks at it as at any other, and counts it if it would be a test.
void Finder::ConsiderUnlisted(const WalkedFile& file) {
  const absl::string_view name = BaseName(file.path);
  if (absl::EndsWith(name, ".py") && (file.status.st_mode & 0111) == 0) {
    if (options_.pytest && NamedAsTest(name)) unlisted_.push_back(Printable(file.relative));
    return;
  }
  const bool executable = (file.status.st_mode & 0111) != 0;
  if (!executable && !MayNameProgram(name)) return;
  ProgramFile program = ReadProgramFile(file.path, file.status, options_.here);
  if (program.kind != ProgramFile::Kind::kElf && program.kind != ProgramFile::Kind::kScript) return;
  const bool plain = program.kind != ProgramFile::Kind::kElf || FrameworkOf(file.path, program.elf) == kPlainFramework;
  const bool wanted = options_.plain == Plain::kAll || (options_.plain == Plain::kAuto && SaysTest(file, program.kind));
  if (!plain || (executable && wanted)) unlisted_.push_back(Printable(file.relative));
}

bool Finder::AddNode(const std::string& given) {
  const size_t end = given.find("::");
  if (end == std::string::npos) return false;
  const std::string path = given.substr(0, end);
  struct stat status;
  if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
  const absl::StatusOr<std::string> absolute = AbsolutePath(path);
  return absolute.ok() && pytest_.AddNamed(WithoutDots(root_, path, *absolute), given.substr(end), false);
}

bool Finder::IsOfPytest(const WalkedFile& file) {
  if (!options_.pytest) return false;
  const bool executable_script =
      options_.plain != Plain::kNone && absl::EndsWith(file.path, ".py") && (file.status.st_mode & 0111) != 0 &&
      ReadProgramFile(file.path, file.status, options_.here).kind == ProgramFile::Kind::kScript;
  if (!pytest_.AddFound(directory_, absl::StrCat(directory_, "/", file.relative), executable_script)) return false;
  return pytest_found_ = true;
}

absl::Status Finder::AddPytestUnits() {
  absl::StatusOr<std::vector<PytestUnit>> units = std::move(pytest_).Take();
  if (!units.ok()) return units.status();
  for (PytestUnit& unit : *units) {
    TestProgram program;
    program.path = unit.root;
    program.name = UnitName(root_, unit.root);
    if (program.name.empty()) program.name = kHere;
    if (!names_.insert(program.name).second) {
      program.name = absl::StrCat("./", program.name);  // another is really called so
      names_.insert(program.name);
    }
    program.framework = "pytest";
    program.script = true;
    program.pytest = std::move(unit);
    found_.push_back({std::move(program), false, true});
  }
  return absl::OkStatus();
}

void Finder::Consider(const WalkedFile& file) {
  if (IsOfPytest(file)) return;
  const bool executable = (file.status.st_mode & 0111) != 0;
  if (!executable && !MayNameProgram(BaseName(file.path))) {
    ++not_executable_;
    return;
  }
  ProgramFile program = ReadProgramFile(file.path, file.status, options_.here);
  if (SeenBefore(file, program)) return;
  if (program.kind == ProgramFile::Kind::kElf || program.kind == ProgramFile::Kind::kScript) {
    ConsiderProgram(file, std::move(program));
  } else {
    ConsiderOther(file, program);
  }
}

bool Finder::SeenBefore(const WalkedFile& file, const ProgramFile& program) {
  const auto seen = programs_seen_.find(InodeOf(file.status));
  if (seen == programs_seen_.end()) return false;
  const LastLink last = LastLinkOf(program);
  if (!names_.contains(UnitName(root_, absl::StrCat(directory_, "/", file.relative), last))) {
    if (last == LastLink::kKept && !LiesBeside(seen->second, file.path)) return false;
    result_.notes.push_back(absl::StrCat("skipped ", Printable(file.relative), ": the same file as ",
                                         Printable(seen->second.front()),
                                         "; if it is a test of its own under that name, give its path"));
  }
  return true;
}

void Finder::ConsiderProgram(const WalkedFile& file, ProgramFile program) {
  const bool plain = program.kind != ProgramFile::Kind::kElf || FrameworkOf(file.path, program.elf) == kPlainFramework;
  const bool executable = (file.status.st_mode & 0111) != 0;
  if (plain) {
    // Without its execute bit a program looks like a test only by its name.
    if (!executable && (options_.plain == Plain::kNone || !SaysTest(file, program.kind))) {
      ++not_executable_;
      return;
    }
    if (!WantedPlain(file, program.kind)) return;
  }
  if (!program.problem.empty()) return AddUnrunnable(file, std::move(program.problem), LastLinkOf(program));
  const std::string shown = absl::StrCat(directory_, "/", file.relative);
  if (!names_.insert(UnitName(root_, shown, LastLinkOf(program))).second) return;
  programs_seen_[InodeOf(file.status)].push_back(file.path);
  AddProgram(file.path, shown, false, std::move(program));
}

// What an interrupted build leaves, or a missing line, must not go unnoticed, or its tests would count as passed.
void Finder::ConsiderOther(const WalkedFile& file, const ProgramFile& program) {
  using Kind = ProgramFile::Kind;
  const absl::string_view name = BaseName(file.path);
  const bool executable = (file.status.st_mode & 0111) != 0;
  const bool says_test = SaysTest(file, program.kind) && MayNameProgram(name) && !absl::StrContains(name, ".so.");
  switch (program.kind) {
    case Kind::kElf:
    case Kind::kScript:
      break;
    case Kind::kNoProgram:
      ++no_programs_;
      break;
    case Kind::kNoHead:
      if ((executable || NamedAsShellScript(name)) && says_test && options_.plain != Plain::kNone) {
        return AddUnrunnable(file, program.problem);
      }
      ++(executable ? no_heads_ : not_executable_);
      break;
    case Kind::kEmpty:
      if (executable && says_test) return AddUnrunnable(file, program.problem);
      ++(executable ? no_heads_ : not_executable_);
      break;
    case Kind::kDamaged:
    case Kind::kUnreadable:
      if (says_test) return AddUnrunnable(file, program.problem);
      result_.notes.push_back(absl::StrCat("skipped a file that is not named as a test: ", program.problem));
      break;
  }
}

void Finder::AddUnrunnable(const WalkedFile& file, std::string why, LastLink last) {
  if (options_.allow_unrunnable) {
    result_.warnings.push_back(std::move(why));
    return;
  }
  TestProgram program;
  program.path = file.path;
  program.name = UnitName(root_, absl::StrCat(directory_, "/", file.relative), last);
  if (!names_.insert(program.name).second) return;
  if (file.status.st_ino != 0) programs_seen_[InodeOf(file.status)].push_back(file.path);
  program.unrunnable = std::move(why);
  found_.push_back({std::move(program), false, false});
}

bool Finder::WantedPlain(const WalkedFile& file, ProgramFile::Kind kind) {
  if (options_.plain == Plain::kAll) return true;
  const bool has_word = options_.plain == Plain::kAuto && HasTestWord(BaseName(file.path));
  if (has_word && SaysTest(file, kind)) return true;
  (has_word ? doubtful_ : skipped_plain_).push_back(Printable(file.relative));
  return false;
}

std::string Finder::FrameworkOf(const std::string& path, const ElfInfo& elf) {
  if (!elf.frameworks.empty() || elf.needed.empty()) return elf.frameworks.First();
  absl::StatusOr<Closure> closure = resolver_->Resolve(path, elf);
  if (closure.ok() && (!closure->frameworks.empty() || closure->missing.empty())) return closure->frameworks.First();
  // The framework may be in a library that is not here: it is a test all the same, and its listing says what is
  // missing.
  return elf.uses.First();
}

void Finder::AddProgram(const std::string& path, const std::string& shown, bool by_name, ProgramFile file) {
  TestProgram program;
  program.path = path;
  program.name = UnitName(root_, shown, LastLinkOf(file));
  program.script = file.kind == ProgramFile::Kind::kScript;
  if (!program.script) program.framework = FrameworkOf(path, file.elf);
  const bool recognised = program.framework != kPlainFramework;
  if (!recognised) program.framework = options_.protocol;
  program.elf = std::move(file.elf);
  found_.push_back({std::move(program), by_name, recognised});
}

// Whatever runs as a test without saying so itself is told before it does.
void Finder::NotePlain() {
  std::vector<std::string> plain;
  bool by_name = true;
  size_t others = 0;
  for (const Found& found : found_) {
    if (!found.program.unrunnable.empty()) continue;  // told as an error
    if (found.recognised) {
      ++others;
      continue;
    }
    plain.push_back(Printable(found.program.name));
    by_name = by_name && found.by_name;
  }
  if (plain.empty()) return;
  const bool chosen = options_.protocol != kPlainFramework;
  const std::string what = chosen ? absl::StrCat(Count(plain.size(), "program"), ", read as ", options_.protocol, ": ")
                                  : absl::StrCat(Count(plain.size(), "plain program"), " as one case each: ");
  result_.notes.push_back(absl::StrCat(others > 0 ? "also running " : "running ", what,
                                       JoinSome(plain, kPlainNamesInNote),
                                       by_name ? "" : "; --plain none leaves them out"));
}

void Finder::NoteTheRest() {
  if (!unlisted_.empty()) {
    result_.notes.push_back(absl::StrCat("not run: ", Count(unlisted_.size(), "program"),
                                         " in a build tree and in no test that CTest knows there: ",
                                         JoinSome(unlisted_), "; --also-unlisted runs what is like that, too"));
  }
  const auto note = [](size_t number, absl::string_view what, std::vector<std::string>* notes) {
    if (number > 0) notes->push_back(absl::StrCat("passed over ", what, ": ", number));
  };
  if (!doubtful_.empty()) {
    result_.warnings.push_back(absl::StrCat(
        "not run: ", Count(doubtful_.size(), "script"), " with \"test\" in the middle of the name, not first or last: ",
        JoinSome(doubtful_, kPlainNamesInNote), "; to run one give its path, or rename it as in run_test.sh"));
  }
  if (!skipped_plain_.empty()) {
    result_.notes.push_back(
        absl::StrCat("skipped ", Count(skipped_plain_.size(), "program"), ", of no test framework that is known here",
                     options_.plain == Plain::kNone ? "" : " and not named as tests", ": ", JoinSome(skipped_plain_)));
  }
  if (!dangling_.empty()) {
    result_.notes.push_back(absl::StrCat("skipped ", Count(dangling_.size(), "symbolic link"), " that ",
                                         dangling_.size() == 1 ? "leads" : "lead", " nowhere: ", JoinSome(dangling_)));
  }
  if (!dependencies_.empty()) {
    result_.notes.push_back(absl::StrCat("not looked into, since others wrote what is there: ", JoinSome(dependencies_),
                                         "; give the path of what is to run"));
  }
  if (!others_.empty()) {
    result_.details.push_back(absl::StrCat("not looked into: ", JoinSome(others_), ", hidden or of a build tool"));
  }
  note(not_executable_, "files without the execute bit", &result_.details);
  note(no_programs_, "libraries and objects", &result_.details);
  note(no_heads_, "executable files that are neither ELF nor script, and not named as tests", &result_.details);
  note(special_, "sockets, FIFOs and devices", &result_.details);
}

std::string Finder::NothingFound(const std::vector<std::string>& paths) const {
  if (paths.empty()) return "no test was given";
  std::vector<std::string> shown;
  shown.reserve(paths.size());
  for (const std::string& path : paths) shown.push_back(Printable(path));
  std::string text = absl::StrCat("no test found in ", JoinSome(shown), ": looked at ", Count(files_, "file"));
  for (const std::string& warning : result_.warnings) absl::StrAppend(&text, "; ", warning);
  for (const std::string& note : result_.notes) absl::StrAppend(&text, "; ", note);
  if (result_.notes.empty() && result_.warnings.empty()) {
    absl::StrAppend(&text, ", none of them an executable program. Were the tests built?");
  }
  return text;
}

absl::StatusOr<Discovery> Finder::Finish(const std::vector<std::string>& paths) && {
  // Of what was found before its tree was.
  std::erase_if(found_, [this](const Found& found) {
    return !found.by_name && !found.program.ctest.has_value() && ctest_.IsNamed(found.program.path);
  });
  if (absl::Status added = AddPytestUnits(); !added.ok()) return added;
  NotePlain();
  NoteTheRest();
  if (found_.empty()) return absl::FailedPreconditionError(NothingFound(paths));
  for (Found& found : found_) result_.programs.push_back(std::move(found.program));
  return std::move(result_);
}

}  // namespace

std::string UnitName(const std::string& root, const std::string& path, LastLink last) {
  const std::unique_ptr<char, decltype(&free)> whole(realpath(path.c_str(), nullptr), &free);
  std::string real = whole == nullptr ? "" : whole.get();
  if (last == LastLink::kKept || BaseName(real) != BaseName(path)) {
    const absl::StatusOr<std::string> link = AbsolutePath(path);
    real = link.ok() ? *link : path;
  }
  std::string relative;
  if (RelativeTo(root, real, &relative) || RelativeTo(root, path, &relative)) return relative;
  return real;
}

absl::StatusOr<Discovery> Discover(const std::vector<std::string>& paths, const DiscoverOptions& options) {
  std::optional<LibraryResolver> own;
  LibraryResolver* resolver = options.resolver;
  if (resolver == nullptr) {
    LibraryResolver::Options defaults;
    defaults.ld_library_path = SplitSearchPath(getenv("LD_LIBRARY_PATH"));
    resolver = &own.emplace(std::move(defaults));
  }
  std::string root = options.root;
  if (root.empty()) {
    absl::StatusOr<std::string> here = AbsolutePath(".");
    if (!here.ok()) return here.status();
    root = *std::move(here);
  }
  absl::StatusOr<GivenRoot> pytest_root = GivenPytestRoot(root, options.pytest_root, options.pytest_config);
  if (!pytest_root.ok()) return pytest_root.status();
  Finder finder(options, std::move(root), resolver, *std::move(pytest_root));
  for (const std::string& path : paths) {
    if (absl::Status added = finder.Add(path); !added.ok()) return added;
  }
  return std::move(finder).Finish(paths);
}

}  // namespace dtest
