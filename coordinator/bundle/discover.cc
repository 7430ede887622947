#include "coordinator/bundle/discover.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "coordinator/bundle/files.h"

namespace dtest {

namespace {

constexpr size_t kNamesInNote = 5;

using Inode = std::pair<dev_t, ino_t>;

Inode InodeOf(const struct stat& status) { return {status.st_dev, status.st_ino}; }

bool HasExecuteBit(const struct stat& status) { return (status.st_mode & 0111) != 0; }

enum class Kind { kElf, kScript, kEmpty, kOther };

// From the first bytes.
absl::StatusOr<Kind> KindOf(const std::string& path) {
  absl::StatusOr<OpenedFile> file = OpenFile(path);
  if (!file.ok()) return file.status();
  char start[4];
  const ssize_t count = pread(file->fd.get(), start, sizeof(start), 0);
  if (count < 0) return FileError(errno, "reading", path);
  const absl::string_view head(start, static_cast<size_t>(count));
  if (head == "\177ELF") return Kind::kElf;
  if (absl::StartsWith(head, "#!")) return Kind::kScript;
  return head.empty() ? Kind::kEmpty : Kind::kOther;
}

std::string JoinSome(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), kNamesInNote);
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

bool HasBaseNameOf(const std::vector<std::string>& paths, const std::string& path) {
  return absl::c_any_of(paths, [&](const std::string& other) { return BaseName(other) == BaseName(path); });
}

// A file or link below a directory that is being walked.
struct Entry {
  std::string path;
  std::string relative;  // to the directory given
  friend bool operator<(const Entry& a, const Entry& b) { return a.relative < b.relative; }
};

// What a walk of one directory found.
struct Tree {
  std::vector<Entry> programs;  // regular files with an execute bit
  std::vector<Entry> links;
};

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

struct Found {
  TestProgram program;   // without its name
  std::string relative;  // to the directory it was found in; as given, if it was given by name
};

class Finder {
 public:
  Finder(DiscoverOptions::Plain plain, LibraryResolver* resolver) : plain_(plain), resolver_(resolver) {}

  absl::Status Add(const std::string& path);
  absl::StatusOr<Discovery> Finish(const std::vector<std::string>& paths) &&;

 private:
  // `given`: the path as the user wrote it.
  absl::Status AddFile(const std::string& path, const std::string& given, const struct stat& status);
  absl::Status AddDirectory(const std::string& path);
  // `required`: an unreadable directory is an error rather than a note.
  absl::Status Walk(const std::string& path, const std::string& relative, bool required, Tree* tree);
  void FollowLinks(std::vector<Entry> links, std::vector<Entry>* programs);
  // A file in a directory: a test, or passed over.
  void Consider(const Entry& entry);
  void ConsiderBroken(const Entry& entry, const struct stat& status, const absl::Status& why);
  static bool SaysTest(const Entry& entry);
  bool WantedPlain(const Entry& entry);
  bool IsGoogleTest(const std::string& path, const ElfInfo& elf);
  void AddProgram(const std::string& path, const std::string& relative, bool script, ElfInfo elf);
  std::vector<TestProgram> TakeNamed();

