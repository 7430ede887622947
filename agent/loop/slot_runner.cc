#include "agent/loop/slot_runner.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/core/blame.h"
#include "agent/execute/agent_directory.h"
#include "agent/execute/leftovers.h"
#include "dtest/base/clock.h"

namespace dtest {
namespace {

constexpr size_t kBufferBytes = 64 << 10;
// A process that prints without end must not keep the loop from the others.
constexpr int kBuffersATurn = 8;
constexpr size_t kLongestListing = 32 << 20;  // what it lists must fit into a frame
// A program that says one thing after another would wake us for each. What says much is read at once, or it would have
// to wait for room in the pipe.
constexpr absl::Duration kReadLater = absl::Milliseconds(2);
constexpr size_t kMuchOutput = 8 << 10;
constexpr size_t kNamesInAMessage = 100;
constexpr absl::Duration kFirstRecheck = absl::Milliseconds(1);
constexpr absl::Duration kLongestRecheck = absl::Milliseconds(50);

std::string UnknownFramework(const Program& program) {
  return absl::StrCat("protocol error: ", program.spec.name, " is of the framework '", program.spec.framework,
                      "', which this agent does not know");
}

}  // namespace

SlotRunner::SlotRunner(const Options& options) : options_(options) {}

SlotRunner::~SlotRunner() {
  if (process_ == nullptr) return;
  KillLeftovers();
  WatchOutput(false);
  for (int fd : {process_->error_fd(), process_->report_fd(), process_->end_fd()}) {
    if (fd >= 0) options_.poller->Unwatch(fd);
  }
}

Environment SlotRunner::BaseEnvironment(const Program& program, const Invocation& invocation) const {
  Environment environment(environ);
  const Welcome& welcome = *options_.welcome;
  const std::string worker = absl::StrCat(welcome.worker_base + options_.slot.value());
  for (const std::string& name : invocation.unset) environment.Unset(name);
  environment.Set("DTEST_RUN_ID", welcome.settings.run_id);
  environment.Set("DTEST_HOST", welcome.settings.host_name);
  environment.Set("DTEST_SLOT", absl::StrCat(options_.slot.value()));
  environment.Set("DTEST_WORKER", worker);
  environment.Set("DTEST_WORKER_COUNT", absl::StrCat(welcome.worker_count));
  environment.Set("PYTEST_XDIST_WORKER_COUNT", absl::StrCat(welcome.worker_count));
  environment.Set("PYTEST_XDIST_WORKER", absl::StrCat("gw", worker));
  environment.Set("PYTEST_XDIST_TESTRUNUID", welcome.settings.run_id);
  environment.Set("TEST_TMPDIR", options_.temp_dir);
  environment.Set("TMPDIR", options_.temp_dir);
  // What ours says is where our parent was.
  if (absl::StartsWith(program.working_directory, "/")) {
    environment.Set("PWD", program.working_directory);
  } else {
    environment.Unset("PWD");
  }
  for (const auto& [name, value] : welcome.settings.env) environment.Set(name, value);
  for (const auto& [name, value] : program.spec.env) environment.Set(name, value);
  for (const auto& [name, value] : invocation.env) environment.Set(name, value);
  environment.Prepend("LD_LIBRARY_PATH", program.library_path);
  return environment;
}

std::string SlotRunner::Spawn(const Program& program, const Invocation& invocation, const Environment& environment) {
  program_ = &program;
  read_back_ = invocation.read_back;
  // Whatever the process before made of them.
  for (const std::string& directory : {options_.temp_dir, options_.control_dir}) {
    if (absl::Status status = RestoreDirectory(directory); !status.ok()) return std::string(status.message());
  }
  StartSpec options;
  options.program = program.path;
  options.arguments = {program.path};
  for (const auto* more : {&program.spec.arguments, &invocation.arguments}) {
    options.arguments.insert(options.arguments.end(), more->begin(), more->end());
  }
  options.environment = environment.ToStrings();
  options.working_directory = program.working_directory;
  options.split_errors = reader_ == nullptr;
  options.report = invocation.report;
  options.mark = SlotMark(options_.slot.value());
  absl::StatusOr<std::unique_ptr<Process>> process = options_.launcher->Launch(options);
  if (!process.ok()) return std::string(process.status().message());
  process_ = *std::move(process);
  ended_ = false;
  options_.processes->push_back(process_->pid());
  WatchOutput(true);
  if (process_->error_fd() >= 0) options_.poller->Watch(process_->error_fd(), [this] { OnErrors(); });
  if (process_->report_fd() >= 0) options_.poller->Watch(process_->report_fd(), [this] { OnReport(); });
  if (process_->end_fd() >= 0) options_.poller->Watch(process_->end_fd(), [this] { OnEnd(); });
  return "";
}

void SlotRunner::Start(const Program& program, const StartBatch& batch) {
  const std::vector<LeasedCase>& cases = batch.cases;
  ProcessEnded ended;
  ended.slot = options_.slot;
  const auto unknown = std::find_if(cases.begin(), cases.end(),
                                    [&](const LeasedCase& leased) { return leased.index >= program.cases.size(); });
  if (unknown != cases.end()) {
    ended.spawn_error = absl::StrCat("protocol error: case ", unknown->index, " of ", program.spec.name,
                                     " was leased, but only ", program.cases.size(), " are known here");
    options_.emit(std::move(ended));
    return;
  }
  const RunSettings& settings = options_.welcome->settings;
  const TestFramework* framework = FindFramework(program.spec.framework);
  // One that ran its tests in place of listing them is known by its name only.
  const bool whole = program.cases.size() == 1 && program.cases[0] == CaseInfo{.name = program.spec.name};
  if (framework != nullptr && framework->NeedsListing() && whole) framework = FindFramework(kPlainFramework);
  if (framework == nullptr) {
    ended.spawn_error = UnknownFramework(program);
    options_.emit(std::move(ended));
    return;
  }
  BatchRequest request = {.listing = program.cases,
                          .cases = cases,
                          .temp_dir = options_.control_dir,
                          .report = batch.report,
                          .run_disabled = settings.run_disabled,
                          .keep_all_output = settings.keep_all_output,
                          .output_cap = settings.output_cap};
  if (const size_t fits = framework->CasesAProcess(request); fits < cases.size()) {
    request.cases = request.cases.first(fits);
    options_.emit(BatchCut{options_.slot, fits});
  }
  one_case_ = request.cases.size() == 1;
  begun_.clear();
  reader_ = framework->NewReader(request);
  if (!reader_->Start(this)) {
    reader_.reset();
    options_.emit(std::move(ended));
    return;
  }
  const Invocation invocation = framework->RunInvocation(request);
  Environment environment = BaseEnvironment(program, invocation);
  // A batch has one environment: where attempts differ, the highest tells most.
  uint32_t attempt = 1;
  for (const LeasedCase& leased : request.cases) attempt = std::max(attempt, leased.attempt);
  environment.Set("DTEST_ATTEMPT", absl::StrCat(attempt));
  environment.Set("DTEST_ITERATION", absl::StrCat(batch.iteration));
  ended.spawn_error = Spawn(program, invocation, environment);
  if (ended.spawn_error.empty()) return;
  CleanUp();
  options_.emit(std::move(ended));
}

void SlotRunner::StartListing(const Program& program) {
  ListingEnded ended;
  ended.slot = options_.slot;
  const TestFramework* const framework = FindFramework(program.spec.framework);
  if (framework == nullptr) {
    ended.spawn_error = UnknownFramework(program);
    options_.emit(std::move(ended));
    return;
  }
  if (!framework->NeedsListing()) {
    ended.cases = {program.spec.name};
    options_.emit(std::move(ended));
    return;
  }
  one_case_ = false;
  listing_started_ = MonotonicNow();
  listing_.clear();
  listing_too_long_ = false;
  listing_errors_.emplace(options_.welcome->settings.output_cap);
  const Invocation invocation = framework->ListInvocation(options_.control_dir);
  ended.spawn_error = Spawn(program, invocation, BaseEnvironment(program, invocation));
  if (ended.spawn_error.empty()) return;
  CleanUp();
  options_.emit(std::move(ended));
}

void SlotRunner::Signal(int signal) {
  if (process_ == nullptr) return;
  process_->Signal(signal);
  // What left the group would otherwise live until the leader's end.
  if (signal == SIGKILL && ended_) KillLeftovers();
}

void SlotRunner::Began(uint32_t index) {
  begun_.push_back(index);
  options_.emit(CaseBegan{options_.slot, index});
}

void SlotRunner::Finished(CaseResult result, Standing standing) {
  options_.emit(
      CaseFinished{options_.slot, std::move(result), standing == Standing::kDoubtful, standing == Standing::kReport});
}

template <typename Take>
std::optional<size_t> SlotRunner::Read(int fd, Take take) {
  static thread_local char buffer[kBufferBytes];
  size_t sum = 0;
  for (int i = 0; i < kBuffersATurn; ++i) {
    const ssize_t got = read(fd, buffer, sizeof buffer);
    if (got == 0) return std::nullopt;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno != EAGAIN) return std::nullopt;
    if (got < 0) break;
    take(absl::string_view(buffer, got));
    sum += got;
    // A pipe that yielded less than was asked for is empty: no need to hear so, except of its end.
    if (!ended_ && static_cast<size_t>(got) < sizeof buffer) break;
  }
  return sum;
}

