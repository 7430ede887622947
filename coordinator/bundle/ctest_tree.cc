#include "coordinator/bundle/ctest_tree.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "coordinator/bundle/files.h"
#include "dtest/base/clock.h"
#include "dtest/base/fd.h"
#include "dtest/base/start_child.h"

extern char** environ;

namespace dtest {
namespace {

constexpr size_t kMostListing = 512 << 20;  // bytes
constexpr size_t kMostErrors = 64 << 10;    // bytes that are kept
constexpr size_t kMostSaid = 4 << 10;       // bytes, in a message

// What CMake keeps of a build tree.
struct Cache {
  std::string directory;         // empty: there is none
  std::string ctest;             // the program that belongs to it
  bool several_configs = false;  // are built in one tree
};

Cache FindCache(const std::string& directory) {
  Cache cache;
  for (std::string at = directory; !at.empty() && at != "/"; at = std::string(DirectoryOf(at))) {
    std::ifstream file(absl::StrCat(at, "/CMakeCache.txt"));
    if (!file) continue;
    cache.directory = at;
    for (std::string line; std::getline(file, line);) {
      absl::string_view rest = line;
      if (absl::ConsumePrefix(&rest, "CMAKE_CTEST_COMMAND:"))
        cache.ctest = std::string(rest.substr(rest.find('=') + 1));
      if (absl::ConsumePrefix(&rest, "CMAKE_CONFIGURATION_TYPES:")) cache.several_configs = !absl::EndsWith(rest, "=");
    }
    break;
  }
  return cache;
}

// Kills what it started, and collects it.
class Running {
 public:
  explicit Running(pid_t pid) : pid_(pid) {}
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    kill(-pid_, SIGKILL);
    (void)Wait();
  }
  // Its wait status, once it has ended.
  int Wait() {
    while (!status_.has_value()) {
      int status = 0;
      if (waitpid(pid_, &status, 0) == pid_ || errno != EINTR) status_ = status;
    }
    return *status_;
  }

 private:
  const pid_t pid_;
  std::optional<int> status_;
};

// A pipe of it, whose bytes are kept up to a limit.
struct Stream {
  Fd fd;
  size_t most = 0;
  std::string text = {};
  bool cut = false;

  void Read() {
    char buffer[64 << 10];
    const ssize_t got = read(fd.get(), buffer, sizeof(buffer));
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (got <= 0) {
      fd.Close();
      return;
    }
    const size_t room = most - text.size();
    cut |= static_cast<size_t>(got) > room;
    text.append(buffer, std::min(static_cast<size_t>(got), room));
  }
};

std::string Said(const Stream& errors, const Stream& output) {
  absl::string_view said = absl::StripAsciiWhitespace(errors.text.empty() ? output.text : errors.text);
  if (said.size() > kMostSaid) said.remove_prefix(said.size() - kMostSaid);
  return said.empty() ? "" : absl::StrCat(": ", said);
}

// What it prints. `name`: of the tree, for messages.
absl::StatusOr<std::string> Ask(const std::string& program, const std::string& directory, const CTestOptions& options) {
  const std::string name = absl::StrCat("the CTest tree ", Printable(directory));
  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) != 0) return FileError(errno, "making a pipe to ctest for", directory);
  Stream output{Fd(out[0]), kMostListing};
  Fd out_end(out[1]);
  if (pipe2(err, O_CLOEXEC) != 0) return FileError(errno, "making a pipe to ctest for", directory);
  Stream errors{Fd(err[0]), kMostErrors};
  Fd err_end(err[1]);
  ChildSpec spec;
  spec.program = program;
  spec.search_path = true;
  spec.arguments = {program, "--show-only=json-v1"};
  if (!options.config.empty()) spec.arguments.insert(spec.arguments.end(), {"-C", options.config});
  for (char** variable = environ; *variable != nullptr; ++variable) spec.environment.emplace_back(*variable);
  spec.working_directory = directory;
  spec.out = out_end.get();
  spec.err = err_end.get();
  spec.death_signal = SIGKILL;
  const StartedChild child = StartChild(spec);
  if (child.failed_step != nullptr || child.pid < 0) {
    if (child.error == ENOENT) {
      return absl::NotFoundError(absl::StrCat(name,
                                              " is read by CTest, and there is no ctest in PATH: install CMake, or "
                                              "give the paths of its test programs"));
    }
    return absl::ErrnoToStatus(child.error, absl::StrCat("starting ctest for ", name));
  }
  Running running(child.pid);
  out_end.Close();
  err_end.Close();
  const absl::Time end = MonotonicNow() + options.time_limit;
  while (output.fd.ok() || errors.fd.ok()) {
    const absl::Duration left = end - MonotonicNow();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError(absl::StrCat("ctest did not list the tests of ", name, " within ",
                                                      absl::FormatDuration(options.time_limit), " (--list-timeout)",
                                                      Said(errors, output)));
    }
    pollfd fds[] = {{output.fd.ok() ? output.fd.get() : -1, POLLIN, 0},
                    {errors.fd.ok() ? errors.fd.get() : -1, POLLIN, 0}};
    const int64_t wait = std::min<int64_t>(absl::ToInt64Milliseconds(left) + 1, 60'000);
    if (poll(fds, 2, static_cast<int>(wait)) <= 0) continue;
    if (fds[0].revents != 0) output.Read();
    if (fds[1].revents != 0) errors.Read();
  }
  const int status = running.Wait();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("ctest could not list the tests of ", name, ": it ",
                                                   WIFEXITED(status)
                                                       ? absl::StrCat("exited with status ", WEXITSTATUS(status))
                                                       : absl::StrCat("was killed by signal ", WTERMSIG(status)),
                                                   Said(errors, output)));
  }
  if (output.cut) {
    return absl::InvalidArgumentError(
        absl::StrCat("ctest listed the tests of ", name, " in more than ", kMostListing >> 20, " MiB"));
  }
  return std::move(output.text);
}

}  // namespace

absl::StatusOr<CTestTree> ReadCTestTree(const std::string& directory, const CTestOptions& options) {
  const Cache cache = FindCache(directory);
  if (cache.several_configs && options.config.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the CTest tree ", Printable(directory),
                     " has several configurations: say which one to test, as in --ctest-config Release"));
  }
  // The one that made the tree understands it, and need not be in PATH.
  const bool own = !cache.ctest.empty() && access(cache.ctest.c_str(), X_OK) == 0;
  absl::StatusOr<std::string> text = Ask(own ? cache.ctest : "ctest", directory, options);
  if (!text.ok()) return text.status();
  absl::StatusOr<CTestListing> listing = ParseCTestListing(*text);
  if (!listing.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the CTest tree ", Printable(directory), ": ", listing.status().message()));
  }
  return CTestTree{directory, cache.directory.empty() ? directory : cache.directory, *std::move(listing)};
}

}  // namespace dtest
