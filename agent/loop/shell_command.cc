#include "agent/loop/shell_command.h"

#include <signal.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "agent/core/blame.h"

namespace dtest {
namespace {

constexpr char kShell[] = "/bin/sh";
constexpr uint64_t kShownBytes = 16 << 10;  // of what it printed
constexpr size_t kPipeBytes = 64 << 10;
constexpr int kReadsATurn = 8;  // what prints without end must not keep the loop from others

}  // namespace

ShellCommand::ShellCommand(Options options) : options_(std::move(options)), output_(kShownBytes) {}

ShellCommand::~ShellCommand() {
  if (process_ == nullptr) return;
  for (const int fd : {process_->fd(Pipe::kOutput), process_->fd(Pipe::kErrors), ended_ ? -1 : process_->end_fd()}) {
    if (fd >= 0) options_.poller->Unwatch(fd);
  }
}

void ShellCommand::Start() {
  StartSpec spec;
  spec.program = kShell;
  spec.arguments = {kShell, options_.strict ? "-ec" : "-c", options_.command};
  spec.environment = options_.environment.ToStrings();
  spec.working_directory = options_.working_directory;
  spec.split_errors = true;
  absl::StatusOr<std::unique_ptr<TestProcess>> process = options_.launcher->Launch(options_.owner, std::move(spec));
  if (!process.ok()) return End(std::string(process.status().message()));
  process_ = *std::move(process);
  next_ = options_.clock() + options_.time_limit;
  for (const Pipe pipe : {Pipe::kOutput, Pipe::kErrors}) {
    options_.poller->Watch(process_->fd(pipe), [this, pipe] { Drain(pipe); });
  }
  if (process_->end_fd() >= 0) options_.poller->Watch(process_->end_fd(), [this] { CheckEnded(); });
}

void ShellCommand::Signal(int signal) {
  if (running()) process_->Signal(signal);
}

void ShellCommand::Drain(Pipe pipe) {
  static thread_local char buffer[kPipeBytes];
  for (int i = 0; i < kReadsATurn && process_->fd(pipe) >= 0; ++i) {
    const std::optional<size_t> got = process_->Read(pipe, absl::MakeSpan(buffer));
    if (!got.has_value()) {
      options_.poller->Unwatch(process_->fd(pipe));
      process_->Close(pipe);
      return;
    }
    if (*got == 0) return;
    if (ended_) continue;
    const absl::string_view bytes(buffer, *got);
    output_.Append(bytes);
    if (pipe != Pipe::kOutput) continue;
    printed_too_much_ |= printed_.size() + bytes.size() > kMostPrinted;
    if (!printed_too_much_) printed_.append(bytes.data(), bytes.size());
  }
}

void ShellCommand::CheckEnded() {
  if (!running() || !process_->HasEnded()) return;
  // A pidfd polls readable for ever once its process has ended.
  if (process_->end_fd() >= 0) options_.poller->Unwatch(process_->end_fd());
  for (const Pipe pipe : {Pipe::kErrors, Pipe::kOutput}) Drain(pipe);
  const Process::End end = process_->HowItEnded();
  if (timed_out_) {
    End(DescribeTimeout(options_.time_limit, ""));
  } else if (end.exit_code != 0 || end.signal != 0) {
    End(DescribeEnd(end.exit_code, end.signal));
  } else {
    End("");
  }
}

void ShellCommand::End(std::string error) {
  ended_ = true;
  error_ = std::move(error);
  options_.ended();
}

void ShellCommand::Tick(absl::Time now) {
  if (now < NextDeadline()) return;
  CheckEnded();
  if (!running()) return;
  const bool first = !timed_out_ && !stopped_;
  timed_out_ |= first;
  EndIt(first, now);
}

void ShellCommand::Stop() {
  if (!running() || timed_out_ || stopped_) return;
  stopped_ = true;
  EndIt(/*first=*/true, options_.clock());
}

void ShellCommand::EndIt(bool first, absl::Time now) {
  const bool kill_now = !first || options_.grace <= absl::ZeroDuration();
  next_ = kill_now ? absl::InfiniteFuture() : now + options_.grace;
  process_->Signal(kill_now ? SIGKILL : SIGTERM);
}

std::string ShellCommand::TakeOutput() {
  const uint64_t cut = output_.cut();
  std::string output = output_.Take();
  if (cut > 0) {
    output.insert(kShownBytes - kShownBytes / 2, absl::StrCat("\n... ", cut, " bytes are left out here ...\n"));
  }
  return output;
}

}  // namespace dtest
