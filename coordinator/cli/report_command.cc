#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/reports.h"
#include "coordinator/cli/run_log.h"
#include "coordinator/report/event_log.h"

namespace dtest {
namespace {

// The units of a run that its log says nothing of.
class UnlistedUnits {
 public:
  void Note(const RunEvent& event) {
    if (const auto* started = std::get_if<RunStarted>(&event.what)) {
      names_ = started->units;
      listed_.assign(names_.size(), false);
    } else if (const auto* unit = std::get_if<UnitListed>(&event.what)) {
      if (unit->unit.value() < listed_.size()) listed_[unit->unit.value()] = true;
    }
  }
  // As a run tells of them that was ended before they were listed.
  std::vector<UnitListed> Get() const {
    std::vector<UnitListed> unlisted;
    for (uint32_t i = 0; i < names_.size(); ++i) {
      if (!listed_[i]) unlisted.push_back({UnitId(i), names_[i], 0, 0, "", "", /*unreached=*/true});
    }
    return unlisted;
  }

 private:
  std::vector<std::string> names_;
  std::vector<bool> listed_;
};

}  // namespace

int ReportCommand(const Options& options) {
  namespace fs = std::filesystem;
  absl::StatusOr<std::string> log = FindRunLog(options.state_dir, options.paths.empty() ? "" : options.paths.front());
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
  (*reports)->ShowHowToReproduce(options, *log);
  SinkSet& sinks = (*reports)->sinks();
  UnlistedUnits unlisted;
  absl::StatusOr<EventLogEnd> end = ReplayEventLog(*log, [&](const RunEvent& event) {
    unlisted.Note(event);
    sinks.Handle(event);
  });
  if (!end.ok()) return ExplainFailure(end.status());
  if (!end->finished) {
    const bool running = EventLogIsBeingWritten(*log);
    for (UnitListed& unit : unlisted.Get()) sinks.Handle({end->last, std::move(unit)});
    sinks.Handle(
        {end->last, RunFinished{RunEnd::kInterrupted, running ? "the run is still going on" : "the coordinator died"}});
  }
  sinks.Flush(end->last);
  return (*reports)->FinishOutput((*reports)->summary().ExitStatus());
}

}  // namespace dtest
