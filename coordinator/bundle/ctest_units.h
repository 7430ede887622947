// From the tests of a CTest tree to units. A test is a unit of its own: a process that the framework "ctest" judges as
// CTest does. But where its command is a program that shows a framework and is asked for one case of it
// (FrameworkRow::asked_case), or, without arguments, for all that it has, it is *folded* into a unit of that program:
// that is listed and batched as ever, and of its cases run those that CTest names, each with its properties. One unit a
// program, and for all tests of it that have equal directories, environments, required files and further arguments. A
// test that is there twice is in two units. Tests that run after others, or that others run after (ctest_order.h), are
// never folded.
//
// One thread.

#ifndef DTEST_COORDINATOR_BUNDLE_CTEST_UNITS_H_
#define DTEST_COORDINATOR_BUNDLE_CTEST_UNITS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "coordinator/bundle/ctest_listing.h"
#include "coordinator/bundle/ctest_order.h"
#include "coordinator/bundle/ctest_tree.h"
#include "dtest/declarations.h"
#include "dtest/messages.h"

namespace dtest {

// How a test of a tree is started, and what CTest says of its cases.
struct CTestUnit {
  std::vector<std::string> arguments;
  std::string top;                          // absolute: of the build tree
  std::string working_directory;            // absolute
  std::vector<std::string> required_files;  // absolute
  std::vector<EnvChange> env_changes;
  Judging judging;
  Declarations declarations;
};

class CTestUnits {
 public:
  struct Unit {
    std::string path;       // of the program, absolute; empty: there is none, and `problem` says why, or it never runs
    std::string test;       // of one that is not folded: its name, also for CTest
    std::string variant;    // of a folded one: tells it from others of its program; empty: it is the first
    std::string framework;  // "ctest", or of a folded one that of its program
    std::string problem;    // it cannot be run as CTest would: why. Empty: it can
    std::string note;       // for a person; empty: there is none
    std::vector<CTestOrder::Before> after;    // units that it runs after: positions among those of the tree
    std::vector<CTestOrder::Brought> brings;  // likewise
    CTestUnit unit;
  };
  // The framework that the program at an absolute path shows; kPlainFramework: none.
  using FrameworkOf = std::function<std::string(const std::string& path)>;

  // The units of a tree, in the order of their first tests.
  std::vector<Unit> Add(const CTestTree& tree, const FrameworkOf& framework_of);

  // Whether the path, which is absolute, is in one of the trees' directories.
  bool Holds(absl::string_view path) const;
  // Whether it is a program or another file that a test's command names, under whatever path.
  bool IsNamed(const std::string& path) const;

 private:
  void Name(const CTestEntry& entry);

  std::vector<std::string> directories_;
  absl::flat_hash_set<std::string> named_;  // real paths
  absl::flat_hash_set<std::string> looked_at_;
};

// The absolute paths that an argument or the value of a variable names: all of it, or what begins with '/' behind what
// is not of a path, or behind "-I".
std::vector<std::string> AbsolutePathsIn(absl::string_view text);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_CTEST_UNITS_H_
