#include "coordinator/cli/recorded_run.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <set>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "coordinator/settings/values.h"

namespace dtest {
namespace {

namespace fs = std::filesystem;

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

// The command that a log has says everything: neither dtest.toml nor variables that changed since add to it.
Surroundings RecordedSurroundings() {
  Surroundings recorded;
  for (const char* name : {"HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"}) {
    if (std::string value = Environment(name); !value.empty()) recorded.variables[name] = std::move(value);
  }
  return recorded;
}

// What dtest tells a process of where it runs, and a reproduction tells it again.
constexpr absl::string_view kVariablesOfTheProcess[] = {"DTEST_ATTEMPT",       "DTEST_ITERATION",
                                                        "DTEST_WORKER",        "DTEST_WORKER_COUNT",
                                                        "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"};
bool IsOfTheProcess(absl::string_view variable) {
  return std::find(std::begin(kVariablesOfTheProcess), std::end(kVariablesOfTheProcess), variable) !=
         std::end(kVariablesOfTheProcess);
}

// Takes these out of the command of a reproduction, which has them as --env NAME=VALUE or --env=NAME=VALUE. Logs of
// earlier versions do not say that they are of one: there a command is that has all of them. Others have them from
// whoever wrote the command, and keep them.
std::vector<std::pair<std::string, std::string>> TakeVariablesOfTheProcess(bool reproduction,
                                                                           std::vector<std::string>* command) {
  std::vector<std::pair<std::string, std::string>> taken;
  const auto tests_own = std::find(command->begin(), command->end(), "--");
  std::vector<std::string> kept;
  for (auto word = command->begin(); word != tests_own; ++word) {
    const auto last = *word == "--env" && std::next(word) != tests_own ? std::next(word) : word;
    absl::string_view variable = *last;
    (void)absl::ConsumePrefix(&variable, "--env=");
    const std::pair<std::string, std::string> parts = absl::StrSplit(variable, absl::MaxSplits('=', 1));
    const bool is_one = (last != word || variable.size() < last->size()) && IsOfTheProcess(parts.first);
    if (is_one) {
      taken.push_back(parts);
    } else {
      kept.insert(kept.end(), word, std::next(last));
    }
    word = last;
  }
  std::set<std::string> names;
  for (const auto& [name, value] : taken) names.insert(name);
  if (!reproduction && names.size() < std::size(kVariablesOfTheProcess)) return {};
  kept.insert(kept.end(), tests_own, command->end());
  *command = std::move(kept);
  return taken;
}

// What is wrong, without what a command line that is mistyped ends with.
std::string ProblemOf(const ParsedCommandLine& parsed) {
  absl::string_view text = parsed.text;
  absl::ConsumePrefix(&text, "dtest: ");
  return std::string(text.substr(0, text.rfind("\nTry ")));
}

}  // namespace

absl::StatusOr<EventLogEnd> ReplayWholeRun(const std::string& log, absl::FunctionRef<void(const RunEvent&)> handle) {
  UnlistedUnits unlisted;
  absl::StatusOr<EventLogEnd> end = ReplayEventLog(log, [&](const RunEvent& event) {
    unlisted.Note(event);
    handle(event);
  });
  if (!end.ok() || end->finished) return end;
  for (UnitListed& unit : unlisted.Get()) handle({end->last, std::move(unit)});
  const bool running = EventLogIsBeingWritten(log);
  handle(
      {end->last, RunFinished{RunEnd::kInterrupted, running ? "the run is still going on" : "the coordinator died"}});
  return end;
}

absl::StatusOr<Options> OptionsOfRun(const RunStarted& started, const std::string& log, const Options& now,
                                     GivenAnew again) {
  std::error_code error;
  const fs::path here = fs::current_path(error);
  for (GivenSetting& given : again.on_top) {
    if (here == started.working_directory) continue;
    for (std::string& value : given.values) {
      if (IsPath(*given.setting, value)) value = (here / value).lexically_normal().string();
    }
  }
  for (const char* name : {"junit", "events", "coverage", "pytest-reports"}) again.without.emplace_back(name);
  const Surroundings recorded = RecordedSurroundings();
  std::vector<std::string> command = started.command;
  std::vector<std::pair<std::string, std::string>> of_the_process =
      TakeVariablesOfTheProcess(started.reproduction, &command);
  ParsedCommandLine parsed = ParseCommandLine(command, recorded, again);
  if (!parsed.options.has_value() || parsed.options->command != Command::kRun) {
    again.on_top.clear();
    const ParsedCommandLine alone = ParseCommandLine(command, recorded, again);
    if (alone.options.has_value() && alone.options->command == Command::kRun) {
      return absl::InvalidArgumentError(ProblemOf(parsed));
    }
    return absl::FailedPreconditionError(
        absl::StrCat("the run of ", log, " was started by a command that this dtest does not take: ", parsed.text));
  }
  // They are meant from here, not from where the run was started.
  const std::string cache_dir = fs::absolute(now.cache_dir, error).string();
  const std::string state_dir = fs::absolute(now.state_dir, error).string();
  if (chdir(started.working_directory.c_str()) != 0) {
    return absl::ErrnoToStatus(
        errno, absl::StrCat("the run was started in ", started.working_directory, ", which cannot be entered"));
  }
  Options run = *std::move(parsed.options);  // keeps its arguments: what this run logs can be run again in turn
  run.as_it_ran = std::move(of_the_process);
  run.color = now.color;
  run.progress = now.progress;
  run.verbosity = now.verbosity;
  run.cache_dir = cache_dir;
  run.state_dir = state_dir;
  run.own_state_dir = now.own_state_dir;
  run.program = now.program;
  return run;
}

}  // namespace dtest
