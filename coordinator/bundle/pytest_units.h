// Gathers what the command line names of pytest's tests into units, one a root.
//
// A Python file in a directory is pytest's if pytest would collect it there (PytestRoot::UseOf), and a file given by
// name if it ends in .py. Where others may hold tests (examples in modules and texts, what conftest.py or a plugin
// collects), pytest is asked, and may say that there is none. An executable script with #! says itself how it is
// started, and is a program as any other, unless somebody declared that pytest runs what is there
// (PytestRoots::IsDeclared): then starting it as well would run its tests twice, and starting it alone would pass where
// it only defines tests.
//
// One thread.

#ifndef DTEST_COORDINATOR_BUNDLE_PYTEST_UNITS_H_
#define DTEST_COORDINATOR_BUNDLE_PYTEST_UNITS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "coordinator/bundle/pytest_root.h"

namespace dtest {

// What pytest is to collect in one root.
struct PytestUnit {
  std::string root;  // absolute
  std::string ini;   // what configures it, relative to the root; empty: nothing does
  // Relative to the root; empty: all of it. A file may go on as a node id: "a_test.py::TestA::test_b[x]".
  std::vector<std::string> paths;
  std::vector<std::string> ignored;  // relative to the root: directories that are roots, scripts that are programs
  std::vector<std::string> files;    // relative to the root: what was found to hold tests, whatever git says of it
  bool may_be_empty = true;          // nothing tells for sure that there is a test
};

class PytestUnits {
 public:
  // `arguments`: for pytest.
  explicit PytestUnits(std::string working_directory, std::vector<std::string> arguments = {}, GivenRoot given = {})
      : given_(given), roots_(std::move(working_directory), std::move(arguments), std::move(given)) {}

  // A file met in the directory `walked`, which the command line names. All paths are absolute. False: it is not
  // pytest's alone, and may be a program.
  bool AddFound(const std::string& walked, const std::string& path, bool executable_script);
  // The directory itself, behind its files; whether there was any test, of whatever kind.
  void AddWalked(const std::string& walked, bool any_test);
  // A file that the command line names, with the rest of its node id ("", "::TestA"). False: it is a program.
  bool AddNamed(const std::string& path, absl::string_view node, bool executable_script);

  // In the order of their roots' paths. InvalidArgument: a file of tests is not below the root that was given.
  absl::StatusOr<std::vector<PytestUnit>> Take() &&;

 private:
  // Paths of which none is part of another. To add one costs the logarithm of their number.
  class Paths {
   public:
    void Add(const std::string& path);
    // As they were added.
    std::vector<std::string> InOrder() const;

   private:
    bool IsCovered(const std::string& path) const;
    void Forget(const std::string& prefix);

    std::map<std::string, uint64_t> kept_;  // with the position in which each was added
    uint64_t added_ = 0;
  };

  // What is below `walked` and in the root: pytest itself finds what is there.
  PytestUnit& AddBelow(const PytestRoot& root, const std::string& walked);
  PytestUnit& Add(const PytestRoot& root, const std::string& path);
  // Of a path that is a test, absolute.
  std::string Below(const PytestRoot& root, const std::string& path);

  const GivenRoot given_;
  PytestRoots roots_;
  std::string outside_;                      // the first file or directory that is not below the given root
  std::map<std::string, PytestUnit> units_;  // by root
  std::map<std::string, Paths> paths_;       // of each: PytestUnit::paths
  std::map<std::string, std::vector<std::string>> programs_;  // executable scripts, relative to the root, by root
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_PYTEST_UNITS_H_
