#include "agent/loop/environment_stage.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "agent/loop/slot_environment.h"
#include "agent/store/fs.h"

namespace dtest {
namespace {

constexpr absl::Duration kLookInterval = absl::Milliseconds(200);  // whether another run has made it
// Scripts name their interpreter by its path, which older kernels limit to 127 bytes.
constexpr size_t kDigits = 16;

// "its command exited with status 1"
std::string Ended(absl::string_view what, const std::string& error) {
  return absl::StrCat(what, absl::StartsWith(error, "killed") ? " was " : " ", error);
}

// That says what is done: not empty, no comment, no option of the shell.
absl::string_view FirstLine(absl::string_view command) {
  for (absl::string_view line : absl::StrSplit(command, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (!line.empty() && line[0] != '#' && !absl::StartsWith(line, "set -")) return line;
  }
  return absl::StripAsciiWhitespace(command);
}

}  // namespace

void EnvironmentStage::Start() {
  const HostEnvironment& wanted = *options_.wanted;
  if (const std::string& place = wanted.path.empty() ? options_.store : wanted.path; absl::StrContains(place, ':')) {
    return Fail(absl::StrCat("PATH cannot name its programs, since there is a colon in ", place,
                             wanted.path.empty() ? ": --remote-store (here: XDG_CACHE_HOME) names another" : ""));
  }
  if (!wanted.path.empty()) {
    if (access(absl::StrCat(wanted.path, "/bin").c_str(), X_OK) != 0) {
      return Fail(absl::StrCat("[environment] names ", wanted.path, ", and this host has no ", wanted.path, "/bin (",
                               std::strerror(errno), ")"));
    }
    candidate_ = wanted.path;
    return Use();
  }
  absl::StatusOr<std::unique_ptr<store::Environments>> opened = store::Environments::Open(
      options_.store, absl::StrCat(wanted.key.Hex().substr(0, kDigits), "-", options_.machine));
  if (!opened.ok()) return Fail(std::string(opened.status().message()));
  environments_ = *std::move(opened);
  // Without files of the key nothing has brought it.
  std::error_code error;
  std::filesystem::create_directories(options_.working_directory, error);
  if (error) return Fail(absl::StrCat("cannot make ", options_.working_directory, ": ", error.message()));
  LookForIt();
}

void EnvironmentStage::LookForIt() {
  std::string whole = environments_->Whole();
  // Who checks needs no claim; who makes looks again once it has one.
  if (!whole.empty() && whole != bad_) return Check(std::move(whole));
  const absl::StatusOr<bool> claimed = environments_->Claim();
  if (!claimed.ok()) return Fail(std::string(claimed.status().message()));
  if (!*claimed) {
    state_ = State::kWaiting;
    look_at_ = options_.clock() + kLookInterval;
    if (!std::exchange(told_, true)) options_.note("waits for the environment, which another agent is making");
    return;
  }
  whole = environments_->Whole();
  if (whole.empty() || whole == bad_) return Make();
  environments_->GiveUp();
  Check(std::move(whole));
}

void EnvironmentStage::Make() {
  absl::StatusOr<std::string> directory = environments_->Begin();
  if (!directory.ok()) return Fail(std::string(directory.status().message()));
  made_ = true;
  candidate_ = *std::move(directory);
  began_ = options_.clock();
  options_.note(absl::StrCat("makes the environment: ", FirstLine(options_.wanted->command)));
  Run(State::kMaking, options_.wanted->command);
}

void EnvironmentStage::Check(std::string directory) {
  candidate_ = std::move(directory);
  if (options_.wanted->check.empty()) return Use();
  Run(State::kChecking, options_.wanted->check);
}

void EnvironmentStage::Run(State state, const std::string& command) {
  state_ = state;
  ShellCommand::Options options;
  options.command = command;
  options.owner = options_.owner;
  options.working_directory = options_.working_directory;
  options.time_limit = options_.wanted->time_limit;
  options.grace = options_.grace;
  options.clock = options_.clock;
  options.poller = options_.poller;
  options.launcher = options_.launcher;
  options.environment = options_.environment;
  if (state == State::kMaking) {
    options.strict = true;
    options.environment.Set(kEnvironmentVariable, candidate_);
    options.environment.Set("VIRTUAL_ENV", candidate_);
    // Of the shell that dtest was called from: what it imports is not in the key.
    for (const char* const name : {"PYTHONHOME", "PYTHONPATH", "CONDA_PREFIX"}) options.environment.Unset(name);
  } else {
    SetHostEnvironment(candidate_, &options.environment);
  }
  options.ended = [] {};  // Tick sees it: this object may not go from within its own call
  command_ = std::make_unique<ShellCommand>(std::move(options));
  command_->Start();
}

void EnvironmentStage::CommandEnded() {
  const std::unique_ptr<ShellCommand> command = std::move(command_);  // what it has left running is killed
  const std::string& error = command->error();
  if (signalled_)
    return Fail(state_ == State::kMaking ? "the run ended while it was made" : "the run ended while it was checked");
  if (state_ == State::kMaking) {
    if (!error.empty()) return Fail(Ended("its command", error), command->TakeOutput());
    const absl::Duration took = options_.clock() - began_;
    if (store::ListDirectory(candidate_).empty()) {
      return Fail("its command has put nothing into the directory DTEST_ENVIRONMENT", command->TakeOutput());
    }
    options_.note(absl::StrFormat("made the environment in %.1f s", absl::ToDoubleSeconds(took)));
    return Check(std::move(candidate_));
  }
  if (error.empty()) return Use();
  if (made_) return Fail(Ended("it was made, and its check", error), command->TakeOutput());
  const std::string output = command->TakeOutput();
  options_.note(
      absl::StrCat(Ended("makes the environment anew, since its check", error), output.empty() ? "" : "\n", output));
  bad_ = std::move(candidate_);
  LookForIt();
}

void EnvironmentStage::Use() {
  if (made_) {
    if (absl::Status status = environments_->Finish(); !status.ok()) return Fail(std::string(status.message()));
  }
  directory_ = std::move(candidate_);
  state_ = State::kOver;
}

void EnvironmentStage::Fail(std::string error, std::string output) {
  if (environments_ != nullptr) environments_->GiveUp();
  error_ = std::move(error);
  output_ = std::move(output);
  state_ = State::kOver;
}

void EnvironmentStage::Signal(int signal) {
  signalled_ = true;
  if (command_ != nullptr) command_->Signal(signal);
  if (state_ == State::kWaiting) Fail("the run ended while another agent was making it");
}

void EnvironmentStage::CheckEnded() {
  if (command_ != nullptr) command_->CheckEnded();
}

void EnvironmentStage::Tick(absl::Time now) {
  if (command_ != nullptr) {
    command_->Tick(now);
    if (!command_->running()) CommandEnded();
  } else if (state_ == State::kWaiting && now >= look_at_) {
    LookForIt();
  }
}

absl::Time EnvironmentStage::NextDeadline() const {
  if (command_ != nullptr) return command_->running() ? command_->NextDeadline() : absl::InfinitePast();
  return state_ == State::kWaiting ? look_at_ : absl::InfiniteFuture();
}

}  // namespace dtest
