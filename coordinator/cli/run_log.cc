#include "coordinator/cli/run_log.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
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

}  // namespace

absl::StatusOr<std::string> FindRunLog(const std::string& state_dir, const std::string& wanted) {
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
    if (HasEvents(log)) return log.string();
    std::fprintf(stderr, "dtest: note: nothing is known of run %s, %s; this is the run before it\n", log.stem().c_str(),
                 EventLogIsBeingWritten(log.string()) ? "which has only just begun" : "which died as it began");
  }
  return absl::NotFoundError(absl::StrCat("no run is kept in ", runs.string(),
                                          "; run something first, or name an event log (dtest --events FILE)"));
}

}  // namespace dtest