  const DiscoverOptions::Plain plain_;
  LibraryResolver* const resolver_;
  std::vector<Found> found_;
  std::vector<std::string> notes_;
  absl::flat_hash_map<Inode, std::vector<std::string>> programs_seen_;  // and the paths under which they are tests
  absl::flat_hash_set<Inode> directories_seen_;
  std::vector<std::string> skipped_plain_;
  size_t files_ = 0;
};

absl::Status Finder::Add(const std::string& path) {
  const std::string shown = Printable(path);
  if (path.empty()) return absl::InvalidArgumentError("an empty path was given as a test");
  struct stat status;
  if (stat(path.c_str(), &status) != 0) {
    const int error = errno;
    struct stat link;
    if (error == ENOENT && lstat(path.c_str(), &link) == 0) {
      return absl::NotFoundError(absl::StrCat(shown, " is a dangling symbolic link: its target ",
                                              Printable(ReadLink(path)), " does not exist"));
    }
    if (error == ENOENT) return absl::NotFoundError(absl::StrCat(shown, " does not exist"));
    return FileError(error, "looking at", path);
  }
  absl::StatusOr<std::string> absolute = AbsolutePath(path);
  if (!absolute.ok()) return absolute.status();
  if (S_ISDIR(status.st_mode)) return AddDirectory(*absolute);
  if (!S_ISREG(status.st_mode)) {
    const char* what = S_ISFIFO(status.st_mode)   ? "FIFO"
                       : S_ISSOCK(status.st_mode) ? "socket"
                       : S_ISBLK(status.st_mode)  ? "block device"
                                                  : "character device";
    return absl::InvalidArgumentError(absl::StrCat(shown, " is a ", what, ", not a test program"));
  }
  return AddFile(*absolute, path, status);
}

absl::Status Finder::AddFile(const std::string& path, const std::string& given, const struct stat& status) {
  ++files_;
  const std::string shown = Printable(path);
  absl::StatusOr<Kind> kind = KindOf(path);
  if (!kind.ok()) return kind.status();
  ElfInfo elf;
  if (*kind == Kind::kElf) {
    absl::StatusOr<ElfInfo> read = ReadElf(path);
    if (!read.ok()) {
      return absl::IsDataLoss(read.status()) ? absl::InvalidArgumentError(read.status().message()) : read.status();
    }
    if (!read->executable) {
      return absl::InvalidArgumentError(
          absl::StrCat(shown, read->dynamic ? " is a shared library" : " is an object, core or debug information file",
                       ", not a test program"));
    }
    elf = *std::move(read);
  }
  if (!HasExecuteBit(status)) {
    return absl::InvalidArgumentError(
        absl::StrCat(shown, " is not executable. If it is a test: chmod +x '", shown, "'"));
  }
  if (*kind == Kind::kEmpty) return absl::InvalidArgumentError(absl::StrCat(shown, " is empty: not a test program"));
  if (*kind == Kind::kOther) {
    return absl::InvalidArgumentError(absl::StrCat(
        shown, " is neither an ELF program nor a script: a script's first line says what runs it, e.g. #!/bin/sh"));
  }
  std::vector<std::string>& seen = programs_seen_[InodeOf(status)];
  if (HasBaseNameOf(seen, path)) return absl::OkStatus();
  seen.push_back(path);
  AddProgram(path, std::string(absl::StripPrefix(given, "./")), *kind == Kind::kScript, std::move(elf));
  return absl::OkStatus();
}

absl::Status Finder::AddDirectory(const std::string& path) {
  Tree tree;
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return FileError(errno, "looking at", path);
  // One inside another that was given before has nothing new; the other way round, the inner one is not walked again.
  if (!directories_seen_.insert(InodeOf(status)).second) return absl::OkStatus();
  if (absl::Status walked = Walk(path, "", true, &tree); !walked.ok()) return walked;
  const auto first = static_cast<ptrdiff_t>(found_.size());
  std::sort(tree.programs.begin(), tree.programs.end());
  for (const Entry& entry : tree.programs) Consider(entry);
  std::vector<Entry> linked;
  FollowLinks(std::move(tree.links), &linked);
  for (const Entry& entry : linked) Consider(entry);

  // What came by links belongs among the rest, by path.
  std::sort(found_.begin() + first, found_.end(),
            [](const Found& a, const Found& b) { return a.relative < b.relative; });
  return absl::OkStatus();
}

absl::Status Finder::Walk(const std::string& path, const std::string& relative, bool required, Tree* tree) {
  const std::unique_ptr<DIR, CloseDirectory> directory(opendir(path.c_str()));
  if (directory == nullptr) {
    absl::Status error = FileError(errno, "opening directory", path);
    if (required) return error;
    notes_.push_back(absl::StrCat("skipped a directory: ", error.message()));
    return absl::OkStatus();
  }
  std::vector<std::string> subdirectories;
  const std::string prefix = relative.empty() ? "" : absl::StrCat(relative, "/");
  while (const dirent* item = readdir(directory.get())) {
    const absl::string_view name = item->d_name;
    struct stat status;
    if (fstatat(dirfd(directory.get()), item->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;  // gone again
    if (S_ISDIR(status.st_mode)) {
      if (absl::StartsWith(name, ".") || name == "CMakeFiles") continue;
      if (directories_seen_.insert(InodeOf(status)).second) subdirectories.emplace_back(name);
    } else if (S_ISREG(status.st_mode)) {
      ++files_;
      if (HasExecuteBit(status)) tree->programs.push_back({absl::StrCat(path, "/", name), absl::StrCat(prefix, name)});
    } else if (S_ISLNK(status.st_mode)) {
      tree->links.push_back({absl::StrCat(path, "/", name), absl::StrCat(prefix, name)});
    }
  }
  std::sort(subdirectories.begin(), subdirectories.end());
  for (const std::string& name : subdirectories) {
    absl::Status walked = Walk(absl::StrCat(path, "/", name), absl::StrCat(prefix, name), false, tree);
    if (!walked.ok()) return walked;
  }
  return absl::OkStatus();
}

void Finder::FollowLinks(std::vector<Entry> links, std::vector<Entry>* programs) {
  std::sort(links.begin(), links.end());
  std::deque<Entry> queue(std::make_move_iterator(links.begin()), std::make_move_iterator(links.end()));
  while (!queue.empty()) {
    const Entry link = std::move(queue.front());
    queue.pop_front();
    struct stat status;
    if (stat(link.path.c_str(), &status) != 0) {
      notes_.push_back(absl::StrCat("skipped ", Printable(link.path), ", a symbolic link to ",
                                    Printable(ReadLink(link.path)), " that leads nowhere"));
    } else if (S_ISREG(status.st_mode)) {
      ++files_;
      if (HasExecuteBit(status)) programs->push_back(link);
    } else if (S_ISDIR(status.st_mode) && !absl::StartsWith(BaseName(link.path), ".") &&
               directories_seen_.insert(InodeOf(status)).second) {
      Tree tree;
      const absl::Status walked = Walk(link.path, link.relative, false, &tree);
      (void)walked;  // Not required: what cannot be read is in the notes.
      programs->insert(programs->end(), tree.programs.begin(), tree.programs.end());
      std::sort(tree.links.begin(), tree.links.end());
      queue.insert(queue.end(), tree.links.begin(), tree.links.end());
    }
  }
  std::sort(programs->begin(), programs->end());
}

void Finder::Consider(const Entry& entry) {
  struct stat status;
  if (stat(entry.path.c_str(), &status) != 0) return;
  if (const auto seen = programs_seen_.find(InodeOf(status)); seen != programs_seen_.end()) {
    const std::vector<std::string>& paths = seen->second;
    if (HasBaseNameOf(paths, entry.path)) return;
    notes_.push_back(absl::StrCat("skipped ", Printable(entry.relative), ": the same file as ",
                                  Printable(paths.front()),
                                  "; if it is a test of its own under that name, give its path"));
    return;
  }
  absl::StatusOr<Kind> kind = KindOf(entry.path);
  if (!kind.ok()) {
    notes_.push_back(absl::StrCat("skipped a program: ", kind.status().message()));
    return;
  }
  if (*kind == Kind::kEmpty)
    return ConsiderBroken(entry, status, absl::DataLossError(absl::StrCat(Printable(entry.path), " is empty")));
  if (*kind == Kind::kScript) {
    if (!WantedPlain(entry)) return;
    programs_seen_[InodeOf(status)].push_back(entry.path);
    AddProgram(entry.path, entry.relative, true, {});
    return;
  }
  if (*kind != Kind::kElf) {
    if (SaysTest(entry) && !absl::StrContains(BaseName(entry.path), ".")) {
      notes_.push_back(absl::StrCat("skipped ", Printable(entry.relative),
                                    ": executable, but neither an ELF program nor a script with a #! line"));
    }
    return;
  }
  absl::StatusOr<ElfInfo> elf = ReadElf(entry.path);
  if (!elf.ok()) return ConsiderBroken(entry, status, elf.status());
  if (!elf->executable || (!IsGoogleTest(entry.path, *elf) && !WantedPlain(entry))) return;
  programs_seen_[InodeOf(status)].push_back(entry.path);
  AddProgram(entry.path, entry.relative, false, *std::move(elf));
}

// What an interrupted build leaves must not go unnoticed, or its tests would count as passed.
void Finder::ConsiderBroken(const Entry& entry, const struct stat& status, const absl::Status& why) {
  if (!absl::IsDataLoss(why) || !SaysTest(entry) || absl::StrContains(BaseName(entry.path), ".so")) {
    notes_.push_back(absl::StrCat("skipped a program: ", why.message()));
    return;
  }
  programs_seen_[InodeOf(status)].push_back(entry.path);
  TestProgram program;
  program.path = entry.path;
  program.broken = absl::StrCat(why.message(), ": was its build interrupted?");
  found_.push_back({std::move(program), entry.relative});
}

bool Finder::SaysTest(const Entry& entry) {
  return absl::StrContains(absl::AsciiStrToLower(BaseName(entry.path)), "test");
}

bool Finder::WantedPlain(const Entry& entry) {
  if (plain_ == DiscoverOptions::Plain::kAll || (plain_ == DiscoverOptions::Plain::kAuto && SaysTest(entry)))
    return true;
  skipped_plain_.push_back(Printable(entry.relative));
  return false;
}

bool Finder::IsGoogleTest(const std::string& path, const ElfInfo& elf) {
  if (elf.googletest || elf.needed.empty()) return elf.googletest;
  absl::StatusOr<Closure> closure = resolver_->Resolve(path, elf);
  return closure.ok() && closure->googletest;
}

void Finder::AddProgram(const std::string& path, const std::string& relative, bool script, ElfInfo elf) {
  TestProgram program;
  program.path = path;
  program.script = script;
  if (!script && IsGoogleTest(path, elf)) program.framework = Framework::kGoogleTest;
  program.elf = std::move(elf);
  found_.push_back({std::move(program), relative});
}

std::vector<TestProgram> Finder::TakeNamed() {
  // The shortest of base name, relative path and absolute path that no other program has.
  absl::flat_hash_map<std::string, int> uses;
  for (const Found& found : found_) ++uses[BaseName(found.program.path)];
  for (Found& found : found_) {
    const std::string base(BaseName(found.program.path));
    found.program.name = uses[base] == 1 ? base : found.relative;
  }
  uses.clear();
  for (const Found& found : found_) ++uses[found.program.name];
  std::vector<TestProgram> programs;
  for (Found& found : found_) {
    if (uses[found.program.name] != 1) found.program.name = found.program.path;
    programs.push_back(std::move(found.program));
  }
  return programs;
}

absl::StatusOr<Discovery> Finder::Finish(const std::vector<std::string>& paths) && {
  const std::string reason = plain_ == DiscoverOptions::Plain::kNone
                                 ? "not GoogleTests"
                                 : "not GoogleTests, with names that do not say \"test\"";
  if (!skipped_plain_.empty()) {
    notes_.push_back(absl::StrCat("skipped ", Count(skipped_plain_.size(), "program"), ", ", reason, ": ",
                                  JoinSome(skipped_plain_)));
  }
  if (found_.empty()) {
    std::vector<std::string> shown;
    shown.reserve(paths.size());
    for (const std::string& path : paths) shown.push_back(Printable(path));
    std::string text = paths.empty()
                           ? "no test was given"
                           : absl::StrCat("no test found in ", JoinSome(shown), ": looked at ", Count(files_, "file"));
    for (const std::string& note : notes_) absl::StrAppend(&text, "; ", note);
    if (!paths.empty() && notes_.empty()) {
      absl::StrAppend(&text, ", none of them an executable program. Were the tests built?");
    }
    return absl::FailedPreconditionError(text);
  }
  return Discovery{TakeNamed(), std::move(notes_)};
}

}  // namespace

absl::StatusOr<Discovery> Discover(const std::vector<std::string>& paths, const DiscoverOptions& options) {
  std::optional<LibraryResolver> own;
  LibraryResolver* resolver = options.resolver;
  if (resolver == nullptr) {
    LibraryResolver::Options defaults;
    defaults.ld_library_path = SplitSearchPath(getenv("LD_LIBRARY_PATH"));
    resolver = &own.emplace(std::move(defaults));
  }
  Finder finder(options.plain, resolver);
  for (const std::string& path : paths) {
    if (absl::Status added = finder.Add(path); !added.ok()) return added;
  }
  return std::move(finder).Finish(paths);
}

}  // namespace dtest
