#include "coordinator/run/run_status.h"

#include <algorithm>
#include <csignal>

#include "absl/strings/str_cat.h"

namespace dtest {
namespace {

// How many of the running tests are named when a signal begins the end of the run.
constexpr size_t kRunningNamed = 5;

}  // namespace

LongCase RunStatus::Describe(const RunningCases::Entry& running) const {
  LongCase described{"?", "?", host_names_[running.host.value()], running.since};
  if (running.unit.value() >= units_.size()) return described;
  const RunUnit& unit = units_[running.unit.value()];
  described.unit = unit.name;
  if (running.index < unit.cases.size()) described.name = std::string(unit.cases.name(running.index));
  return described;
}

std::optional<LongCase> RunStatus::Longest() const {
  const std::vector<RunningCases::Entry> longest = running_.LongestFirst(1);
  if (longest.empty()) return std::nullopt;
  return Describe(longest.front());
}

std::vector<std::string> RunStatus::RunningLines(absl::Time now) const {
  std::vector<std::string> lines;
  for (uint32_t i = 0; i < host_names_.size(); ++i) {
    const std::vector<RunningCases::Entry>& entries = running_.on(HostId(i));
    lines.push_back(absl::StrCat(host_names_[i], ": ", entries.size(), " running"));
    for (const RunningCases::Entry& running : entries) {
      const LongCase described = Describe(running);
      lines.push_back(absl::StrCat("  slot ", running.slot.value(), "  ",
                                   absl::FormatDuration(absl::Trunc(now - running.since, absl::Milliseconds(1))), "  ",
                                   described.unit, " ", described.name));
    }
  }
  return lines;
}

std::string RunStatus::StoppingText(int number, absl::Time now) const {
  std::string text = absl::StrCat(number == SIGINT ? "interrupted" : "asked to stop",
                                  ": waiting for running tests to end; once more to kill them");
  const std::vector<RunningCases::Entry> named = running_.LongestFirst(kRunningNamed);
  for (const RunningCases::Entry& running : named) absl::StrAppend(&text, "\n", LongCaseText(Describe(running), now));
  if (running_.size() > named.size()) absl::StrAppend(&text, "\nand ", running_.size() - named.size(), " more");
  return text;
}

}  // namespace dtest
