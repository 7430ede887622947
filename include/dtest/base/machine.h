// Names of machines, as `uname -m` prints them and as ElfInfo::machine has them. Free functions, any thread.

#ifndef DTEST_BASE_MACHINE_H_
#define DTEST_BASE_MACHINE_H_

#include "absl/strings/string_view.h"

namespace dtest {

// False if a program built for `program` certainly cannot run where uname says `host`. True also for 32-bit x86 on
// x86_64, and 32-bit Arm on aarch64, whose kernel may or may not have been built for it: starting it tells.
bool MayRunOn(absl::string_view host, absl::string_view program);

}  // namespace dtest

#endif  // DTEST_BASE_MACHINE_H_
