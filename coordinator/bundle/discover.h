// Which of the given files are tests: decided from the bytes of the files, never by running one.
//
// A file given by name is a test, or an error that says why it cannot be. In a directory (walked recursively, entries
// in bytewise order):
//   - every ELF program that is a GoogleTest, itself or by a library it needs, is a test;
//   - any other ELF program, and a script with #!, is one according to DiscoverOptions::plain;
//   - shared libraries, objects, core files and other files are passed over silently; damaged ELF programs, dangling
//     links and unreadable directories are passed over with a note;
//   - hidden directories and CMake's CMakeFiles are not entered; symbolic links to directories are, after all real
//     directories, and no directory twice.
// A file reached twice (by its inode) under one base name is one test, under the path that was reached first; real
// files come before symbolic links. Under another name it may be another test (argv[0] decides in some programs): it is
// one if given by name, and passed over with a note in a directory.
//
// One thread, no state.

#ifndef DTEST_COORDINATOR_BUNDLE_DISCOVER_H_
#define DTEST_COORDINATOR_BUNDLE_DISCOVER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/bundle/closure.h"
#include "coordinator/bundle/elf.h"
#include "dtest/messages.h"

namespace dtest {

struct TestProgram {
  std::string path;  // absolute, without symbolic links but for the last component
  // For reports: its base name if no other program of the run has the same, else its path relative to the directory it
  // was found in (as it was given, if by name), else `path`. Unique in a Discovery. In the bytes of the file system
  // (any encoding).
  std::string name;
  Framework framework = Framework::kPlain;
  bool script = false;  // starts with #!; `elf` is empty
  ElfInfo elf;
  std::string broken;  // not empty: named like a test, and no program at all (an ELF file cut short): what is wrong
};

struct Discovery {
  std::vector<TestProgram> programs;  // in the order given; within a directory bytewise by path
  std::vector<std::string> notes;     // for a person: "skipped 3 programs that ... : a, b, c"
};

struct DiscoverOptions {
  // Programs in directories that are not GoogleTests.
  enum class Plain : uint8_t {
    kAuto,  // those with "test", in any case, in their file name
    kAll,
    kNone,
  };
  Plain plain = Plain::kAuto;
  // Tells a GoogleTest whose GoogleTest is in a shared library. Null: one of its own, with this process' environment.
  LibraryResolver* resolver = nullptr;
};

// Errors, each with what to do: NotFound: a path does not exist, or is a dangling link; InvalidArgument: a file given
// by name that is no program (not executable, neither ELF nor #!, truncated, a library, a device...); PermissionDenied;
// FailedPrecondition: there is no test at all, with what was looked at.
absl::StatusOr<Discovery> Discover(const std::vector<std::string>& paths, const DiscoverOptions& options);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_DISCOVER_H_
