#include "coordinator/cli/recorded_case.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "coordinator/cli/recorded_run.h"
#include "coordinator/cli/reports.h"
#include "coordinator/cli/reproduce_command.h"
#include "coordinator/report/event_log.h"
#include "coordinator/report/text.h"
#include "dtest/base/paths.h"

namespace dtest {
namespace {

constexpr size_t kMostOfHeadline = 10000;  // to be compared; where a line is cut depends on its numbers

struct Log {
  RunStarted started;
  std::vector<RecordedAttempt> attempts;
  uint32_t workers = 0;
  absl::flat_hash_map<std::string, uint32_t> slots;  // by host
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
      log.slots[host] = up->slots;
    } else if (const auto* ended = std::get_if<CaseEnded>(&event.what)) {
      if (ended->host.empty()) return;
      const std::string host(ended->host);
      const CaseResult& result = ended->result;
      log.attempts.push_back({std::string(ended->unit), std::string(ended->name), host, starts[host], result.process,
                              result.place, ended->iteration, result.attempt,
                              first_workers[host] + static_cast<uint32_t>(result.slot.value()), result.outcome,
                              IsFailure(result.outcome) ? Headline(result.message, kMostOfHeadline) : ""});
    }
  });
  if (!end.ok()) return end.status();
  return log;
}

// How well `wanted` names the attempt's case; the lower the better.
enum class Match : uint8_t { kWhole, kShown, kShort, kEnd, kNone };

Match MatchOf(const RecordedAttempt& attempt, const std::string& wanted) {
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
  // A node id without its file, or without its class, too. Values of parameters may have such a "::".
  const absl::string_view path = name.substr(0, name.find('['));
  for (size_t at = path.find("::"); at != absl::string_view::npos; at = path.find("::", at + 2)) {
    const absl::string_view end = name.substr(at + 2);
    if (wanted == end || wanted == NameLine(end)) return Match::kEnd;
  }
  return Match::kNone;
}

// The last attempt that failed, or else the last, of the case that `wanted` names.
absl::StatusOr<RecordedAttempt> FindAttempt(const Log& log, const std::string& wanted, const std::string& path,
                                            WantedAttempt which) {
  Match best = Match::kNone;
  std::vector<const RecordedAttempt*> found;
  for (const RecordedAttempt& attempt : log.attempts) {
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
  const auto rank = [which](const RecordedAttempt& attempt) {
    return which == WantedAttempt::kBehindOthers && attempt.place > 0 ? 1 : 0;
  };
  const RecordedAttempt* last = found.front();
  for (const RecordedAttempt* attempt : found) {
    if (attempt->unit != last->unit || attempt->name != last->name) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", OneLine(wanted), "' is ", NameToReproduce(last->unit, last->name), " as well as ",
                       NameToReproduce(attempt->unit, attempt->name), "; give one of these names"));
    }
    if (!last->failed() || (attempt->failed() && rank(*attempt) >= rank(*last))) last = attempt;
  }
  return *last;
}

// Those that ran in its process before it, in order.
std::vector<RecordedAttempt> RanBefore(const Log& log, const RecordedAttempt& last) {
  std::vector<RecordedAttempt> batch;
  for (const RecordedAttempt& attempt : log.attempts) {
    const bool together = attempt.host == last.host && attempt.host_start == last.host_start &&
                          attempt.process == last.process && attempt.place < last.place;
    if (together && last.process != 0) batch.push_back(attempt);
  }
  std::sort(batch.begin(), batch.end(),
            [](const RecordedAttempt& a, const RecordedAttempt& b) { return a.place < b.place; });
  // A case that failed after all, as its process ended, is told twice.
  batch.erase(std::unique(batch.begin(), batch.end(),
                          [](const RecordedAttempt& a, const RecordedAttempt& b) { return a.place == b.place; }),
              batch.end());
  return batch;
}

