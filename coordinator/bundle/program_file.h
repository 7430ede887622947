// What one file is, to somebody who wants to start it, and what keeps it from starting: from its bytes and its mode,
// never by running it. One thread a call; no state.

#ifndef DTEST_COORDINATOR_BUNDLE_PROGRAM_FILE_H_
#define DTEST_COORDINATOR_BUNDLE_PROGRAM_FILE_H_

#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "coordinator/bundle/elf.h"

namespace dtest {

struct ProgramFile {
  enum class Kind : uint8_t {
    kElf,         // a program
    kScript,      // begins with #!
    kNoProgram,   // a library, an object, a core file, split-off debug information
    kNoHead,      // neither ELF nor #!
    kEmpty,       // no byte
    kDamaged,     // ELF, cut short or damaged
    kUnreadable,  // `error` says why
  };
  Kind kind = Kind::kNoHead;
  ElfInfo elf;  // of kElf
  // Why it cannot be started, with its path and what to do; empty: it can. Of kElf and kScript: no execute bit, and
  // what `here` asks for; of a script also a #! line without an interpreter, or with the CR of a DOS line end. Never
  // empty of the other kinds.
  std::string problem;
  absl::Status error;  // of kUnreadable: errno's code
};

// `here`: it is to run on this machine, so its interpreter or program loader must be here, and its architecture this
// machine's.
ProgramFile ReadProgramFile(const std::string& path, const struct stat& status, bool here);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_PROGRAM_FILE_H_
