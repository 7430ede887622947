// `dtest reproduce`: what the event log says of how a case ran, made into options of a run.

#include "coordinator/cli/reproduce_command.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/recorded_run.h"
#include "coordinator/cli/run_log.h"
#include "coordinator/report/event_log.h"
#include "coordinator/report/text.h"
#include "dtest/base/paths.h"

namespace dtest {
namespace {

struct Attempt {
  std::string unit, name, host;
  uint32_t host_start = 0;  // an agent that is started again counts its processes anew
  uint32_t process = 0, place = 0;
  uint32_t iteration = 1, attempt = 1;
  uint32_t worker = 0;  // DTEST_WORKER: slots are numbered through the hosts as these come up
  bool failed = false;
};

struct Log {
  RunStarted started;
  std::vector<Attempt> attempts;
  uint32_t workers = 0;
};

absl::StatusOr<Log> ReadLog(const std::string& path) {
  Log log;
  absl::flat_hash_map<std::string, uint32_t> starts, first_workers;
  const absl::StatusOr<EventLogEnd> end = ReplayEventLog(path, [&](const RunEvent& event) {
    if (const auto* started = std::get_if<RunStarted>(&event.what)) {
      log.started = *started;
    } else if (const auto* up = std::get_if<HostUp>(&event.what)) {
      if (up->host.value() >= log.started.hosts.size()) return;
      const std::string& host = log.started.hosts[up->host.value()];
      if (++starts[host] > 1) return;
      first_workers[host] = log.workers;
      log.workers += up->slots;
    } else if (const auto* ended = std::get_if<CaseEnded>(&event.what)) {
      if (ended->host.empty()) return;
      const std::string host(ended->host);
      const CaseResult& result = ended->result;
      log.attempts.push_back({std::string(ended->unit), std::string(ended->name), host, starts[host], result.process,
                              result.place, ended->iteration, result.attempt,
                              first_workers[host] + static_cast<uint32_t>(result.slot.value()),
                              IsFailure(result.outcome)});
    }
  });
  if (!end.ok()) return end.status();
  return log;
}

// How well `wanted` names the attempt's case; the lower the better.
enum class Match : uint8_t { kWhole, kShown, kShort, kNone };

Match MatchOf(const Attempt& attempt, const std::string& wanted) {
  const absl::string_view unit = attempt.unit, name = attempt.name;
  const bool plain = name == unit;
  if (wanted == (plain ? std::string(unit) : absl::StrCat(unit, ".", name))) return Match::kWhole;
  if (wanted == NameToReproduce(unit, name)) return Match::kShown;
  // With a space, as in reports; the unit without its directory; the case alone.
  for (const bool shown : {false, true}) {
    const auto text = [&](absl::string_view raw) { return shown ? NameLine(raw) : std::string(raw); };
    if (wanted == text(plain ? BaseName(unit) : name)) return Match::kShort;
    for (const absl::string_view executable : {unit, BaseName(unit)}) {
      for (const char* joint : {".", " "}) {
        if (!plain && wanted == absl::StrCat(text(executable), joint, text(name))) return Match::kShort;
      }
    }
  }
  return Match::kNone;
}

// The last attempt that failed, or else the last, of the case that `wanted` names.
absl::StatusOr<Attempt> FindAttempt(const Log& log, const std::string& wanted, const std::string& path) {
  Match best = Match::kNone;
  std::vector<const Attempt*> found;
  for (const Attempt& attempt : log.attempts) {
    const Match match = MatchOf(attempt, wanted);
    if (match < best) found.clear();
    best = std::min(best, match);
    if (match == best && match != Match::kNone) found.push_back(&attempt);
  }
  if (found.empty()) {
    return absl::NotFoundError(absl::StrCat("no case '", OneLine(wanted), "' ran in ", path,
                                            "; name it in full, as the reports do: `dtest report", " ", ShellWord(path),
                                            " -v` shows all"));
  }
  const Attempt* last = found.front();
  for (const Attempt* attempt : found) {
    if (attempt->unit != last->unit || attempt->name != last->name) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", OneLine(wanted), "' is ", NameToReproduce(last->unit, last->name), " as well as ",
                       NameToReproduce(attempt->unit, attempt->name), "; give one of these names"));
    }
    if (attempt->failed || !last->failed) last = attempt;
  }
  return *last;
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

