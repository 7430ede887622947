#include "agent/loop/host_load.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "agent/execute/agent_directory.h"

namespace dtest {
namespace {

constexpr uint32_t kReadsAfterASearch = 10;

uint32_t Runnable(const std::string& proc) {
  for (absl::string_view line : absl::StrSplit(ReadFileIfThere(absl::StrCat(proc, "/stat")), '\n')) {
    uint32_t running = 0;
    // Whoever reads this is one of them.
    if (absl::ConsumePrefix(&line, "procs_running ") && absl::SimpleAtoi(line, &running))
      return running - (running > 0);
  }
  return 0;
}

std::optional<double> MemoryStall(const std::string& proc) {
  const std::string pressure = ReadFileIfThere(absl::StrCat(proc, "/pressure/memory"));
  absl::string_view rest = pressure;
  double percent = 0;
  if (!absl::ConsumePrefix(&rest, "some avg10=") || !absl::SimpleAtod(rest.substr(0, rest.find(' ')), &percent)) {
    return std::nullopt;
  }
  return percent / 100;
}

}  // namespace

void HostLoadGauge::FindAgents() {
  agents_.clear();
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(proc_.c_str()), closedir);
  if (directory == nullptr) return;
  while (const dirent* entry = readdir(directory.get())) {
    uint32_t pid = 0;
    if (!absl::SimpleAtoi(entry->d_name, &pid) || pid == static_cast<uint32_t>(getpid())) continue;
    const std::string name = ReadFileIfThere(absl::StrCat(proc_, "/", pid, "/comm"));
    if (absl::StripSuffix(name, "\n") == kAgentProcess) agents_.push_back(pid);
  }
}

void HostLoadGauge::CountRivals(HostLoad* load) {
  if (reads_++ % kReadsAfterASearch == 0) FindAgents();
  for (const uint32_t pid : agents_) {
    const std::string children = ReadFileIfThere(absl::StrCat(proc_, "/", pid, "/task/", pid, "/children"));
    const std::vector<absl::string_view> tests = absl::StrSplit(children, ' ', absl::SkipWhitespace());
    load->rivals += !tests.empty();
    load->rival_tests += static_cast<uint32_t>(tests.size());
  }
}

HostLoad HostLoadGauge::Read() {
  HostLoad load;
  load.processors = static_cast<uint32_t>(std::max(sysconf(_SC_NPROCESSORS_ONLN), 1L));
  load.runnable = Runnable(proc_);
  load.memory_stall = MemoryStall(proc_);
  CountRivals(&load);
  return load;
}

}  // namespace dtest
