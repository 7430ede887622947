#include "coordinator/cli/standard_output.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "coordinator/report/summary.h"
#include "dtest/base/io.h"

namespace dtest {

int WriteOutput(absl::string_view text) { return WriteAll(STDOUT_FILENO, text); }

int StatusAfterOutput(int error, int exit_status) {
  if (error == 0 || error == EPIPE) return exit_status;
  std::fprintf(stderr,
               "dtest: cannot write to standard output: %s; what it holds is not all there: make room for it, or "
               "redirect it elsewhere\n",
               std::strerror(error));
  return kExitBroken;
}

}  // namespace dtest