void SlotRunner::OnOutput() {
  const std::optional<size_t> got = Read(process_->output_fd(), [this](absl::string_view bytes) {
    if (reader_ != nullptr) {
      reader_->Feed(bytes, this);
    } else {
      Listing(bytes);
    }
  });
  const bool later = got.has_value() && one_case_ && !begun_.empty() && !ended_ && *got > 0 && *got < kMuchOutput;
  WatchOutput(got.has_value() && !later);
  read_at_ = later ? MonotonicNow() + kReadLater : absl::InfiniteFuture();
  if (got.has_value()) return;
  process_->CloseOutput();
  if (ended_) FinishIfOver();
}

void SlotRunner::WatchOutput(bool watch) {
  if (watch == output_watched_) return;
  output_watched_ = watch;
  if (watch) {
    options_.poller->Watch(process_->output_fd(), [this] { OnOutput(); });
  } else {
    options_.poller->Unwatch(process_->output_fd());
  }
}

void SlotRunner::Listing(absl::string_view bytes) {
  if (listing_.size() + bytes.size() > kLongestListing) {
    listing_too_long_ = true;
    process_->Signal(SIGKILL);
    return;
  }
  listing_.append(bytes.data(), bytes.size());
}

void SlotRunner::OnErrors() {
  if (Read(process_->error_fd(), [this](absl::string_view bytes) { listing_errors_->Append(bytes); }).has_value()) {
    return;
  }
  options_.poller->Unwatch(process_->error_fd());
  process_->CloseErrors();
  if (ended_) FinishIfOver();
}

