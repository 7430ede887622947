#include "coordinator/cli/case_trend.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>
#include <variant>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/cli/reports.h"
#include "coordinator/event/run_event.h"
#include "coordinator/report/event_log.h"
#include "coordinator/report/json_append.h"

namespace dtest {
namespace {

namespace fs = std::filesystem;

// The beginning of a log and what it says of these names, as a log of its own.
std::string LinesOf(const std::string& path, const std::vector<std::string>& names_as_logged) {
  std::ifstream file(path);
  std::string text, line;
  for (bool first = true; std::getline(file, line); first = false) {
    const bool whole = !file.eof();  // the last line of a run that goes on may not be
    const bool wanted = first || std::any_of(names_as_logged.begin(), names_as_logged.end(),
                                             [&](const std::string& name) { return absl::StrContains(line, name); });
    if (whole && wanted) absl::StrAppend(&text, line, "\n");
  }
  return text;
}

// The verdict that was told of the case last.
void RemoveLast(const CaseEnded& ended, std::vector<CaseOfRun>* verdicts) {
  const auto told = std::find_if(verdicts->rbegin(), verdicts->rend(), [&](const CaseOfRun& before) {
    return before.unit == ended.unit && before.name == ended.name && before.iteration == ended.iteration;
  });
  if (told != verdicts->rend()) verdicts->erase(std::next(told).base());
}

}  // namespace

std::vector<CaseOfRun> CaseTrend(const std::string& state_dir, const std::vector<NamedCase>& cases,
                                 std::vector<std::string>* problems) {
  absl::flat_hash_set<std::pair<std::string, std::string>> wanted;
  std::vector<std::string> names_as_logged;
  for (const NamedCase& one : cases) {
    wanted.emplace(one.unit, one.name);
    names_as_logged.emplace_back();
    AppendField("name", one.name, &names_as_logged.back());
  }
  std::vector<fs::path> logs;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(RunsDirectory(state_dir), error)) {
    if (entry.path().extension() == ".jsonl") logs.push_back(entry.path());
  }
  // By when they began: of two in one second the names do not tell it.
  std::vector<std::pair<absl::Time, std::vector<CaseOfRun>>> runs;
  for (const fs::path& log : logs) {
    const std::string lines = LinesOf(log.string(), names_as_logged);
    if (lines.empty()) continue;
    absl::Time& started = runs.emplace_back(absl::InfiniteFuture(), std::vector<CaseOfRun>()).first;
    std::vector<CaseOfRun>& verdicts = runs.back().second;
    const absl::StatusOr<EventLogEnd> read = ReplayEvents(lines, log.string(), [&](const RunEvent& event) {
      started = std::min(started, event.time);
      const auto* ended = std::get_if<CaseEnded>(&event.what);
      if (ended == nullptr || !wanted.contains(std::pair(std::string(ended->unit), std::string(ended->name)))) return;
      // What had passed has failed after all.
      if (ended->replaces.has_value()) RemoveLast(*ended, &verdicts);
      if (!ended->final) return;
      verdicts.push_back({log.stem().string(), event.time, std::string(ended->unit), std::string(ended->name),
                          std::string(ended->host), ended->result.outcome, ended->flaky, ended->result.duration,
                          ended->result.setup, ended->result.teardown, ended->iteration});
    });
    if (!read.ok()) problems->push_back(std::string(read.status().message()));
  }
  std::sort(runs.begin(), runs.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<CaseOfRun> trend;
  for (auto& [started, verdicts] : runs) {
    trend.insert(trend.end(), std::make_move_iterator(verdicts.begin()), std::make_move_iterator(verdicts.end()));
  }
  return trend;
}

}  // namespace dtest
