#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/options.h"
#include "coordinator/launch/spawn.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that went away is an error of a write
  dtest::RaiseDescriptorLimit();
  dtest::ParsedCommandLine parsed = dtest::ParseCommandLine(std::vector<std::string>(argv, argv + argc));
  if (!parsed.options) {
    std::fputs(parsed.text.c_str(), parsed.exit_status == 0 ? stdout : stderr);
    return parsed.exit_status;
  }
  switch (parsed.options->command) {
    case dtest::Command::kRun:
    case dtest::Command::kList:
      return dtest::RunCommand(*parsed.options);
    case dtest::Command::kHosts:
      return dtest::HostsCommand(*parsed.options);
    case dtest::Command::kReport:
      return dtest::ReportCommand(*parsed.options);
    case dtest::Command::kHistory:
      return dtest::HistoryCommand(*parsed.options);
  }
}