void SlotRunner::ReadOutput() {
  if (process_ != nullptr && process_->output_fd() >= 0) OnOutput();
}

bool SlotRunner::IsMine(pid_t process) const {
  return process_ != nullptr && !IsOlder(process, process_->pid()) &&
         OwnerOf(process, options_.slot.value(), process_->pid()) == Owner::kThisSlot;
}

void SlotRunner::OnReport() {
  const auto take = [this](absl::string_view bytes) {
    if (reader_ != nullptr) reader_->FeedReport(bytes, this);
  };
  if (Read(process_->report_fd(), take).has_value()) return;
  options_.poller->Unwatch(process_->report_fd());
  process_->CloseReport();
  if (ended_) FinishIfOver();
}

void SlotRunner::CheckEnded() {
  if (process_ != nullptr && !ended_ && process_->HasEnded()) OnEnd();
}

void SlotRunner::OnEnd() {
  // A pidfd polls readable for ever once its process has ended.
  if (process_->end_fd() >= 0) options_.poller->Unwatch(process_->end_fd());
  ended_ = true;
  leak_at_ = MonotonicNow() + options_.welcome->settings.leak_timeout;
  recheck_after_ = kFirstRecheck;
  // Most often all that is left is the end of the pipe: no need for another turn.
  if (process_->error_fd() >= 0) OnErrors();
  if (process_ != nullptr && process_->report_fd() >= 0) OnReport();
  if (process_ != nullptr && process_->output_fd() >= 0) {
    OnOutput();
    if (process_ == nullptr) return;
  }
  if (process_ != nullptr) FinishIfOver();
  if (process_ != nullptr) options_.emit(ProcessExited{options_.slot});
}

