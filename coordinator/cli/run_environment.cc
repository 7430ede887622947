#include "coordinator/cli/run_environment.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "coordinator/bundle/files.h"
#include "coordinator/bundle/pytest_spec.h"
#include "coordinator/bundle/python_packages.h"
#include "dtest/base/fd.h"
#include "dtest/base/io.h"
#include "dtest/base/paths.h"
#include "protocol/chunking.h"

namespace dtest {
namespace {

constexpr char kPython[] = "python3";
constexpr char kKeyFiles[] = ".dtest/environment";  // in the tree
constexpr char kVariable[] = "DTEST_ENVIRONMENT";
constexpr size_t kMostKeyBytes = 64 << 20;

struct KeyFile {
  std::string contents;
  bool executable = false;
};

absl::StatusOr<KeyFile> ReadKeyFile(const std::string& path) {
  const auto error = [&path](absl::string_view what) {
    return absl::NotFoundError(absl::StrCat("[environment] key: cannot read ", path, ": ", what,
                                            "; key names the files that the environment is made from, relative to "
                                            "dtest.toml"));
  };
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat st;
  if (!file.ok() || fstat(file.get(), &st) != 0) return error(std::strerror(errno));
  if (!S_ISREG(st.st_mode)) return error("it is no file");
  KeyFile read;
  read.executable = (st.st_mode & S_IXUSR) != 0;
  if (const int failed = ReadToEnd(file.get(), kMostKeyBytes, &read.contents); failed != 0) {
    return error(std::strerror(failed));
  }
  if (read.contents.size() == kMostKeyBytes) return error("it is larger than 64 MiB");
  return read;
}

absl::Status WriteCopy(const std::string& path, const KeyFile& copy) {
  std::error_code ignored;  // what is not there after this is told by open
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  const Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, copy.executable ? 0700 : 0600));
  const int failed = file.ok() ? WriteAll(file.get(), copy.contents) : errno;
  return failed == 0 ? absl::OkStatus() : FileError(failed, "[environment] key: cannot write the copy", path);
}

// Appends to what is hashed: nothing that differs is the same then.
void Append(absl::string_view part, std::string* all) { absl::StrAppend(all, part.size(), ":", part); }

// Of the shell, before what the user says is checked: where a command has brought programs, pytest's Python is among
// them, and starts. It does not where what its links name has gone.
std::string CheckOfInterpreter(const std::string& name) {
  const std::string quoted = absl::StrCat("'", absl::StrReplaceAll(name, {{"'", "'\\''"}}), "'");
  return absl::StrCat(
      "dtest_python=\"$", kVariable, "/bin\"/", quoted, "\nif [ -d \"$", kVariable,
      "/bin\" ] && ! \"$dtest_python\" -S -c ''; then\n"
      "  echo \"the environment has a directory bin, and in it no Python that starts: $dtest_python; its "
      "command has to bring the one that the tests of pytest are run by\" >&2\n  exit 1\nfi\n",
      "unset dtest_python\n");
}

// In a directory of its own: it sees the files of the key, as they are hashed here, and nothing else of the project.
absl::Status MakeByCommand(const EnvironmentSettings& settings,
                           const std::vector<std::pair<std::string, std::string>>& env,
                           const std::optional<std::string>& interpreter, const std::string& directory,
                           RunEnvironment* made) {
  std::error_code error;
  absl::StatusOr<PrivateDirectory> copies =
      PrivateDirectory::Make(std::filesystem::temp_directory_path(error).string(), "dtest-environment-");
  if (!copies.ok()) return copies.status();
  made->copies.emplace(*std::move(copies));
  made->here.command = settings.command;
  made->here.check = settings.check;
  if (interpreter.has_value() && !absl::StrContains(*interpreter, "/")) {
    made->here.check = absl::StrCat(CheckOfInterpreter(interpreter->empty() ? kPython : *interpreter), settings.check);
  }
  made->here.time_limit = settings.time_limit;
  // Beside its lock.
  made->here.working_directory = absl::StrCat(made->copies->path(), "/files");
  if (!std::filesystem::create_directory(made->here.working_directory, error)) {
    return absl::UnavailableError(
        absl::StrCat("[environment]: cannot make ", made->here.working_directory, ": ", error.message()));
  }
  made->interpreter_here = kPython;
  std::string all = "dtest environment 2";
  Append(settings.command, &all);
  // What dtest itself adds, for a reproduction or a profile, makes no other environment.
  std::map<std::string, std::string> variables;
  for (const auto& [name, value] : env) {
    if (!absl::StartsWith(name, "DTEST_") && !absl::StartsWith(name, "PYTEST_XDIST_")) variables[name] = value;
  }
  Append(absl::StrCat(variables.size()), &all);
  for (const auto& [name, value] : variables) {
    Append(name, &all);
    Append(value, &all);
  }
  std::vector<std::string> names = settings.key;
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  for (const std::string& name : names) {
    absl::StatusOr<KeyFile> file = ReadKeyFile(absl::StrCat(directory, "/", name));
    if (!file.ok()) return file.status();
    const std::string copy = absl::StrCat(made->here.working_directory, "/", name);
    if (absl::Status written = WriteCopy(copy, *file); !written.ok()) return written;
    Append(name, &all);
    Append(Sha256(file->contents).bytes(), &all);
    Append(file->executable ? "x" : "", &all);
    made->files.push_back({absl::StrCat(kKeyFiles, "/", name), copy});
  }
  made->here.key = Sha256(all);
  return absl::OkStatus();
}

