// The C library a shipped executable runs with: the host's, where it is good enough, else the shipped one.
//
// The kernel starts a dynamic executable through the program loader that its PT_INTERP names by an absolute path, which
// an unprivileged user cannot provide. So the executable gets a copy whose PT_INTERP points to another path, appended
// to the file: the kernel reads that string from the file by p_offset (load_elf_binary), while the loader itself looks
// at the old one in memory by p_vaddr, as the name it is known by. Nothing moves, so /proc/self/exe, $ORIGIN, debug
// information and re-executing oneself (threadsafe death tests) work as ever. Rejected: running the loader as a program
// with the executable as argument (then /proc/self/exe is the loader).
//
// Free functions; any thread.

#ifndef DTEST_AGENT_EXECUTE_LOADER_H_
#define DTEST_AGENT_EXECUTE_LOADER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace dtest {

// "2.36" of a glibc's libc.so.6 given as the file's bytes, from the banner in it; empty if there is none.
std::string GlibcVersionIn(absl::string_view libc);

// The version of this host's own glibc, found in the usual places of a machine (as `uname -m` prints it), never by
// running anything. Empty if there is none (busybox, musl).
std::string HostGlibcVersion(absl::string_view machine);

// True if glibc version `have` is at least `need`, both like "2.36". An empty `need` is always satisfied, by an empty
// `have` never anything else.
bool GlibcSuffices(absl::string_view have, absl::string_view need);

// Replaces the file at `path`, an ELF executable of either class in this machine's byte order, by a patched copy with
// the program loader `loader` (absolute, exists). The copy is a file of its own: hard links of the old one stay as they
// are. The mode is kept. OK without doing anything for a file that is not a dynamic ELF executable. InvalidArgument for
// one that is damaged; other errors name the file and errno's text.
absl::Status UseLoader(const std::string& path, absl::string_view loader);

}  // namespace dtest

#endif  // DTEST_AGENT_EXECUTE_LOADER_H_