void SlotRunner::CatchUp() {
  if (process_ == nullptr || ended_) return;
  // First: what was said before the end is in the pipe before the end is seen.
  if (process_->output_fd() >= 0) OnOutput();
  if (process_->error_fd() >= 0) OnErrors();
  if (process_->report_fd() >= 0) OnReport();
  CheckEnded();
}

std::vector<pid_t> SlotRunner::Leftovers() const {
  std::vector<pid_t> mine;
  for (pid_t orphan : Orphans(*options_.processes)) {
    const Owner owner = OwnerOf(orphan, options_.slot.value(), process_->pid());
    if (owner == Owner::kAnotherSlot) continue;
    if (owner == Owner::kUnknown && options_.processes->size() > 1) {
      EndUnowned(orphan);
      continue;
    }
    if (IsOlder(orphan, process_->pid())) {
      // An earlier process left it, or something that could not be killed then: not the fault of this one, which does
      // not wait for its end either.
      kill(orphan, SIGKILL);
    } else {
      mine.push_back(orphan);
    }
  }
  return mine;
}

// It may be that of any process that runs, as long as there is one as old as it. Then it is left to the last of those.
void SlotRunner::EndUnowned(pid_t orphan) const {
  const auto may_own = [orphan](pid_t process) { return !IsOlder(orphan, process); };
  if (std::any_of(options_.processes->begin(), options_.processes->end(), may_own)) return;
  if (kill(orphan, SIGKILL) != 0) return;
  options_.note(absl::StrCat("killed process ", orphan, ", which some test left behind: which one cannot be told"));
}

void SlotRunner::KillLeftovers() {
  process_->Signal(SIGKILL);
  // Each round may orphan the children of those killed; the dying are gone in a moment.
  const absl::Time give_up = MonotonicNow() + absl::Seconds(1);
  for (std::vector<pid_t> left = Leftovers(); !left.empty() && MonotonicNow() < give_up; left = Leftovers()) {
    for (pid_t pid : left) kill(pid, SIGKILL);
    usleep(200);
  }
}

void SlotRunner::FinishIfOver() {
  const bool drained = process_->output_fd() < 0 && process_->error_fd() < 0 && process_->report_fd() < 0;
  if (drained && Leftovers().empty()) {
    Finish(false);
    return;
  }
  const absl::Time now = MonotonicNow();
  if (now < leak_at_) {
    recheck_at_ = std::min(now + recheck_after_, leak_at_);
    recheck_after_ = std::min(recheck_after_ * 2, kLongestRecheck);
    return;
  }
  KillLeftovers();
  // Their last words are in the pipe, which is finite now.
  ended_ = false;  // so that the end of a pipe does not bring us here again
  if (process_->report_fd() >= 0) OnReport();
  if (process_->output_fd() >= 0) OnOutput();
  Finish(true);
}

void SlotRunner::Tick(absl::Time now) {
  if (now >= read_at_) OnOutput();
  if (now < recheck_at_) return;
  recheck_at_ = absl::InfiniteFuture();
  if (process_ != nullptr && ended_) FinishIfOver();
}