// Into `run`, and into the command that it logs, so that it can be reproduced in turn.
void RunAsItRan(const RecordedCase& recorded, Options* run) {
  if (run->as_it_ran.empty()) {  // else the run was a reproduction itself: its command says it
    const RecordedAttempt& last = recorded.attempt;
    // As the agent has it: a process has one environment.
    uint32_t attempt = last.attempt;
    for (const RecordedAttempt& one : recorded.before) attempt = std::max(attempt, one.attempt);
    run->as_it_ran = {{"DTEST_ATTEMPT", absl::StrCat(attempt)},
                      {"DTEST_ITERATION", absl::StrCat(last.iteration)},
                      {"DTEST_WORKER", absl::StrCat(last.worker)},
                      {"DTEST_WORKER_COUNT", absl::StrCat(recorded.workers)},
                      {"PYTEST_XDIST_WORKER", absl::StrCat("gw", last.worker)},
                      {"PYTEST_XDIST_WORKER_COUNT", absl::StrCat(recorded.workers)}};
  }
  std::vector<std::string> words;
  for (const auto& [name, value] : run->as_it_ran) words.push_back(absl::StrCat("--env=", name, "=", value));
  const auto tests_own = std::find(run->equivalent.begin(), run->equivalent.end(), "--");
  run->equivalent.insert(tests_own, words.begin(), words.end());
}

}  // namespace

absl::StatusOr<RecordedCase> FindRecordedCase(const std::string& path, const std::string& wanted, WantedAttempt which) {
  absl::StatusOr<Log> log = ReadLog(path);
  if (!log.ok()) return log.status();
  absl::StatusOr<RecordedAttempt> attempt = FindAttempt(*log, wanted, path, which);
  if (!attempt.ok()) return attempt.status();
  RecordedCase recorded;
  recorded.log = path;
  recorded.before = RanBefore(*log, *attempt);
  recorded.attempt = *std::move(attempt);
  recorded.started = std::move(log->started);
  recorded.workers = log->workers;
  recorded.slots = log->slots[recorded.attempt.host];
  return recorded;
}

absl::Status LeaveBehind(const std::vector<std::string>& names, RecordedCase* recorded) {
  std::vector<RecordedAttempt> before;
  if (names.size() != 1 || names.front() != "none") {
    Log log;
    log.attempts = recorded->before;
    for (const std::string& name : names) {
      absl::StatusOr<RecordedAttempt> one = FindAttempt(log, name, recorded->log, WantedAttempt::kLast);
      if (absl::IsNotFound(one.status())) {
        return absl::NotFoundError(
            absl::StrCat("--behind '", OneLine(name), "' is none of the ", recorded->before.size(), " that ran before ",
                         NameToReproduce(recorded->attempt.unit, recorded->attempt.name), " in its process"));
      }
      if (!one.ok()) return one.status();
      before.push_back(*std::move(one));
    }
  }
  std::sort(before.begin(), before.end(),
            [](const RecordedAttempt& a, const RecordedAttempt& b) { return a.place < b.place; });
  before.erase(std::unique(before.begin(), before.end(),
                           [](const RecordedAttempt& a, const RecordedAttempt& b) { return a.place == b.place; }),
               before.end());
  recorded->before = std::move(before);
  return absl::OkStatus();
}

absl::StatusOr<Options> OptionsToRunAgain(const RecordedCase& recorded, const Options& now) {
  absl::StatusOr<Options> again =
      OptionsOfRun(recorded.started, recorded.log, now, {.without = {"stress"}, .on_top = {}});
  if (!again.ok()) return again.status();
  Options run = *std::move(again);
  for (const RecordedAttempt& one : recorded.before) run.only.push_back({one.unit, one.name});
  run.only.push_back({recorded.attempt.unit, recorded.attempt.name});
  run.together = true;
  run.only_host = recorded.attempt.host;
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
  RunAsItRan(recorded, &run);
  return run;
}

std::string ReproduceLine(const RecordedCase& recorded, const Options& now) {
  std::string line = absl::StrCat(ShellWord(now.program), " reproduce ",
                                  ShellWord(NameToReproduce(recorded.attempt.unit, recorded.attempt.name)), " ",
                                  ShellWord(RunToName(now, recorded.log)));
  for (const RecordedAttempt& one : recorded.before) {
    absl::StrAppend(&line, " --behind ", ShellWord(NameToReproduce(one.unit, one.name)));
  }
  return line;
}

}  // namespace dtest