// Into `run`, and into the command that it logs, so that it can be reproduced in turn.
void RunAsItRan(const Log& log, const std::vector<Attempt>& batch, Options* run) {
  if (run->as_it_ran.empty()) {  // else the run was a reproduction itself: its command says it
    const Attempt& last = batch.back();
    // As the agent has it: a process has one environment.
    uint32_t attempt = 1;
    for (const Attempt& one : batch) attempt = std::max(attempt, one.attempt);
    run->as_it_ran = {{"DTEST_ATTEMPT", absl::StrCat(attempt)},
                      {"DTEST_ITERATION", absl::StrCat(last.iteration)},
                      {"DTEST_WORKER", absl::StrCat(last.worker)},
                      {"DTEST_WORKER_COUNT", absl::StrCat(log.workers)},
                      {"PYTEST_XDIST_WORKER", absl::StrCat("gw", last.worker)},
                      {"PYTEST_XDIST_WORKER_COUNT", absl::StrCat(log.workers)}};
  }
  std::vector<std::string> words;
  for (const auto& [name, value] : run->as_it_ran) words.push_back(absl::StrCat("--env=", name, "=", value));
  const auto tests_own = std::find(run->equivalent.begin(), run->equivalent.end(), "--");
  run->equivalent.insert(tests_own, words.begin(), words.end());
}

}  // namespace

std::string NameToReproduce(absl::string_view unit, absl::string_view name) {
  return name == unit ? NameLine(unit) : absl::StrCat(NameLine(unit), ".", NameLine(name));
}

int ReproduceCommand(const Options& options) {
  const std::string& wanted = options.paths.front();
  const absl::StatusOr<std::string> path =
      FindRunLog(options.state_dir, options.paths.size() > 1 ? options.paths[1] : "", LatestRun::kNoReproduction);
  if (!path.ok()) return ExplainFailure(path.status());
  const absl::StatusOr<Log> log = ReadLog(*path);
  if (!log.ok()) return ExplainFailure(log.status());
  const absl::StatusOr<Attempt> attempt = FindAttempt(*log, wanted, *path);
  if (!attempt.ok()) return ExplainFailure(attempt.status());

  absl::StatusOr<Options> again = OptionsOfRun(log->started, *path, options, {.without = {"stress"}, .on_top = {}});
  if (!again.ok()) return ExplainFailure(again.status());
  Options run = *std::move(again);
  const std::vector<Attempt> batch = Batch(*log, *attempt);
  for (const Attempt& one : batch) {
    run.only.push_back({one.unit, one.name});
  }
  run.together = true;
  run.only_host = attempt->host;
  run.filters.clear();
  for (PolicyOverride& one : run.overrides) {
    one.retries.reset();
    one.processes.reset();
    one.locks.reset();
    one.exclusive.reset();
    one.slots.reset();
    one.tags.reset();
  }
  run.exclusive.clear();
  run.shard_index = run.shard_count = 1;
  run.shard_durations.clear();
  run.processes = Processes::kBatch;
  run.retries = run.max_fail = 0;
  // Whoever asks why a case fails is not helped if its failure is forgiven.
  run.quarantine.clear();
  run.quarantine_files.clear();
  run.budget.clear();
  run.repeat = 1;
  run.explain = run.speculate = false;
  run.shuffle.reset();
  run.run_timeout = absl::InfiniteDuration();
  RunAsItRan(*log, batch, &run);
  std::string as;
  for (const auto& [name, value] : run.as_it_ran) {
    if (!absl::StartsWith(name, "PYTEST_")) absl::StrAppend(&as, as.empty() ? "" : " ", name, "=", value);
  }
  std::fprintf(stderr, "dtest: note: %s on %s, in one process%s, with %s\n",
               NameToReproduce(attempt->unit, attempt->name).c_str(), OneLine(attempt->host).c_str(),
               batch.size() == 1 ? "" : absl::StrCat(" behind the ", batch.size() - 1, " that ran before it").c_str(),
               as.c_str());
  std::fprintf(
      stderr,
      "dtest: note: what cannot be had again: DTEST_SLOT, DTEST_RUN_ID, TMPDIR, what else ran on the host, and "
      "variables that the run did not name in --env: those are this shell's or the host's of now\n");
  return RunCommand(run);
}

}  // namespace dtest
