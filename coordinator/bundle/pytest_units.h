// Gathers what the command line names of pytest's tests into units, one a root.
//
// A Python file in a directory is pytest's if pytest would collect it there (PytestRoot::Collects), and a file given by
// name if it ends in .py. An executable script with #! says itself how it is started, and is a program as any other,
// unless somebody declared that pytest runs what is there (PytestRoots::IsDeclared): then starting it as well would run
// its tests twice, and starting it alone would pass where it only defines tests.
//
// One thread.

#ifndef DTEST_COORDINATOR_BUNDLE_PYTEST_UNITS_H_
#define DTEST_COORDINATOR_BUNDLE_PYTEST_UNITS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "coordinator/bundle/pytest_root.h"

namespace dtest {

// What pytest is to collect in one root.
struct PytestUnit {
  std::string root;  // absolute
  std::string ini;   // base name of what configures it; empty: nothing does
  // Relative to the root; empty: all of it. A file may go on as a node id: "a_test.py::TestA::test_b[x]".
  std::vector<std::string> paths;
  std::vector<std::string> ignored;  // directories, relative to the root: roots of their own
};

class PytestUnits {
 public:
  explicit PytestUnits(std::string working_directory) : roots_(std::move(working_directory)) {}

  // A file met in the directory `walked`, which the command line names. All paths are absolute. False: pytest does not
  // collect it.
  bool AddFound(const std::string& walked, const std::string& path, bool executable_script);
  // A file that the command line names, with the rest of its node id ("", "::TestA"). False: it is a program.
  bool AddNamed(const std::string& path, absl::string_view node, bool executable_script);

  // In the order of their roots' paths.
  std::vector<PytestUnit> Take() &&;

 private:
  void Add(const PytestRoot& root, std::string path);

  PytestRoots roots_;
  std::map<std::string, PytestUnit> units_;  // by root
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_PYTEST_UNITS_H_
