// The agent as it travels: the program with every shared library it needs, the C library and the loader among them, so
// that it runs on a host with another C library, or with none.
//
// On the host it is started by its own loader, since PT_INTERP is an absolute path of this machine:
//     <dir>/lib/<loader_name> --library-path <dir>/lib <dir>/dtest-agent ARGUMENTS
// A static agent (loader_name empty) is started as it is.
//
// Free function; the thread of `resolver`.

#ifndef DTEST_COORDINATOR_BUNDLE_AGENT_PACKAGE_H_
#define DTEST_COORDINATOR_BUNDLE_AGENT_PACKAGE_H_

#include <string>

#include "absl/status/statusor.h"
#include "coordinator/bundle/closure.h"
#include "dtest/digest.h"

namespace dtest {

struct AgentPackage {
  Digest digest;            // SHA-256 of `tar`
  std::string machine;      // as `uname -m` prints it
  std::string tar;          // ustar archive: dtest-agent, lib/<soname>..., lib/<loader_name>. Same input, same bytes
  std::string loader_name;  // e.g. "ld-linux-x86-64.so.2"; empty: static
  std::string agent_path;   // on this machine
};

// Errors name the file: the agent cannot be read or is no program (InvalidArgument), or one of its libraries or its
// loader is not on this machine (FailedPrecondition).
absl::StatusOr<AgentPackage> MakeAgentPackage(const std::string& agent_path, LibraryResolver& resolver);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_AGENT_PACKAGE_H_
