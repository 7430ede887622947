#include "agent/core/blame.h"

#include <csignal>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace dtest {

std::string DescribeEnd(int exit_code, int signal) {
  if (signal == 0) return absl::StrCat("exited with status ", exit_code);
  const char* name = strsignal(signal);
  return absl::StrCat("killed by signal ", signal, " (", name == nullptr ? "unknown" : name, ")",
                      signal == SIGKILL ? ", perhaps by the kernel for want of memory" : "");
}

std::string DescribeTimeout(absl::Duration limit, const char* where) {
  return absl::StrCat("exceeded its time limit of ", absl::ToDoubleSeconds(limit), " s", *where == '\0' ? "" : " ",
                      where);
}

std::string DescribeTrespass(int signal) {
  const char* name = strsignal(signal);
  return absl::StrCat("sent signal ", signal, " (", name == nullptr ? "unknown" : name,
                      ") to dtest-agent, which runs all tests of this host");
}

std::string DescribeInterrupt(absl::Duration ran, int signal) {
  const bool other = signal != 0 && signal != SIGINT && signal != SIGKILL;
  return absl::StrCat(absl::StrFormat("interrupted after %.1f s", absl::ToDoubleSeconds(ran)),
                      other ? absl::StrCat(", ", DescribeEnd(0, signal)) : "");
}

}  // namespace dtest
