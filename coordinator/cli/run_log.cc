#include "coordinator/cli/run_log.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/reports.h"
#include "coordinator/report/event_log.h"

namespace dtest {
namespace {

namespace fs = std::filesystem;

// With its end; empty if there is none that is whole. A coordinator that died at once leaves none.
std::string FirstLine(const fs::path& log) {
  std::ifstream file(log);
  std::string line;
  return std::getline(file, line) && !file.eof() ? line + "\n" : "";
}

bool IsReproduction(const std::string& first_line) {
  bool reproduction = false;
  (void)ReplayEvents(first_line, "", [&](const RunEvent& event) {  // who takes the log is told what is wrong with it
    if (const auto* started = std::get_if<RunStarted>(&event.what)) reproduction = started->reproduction;
  });
  return reproduction;
}

}  // namespace

absl::StatusOr<std::string> FindRunLog(const std::string& state_dir, const std::string& wanted, LatestRun latest) {
  const fs::path runs = RunsDirectory(state_dir);
  std::error_code error;
  if (!wanted.empty()) {
    if (fs::exists(wanted, error)) return wanted;
    const fs::path kept = runs / (wanted + ".jsonl");
    if (fs::exists(kept, error)) return kept.string();
    return absl::NotFoundError(absl::StrCat("there is no event log '", wanted, "' and no run of that id in ",
                                            runs.string(), "; `ls ", runs.string(), "` shows what is kept"));
  }
  // Ids have seconds only: of two runs in one, the one that wrote last.
  std::vector<std::pair<fs::file_time_type, fs::path>> logs;
  for (const auto& entry : fs::directory_iterator(runs, error)) {
    if (entry.path().extension() == ".jsonl") logs.emplace_back(entry.last_write_time(error), entry.path());
  }
  std::sort(logs.rbegin(), logs.rend());
  for (const auto& [written, log] : logs) {
    const std::string first = FirstLine(log);
    if (latest == LatestRun::kNoReproduction && IsReproduction(first)) continue;
    if (!first.empty()) return log.string();
    std::fprintf(stderr, "dtest: note: nothing is known of run %s, %s; this is the run before it\n", log.stem().c_str(),
                 EventLogIsBeingWritten(log.string()) ? "which has only just begun" : "which died as it began");
  }
  return absl::NotFoundError(absl::StrCat("no run is kept in ", runs.string(),
                                          "; run something first, or name an event log (dtest --events FILE)"));
}

}  // namespace dtest
