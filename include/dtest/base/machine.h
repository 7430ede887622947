// Names of machines, as `uname -m` prints them and as ElfInfo::machine has them. Free functions, any thread.

#ifndef DTEST_BASE_MACHINE_H_
#define DTEST_BASE_MACHINE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace dtest {

// False if a program built for `program` certainly cannot run where uname says `host`. True also for 32-bit x86 on
// x86_64, and 32-bit Arm on aarch64, whose kernel may or may not have been built for it: starting it tells.
bool MayRunOn(absl::string_view host, absl::string_view program);

// True for the 32-bit machines of x86, Arm, RISC-V, PowerPC, s390 and MIPS.
bool Is32Bit(absl::string_view machine);

// Debian's name of a machine in library directories: "x86_64-linux-gnu".
std::string LibraryTriplet(absl::string_view machine);

// Where distributions put libraries of a machine, in the order in which they are looked at: Debian's directories by
// triplet, then /lib64 or /lib32, then /lib, each also below /usr.
std::vector<std::string> SystemLibraryDirectories(absl::string_view machine);

}  // namespace dtest

#endif  // DTEST_BASE_MACHINE_H_
