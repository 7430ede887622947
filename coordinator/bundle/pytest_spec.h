// From a pytest root to what an agent must know and hold to run it.
//
// On a host the tree has the project at the same place below the working directory, or, where that does not hold it, in
// .dtest/outside/<hash>/<name>. What is shipped of it are the files that git tracks and those that it neither tracks
// nor ignores, also in submodules and other repositories within it; without git all but hidden directories, caches,
// environments and node_modules. Files of tests are shipped whatever git says, with the conftest.py and __init__.py
// above them and, where git ignores their whole directory, what else lies in it. The interpreter is the host's.
//
// No state; the catalog's thread.

#ifndef DTEST_COORDINATOR_BUNDLE_PYTEST_SPEC_H_
#define DTEST_COORDINATOR_BUNDLE_PYTEST_SPEC_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/bundle/catalog.h"
#include "coordinator/bundle/discover.h"
#include "coordinator/bundle/unit_spec.h"
#include "dtest/ids.h"
#include "dtest/messages.h"

namespace dtest {

// Where its packages are in the tree.
inline constexpr char kPackagesPlace[] = ".dtest/packages";

// As the user set it.
struct PytestSettings {
  std::string interpreter;             // a path or a name; empty: that of the project, else python3
  std::vector<std::string> arguments;  // for pytest
  enum class Coverage : uint8_t { kProjects, kAlways, kNever };
  Coverage coverage = Coverage::kProjects;  // measured is what tests cover where the project asks for it, or as said
  enum class Reports : uint8_t { kWanted, kAlways, kNever };
  Reports reports = Reports::kWanted;  // processes tell what pytest reports where something wants it, or as said
  // What is taken where no interpreter is chosen and an environment is: the environment's, here and on other hosts. A
  // name is looked for there first, also one that is chosen. Empty: there is no environment.
  std::string environments_here = {}, environments_there = {};
  // A directory of Python packages that every shipped unit brings along (python_packages.h); empty: none.
  std::string packages = {};
};

// The spec of a unit that is shipped, with all its files in the catalog. Of the options, `root` is the working
// directory; `data` comes along. InvalidArgument: the interpreter is a relative path, which no host has; else as
// MakeSpec.
absl::StatusOr<UnitSpec> MakePytestSpec(UnitId id, const TestProgram& program, const PytestSettings& settings,
                                        const SpecOptions& options, Catalog& catalog);

// What the plugin of pytest is told of a unit, for a process on this machine.
std::vector<std::string> PytestArgumentsHere(const PytestUnit& unit, const PytestSettings& settings);

// The interpreter of a project on this machine. NotFound: there is none.
absl::StatusOr<std::string> PytestInterpreter(const std::string& root, const std::string& chosen);

// The spec of one that runs where it is. NotFound: there is no such interpreter on this machine.
absl::StatusOr<UnitSpec> InPlacePytestSpec(UnitId id, const TestProgram& program, const PytestSettings& settings);

// The files of a project, relative to its root, sorted; those of `tests`, relative to it, among them. errno's code, or
// Unavailable: a directory cannot be read.
absl::StatusOr<std::vector<std::string>> ProjectFiles(const std::string& root,
                                                      const std::vector<std::string>& tests = {});

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_PYTEST_SPEC_H_
