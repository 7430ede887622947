// Which of the given files are tests: decided from the names and the bytes of the files, never by running one.
//
// A file given by name is a test, or an error that says why it cannot be. Of what is in a directory (walked
// recursively, see directory_walk.h for what is not entered):
//   - every ELF program that shows a framework, itself or by a library it needs, is a test, whatever its name;
//   - any other ELF program, and a script with #!, is one according to DiscoverOptions::plain: of the framework that
//     DiscoverOptions::protocol names, most often a plain program, whose one case is the program;
//   - what looks like a test and cannot be started is in the result as an unrunnable program: it fails the run. Those
//     are a program of a framework without its execute bit, and, if they are named as tests (test_names.h: programs by
//     HasTestWord, scripts by NamedAsTest): another program or script without it, a shell's script (.sh) without #!, a
//     script whose interpreter is missing or not named or whose first line ends in CR, an executable file that is
//     neither ELF nor script, an ELF file cut short or damaged, an executable file without a byte, a file that cannot
//     be read, a dangling link. So is a directory that cannot be read, whatever its name.
//   - a directory with a CTestTestfile.cmake is a build tree that CTest knows: its tests are what CTest says they are
//     (ctest_units.h), and what a test's command names is no other test. What else would be one in there is counted in
//     `notes`, unless DiscoverOptions::also_unlisted. A tree in which CTest knows no test is a directory as any other.
//   - Python files that pytest collects are its tests, a unit for each root, and where other files may be, pytest is
//     asked (pytest_units.h; unless DiscoverOptions::pytest is off).
//   - everything else is counted, and told in `notes` or `details`.
// What is reached twice under one name (UnitName) is one test, under the path that was reached first; real files come
// before symbolic links. A file (by its inode) that is a test and has another name, too, may be another test under that
// one, since argv[0] decides in some programs: it is one if given by name, and passed over with a note in a directory.
// A script that is reached in several directories is a test in each, since it finds what is beside it by its path.
//
// One thread, no state.

#ifndef DTEST_COORDINATOR_BUNDLE_DISCOVER_H_
#define DTEST_COORDINATOR_BUNDLE_DISCOVER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/bundle/closure.h"
#include "coordinator/bundle/ctest_units.h"
#include "coordinator/bundle/elf.h"
#include "coordinator/bundle/pytest_units.h"
#include "dtest/messages.h"

namespace dtest {

struct TestProgram {
  std::string path;  // absolute; with `pytest`, of its root
  // As in reports, history and filters; see UnitName. Unique in a Discovery. In the bytes of the file system (any
  // encoding).
  std::string name;
  std::string framework = kPlainFramework;
  bool script = false;  // starts with #!, or is a pytest root; `elf` is empty
  std::optional<PytestUnit> pytest;
  std::optional<CTestUnit> ctest;
  ElfInfo elf;
  std::string unrunnable;  // not empty: looks like a test and cannot be started: why, and what to do
};

struct Discovery {
  std::vector<TestProgram> programs;  // in the order given; within a directory bytewise by path
  // For a person. Warnings: what DiscoverOptions::allow_unrunnable let through, and scripts that may be tests. Notes:
  // "skipped 3 programs that ... : a, b, c". Details: what nobody takes for a test, counted.
  std::vector<std::string> warnings, notes, details;
};

struct DiscoverOptions {
  // Programs in directories that are of no known framework.
  enum class Plain : uint8_t {
    kAuto,  // those that are named as tests
    kAll,
    kNone,  // nor is any of these an unrunnable test
  };
  Plain plain = Plain::kAuto;
  CTestOptions ctest = {};
  bool also_unlisted = false;  // what is in a CTest tree and in no test of CTest is a test as elsewhere
  bool pytest = true;          // Python files that pytest collects are tests
  std::vector<std::string> pytest_arguments = {};
  std::string pytest_root, pytest_config;  // a directory, and a file in it; empty: looked for, of each file by itself
  bool allow_unrunnable = false;           // what cannot be started is a warning, and no test
  bool here = false;                       // all tests run on this machine: what it cannot run cannot be run
  std::string protocol = kPlainFramework;  // the framework of programs that show none: a name of the table
  std::string root;                        // what names are relative to: absolute; empty: the working directory
  // Tells a program whose framework is in a shared library. Null: one of its own, with this process' environment.
  LibraryResolver* resolver = nullptr;
};

// What UnitName does with a link that is the last component of a path.
enum class LastLink : uint8_t { kResolved, kKept };

// The name of a program: its path relative to the directory `root`, which is absolute and without symbolic links: one
// name for one file, however the command line reached it, and whatever other tests there are, come or go. `path` is
// absolute, as it was given or found. Symbolic links are resolved where what they lead to lies below the root, too, but
// for a last component that gives the file another base name, and for that of a script (kKept). A path that leads out
// of the root by a link keeps the link's name ("build", if that is one); what is only reached outside of the root is
// named by its absolute path.
std::string UnitName(const std::string& root, const std::string& path, LastLink last = LastLink::kResolved);

// Errors, each with what to do: NotFound: a path does not exist, or is a dangling link; InvalidArgument: a file given
// by name that is no program, or (unless allow_unrunnable) cannot be started; PermissionDenied; FailedPrecondition:
// there is no test at all, with what was looked at; of a CTest tree as ReadCTestTree.
absl::StatusOr<Discovery> Discover(const std::vector<std::string>& paths, const DiscoverOptions& options);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_DISCOVER_H_
