#include "agent/loop/slot_runner.h"

#include <signal.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/core/blame.h"
#include "agent/frameworks/shown_name.h"
#include "agent/loop/slot_environment.h"

namespace dtest {
namespace {

constexpr size_t kBufferBytes = 64 << 10;
// A process that prints without end must not keep the loop from the others.
constexpr int kBuffersATurn = 8;
constexpr size_t kLongestListing = 1 << 30;  // printed or in a file: of a million cases
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

SlotRunner::~SlotRunner() {
  if (process_ == nullptr) return;
  WatchOutput(false);
  for (int fd : {process_->fd(Pipe::kErrors), process_->fd(Pipe::kReport), process_->end_fd()}) {
    if (fd >= 0) options_.poller->Unwatch(fd);
  }
}

Environment SlotRunner::EnvironmentOf(const Program& program, const Invocation& invocation,
                                      const StartBatch* batch) const {
  Environment environment = options_.environment;
  const Welcome& welcome = *options_.welcome;
  for (const std::string& name : invocation.unset) environment.Unset(name);
  SetRunVariables(welcome, &environment);
  SetSlotVariables(welcome, options_.slot, &environment);
  environment.Set("DTEST_SLOTS", "1");  // a lease that takes more says so
  if (batch != nullptr) {
    // A batch has one environment: where attempts differ, the highest tells most.
    uint32_t attempt = 1;
    for (const LeasedCase& leased : batch->cases) attempt = std::max(attempt, leased.attempt);
    environment.Set("DTEST_ATTEMPT", absl::StrCat(attempt));
    environment.Set("DTEST_ITERATION", absl::StrCat(batch->iteration));
  }
  SetDirectories(program.working_directory, options_.directories->temporary(), &environment);
  SetAll(welcome.settings.env, &environment);
  SetAll(program.spec.env, &environment);
  for (const EnvChange& change : program.spec.env_changes) Make(change, &environment);
  if (options_.setups != nullptr) options_.setups->Export(options_.slot, program.spec, &environment);
  if (batch != nullptr) SetAll(batch->env, &environment);
  SetAll(invocation.env, &environment);
  environment.Prepend("LD_LIBRARY_PATH", program.library_path);
  return environment;
}

std::string SlotRunner::Spawn(const Program& program, const Invocation& invocation, const Environment& environment,
                              Sandbox sandbox) {
  program_ = &program;
  read_back_ = invocation.read_back;
  if (absl::Status status = options_.directories->Restore(); !status.ok()) return std::string(status.message());
  StartSpec spec;
  spec.program = program.path;
  if (!absl::StrContains(program.path, "/")) {
    const std::string brought = options_.setups != nullptr ? options_.setups->Brought() : "";
    spec.program = FindProgram(program.path, brought.empty() ? environment.Get("PATH") : brought);
    if (spec.program.empty()) {
      return absl::StrCat(program.spec.name, " needs ", program.path, ", which is not in ",
                          brought.empty() ? "PATH of this host" : brought);
    }
  }
  spec.arguments = {spec.program};
  if (invocation.companion != nullptr) {
    absl::StatusOr<std::string> companion = Unpack(*invocation.companion);
    if (!companion.ok()) return std::string(companion.status().message());
    spec.arguments.push_back(*std::move(companion));
    if (!options_.store.empty()) {
      spec.arguments.push_back(
          absl::StrCat(invocation.companion->kept_option, "=", options_.store, "/kept/", invocation.companion->name));
    }
  }
  for (const auto& [path, contents] : invocation.files) {
    absl::Status written = options_.directories->WriteFile(path, contents);
    if (!written.ok()) return std::string(written.message());
  }
  spec.arguments.insert(spec.arguments.end(), program.spec.arguments.begin(), program.spec.arguments.end());
  if (!invocation.fork_server.empty()) {
    spec.fork_server = spec.arguments;
    spec.fork_server.insert(spec.fork_server.end(), invocation.fork_server.begin(), invocation.fork_server.end());
    spec.fork_request = invocation.arguments;
    // It watches for who reads these, and must know all of them.
    if (options_.setups != nullptr) spec.fork_key = options_.setups->Names(options_.slot);
  }
  spec.arguments.insert(spec.arguments.end(), invocation.arguments.begin(), invocation.arguments.end());
  spec.environment = environment.ToStrings();
  spec.working_directory = program.working_directory;
  spec.split_errors = reader_ == nullptr;
  spec.report = invocation.report;
  spec.sandbox = sandbox;
  absl::StatusOr<std::unique_ptr<TestProcess>> process = options_.launcher->Launch(options_.slot, std::move(spec));
  if (!process.ok()) return std::string(process.status().message());
  process_ = *std::move(process);
  ended_ = false;
  WatchOutput(true);
  for (const Pipe pipe : {Pipe::kErrors, Pipe::kReport}) {
    if (process_->fd(pipe) >= 0) options_.poller->Watch(process_->fd(pipe), [this, pipe] { Drain(pipe); });
  }
  if (process_->end_fd() >= 0) options_.poller->Watch(process_->end_fd(), [this] { CheckEnded(); });
  return "";
}

absl::StatusOr<std::string> SlotRunner::Unpack(const Companion& companion) {
  const auto files = [&companion] {
    SlotDirectories::Files all;
    for (const Companion::File& file : companion.files) all.emplace_back(file.path, file.contents);
    return all;
  };
  absl::StatusOr<std::string> directory = options_.directories->SharedDirectory(std::string(companion.name), files);
  if (directory.ok()) absl::StrAppend(&*directory, "/", companion.start);
  return directory;
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
  const TestFramework* const framework = FrameworkOf(program);
  if (framework == nullptr) {
    ended.spawn_error = UnknownFramework(program);
    options_.emit(std::move(ended));
    return;
  }
  BatchRequest request = RequestOf(program, batch);
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
  ended.spawn_error = Spawn(program, invocation, EnvironmentOf(program, invocation, &batch), batch.sandbox);
  if (ended.spawn_error.empty()) return;
  CleanUp();
  options_.emit(std::move(ended));
}

const TestFramework* SlotRunner::FrameworkOf(const Program& program) {
  const TestFramework* const framework = FindFramework(program.spec.framework);
  // One that ran its tests in place of listing them is known by its name only.
  const bool whole = program.cases.size() == 1 && program.cases[0] == CaseInfo{.name = program.spec.name};
  return framework != nullptr && framework->NeedsListing() && whole ? FindFramework(kPlainFramework) : framework;
}

BatchRequest SlotRunner::RequestOf(const Program& program, const StartBatch& batch) const {
  const RunSettings& settings = options_.welcome->settings;
  return {.listing = program.cases,
          .cases = batch.cases,
          .temp_dir = options_.directories->control(),
          .report = batch.report,
          .run_disabled = settings.run_disabled,
          .keep_all_output = settings.keep_all_output,
          .output_cap = settings.output_cap,
          .unlisted_too = batch.unlisted_too,
          .may_go_on = batch.may_go_on,
          .judging = &program.spec.judging};
}

void SlotRunner::Follow(const Program& program, const StartBatch* batch) {
  if (process_ == nullptr || reader_ == nullptr) return;
  const TestFramework& framework = *FrameworkOf(program);
  const bool known = batch != nullptr && std::all_of(batch->cases.begin(), batch->cases.end(), [&](const auto& leased) {
                       return leased.index < program.cases.size();
                     });
  if (!known) {  // Start says what is wrong with it
    process_->Answer(framework.AnswerTo(nullptr));
    return;
  }
  const BatchRequest request = RequestOf(program, *batch);
  const Invocation invocation = framework.RunInvocation(request);
  for (const auto& [path, contents] : invocation.files) {
    if (options_.directories->WriteFile(path, contents).ok()) continue;
    process_->Answer(framework.AnswerTo(nullptr));  // so does it of this
    return;
  }
  reader_->Follow(request);
  next_is_one_case_ = request.cases.size() == 1;
  // Where it takes no answer any more it ends: that is told as it is seen.
  process_->Answer(framework.AnswerTo(&invocation));
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
  listing_started_ = options_.clock();
  listing_.clear();
  listing_too_long_ = false;
  listing_errors_.emplace(options_.welcome->settings.output_cap);
  const Invocation invocation = framework->ListInvocation(options_.directories->temporary());
  ended.spawn_error =
      Spawn(program, invocation, EnvironmentOf(program, invocation, nullptr), options_.welcome->settings.sandbox);
  if (ended.spawn_error.empty()) return;
  CleanUp();
  options_.emit(std::move(ended));
}

void SlotRunner::Signal(int signal) {
  if (process_ == nullptr) return;
  // What left the group would otherwise live until the leader's end.
  if (signal == SIGKILL && ended_) {
    process_->KillAll();
  } else {
    process_->Signal(signal);
  }
}

void SlotRunner::Began(uint32_t index) {
  begun_.push_back(index);
  options_.emit(CaseBegan{options_.slot, index});
}

void SlotRunner::Paused(uint32_t index) { options_.emit(CasePaused{options_.slot, index}); }

void SlotRunner::TearingDown(uint32_t index) { options_.emit(SuiteTearDown{options_.slot, index}); }

void SlotRunner::Finished(CaseResult result, Standing standing) {
  options_.emit(CaseFinished{options_.slot, std::move(result), standing == Standing::kDoubtful,
                             standing == Standing::kReport, standing == Standing::kNeverRuns});
}

void SlotRunner::WantsMore() { options_.emit(BatchEnds{options_.slot}); }

void SlotRunner::GoesOn(ProcessEnd end) {
  ProcessEnded ended;
  static_cast<ProcessEnd&>(ended) = std::move(end);
  ended.slot = options_.slot;
  ended.goes_on = true;
  one_case_ = next_is_one_case_;
  options_.emit(std::move(ended));
}

void SlotRunner::RunBy(absl::string_view runner) {
  if (options_.gathered) options_.gathered(Gathered{program_->spec.id, GatheredKind::kRunner, std::string(runner)});
}

void SlotRunner::Covered(absl::string_view data) {
  if (options_.gathered) options_.gathered(Gathered{program_->spec.id, GatheredKind::kCoverage, std::string(data)});
}

void SlotRunner::Reported(absl::string_view data) {
  if (options_.gathered) options_.gathered(Gathered{program_->spec.id, GatheredKind::kReports, std::string(data)});
}

std::optional<size_t> SlotRunner::ReadPipe(Pipe pipe) {
  static thread_local char buffer[kBufferBytes];
  size_t sum = 0;
  for (int i = 0; i < kBuffersATurn; ++i) {
    const std::optional<size_t> got = process_->Read(pipe, absl::MakeSpan(buffer));
    if (!got.has_value()) return std::nullopt;
    if (*got == 0) break;
    FeedReader(pipe, absl::string_view(buffer, *got));
    sum += *got;
    // A pipe that yielded less than was asked for is empty: no need to hear so, except of its end.
    if (!ended_ && *got < sizeof buffer) break;
  }
  return sum;
}

void SlotRunner::FeedReader(Pipe pipe, absl::string_view bytes) {
  switch (pipe) {
    case Pipe::kOutput:
      return reader_ != nullptr ? reader_->Feed(bytes, this) : AppendListing(bytes);
    case Pipe::kErrors:
      return listing_errors_->Append(bytes);
    case Pipe::kReport:
      if (reader_ == nullptr) return;
      if (reader_->BeginsInOutput() && process_->fd(Pipe::kOutput) >= 0) {
        const std::string held(bytes);  // the buffer is used again
        ReadPipe(Pipe::kOutput);
        reader_->FeedReport(held, this);
      } else {
        reader_->FeedReport(bytes, this);
      }
      if (reader_->lost()) process_->EndAnswers();
      return;
  }
}

void SlotRunner::Drain(Pipe pipe) {
  // What was printed before a report is of the case that runs until then.
  if (pipe == Pipe::kReport) Drain(Pipe::kOutput);
  if (process_ == nullptr || process_->fd(pipe) < 0) return;
  const std::optional<size_t> got = ReadPipe(pipe);
  if (pipe == Pipe::kOutput) {
    const bool later = got.has_value() && one_case_ && !begun_.empty() && !ended_ && *got > 0 && *got < kMuchOutput;
    WatchOutput(got.has_value() && !later);
    read_at_ = later ? options_.clock() + kReadLater : absl::InfiniteFuture();
  } else if (!got.has_value()) {
    options_.poller->Unwatch(process_->fd(pipe));
  }
  if (got.has_value()) return;
  process_->Close(pipe);
  if (ended_) FinishIfOver();
}

void SlotRunner::WatchOutput(bool watch) {
  if (watch == output_watched_) return;
  output_watched_ = watch;
  if (watch) {
    options_.poller->Watch(process_->fd(Pipe::kOutput), [this] { Drain(Pipe::kOutput); });
  } else {
    options_.poller->Unwatch(process_->fd(Pipe::kOutput));
  }
}

void SlotRunner::AppendListing(absl::string_view bytes) {
  if (listing_.size() + bytes.size() > kLongestListing) {
    listing_too_long_ = true;
    process_->Signal(SIGKILL);
    return;
  }
  listing_.append(bytes.data(), bytes.size());
}

void SlotRunner::CheckEnded() {
  if (process_ != nullptr && !ended_ && process_->HasEnded()) ProcessHasEnded();
}

void SlotRunner::ProcessHasEnded() {
  // A pidfd polls readable for ever once its process has ended.
  if (process_->end_fd() >= 0) options_.poller->Unwatch(process_->end_fd());
  ended_ = true;
  leak_at_ = options_.clock() + options_.welcome->settings.leak_timeout;
  recheck_after_ = kFirstRecheck;
  // Most often all that is left is the end of the pipe: no need for another turn.
  for (const Pipe pipe : kPipes) Drain(pipe);
  if (process_ != nullptr) FinishIfOver();
  if (process_ != nullptr) options_.emit(ProcessExited{options_.slot});
}

void SlotRunner::CatchUp() {
  if (process_ == nullptr || ended_) return;
  // First: what was said before the end is in the pipe before the end is seen.
  for (const Pipe pipe : kPipes) Drain(pipe);
  CheckEnded();
}

void SlotRunner::FinishIfOver() {
  const bool drained = std::all_of(kPipes.begin(), kPipes.end(), [this](Pipe pipe) { return process_->fd(pipe) < 0; });
  if (drained && !process_->HasLeftovers()) {
    Finish(false);
    return;
  }
  const absl::Time now = options_.clock();
  if (now < leak_at_) {
    recheck_at_ = std::min(now + recheck_after_, leak_at_);
    recheck_after_ = std::min(recheck_after_ * 2, kLongestRecheck);
    return;
  }
  process_->KillAll();
  // Their last words are in the pipe, which is finite now.
  ended_ = false;  // so that the end of a pipe does not bring us here again
  for (const Pipe pipe : kPipes) Drain(pipe);
  Finish(true);
}

void SlotRunner::Tick(absl::Time now) {
  if (now >= read_at_) Drain(Pipe::kOutput);
  if (now < recheck_at_) return;
  recheck_at_ = absl::InfiniteFuture();
  if (process_ != nullptr && ended_) FinishIfOver();
}

void SlotRunner::Finish(bool leaky) {
  recheck_at_ = absl::InfiniteFuture();
  read_at_ = absl::InfiniteFuture();
  WatchOutput(false);
  for (const Pipe pipe : {Pipe::kErrors, Pipe::kReport}) {
    if (process_->fd(pipe) >= 0) options_.poller->Unwatch(process_->fd(pipe));
  }
  if (reader_ != nullptr) {
    EndBatch(leaky);
  } else {
    EndListing();
  }
}

void SlotRunner::EndBatch(bool leaky) {
  const Process::End status = process_->Reap();
  ProcessEnded ended;
  ended.slot = options_.slot;
  ended.exit_code = status.exit_code;
  ended.signal = status.signal;
  ended.leaky = leaky;
  reader_->Ended(ReadBack(), &ended, this);
  if (status.signal != 0 || status.exit_code != 0 || ended.premature) ended.cases = NamesOfBegun();
  CleanUp();
  options_.emit(std::move(ended));
}

std::vector<std::string> SlotRunner::ReadBack() const {
  std::vector<std::string> files;
  for (const std::string& path : read_back_) files.push_back(options_.directories->ReadFile(path));
  return files;
}

std::string SlotRunner::NamesOfBegun() const {
  std::string names;
  // The last of them: those before may be of earlier batches, which have been told of.
  const size_t first = begun_.size() - std::min(begun_.size(), kNamesInAMessage);
  for (size_t i = first; i < begun_.size(); ++i) {
    absl::StrAppend(&names, i == first ? "" : ", ", ShownName(program_->cases.name(begun_[i])));
  }
  if (first > 0) absl::StrAppend(&names, " and ", first, " before them");
  return names;
}

void SlotRunner::EndListing() {
  const Process::End status = process_->Reap();
  ListingEnded ended;
  ended.slot = options_.slot;
  ended.duration = options_.clock() - listing_started_;
  const std::string name = ShownName(program_->spec.name);
  const TestFramework* const framework = FindFramework(program_->spec.framework);
  const std::vector<std::string> files = ReadBack();
  absl::StatusOr<CaseInfos> cases = framework->ParseListing(listing_, files);
  const bool ended_well =
      status.signal == 0 && (status.exit_code == 0 || (cases.ok() && framework->ListsWithStatus(status.exit_code)));
  if (listing_too_long_) {
    ended.error = absl::StrCat("listing the tests of ", name, " printed more than ", kLongestListing >> 20, " MiB");
  } else if (absl::IsFailedPrecondition(cases.status()) && status.signal == 0) {
    ended.cases = {program_->spec.name};
    if (options_.note) options_.note(absl::StrCat(name, ": ", cases.status().message(), "; it is run as one case"));
  } else if (!ended_well) {
    ended.error = absl::StrCat("listing the tests of ", name, ": ", DescribeEnd(status.exit_code, status.signal));
    if (absl::IsAborted(cases.status())) absl::StrAppend(&ended.error, ": ", cases.status().message());
  } else if (!cases.ok()) {
    ended.error = absl::StrCat("listing the tests of ", name, ": ", cases.status().message());
  } else {
    ended.cases = *std::move(cases);
    for (const std::string& note : framework->ListingNotes(listing_, files)) {
      if (options_.note) options_.note(absl::StrCat(name, ": ", note));
    }
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
  options_.directories->Empty();
}

}  // namespace dtest
