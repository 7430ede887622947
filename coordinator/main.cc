#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/command_line.h"
#include "coordinator/cli/standard_output.h"
#include "dtest/base/descriptor_limit.h"

namespace {

// A standard descriptor that is closed would be given to the first file that is opened: what dtest says would be
// written into its event log.
void FillClosedDescriptors() {
  int fd;
  do {
    fd = open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  FillClosedDescriptors();
  std::signal(SIGPIPE, SIG_IGN);  // a reader that went away is an error of a write
  dtest::RaiseDescriptorLimit();
  dtest::ParsedCommandLine parsed =
      dtest::ParseCommandLine(std::vector<std::string>(argv, argv + argc), dtest::ProcessSurroundings());
  if (!parsed.options) {
    if (parsed.exit_status == 0) return dtest::StatusAfterOutput(dtest::WriteOutput(parsed.text), 0);
    std::fputs(parsed.text.c_str(), stderr);
    return parsed.exit_status;
  }
  for (const std::string& warning : parsed.warnings) std::fprintf(stderr, "dtest: warning: %s\n", warning.c_str());
  switch (parsed.options->command) {
    case dtest::Command::kRun:
    case dtest::Command::kList:
      return dtest::RunCommand(*parsed.options);
    case dtest::Command::kHosts:
      return dtest::HostsCommand(*parsed.options);
    case dtest::Command::kReport:
      return dtest::ReportCommand(*parsed.options);
    case dtest::Command::kReproduce:
      return dtest::ReproduceCommand(*parsed.options);
    case dtest::Command::kBisect:
      return dtest::BisectCommand(*parsed.options);
    case dtest::Command::kRerun:
      return dtest::RerunCommand(*parsed.options, parsed.layers);
    case dtest::Command::kPlan:
      return dtest::PlanCommand(*parsed.options);
    case dtest::Command::kHistory:
      return dtest::HistoryCommand(*parsed.options);
    case dtest::Command::kProfile:
      return dtest::ProfileCommand(*parsed.options);
    case dtest::Command::kConfig:
      return dtest::ConfigCommand(*parsed.options, parsed.layers);
  }
}