// What is imported here from the environment itself, hosts import from what is shipped of it.
absl::Status Ship(const std::string& environment, const std::string& working_directory,
                  const std::optional<std::string>& interpreter, bool shipped, RunEnvironment* made) {
  absl::StatusOr<PythonPackages> packages = FindPythonPackages(environment);
  if (!packages.ok()) return packages.status();
  // Compiled modules, and often others, are of one version.
  const std::string of_hosts = absl::StrCat("python", packages->version);
  const absl::string_view chosen = interpreter.has_value() ? *interpreter : absl::string_view();
  if (shipped && !chosen.empty() && BaseName(chosen) != of_hosts) {
    return absl::InvalidArgumentError(absl::StrCat("--pytest ", Printable(chosen), ": the packages that ", environment,
                                                   " ships are of Python ", packages->version, ": hosts need ",
                                                   of_hosts, ", by that name, or by a path that ends with it"));
  }
  made->here.path = environment;
  made->interpreter_here = absl::StrCat(environment, "/bin/python");
  made->interpreter_there = of_hosts;
  made->packages = packages->directory;
  made->system_packages = packages->system_packages;
  made->there.packages = kPackagesPlace;
  for (const std::string& source : packages->sources) {
    std::string relative;
    if (RelativeTo(packages->directory, source, &relative)) {
      absl::StrAppend(&made->there.packages, ":", kPackagesPlace, "/", relative);
    } else if (RelativeTo(working_directory, source, &relative)) {
      absl::StrAppend(&made->there.packages, ":", relative.empty() ? "." : relative);
    } else {
      made->warnings.push_back(absl::StrCat("[environment] ship: ", environment, " has a package installed from ",
                                            source, ", which is not below this directory: hosts do not get it"));
    }
  }
  for (const std::string& hook : packages->hooks) {
    made->warnings.push_back(absl::StrCat("[environment] ship: ", environment, " may find packages by code in ", hook,
                                          ", which names places of this machine: hosts do not find those there"));
  }
  if (packages->system_packages) {
    made->warnings.push_back(absl::StrCat("[environment] ship: ", environment,
                                          " also imports what is installed on this machine "
                                          "(include-system-site-packages = true): hosts do not get that"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RunEnvironment> MakeRunEnvironment(const EnvironmentSettings& settings,
                                                  const std::vector<std::pair<std::string, std::string>>& env,
                                                  const std::optional<std::string>& interpreter, bool shipped) {
  RunEnvironment made;
  std::error_code error;
  const std::filesystem::path here = std::filesystem::current_path(error);
  const std::string directory = settings.directory.empty() ? here.string() : (here / settings.directory).string();
  if (!settings.ship.empty()) {
    const absl::Status status = Ship((here / settings.directory / settings.ship).lexically_normal().string(),
                                     here.string(), interpreter, shipped, &made);
    if (!status.ok()) return status;
    return made;
  }
  if (!settings.path.empty()) {
    made.here.path = settings.path;
    made.interpreter_here = absl::StrCat(settings.path, "/bin/python");
  } else if (!settings.command.empty()) {
    absl::Status status = MakeByCommand(settings, env, interpreter, directory, &made);
    if (!status.ok()) return status;
  } else {
    return made;
  }
  made.there = made.here;
  made.interpreter_there = made.interpreter_here;
  if (!settings.command.empty()) made.there.working_directory = kKeyFiles;
  return made;
}

}  // namespace dtest
