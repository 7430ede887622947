// What an ELF file says about itself: enough to decide whether it is a test, of which framework, for which machine, and
// what it needs to run. Nothing is executed.
//
// Free functions, no state, any thread.

#ifndef DTEST_COORDINATOR_BUNDLE_ELF_H_
#define DTEST_COORDINATOR_BUNDLE_ELF_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/bundle/framework_table.h"

namespace dtest {

struct ElfInfo {
  std::string machine;   // as `uname -m` prints it: x86_64, i686, aarch64, ...; "machine-N" for one without a name here
  int elf_class = 0;     // 32 or 64
  bool dynamic = false;  // has a dynamic section: programs that need a loader, static PIEs, shared libraries
  // A program: ET_EXEC, or PIE with a PT_INTERP, or a static PIE. False: library, object, core, split-off debug
  // information.
  bool executable = false;
  std::string interpreter;  // PT_INTERP; empty: needs no loader
  std::string soname;
  std::vector<std::string> needed;  // DT_NEEDED, in order
  std::vector<std::string> rpath;   // DT_RPATH split at ':', not expanded; empty if there is a DT_RUNPATH, as for ld.so
  std::vector<std::string> runpath;  // DT_RUNPATH split at ':', not expanded
  std::string glibc_needed;  // highest GLIBC_x.y of the version needs, numerically, without weak ones; empty: none
  // Those whose main loop it holds or calls: by FrameworkRow::symbol or, in a program that is stripped or made by LTO,
  // by FrameworkRow::text. Of a library only its dynamic symbols are looked at.
  FrameworkSet frameworks;
  // Those of which it has a dynamic symbol (FrameworkRow::uses), defined or not: they are in some library.
  FrameworkSet uses;
};

// Reads headers, the dynamic section, and (programs only) the symbols' names and .rodata; never debug sections, so a
// 500 MB executable takes some milliseconds. Any bytes are safe.
//
// Errors name the file and what is wrong: FailedPrecondition: not an ELF file at all; DataLoss: truncated or damaged;
// InvalidArgument: not a regular file; else errno's code (NotFound, PermissionDenied...).
absl::StatusOr<ElfInfo> ReadElf(const std::string& path);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_ELF_H_
