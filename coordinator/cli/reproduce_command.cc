// `dtest reproduce`: a case of a run of the past, run again as it ran.

#include "coordinator/cli/reproduce_command.h"

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/recorded_case.h"
#include "coordinator/cli/run_log.h"
#include "coordinator/report/text.h"

namespace dtest {

std::string NameToReproduce(absl::string_view unit, absl::string_view name) {
  return name == unit ? NameLine(unit) : absl::StrCat(NameLine(unit), ".", NameLine(name));
}

int ReproduceCommand(const Options& options) {
  const absl::StatusOr<std::string> path =
      FindRunLog(options.state_dir, options.paths.size() > 1 ? options.paths[1] : "", LatestRun::kNoReproduction);
  if (!path.ok()) return ExplainFailure(path.status());
  absl::StatusOr<RecordedCase> recorded = FindRecordedCase(
      *path, options.paths.front(), options.behind.empty() ? WantedAttempt::kLast : WantedAttempt::kBehindOthers);
  if (!recorded.ok()) return ExplainFailure(recorded.status());
  if (!options.behind.empty()) {
    if (absl::Status status = LeaveBehind(options.behind, &*recorded); !status.ok()) return ExplainFailure(status);
  }
  const absl::StatusOr<Options> run = OptionsToRunAgain(*recorded, options);
  if (!run.ok()) return ExplainFailure(run.status());
  const std::vector<RecordedAttempt>& before = recorded->before;
  std::string as;
  for (const auto& [name, value] : run->as_it_ran) {
    if (!absl::StartsWith(name, "PYTEST_")) absl::StrAppend(&as, as.empty() ? "" : " ", name, "=", value);
  }
  std::fprintf(
      stderr, "dtest: note: %s on %s, in one process%s, with %s\n",
      NameToReproduce(recorded->attempt.unit, recorded->attempt.name).c_str(), OneLine(recorded->attempt.host).c_str(),
      before.empty()           ? ""
      : options.behind.empty() ? absl::StrCat(" behind the ", before.size(), " that ran before it").c_str()
                               : absl::StrCat(" behind ", before.size(), " of those that ran before it").c_str(),
      as.c_str());
  std::fprintf(
      stderr,
      "dtest: note: what cannot be had again: DTEST_SLOT, DTEST_RUN_ID, TMPDIR, what else ran on the host, and "
      "variables that the run did not name in --env: those are this shell's or the host's of now\n");
  return RunCommand(*run);
}

}  // namespace dtest
