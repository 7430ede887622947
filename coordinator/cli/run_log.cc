#include "coordinator/cli/run_log.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/reports.h"

namespace dtest {

absl::StatusOr<std::string> FindRunLog(const std::string& state_dir, const std::string& wanted) {
  namespace fs = std::filesystem;
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
  std::string latest;
  fs::file_time_type written;
  for (const auto& entry : fs::directory_iterator(runs, error)) {
    if (entry.path().extension() != ".jsonl") continue;
    const fs::file_time_type time = entry.last_write_time(error);
    if (!latest.empty() && time <= written) continue;
    latest = entry.path().string();
    written = time;
  }
  if (latest.empty()) {
    return absl::NotFoundError(absl::StrCat("no run is kept in ", runs.string(),
                                            "; run something first, or name an event log (dtest --events FILE)"));
  }
  return latest;
}

}  // namespace dtest