void SlotRunner::Finish(bool leaky) {
  recheck_at_ = absl::InfiniteFuture();
  read_at_ = absl::InfiniteFuture();
  WatchOutput(false);
  for (int fd : {process_->error_fd(), process_->report_fd()}) {
    if (fd >= 0) options_.poller->Unwatch(fd);
  }
  options_.processes->erase(std::find(options_.processes->begin(), options_.processes->end(), process_->pid()));
  if (reader_ != nullptr) {
    EndBatch(leaky);
  } else {
    EndListing();
  }
}

void SlotRunner::EndBatch(bool leaky) {
  const Process::End status = process_->Reap();
  ProcessEnd end;
  end.exit_code = status.exit_code;
  end.signal = status.signal;
  std::vector<std::string> files;
  for (const std::string& path : read_back_) files.push_back(ReadFileIfThere(path));
  reader_->Ended(files, &end, this);
  ProcessEnded ended;
  ended.slot = options_.slot;
  ended.exit_code = end.exit_code;
  ended.signal = end.signal;
  ended.leaky = leaky;
  ended.output = std::move(end.output);
  ended.output_cut = end.output_cut;
  ended.warning = std::move(end.warning);
  ended.listing_wrong = std::move(end.listing_wrong);
  if (status.signal != 0 || status.exit_code != 0 || end.premature) ended.cases = NamesOfBegun();
  ended.premature = end.premature;
  ended.in_suite = end.in_suite;
  ended.after_failure = end.after_failure;
  for (ProcessEnd::Property& property : end.properties) {
    ended.properties.push_back({property.index, std::move(property.key), std::move(property.value)});
  }
  for (ProcessEnd::Correction& correction : end.corrections) {
    ended.corrections.push_back({correction.index, std::move(correction.message)});
  }
  CleanUp();
  options_.emit(std::move(ended));
}

std::string SlotRunner::NamesOfBegun() const {
  std::string names;
  for (size_t i = 0; i < begun_.size() && i < kNamesInAMessage; ++i) {
    absl::StrAppend(&names, i == 0 ? "" : ", ", program_->cases.name(begun_[i]));
  }
  if (begun_.size() > kNamesInAMessage) absl::StrAppend(&names, " and ", begun_.size() - kNamesInAMessage, " more");
  return names;
}

void SlotRunner::EndListing() {
  const Process::End status = process_->Reap();
  ListingEnded ended;
  ended.slot = options_.slot;
  ended.duration = MonotonicNow() - listing_started_;
  const absl::string_view name = program_->spec.name;
  std::vector<std::string> files;
  for (const std::string& path : read_back_) files.push_back(ReadFileIfThere(path));
  absl::StatusOr<CaseInfos> cases = FindFramework(program_->spec.framework)->ParseListing(listing_, files);
  if (listing_too_long_) {
    ended.error = absl::StrCat("listing the tests of ", name, " printed more than ", kLongestListing >> 20, " MiB");
  } else if (absl::IsFailedPrecondition(cases.status()) && status.signal == 0) {
    ended.cases = {program_->spec.name};
  } else if (status.signal != 0 || status.exit_code != 0) {
    ended.error = absl::StrCat("listing the tests of ", name, ": ", DescribeEnd(status.exit_code, status.signal));
  } else if (!cases.ok()) {
    ended.error = absl::StrCat("listing the tests of ", name, ": ", cases.status().message());
  } else {
    ended.cases = *std::move(cases);
  }
  if (!ended.error.empty()) {
    Capture output(options_.welcome->settings.output_cap);
    output.Append(listing_);
    output.Append(listing_errors_->Take());
    ended.output = output.Take();
  }
  listing_.clear();
  listing_.shrink_to_fit();
  CleanUp();
  options_.emit(std::move(ended));
}

void SlotRunner::CleanUp() {
  process_.reset();
  reader_.reset();
  // If need be made again before the next. A test may leave what this user cannot remove; that is tried again at the
  // agent's end.
  options_.trash->Empty(options_.temp_dir);
  options_.trash->Empty(options_.control_dir);
}

}  // namespace dtest
