// Whether this host's own loader would find a library, without running anything.
//
// Free function, no state, any thread.

#ifndef DTEST_AGENT_EXECUTE_HOST_LIBRARIES_H_
#define DTEST_AGENT_EXECUTE_HOST_LIBRARIES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace dtest {

struct HostLibraryPlaces {
  std::vector<std::string> first;  // directories of LD_LIBRARY_PATH
  std::string ld_so_cache = "/etc/ld.so.cache";
  std::vector<std::string> defaults;  // directories; empty: those that distributions use for the machine
};

// True if there is a file of that soname, of the machine's word size, where ld.so(8) looks: LD_LIBRARY_PATH, a path in
// its cache, a default directory. `machine` is the program's, as in UnitSpec.
bool HostHasLibrary(absl::string_view soname, absl::string_view machine, const HostLibraryPlaces& places);

}  // namespace dtest

#endif  // DTEST_AGENT_EXECUTE_HOST_LIBRARIES_H_
