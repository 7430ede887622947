#include "coordinator/cli/reports.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/reproduce_command.h"
#include "coordinator/cli/standard_output.h"
#include "coordinator/report/text.h"
#include "dtest/base/io.h"

namespace dtest {
namespace {

namespace fs = std::filesystem;

constexpr size_t kRunsKept = 50;

bool IsSet(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

// Where a person reads: beside what is asked for on standard output.
int TerminalFd(const Options& options) {
  return options.junit == kStandardOutput || options.json ? STDERR_FILENO : STDOUT_FILENO;
}

// One that can move its cursor and show colours.
bool IsCapableTerminal(int fd) { return isatty(fd) != 0 && absl::NullSafeStringView(std::getenv("TERM")) != "dumb"; }

TerminalReport::Options TerminalOptions(const Options& options) {
  TerminalReport::Options terminal;
  terminal.fd = TerminalFd(options);
  terminal.tty = options.progress == When::kAlways ||
                 (options.progress == When::kAuto && IsCapableTerminal(terminal.fd) && !IsSet("CI"));
  terminal.width = TerminalColumns(terminal.fd);
  terminal.color = UseColor(options);
  terminal.verbosity = options.verbosity;
  terminal.durations = options.durations;
  terminal.passed_output = SuccessOutputOf(options) == SuccessOutput::kImmediate;
  terminal.progress =
      options.progress == When::kNever ? TerminalReport::ProgressMode::kNone : TerminalReport::ProgressMode::kAuto;
  return terminal;
}

// Keeps the newest logs: names begin with the time.
void RemoveOldLogs(const fs::path& directory) {
  std::error_code error;
  std::vector<fs::path> logs;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (entry.path().extension() == ".jsonl") logs.push_back(entry.path());
  }
  if (logs.size() <= kRunsKept) return;
  std::sort(logs.begin(), logs.end());
  for (size_t i = 0; i + kRunsKept < logs.size(); ++i) {
    if (!EventLogIsBeingWritten(logs[i].string())) fs::remove(logs[i], error);
  }
}

}  // namespace

bool UseColor(const Options& options) {
  if (options.color != When::kAuto) return options.color == When::kAlways;
  if (IsSet("NO_COLOR")) return false;
  if (IsSet("CLICOLOR_FORCE") && absl::NullSafeStringView(std::getenv("CLICOLOR_FORCE")) != "0") return true;
  return IsCapableTerminal(TerminalFd(options));
}

std::string RunsDirectory(const std::string& state_dir) { return state_dir + "/runs"; }

absl::StatusOr<std::unique_ptr<Reports>> Reports::Make(const Options& options, bool terminal) {
  std::unique_ptr<Reports> reports(new Reports());
  RunSummary::Options summary_options;
  summary_options.slowest = options.durations;
  reports->summary_ = std::make_unique<RunSummary>(summary_options);
  reports->sinks_.Add("summary", reports->summary_.get());
  const bool output_at_end = terminal && SuccessOutputOf(options) == SuccessOutput::kFinal;
  // A run that goes on gives each case a verdict itself, but a log may lack some.
  if (output_at_end || !options.junit.empty() || options.command == Command::kReport) {
    reports->record_ = std::make_unique<RunRecord>(reports->summary_.get());
    reports->sinks_.Add("record", reports->record_.get());
  }
  if (terminal) {
    TerminalReport::Options terminal_options = TerminalOptions(options);
    terminal_options.passed_output_at_end = output_at_end;
    terminal_options.record = reports->record_.get();
    reports->terminal_ = std::make_unique<TerminalReport>(terminal_options, reports->summary_.get());
  }
  if (terminal) {
    reports->stress_ = std::make_unique<StressReport>();
    reports->sinks_.Add("stress", reports->stress_.get());
  }
  if (terminal && (options.timings || options.verbosity >= 1)) {
    reports->timings_ = std::make_unique<RunTimings>();
    reports->sinks_.Add("timings", reports->timings_.get());
  }
  if (!options.junit.empty()) {
    absl::StatusOr<std::unique_ptr<JUnitReport>> junit = JUnitReport::Create(options.junit, reports->record_.get());
    if (!junit.ok()) return junit.status();
    reports->junit_ = *std::move(junit);
    reports->sinks_.Add("JUnit", reports->junit_.get());
  }
  if (!options.events.empty()) {
    absl::StatusOr<std::unique_ptr<EventLogWriter>> log = EventLogWriter::Open(options.events);
    if (!log.ok()) return log.status();
    reports->logs_.push_back(*std::move(log));
    reports->sinks_.Add("event log", reports->logs_.back().get());
  }
  // After the files, so that what the terminal says of the end is true of them.
  if (terminal) reports->sinks_.Add("terminal", reports->terminal_.get());
  return reports;
}

std::string RunToName(const Options& options, const std::string& log) {
  std::error_code error;
  const fs::path path = fs::absolute(log, error);
  const bool kept = path.parent_path() == RunsDirectory(options.state_dir) && !options.own_state_dir;
  return kept ? path.stem().string() : path.string();
}

void Reports::ShowHowToReproduce(const Options& options, const std::string& log) {
  if (terminal_ == nullptr) return;
  terminal_->SetReproduce([before = absl::StrCat(ShellWord(options.program), " reproduce "),
                           after = absl::StrCat(" ", ShellWord(RunToName(options, log)))](
                              absl::string_view unit, absl::string_view name) {
    return absl::StrCat(before, ShellWord(NameToReproduce(unit, name)), after);
  });
}

int Reports::FinishOutput(int exit_status) const {
  const int fd = terminal_ == nullptr ? STDOUT_FILENO : terminal_->fd();
  int error = terminal_ == nullptr ? 0 : terminal_->output_error();
  if (error == 0 && stress_ != nullptr) error = WriteAll(fd, stress_->Text());
  if (error == 0 && timings_ != nullptr) error = WriteAll(fd, absl::StrCat("\n", TimingsText(timings_->Get())));
  // Of standard error nobody could be told.
  if (fd != STDOUT_FILENO) error = junit_ == nullptr ? 0 : junit_->output_error();
  return StatusAfterOutput(error, exit_status);
}

void Reports::KeepEventLog(const Options& options, const std::string& run_id) {
  const fs::path directory = RunsDirectory(options.state_dir);
  std::error_code error;
  fs::create_directories(directory, error);
  const std::string path = (directory / (run_id + ".jsonl")).string();
  absl::StatusOr<std::unique_ptr<EventLogWriter>> log = EventLogWriter::Open(path);
  if (!log.ok()) {
    if (terminal_ != nullptr) {
      terminal_->PrintLines({absl::StrCat("warning: this run is not kept for `dtest report` and `dtest reproduce`: ",
                                          log.status().message())});
    }
    return;
  }
  RemoveOldLogs(directory);
  logs_.push_back(*std::move(log));
  sinks_.Add("event log", logs_.back().get());
  ShowHowToReproduce(options, path);
}

}  // namespace dtest
