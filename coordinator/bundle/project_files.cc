#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "coordinator/bundle/directory_walk.h"
#include "coordinator/bundle/files.h"
#include "coordinator/bundle/pytest_spec.h"
#include "dtest/base/fd.h"
#include "dtest/base/io.h"
#include "dtest/base/start_child.h"

extern char** environ;

namespace dtest {
namespace {

constexpr size_t kMostNames = 256 << 20;  // bytes

// What git says; nullopt: the directory is not git's, or there is no git.
std::optional<std::string> AskGit(const std::string& root) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
  const Fd from(ends[0]);
  Fd to(ends[1]);
  const Fd nowhere(open("/dev/null", O_WRONLY | O_CLOEXEC));
  ChildSpec spec;
  spec.program = "git";
  spec.search_path = true;
  spec.arguments = {"git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "."};
  for (char** variable = environ; *variable != nullptr; ++variable) {
    // Those that git sets for its hooks would send it to another repository.
    if (!absl::StartsWith(*variable, "GIT_")) spec.environment.emplace_back(*variable);
  }
  spec.working_directory = root;
  spec.out = to.get();
  spec.err = nowhere.get();
  const StartedChild child = StartChild(spec);
  to.Close();
  if (child.pid < 0 || child.failed_step != nullptr) return std::nullopt;
  std::string output;
  const int error = ReadToEnd(from.get(), kMostNames, &output);
  int status = 0;
  while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR) continue;
  if (error != 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) return std::nullopt;
  return output;
}

// Of a relative path; empty: it is in the root itself.
absl::string_view DirectoryBelow(absl::string_view relative) {
  const size_t slash = relative.rfind('/');
  return slash == absl::string_view::npos ? "" : relative.substr(0, slash);
}

bool IsCache(absl::string_view name) {
  return name == "__pycache__" || name == "venv" || name == "node_modules" || absl::EndsWith(name, ".egg-info");
}

// Whether one of its directories is a cache, an environment or another's.
bool IsLeftOut(const std::string& root, absl::string_view relative) {
  for (absl::string_view above = relative; absl::StrContains(above, '/');) {
    above = above.substr(0, above.rfind('/'));
    const absl::string_view name = BaseName(above);
    if (IsCache(name) || access(absl::StrCat(root, "/", above, "/pyvenv.cfg").c_str(), F_OK) == 0) return true;
  }
  return absl::EndsWith(relative, ".pyc");
}

bool IsThere(const std::string& path) {
  struct stat status;
  return lstat(path.c_str(), &status) == 0;
}

bool IsDirectory(const std::string& path) {
  struct stat status;
  return lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// Adds the files below root/relative.
absl::Status AddFiles(const std::string& root, const std::string& relative, std::vector<std::string>* files) {
  const std::string directory = relative.empty() ? root : absl::StrCat(root, "/", relative);
  const std::string prefix = relative.empty() ? "" : absl::StrCat(relative, "/");
  // Within another repository git would speak of that one.
  const bool may_be_gits = relative.empty() || IsThere(absl::StrCat(directory, "/.git"));
  if (const auto tracked = may_be_gits ? AskGit(directory) : std::nullopt; !tracked.value_or("").empty()) {
    for (const absl::string_view name : absl::StrSplit(*tracked, '\0', absl::SkipEmpty())) {
      const std::string path = absl::StrCat(prefix, absl::StripSuffix(name, "/"));
      const std::string whole = absl::StrCat(root, "/", path);
      if (IsDirectory(whole)) {  // a submodule, or a repository that git does not track
        if (absl::Status added = AddFiles(root, path, files); !added.ok()) return added;
      } else if (IsThere(whole)) {  // one that is deleted and not committed yet is still in the index
        files->push_back(path);
      }
    }
    return absl::OkStatus();
  }
  // Nor may git ignore the whole of it.
  Walked walked;
  DirectoryWalker walker;
  if (absl::Status status = walker.Walk(directory, &walked); !status.ok()) return status;
  if (!walked.unreadable.empty()) return walked.unreadable.front().second;
  for (const WalkedFile& file : walked.files) {
    if (!IsLeftOut(directory, file.relative)) files->push_back(absl::StrCat(prefix, file.relative));
  }
  return absl::OkStatus();
}

// The regular files of a directory, not of those below it.
absl::Status AddFilesOf(const std::string& root, const std::string& directory, std::vector<std::string>* files) {
  const std::string whole = absl::StrCat(root, "/", directory);
  std::error_code error;
  std::filesystem::directory_iterator entry(whole, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    std::string file = absl::StrCat(directory, directory.empty() ? "" : "/", entry->path().filename().string());
    std::error_code unknown;  // then it is none
    if (entry->is_regular_file(unknown) && !IsLeftOut(root, file)) files->push_back(std::move(file));
  }
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(whole, " cannot be read for the tests in it: ", error.message()));
}

// Adds what git ignores, and these tests need.
absl::Status AddTests(const std::string& root, const std::vector<std::string>& tests, std::vector<std::string>* files) {
  const absl::flat_hash_set<std::string> known(files->begin(), files->end());
  absl::flat_hash_set<std::string> directories;  // that git does not ignore, or whose files have been added
  for (const std::string& file : known) {
    std::string above(DirectoryBelow(file));
    while (directories.insert(above).second) above = std::string(DirectoryBelow(above));
  }
  for (const std::string& test : tests) {
    if (known.contains(test)) continue;
    files->push_back(test);
    std::string above(DirectoryBelow(test));
    if (directories.insert(above).second) {
      if (absl::Status added = AddFilesOf(root, above, files); !added.ok()) return added;
    }
    for (;; above = std::string(DirectoryBelow(above))) {
      for (const absl::string_view name : {"conftest.py", "__init__.py"}) {
        std::string file = absl::StrCat(above, above.empty() ? "" : "/", name);
        if (!known.contains(file) && IsThere(absl::StrCat(root, "/", file))) files->push_back(std::move(file));
      }
      if (above.empty()) break;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ProjectFiles(const std::string& root, const std::vector<std::string>& tests) {
  std::vector<std::string> files;
  if (absl::Status added = AddFiles(root, "", &files); !added.ok()) return added;
  if (absl::Status added = AddTests(root, tests, &files); !added.ok()) return added;
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

}  // namespace dtest
