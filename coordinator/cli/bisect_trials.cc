#include "coordinator/cli/bisect_trials.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "coordinator/cli/reports.h"
#include "coordinator/cli/reproduce_command.h"
#include "coordinator/event/run_event.h"
#include "coordinator/report/event_log.h"
#include "coordinator/report/summary.h"
#include "coordinator/report/text.h"
#include "dtest/base/paths.h"

namespace dtest {
namespace {

namespace fs = std::filesystem;

constexpr size_t kShownOutput = 4000;
constexpr size_t kCompared = 10000;  // of a line

std::string OutputPath(const std::string& directory) { return directory + "/output"; }

// In the child: nothing of it is on our terminal, and nobody types into it.
void Redirect(const std::string& output) {
  const int null = open("/dev/null", O_RDONLY);
  const int file = open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (null < 0 || file < 0) _exit(kExitBroken);
  dup2(null, STDIN_FILENO);
  dup2(file, STDOUT_FILENO);
  dup2(file, STDERR_FILENO);
  close(null);
  close(file);
}

// Of those that run beside each other none has the worker of another; the first has that of the recorded run.
void SetWorker(uint32_t lane, Options* run) {
  const auto value_of = [run](absl::string_view name) {
    uint32_t number = 0;
    for (const auto& [key, value] : run->as_it_ran) {
      if (key == name) (void)absl::SimpleAtoi(value, &number);
    }
    return number;
  };
  const uint32_t recorded = value_of("DTEST_WORKER");
  const uint32_t worker = lane == 0 ? recorded : lane <= recorded ? lane - 1 : lane;
  const uint32_t count = std::max(value_of("DTEST_WORKER_COUNT"), worker + 1);
  for (auto& [name, value] : run->as_it_ran) {
    if (name == "DTEST_WORKER") value = absl::StrCat(worker);
    if (name == "PYTEST_XDIST_WORKER") value = absl::StrCat("gw", worker);
    if (name == "DTEST_WORKER_COUNT" || name == "PYTEST_XDIST_WORKER_COUNT") value = absl::StrCat(count);
  }
}

// Without numbers, addresses and punctuation.
std::string WordsOf(absl::string_view line) {
  std::string words;
  for (size_t i = 0; i < line.size();) {
    if (absl::StartsWithIgnoreCase(line.substr(i), "0x")) {
      i += 2;
      while (i < line.size() && absl::ascii_isxdigit(static_cast<unsigned char>(line[i]))) ++i;
      continue;
    }
    const auto c = static_cast<unsigned char>(line[i++]);
    if (absl::ascii_isalpha(c) || c >= 0x80) words.push_back(static_cast<char>(c));
  }
  return words;
}

// "file.py:12" of a headline that begins with where it failed, without directories, as some have none; empty: it does
// not. What was compared there depends on what ran before; the place does not.
absl::string_view PlaceOf(absl::string_view line) {
  for (size_t colon = line.find(':'); colon != absl::string_view::npos; colon = line.find(':', colon + 1)) {
    size_t end = colon + 1;
    while (end < line.size() && absl::ascii_isdigit(static_cast<unsigned char>(line[end]))) ++end;
    if (end == colon + 1 || colon == 0) continue;
    return end == line.size() || line[end] == ':' ? BaseName(line.substr(0, end)) : absl::string_view();
  }
  return "";
}

int WaitFor(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

}  // namespace

std::string FailureLine(Outcome outcome, absl::string_view message) {
  const std::string line = OneLine(Headline(message));
  return line.empty() ? OutcomeName(outcome) : absl::StrCat(OutcomeName(outcome), ": ", line);
}

bool IsSameFailure(Outcome outcome, absl::string_view message, Outcome other, absl::string_view other_message) {
  if (outcome != other) return false;
  const std::string line = Headline(message, kCompared), other_line = Headline(other_message, kCompared);
  const absl::string_view place = PlaceOf(line), other_place = PlaceOf(other_line);
  return place.empty() && other_place.empty() ? WordsOf(line) == WordsOf(other_line) : place == other_place;
}

BisectTrials::BisectTrials(Options run, RecordedAttempt recorded, std::string directory, int (*run_it)(const Options&))
    : run_(std::move(run)), recorded_(std::move(recorded)), directory_(std::move(directory)), run_it_(run_it) {}

BisectTrials::~BisectTrials() {
  for (const auto& [fd, running] : running_) kill(running.second.pid, SIGTERM);
  for (const auto& [fd, running] : running_) WaitFor(running.second.pid);
}

absl::Status BisectTrials::Start(const Bisection::Trial& trial) {
  Running running;
  running.trial = trial;
  running.directory = absl::StrCat(directory_, "/", trial.number);
  std::error_code error;
  fs::create_directory(running.directory, error);
  if (error) return absl::UnavailableError(absl::StrCat("cannot make ", running.directory, ": ", error.message()));
  Options run = run_;
  run.only.clear();
  for (const uint32_t position : trial.behind) run.only.push_back(run_.only[position]);
  run.only.push_back(run_.only.back());
  const auto is_taken = [this](uint32_t lane) {
    return std::any_of(running_.begin(), running_.end(),
                       [lane](const auto& other) { return other.second.second.lane == lane; });
  };
  while (is_taken(running.lane)) ++running.lane;
  SetWorker(running.lane, &run);
  run.state_dir = running.directory;
  run.own_state_dir = true;
  run.progress = run.color = When::kNever;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "cannot make a pipe");
  Fd read_end(ends[0]), write_end(ends[1]);
  std::fflush(nullptr);
  running.pid = fork();
  if (running.pid < 0) return absl::ErrnoToStatus(errno, "cannot start a trial");
  if (running.pid == 0) {
    signals_.reset();  // it has signals of its own
    Redirect(OutputPath(running.directory));
    const int exit_status = run_it_(run);
    std::fflush(nullptr);
    _exit(exit_status);
  }
  const int fd = read_end.get();
  running_.emplace(fd, std::pair(std::move(read_end), std::move(running)));
  return absl::OkStatus();
}

absl::StatusOr<BisectTrials::Answer> BisectTrials::Wait() {
  for (;;) {
    std::vector<pollfd> waiting = {{signals_->fd(), POLLIN, 0}};
    for (const auto& [fd, running] : running_) waiting.push_back({fd, POLLIN, 0});
    if (poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) {
      return absl::ErrnoToStatus(errno, "cannot wait for trials");
    }
    while (const std::optional<int> number = signals_->Take()) {
      if (*number == SIGTSTP) {
        signals_->StopProcess();
      } else if (*number != SIGUSR1 && *number != SIGWINCH) {
        return absl::CancelledError("interrupted");
      }
    }
    for (size_t i = 1; i < waiting.size(); ++i) {
      if (waiting[i].revents == 0) continue;
      const auto found = running_.find(waiting[i].fd);
      const Running ended = std::move(found->second.second);
      running_.erase(found);
      const int status = WaitFor(ended.pid);
      absl::StatusOr<Answer> answer = AnswerOf(ended, status);
      std::error_code error;
      if (answer.ok()) fs::remove_all(ended.directory, error);
      return answer;
    }
  }
}

// By its event log: its verdict, that it failed as it had, and that it ran behind all of the others in one process.
absl::StatusOr<BisectTrials::Answer> BisectTrials::AnswerOf(const Running& ended, int status) const {
  const NamedCase& wanted = run_.only.back();
  std::optional<Outcome> outcome;
  std::string message;
  std::vector<std::string> gone;
  uint32_t place = 0;
  bool finished = false;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(RunsDirectory(ended.directory), error)) {
    const absl::StatusOr<EventLogEnd> end = ReplayEventLog(entry.path().string(), [&](const RunEvent& event) {
      if (const auto* left = std::get_if<CasesLeft>(&event.what)) {
        for (const CasesLeft::Case& one : left->cases) {
          gone.push_back(absl::StrCat(NameToReproduce(left->unit, one.name.empty() ? left->unit : one.name), ": ",
                                      OneLine(left->why)));
        }
      }
      const auto* told = std::get_if<CaseEnded>(&event.what);
      if (told == nullptr || !told->final || told->unit != wanted.unit || told->name != wanted.name) return;
      outcome = told->result.outcome;
      message = told->result.message;
      place = told->result.place;
    });
    finished = end.ok() && end->finished;
  }
  const int exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : kExitBroken;
  if (exit_status == kExitInterrupted) return absl::CancelledError("interrupted");
  const bool ran = finished && (exit_status == kExitPassed || exit_status == kExitFailed);
  if (!ran) {
    std::string said;
    std::string output(kShownOutput, '\0');
    std::ifstream file(OutputPath(ended.directory), std::ios::binary);
    file.read(output.data(), static_cast<std::streamsize>(output.size()));
    AppendClean(absl::string_view(output).substr(0, static_cast<size_t>(file.gcount())), Colors::kDrop, &said);
    return absl::FailedPreconditionError(absl::StrCat("a trial could not be run (exit status ", exit_status, "):\n",
                                                      absl::StripTrailingAsciiWhitespace(said)));
  }
  Answer answer;
  answer.number = ended.trial.number;
  const bool told = outcome.has_value() && *outcome != Outcome::kNotRun && *outcome != Outcome::kInfraError;
  answer.gone = std::move(gone);
  if (!told || place != ended.trial.behind.size()) return answer;
  if (!IsFailure(*outcome)) {
    answer.verdict = TrialVerdict::kPasses;
    return answer;
  }
  answer.failure = FailureLine(*outcome, message);
  if (IsSameFailure(*outcome, message, recorded_.outcome, recorded_.message)) answer.verdict = TrialVerdict::kFails;
  return answer;
}

}  // namespace dtest
