#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/reports.h"
#include "coordinator/report/event_log.h"

namespace dtest {
namespace {

namespace fs = std::filesystem;

// Whether the log has a whole line. A coordinator that died at once leaves none.
bool HasEvents(const fs::path& log) {
  std::ifstream file(log);
  std::string line;
  return std::getline(file, line) && !file.eof();
}

// The event log that the argument means: a file, a run's id, or the latest run of which something is known.
absl::StatusOr<std::string> FindLog(const Options& options) {
  const fs::path runs = RunsDirectory(options.state_dir);
  std::error_code error;
  if (!options.paths.empty()) {
    const std::string& wanted = options.paths.front();
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
    if (HasEvents(log)) return log.string();
    std::fprintf(stderr, "dtest: note: nothing is known of run %s, %s; this is the run before it\n", log.stem().c_str(),
                 EventLogIsBeingWritten(log.string()) ? "which has only just begun" : "which died as it began");
  }
  return absl::NotFoundError(absl::StrCat("no run is kept in ", runs.string(),
                                          "; run something first, or name an event log (dtest --events FILE)"));
}

}  // namespace

int ReportCommand(const Options& options) {
  absl::StatusOr<std::string> log = FindLog(options);
  if (!log.ok()) return ExplainFailure(log.status());
  std::error_code error;
  for (const std::string& output : {options.junit, options.events}) {
    if (!output.empty() && fs::equivalent(output, *log, error)) {
      return ExplainFailure(
          absl::InvalidArgumentError(absl::StrCat(output, " is the event log to report on; write elsewhere")));
    }
  }
  absl::StatusOr<std::unique_ptr<Reports>> reports = Reports::Make(options, /*terminal=*/true);
  if (!reports.ok()) return ExplainFailure(reports.status());
  SinkSet& sinks = (*reports)->sinks();
  absl::StatusOr<EventLogEnd> end = ReplayEventLog(*log, [&](const RunEvent& event) { sinks.Handle(event); });
  if (!end.ok()) return ExplainFailure(end.status());
  if (!end->finished) {
    const bool running = EventLogIsBeingWritten(*log);
    sinks.Handle(
        {end->last, RunFinished{RunEnd::kInterrupted, running ? "the run is still going on" : "the coordinator died"}});
  }
  sinks.Flush(end->last);
  return (*reports)->FinishOutput((*reports)->summary().ExitStatus());
}

}  // namespace dtest
