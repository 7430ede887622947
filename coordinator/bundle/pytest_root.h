// Where pytest projects begin: the directory that pytest calls rootdir, which node ids are relative to, and what it
// says there of which files hold tests.
//
// The root of a file is the nearest directory above it with a file that configures pytest (pytest.ini, .pytest.ini,
// pytest.toml, .pytest.toml, pyproject.toml with [tool.pytest] or [tool.pytest.ini_options], tox.ini with [pytest],
// setup.cfg with [tool:pytest]: in this order); without one, the nearest with a setup.py; without that, the topmost
// below the working directory with a conftest.py; else the working directory, where the file lies below it, or the
// file's own. So it comes from the file alone, and not from what else the command line names: pytest looks for a
// configuration in the same places, but from the arguments' common directory upwards. --rootdir and -c of pytest say
// it for all files.
//
// One thread.

#ifndef DTEST_COORDINATOR_BUNDLE_PYTEST_ROOT_H_
#define DTEST_COORDINATOR_BUNDLE_PYTEST_ROOT_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/bundle/pytest_ini.h"

namespace dtest {

struct PytestRoot {
  std::string directory;  // absolute
  std::string ini;        // what configures it, relative to the directory; empty: nothing does
  std::vector<std::string> python_files = {"test_*.py", "*_test.py"};  // patterns, as pytest matches them
  std::vector<std::string> no_recursion = {"*.egg", ".*",           "_darcs", "build", "CVS",
                                           "dist",  "node_modules", "venv",   "{arch}"};

  Doctests doctests;

  // What pytest makes of a file of this path when it meets it in the directory `walked`. Both absolute.
  enum class Use {
    kNone,
    kTests,          // a file of tests
    kMaybe,          // searched for examples, or a conftest.py has pytest collect files other than Python's
    kConfiguration,  // the root's own: a plugin may collect what is there
  };
  Use UseOf(absl::string_view walked, absl::string_view path) const;
  // Whether pytest, as it is configured here, goes from the one directory into the other, which is below it.
  bool Enters(absl::string_view walked, absl::string_view below) const;

 private:
  bool SearchesForExamples(const std::string& path) const;
};

// What the command line says of the root of all files; empty: nothing.
struct GivenRoot {
  std::string directory;  // absolute
  std::string ini;        // the file that configures pytest: absolute, below `directory`; empty: looked for in there
  bool empty() const { return directory.empty(); }
};

// What --rootdir and -c, as they were typed, say of it; both may be empty. Without --rootdir it is the working
// directory, where the file is in it, else the file's own. Errors: there is no such directory or file, or the one is
// not below the other.
absl::StatusOr<GivenRoot> GivenPytestRoot(const std::string& working_directory, const std::string& directory,
                                          const std::string& ini);

class PytestRoots {
 public:
  // Absolute. `arguments`: for pytest, behind those of the configuration.
  explicit PytestRoots(std::string working_directory, std::vector<std::string> arguments = {}, GivenRoot given = {})
      : working_directory_(std::move(working_directory)), arguments_(std::move(arguments)), given_(std::move(given)) {}

  // That of the files in this directory (absolute). Valid as long as this object.
  const PytestRoot& RootOf(const std::string& directory);
  // Whether somebody has said that pytest runs what is in this directory: its root is configured, or there is a
  // conftest.py in it or above it, up to the root.
  bool IsDeclared(const std::string& directory);
  // Whether a conftest.py in this directory or above it, up to the root, has pytest collect files other than
  // Python's.
  bool HasCollector(const std::string& directory);

 private:
  // What a directory itself has to say. Each is looked at once, since whole trees are walked.
  struct Signs {
    std::string ini_name;
    std::optional<PytestIni> ini;
    bool has_setup = false, has_conftest = false;
  };
  const Signs& SignsOf(const std::string& directory);
  const PytestRoot& Make(const std::string& directory);
  const PytestRoot& Keep(PytestRoot root, const PytestIni& ini);

  const std::string working_directory_;
  const std::vector<std::string> arguments_;
  const GivenRoot given_;
  absl::flat_hash_map<std::string, std::unique_ptr<Signs>> signs_;  // by directory
  absl::flat_hash_map<std::string, std::string> root_of_;           // directories
  absl::flat_hash_map<std::string, std::unique_ptr<PytestRoot>> roots_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_PYTEST_ROOT_H_
