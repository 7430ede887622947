#include "coordinator/cli/standard_output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "coordinator/report/summary.h"

namespace dtest {

int WriteOutput(absl::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(STDOUT_FILENO, text.data(), text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      pollfd wait = {STDOUT_FILENO, POLLOUT, 0};
      if (poll(&wait, 1, -1) < 0 && errno != EINTR) return errno;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

int StatusAfterOutput(int error, int exit_status) {
  if (error == 0 || error == EPIPE) return exit_status;
  std::fprintf(stderr,
               "dtest: cannot write to standard output: %s; what it holds is not all there: make room for it, or "
               "redirect it elsewhere\n",
               std::strerror(error));
  return kExitBroken;
}

}  // namespace dtest
