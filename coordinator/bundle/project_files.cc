#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

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

}  // namespace

absl::StatusOr<std::vector<std::string>> ProjectFiles(const std::string& root) {
  std::vector<std::string> files;
  if (const std::optional<std::string> tracked = AskGit(root); tracked.has_value()) {
    for (const absl::string_view name : absl::StrSplit(*tracked, '\0', absl::SkipEmpty())) {
      const std::string path(absl::StripSuffix(name, "/"));
      struct stat status;
      // One that is deleted and not committed yet is still in the index.
      if (lstat(absl::StrCat(root, "/", path).c_str(), &status) == 0) files.push_back(path);
    }
  } else {
    Walked walked;
    DirectoryWalker walker;
    if (absl::Status status = walker.Walk(root, &walked); !status.ok()) return status;
    if (!walked.unreadable.empty()) return walked.unreadable.front().second;
    for (const WalkedFile& file : walked.files) {
      if (!IsLeftOut(root, file.relative)) files.push_back(file.relative);
    }
  }
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

}  // namespace dtest
