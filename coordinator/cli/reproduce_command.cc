// `dtest reproduce`: what the event log says of how a case ran, made into options of a run.

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "coordinator/cli/command_line.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/run_log.h"
#include "coordinator/report/event_log.h"
#include "coordinator/report/text.h"
#include "coordinator/settings/values.h"

namespace dtest {
namespace {

struct Attempt {
  std::string unit, name, host;
  uint32_t host_start = 0;  // an agent that is started again counts its processes anew
  uint32_t process = 0, place = 0;
  bool failed = false;
};

struct Log {
  RunStarted started;
  std::vector<Attempt> attempts;
};

absl::StatusOr<Log> ReadLog(const std::string& path) {
  Log log;
  absl::flat_hash_map<std::string, uint32_t> starts;
  const absl::StatusOr<EventLogEnd> end = ReplayEventLog(path, [&](const RunEvent& event) {
    if (const auto* started = std::get_if<RunStarted>(&event.what)) {
      log.started = *started;
    } else if (const auto* up = std::get_if<HostUp>(&event.what)) {
      if (up->host.value() < log.started.hosts.size()) ++starts[log.started.hosts[up->host.value()]];
    } else if (const auto* ended = std::get_if<CaseEnded>(&event.what)) {
      if (ended->host.empty()) return;
      const std::string host(ended->host);
      log.attempts.push_back({std::string(ended->unit), std::string(ended->name), host, starts[host],
                              ended->result.process, ended->result.place, IsFailure(ended->result.outcome)});
    }
  });
  if (!end.ok()) return end.status();
  return log;
}

bool IsNamed(const Attempt& attempt, const std::string& wanted) {
  if (attempt.name == wanted) return true;
  // Its executable by path, as reports have it, or by name alone.
  const absl::string_view path = attempt.unit;
  for (const absl::string_view unit : {path, path.substr(path.rfind('/') + 1)}) {
    if (absl::StrCat(unit, ".", attempt.name) == wanted || absl::StrCat(unit, " ", attempt.name) == wanted) return true;
  }
  return false;
}

// The last attempt that failed, or else the last.
absl::StatusOr<Attempt> FindAttempt(const Log& log, const std::string& wanted, const std::string& path) {
  const Attempt* found = nullptr;
  for (const Attempt& attempt : log.attempts) {
    if (!IsNamed(attempt, wanted)) continue;
    if (found != nullptr && found->unit != attempt.unit) {
      return absl::InvalidArgumentError(absl::StrCat("'", wanted, "' is a case of ", found->unit, " and of ",
                                                     attempt.unit, "; name it ", found->unit, ".", wanted));
    }
    if (found == nullptr || attempt.failed || !found->failed) found = &attempt;
  }
  if (found == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("no case '", wanted, "' ran in ", path, "; it is to be named as in the reports, in full"));
  }
  return *found;
}

// Those that ran in its process until it ended, in order.
std::vector<Attempt> Batch(const Log& log, const Attempt& last) {
  std::vector<Attempt> batch;
  for (const Attempt& attempt : log.attempts) {
    const bool together = attempt.host == last.host && attempt.host_start == last.host_start &&
                          attempt.process == last.process && attempt.place < last.place;
    if (together && last.process != 0) batch.push_back(attempt);
  }
  std::sort(batch.begin(), batch.end(), [](const Attempt& a, const Attempt& b) { return a.place < b.place; });
  // A case that failed after all, as its process ended, is told twice.
  batch.erase(
      std::unique(batch.begin(), batch.end(), [](const Attempt& a, const Attempt& b) { return a.place == b.place; }),
      batch.end());
  batch.push_back(last);
  return batch;
}

// The command that a log has says everything: neither dtest.toml nor variables that changed since add to it.
Surroundings RecordedSurroundings() {
  Surroundings recorded;
  for (const char* name : {"HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"}) {
    if (std::string value = Environment(name); !value.empty()) recorded.variables[name] = std::move(value);
  }
  return recorded;
}

}  // namespace

int ReproduceCommand(const Options& options) {
  const std::string& wanted = options.paths.front();
  const absl::StatusOr<std::string> path =
      FindRunLog(options.state_dir, options.paths.size() > 1 ? options.paths[1] : "");
  if (!path.ok()) return ExplainFailure(path.status());
  const absl::StatusOr<Log> log = ReadLog(*path);
  if (!log.ok()) return ExplainFailure(log.status());
  const absl::StatusOr<Attempt> attempt = FindAttempt(*log, wanted, *path);
  if (!attempt.ok()) return ExplainFailure(attempt.status());

  ParsedCommandLine parsed = ParseCommandLine(log->started.command, RecordedSurroundings());
  if (!parsed.options.has_value() || parsed.options->command != Command::kRun) {
    return ExplainFailure(absl::FailedPreconditionError(
        absl::StrCat("the run of ", *path, " was started by a command that this dtest does not take: ", parsed.text)));
  }
  if (chdir(log->started.working_directory.c_str()) != 0) {
    return ExplainFailure(absl::ErrnoToStatus(
        errno, absl::StrCat("the run was started in ", log->started.working_directory, ", which cannot be entered")));
  }
  Options run = *std::move(parsed.options);  // keeps its arguments: what this run logs can be reproduced in turn
  const std::vector<Attempt> batch = Batch(*log, *attempt);
  for (const Attempt& one : batch) {
    run.together.push_back(one.name == one.unit ? one.unit : absl::StrCat(one.unit, ".", one.name));
  }
  run.only_host = attempt->host;
  run.filters.clear();
  run.shard_index = run.shard_count = 1;
  run.shard_durations.clear();
  run.processes = Processes::kBatch;
  run.retries = run.max_fail = 0;
  run.repeat = 1;
  run.explain = run.speculate = false;
  run.shuffle.reset();
  run.run_timeout = absl::InfiniteDuration();
  run.junit.clear();
  run.events.clear();
  run.color = options.color;
  run.progress = options.progress;
  run.verbosity = options.verbosity;
  run.cache_dir = options.cache_dir;
  run.state_dir = options.state_dir;
  std::fprintf(stderr, "dtest: note: %s on %s, in one process%s\n", OneLine(run.together.back()).c_str(),
               OneLine(attempt->host).c_str(),
               batch.size() == 1 ? "" : absl::StrCat(" behind the ", batch.size() - 1, " that ran before it").c_str());
  return RunCommand(run);
}

}  // namespace dtest
