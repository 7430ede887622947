#include "coordinator/cli/kept_runs.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/cli/reports.h"
#include "coordinator/event/run_event.h"
#include "coordinator/report/event_log.h"

namespace dtest {
namespace {

namespace fs = std::filesystem;

// The beginning of a log and its lines of these kinds, as a log of its own.
std::string LinesOf(const fs::path& path) {
  std::ifstream file(path);
  std::string text, line;
  for (bool first = true; std::getline(file, line); first = false) {
    const bool whole = !file.eof();  // the last line of a run that goes on may not be
    const bool wanted = first || absl::StrContains(line, "\"event\":\"host_up\"") ||
                        absl::StrContains(line, "\"event\":\"executable_listed\"") ||
                        absl::StrContains(line, "\"event\":\"cases_selected\"");
    if (whole && wanted) absl::StrAppend(&text, line, "\n");
  }
  return text;
}

}  // namespace

KeptFacts ReadKeptRuns(const std::string& state_dir, const std::string& directory, std::set<std::string> hosts,
                       std::set<std::string> units, std::set<std::string> named, std::vector<std::string>* problems) {
  std::vector<std::pair<fs::file_time_type, fs::path>> logs;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(RunsDirectory(state_dir), error)) {
    if (entry.path().extension() == ".jsonl") logs.emplace_back(entry.last_write_time(error), entry.path());
  }
  std::sort(logs.rbegin(), logs.rend());
  KeptFacts facts;
  for (const auto& [written, path] : logs) {
    if (hosts.empty() && units.empty() && named.empty()) break;
    const std::string lines = LinesOf(path);
    if (lines.empty()) continue;
    RunStarted started;
    std::map<std::string, uint32_t> slots;
    std::map<std::string, absl::Duration> collection;
    struct Listed {
      uint32_t cases = 0;
      std::set<std::string> names;
      uint64_t with_marked_locks = 0;
    };
    std::map<std::string, Listed> whole;
    const absl::StatusOr<EventLogEnd> read = ReplayEvents(lines, path.string(), [&](const RunEvent& event) {
      if (const auto* begun = std::get_if<RunStarted>(&event.what)) {
        started = *begun;
      } else if (const auto* up = std::get_if<HostUp>(&event.what)) {
        if (up->host.value() < started.hosts.size()) slots[started.hosts[up->host.value()]] = up->slots;
      } else if (const auto* listed = std::get_if<UnitListed>(&event.what)) {
        if (listed->listing > absl::ZeroDuration()) collection[listed->name] = listed->listing;
        const bool all = listed->error.empty() && !listed->unreached && listed->selected == listed->cases;
        if (all && named.contains(listed->name)) whole[listed->name].cases = listed->cases;
      } else if (const auto* selected = std::get_if<CasesSelected>(&event.what)) {
        const auto unit = whole.find(std::string(selected->unit_name));
        if (unit == whole.end()) return;
        for (const CasesSelected::Case& one : selected->cases) {
          unit->second.names.emplace(one.info.name);
          const auto& labels = one.info.labels;
          const bool marked = std::find(labels.begin(), labels.end(), "dtest_lock") != labels.end();
          unit->second.with_marked_locks += marked || !one.info.locks.empty() ? 1 : 0;
        }
      }
    });
    if (!read.ok()) problems->push_back(std::string(read.status().message()));
    // A reproduction has one slot of its host, and the same name elsewhere is another unit.
    for (const auto& [host, count] : slots) {
      if (!started.reproduction && hosts.erase(host) > 0) facts.slots[host] = count;
    }
    for (const auto& [unit, took] : collection) {
      if (started.working_directory == directory && units.erase(unit) > 0) facts.collection[unit] = took;
    }
    for (auto& [unit, listed] : whole) {
      // What another run left and this has not taken up is no whole run; a log of before format 4 names no cases.
      if (started.reproduction || started.left > 0 || started.working_directory != directory) continue;
      if (listed.names.size() != listed.cases || named.erase(unit) == 0) continue;
      facts.with_marked_locks += listed.with_marked_locks;
      facts.names[unit] = std::move(listed.names);
    }
  }
  return facts;
}

}  // namespace dtest
