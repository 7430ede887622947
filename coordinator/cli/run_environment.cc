#include "coordinator/cli/run_environment.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/bundle/files.h"
#include "coordinator/bundle/pytest_spec.h"
#include "coordinator/bundle/python_packages.h"
#include "dtest/base/fd.h"
#include "dtest/base/io.h"
#include "protocol/chunking.h"

namespace dtest {
namespace {

constexpr char kPython[] = "python3";
constexpr char kKeyFiles[] = ".dtest/environment";  // in the tree
constexpr size_t kMostKeyBytes = 64 << 20;

absl::StatusOr<std::string> ReadKeyFile(const std::string& path) {
  const auto error = [&path](absl::string_view what) {
    return absl::NotFoundError(absl::StrCat("[environment] key: cannot read ", path, ": ", what,
                                            "; key names the files that the environment is made from, relative to "
                                            "dtest.toml"));
  };
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat st;
  if (!file.ok() || fstat(file.get(), &st) != 0) return error(std::strerror(errno));
  if (!S_ISREG(st.st_mode)) return error("it is no file");
  std::string contents;
  if (const int failed = ReadToEnd(file.get(), kMostKeyBytes, &contents); failed != 0) {
    return error(std::strerror(failed));
  }
  if (contents.size() == kMostKeyBytes) return error("it is larger than 64 MiB");
  return contents;
}

// What is imported here from the environment itself, hosts import from what is shipped of it.
absl::Status Ship(const std::string& environment, const std::string& working_directory, RunEnvironment* made) {
  absl::StatusOr<PythonPackages> packages = FindPythonPackages(environment);
  if (!packages.ok()) return packages.status();
  made->here.path = environment;
  made->interpreter_here = absl::StrCat(environment, "/bin/python");
  made->interpreter_there = absl::StrCat("python", packages->version);
  made->packages = packages->directory;
  made->there.packages = kPackagesPlace;
  for (const std::string& source : packages->sources) {
    std::string relative;
    if (RelativeTo(working_directory, source, &relative)) {
      absl::StrAppend(&made->there.packages, ":", relative.empty() ? "." : relative);
    } else {
      made->warnings.push_back(absl::StrCat("[environment] ship: ", environment, " has a package installed from ",
                                            source, ", which is not below this directory: hosts do not get it"));
    }
  }
  for (const std::string& hook : packages->hooks) {
    made->warnings.push_back(absl::StrCat("[environment] ship: ", environment, " finds a package by code in ", hook,
                                          ", which does not run on hosts: they do not find it"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RunEnvironment> MakeRunEnvironment(const EnvironmentSettings& settings) {
  RunEnvironment made;
  std::error_code error;
  const std::filesystem::path here = std::filesystem::current_path(error);
  const std::string directory = settings.directory.empty() ? here.string() : (here / settings.directory).string();
  if (!settings.ship.empty()) {
    const absl::Status shipped =
        Ship((here / settings.directory / settings.ship).lexically_normal().string(), here.string(), &made);
    if (!shipped.ok()) return shipped;
    return made;
  }
  if (!settings.path.empty()) {
    made.here.path = settings.path;
    made.interpreter_here = absl::StrCat(settings.path, "/bin/python");
  } else if (!settings.command.empty()) {
    made.here.command = settings.command;
    made.here.check = settings.check;
    made.here.time_limit = settings.time_limit;
    made.here.working_directory = directory;
    made.interpreter_here = kPython;
    std::string all = absl::StrCat("dtest environment 1", absl::string_view("\0", 1), settings.command);
    std::vector<std::string> names = settings.key;
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    for (const std::string& name : names) {
      const std::string path = absl::StrCat(directory, "/", name);
      absl::StatusOr<std::string> contents = ReadKeyFile(path);
      if (!contents.ok()) return contents.status();
      absl::StrAppend(&all, absl::string_view("\0", 1), name, absl::string_view("\0", 1), Sha256(*contents).bytes());
      made.files.push_back({absl::StrCat(kKeyFiles, "/", name), path});
    }
    made.here.key = Sha256(all);
  } else {
    return made;
  }
  made.there = made.here;
  made.interpreter_there = made.interpreter_here;
  // Without a file it would not be there.
  made.there.working_directory = made.files.empty() ? "" : kKeyFiles;
  return made;
}

}  // namespace dtest
