// What a file that may configure pytest, and its command line, say of which files hold tests. No state; any thread.

#ifndef DTEST_COORDINATOR_BUNDLE_PYTEST_INI_H_
#define DTEST_COORDINATOR_BUNDLE_PYTEST_INI_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace dtest {

// Which files pytest searches for examples (">>> 1 + 1").
struct Doctests {
  bool modules = false;            // --doctest-modules: all Python files
  std::vector<std::string> globs;  // --doctest-glob: text files; empty: test*.txt

  void Read(const std::vector<std::string>& arguments);  // of pytest
};

struct PytestIni {
  // nullopt: it does not say.
  std::optional<std::vector<std::string>> python_files, no_recursion;
  Doctests doctests;  // as addopts says

  // What -o NAME=VALUE of pytest's command line says in its place.
  void Override(const std::vector<std::string>& arguments);
};

// Names of such files, in the order in which pytest looks for them.
inline constexpr absl::string_view kPytestIniNames[] = {"pytest.toml",    ".pytest.toml", "pytest.ini", ".pytest.ini",
                                                        "pyproject.toml", "tox.ini",      "setup.cfg"};

// nullopt: a file of this name with these contents does not configure pytest. Any other name: it is given by -c. One
// that cannot be parsed does: pytest itself says then what is wrong with it.
std::optional<PytestIni> ParsePytestIni(absl::string_view base_name, absl::string_view contents);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_PYTEST_INI_H_
