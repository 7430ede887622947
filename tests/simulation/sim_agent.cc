#include "simulation/sim_agent.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"

namespace dtest::simulation {

namespace {

constexpr absl::Duration kSignalTakes = absl::Milliseconds(2);
constexpr absl::Duration kLeavingTakes = absl::Seconds(2);  // killing everything; less than kLossGrace
// A loop that turns so often without any time passing would burn a processor.
constexpr int kMostTurnsAtOnce = 10000;

}  // namespace

SimAgent::SimAgent(const Scenario* scenario, uint32_t host, Epoch epoch, std::string token, SimClock* clock,
                   AgentWorld* world)
    : scenario_(*scenario),
      host_(scenario->hosts[host]),
      number_(host),
      epoch_(epoch),
      clock_(*clock),
      world_(*world),
      runs_(host_.slots),
      idle_(host_.slots),
      launcher_(&poller_, this) {
  AgentLoop::Options options;
  options.hello.token = std::move(token);
  options.hello.version = "simulated";
  options.hello.cores = host_.slots;
  options.epoch = epoch;
  options.check_invariants = scenario->check_agents;
  loop_.emplace(std::move(options),
                AgentLoop::Surroundings{[clock] { return clock->now(); }, &poller_, this, this, &directories_,
                                        [this] { return scenario_.LoadOf(number_, clock_.now()); }});
}

void SimAgent::Start() {
  loop_->Start(this);
  Turn();
}

void SimAgent::Receive(Session::Frame frame) {
  if (!loop_.has_value() || loop_->ended()) return;
  arrived_.push_back(std::move(frame));
  Turn();
}

void SimAgent::StreamEnds() {
  stream_ended_ = true;
  Turn();
}

void SimAgent::Stall(absl::Duration length) {
  if (clock_.now() < stalled_until_) return;
  stalled_until_ = clock_.now() + length;
  Later(length, [] {});
}

void SimAgent::IsLeased(const Lease& lease) {
  for (const LeasedCase& c : lease.cases) attempts_[{lease.unit.value(), c.index, lease.iteration}] = c.attempt;
}

// ---- The loop's time

void SimAgent::Turn() {
  if (!loop_.has_value() || loop_->ended() || clock_.now() < stalled_until_) return;
  if (stream_ended_) loop_->StreamEnded();
  for (PreparedUnit& unit : std::exchange(prepared_, {})) loop_->UnitIsPrepared(std::move(unit));
  int turns = 0;
  while (!loop_->ended()) {
    poller_.Call();
    if (!loop_->ended()) loop_->Turn();
    if (++turns > kMostTurnsAtOnce) return world_.Breaks("an agent's loop turns without end at one moment");
    if (!loop_->ended() && !poller_.AnyReady() && loop_->NextTurn() > clock_.now()) return WakeAt(loop_->NextTurn());
  }
  Later(kLeavingTakes, [this] {
    Die();
    world_.AgentLeft(number_, epoch_);
  });
}

void SimAgent::WakeAt(absl::Time time) {
  if (time >= wakes_ || time == absl::InfiniteFuture()) return;
  wakes_ = time;
  clock_.At(time, [self = shared_from_this(), time] {
    if (self->wakes_ != time) return;
    self->wakes_ = absl::InfiniteFuture();
    self->Turn();
  });
}

void SimAgent::Later(absl::Duration delay, std::function<void()> what) {
  clock_.After(delay, [self = shared_from_this(), what = std::move(what)] {
    if (!self->loop_.has_value()) return;
    what();
    self->Turn();
  });
}

void SimAgent::Later(absl::Duration delay, const Run& run, std::function<void(Run&)> what) {
  const size_t slot = &run - runs_.data();
  Later(delay, [this, slot, id = run.id, what = std::move(what)] {
    if (runs_[slot].process != nullptr && runs_[slot].id == id) what(runs_[slot]);
  });
}

// ---- The network

absl::Status SimAgent::Send(Session::Frame frame) {
  world_.FromAgentHost(number_, epoch_, std::move(frame));
  return absl::OkStatus();
}

std::optional<std::string> SimAgent::Receive() {
  if (arrived_.empty()) return std::nullopt;
  std::string frame = *arrived_.front();
  arrived_.pop_front();
  return frame;
}

// ---- Files

void SimAgent::Prepare(const RunSettings&, const UnitSpec* spec) {
  const uint32_t e = spec->id.value();
  const uint64_t bytes = scenario_.units[e].bytes;
  PreparedUnit unit;
  unit.ready.unit = spec->id;
  if (bytes > 0 && host_.fills_up && ++shipped_ > 1) {
    unit.ready.error = "no space left on device";
    unit.ready.drain = true;
  } else if (e < host_.unfit.size() && host_.unfit[e]) {
    unit.ready.error = "needs GLIBC_9.9";
  } else {
    unit.path = ProgramOf(e);
    unit.working_directory = "/";
  }
  Later(absl::Milliseconds(1) + absl::Seconds(bytes / scenario_.network.bytes_per_second),
        [this, unit] { prepared_.push_back(unit); });
}

// ---- Processes

absl::StatusOr<std::unique_ptr<TestProcess>> SimAgent::Launch(SlotId slot, StartSpec spec) {
  const uint32_t unit = ReadInvocation(scenario_, spec, directories_.files).unit;
  if (unit < host_.cannot_spawn.size() && host_.cannot_spawn[unit]) {
    return absl::FailedPreconditionError("cannot start: exec format error");
  }
  return launcher_.Launch(slot, std::move(spec));
}

void SimAgent::Started(FakeProcess* process) {
  const uint32_t slot = process->slot().value();
  Run& run = runs_[slot];
  run = Run();
  run.process = process;
  run.id = next_run_++;
  run.invoked = ReadInvocation(scenario_, process->spec(), directories_.files);
  world_.ProcessStarts(number_, run.invoked.unit, run.invoked.cases);
  const SimUnit& unit = scenario_.units[run.invoked.unit];
  if (run.invoked.lists) return List(run);
  Take(run, run.invoked.cases);
  const bool waited = idle_[slot].since < clock_.now();
  world_.BatchStarts(number_, waited ? clock_.now() - idle_[slot].since : absl::ZeroDuration(), idle_[slot].begrudged);
  idle_[slot] = Idle();
  directories_.files[run.invoked.premature_file] = "1";
  Later(unit.startup, run, [this](Run& run) {
    if (run.dying) return;
    if (!scenario_.units[run.invoked.unit].keeps_much) run.process->Prints(Beginning(run.cases.size()));
    NextCase(run);
  });
}

void SimAgent::Take(Run& run, std::vector<uint32_t> cases) {
  run.invoked.cases = std::move(cases);
  run.cases.clear();
  run.position = 0;
  for (const uint32_t index : run.invoked.cases) {
    const auto attempt = attempts_.find({run.invoked.unit, index, run.invoked.iteration});
    if (attempt == attempts_.end()) return world_.Breaks("a process runs a case that was not leased");
    run.cases.push_back({index, attempt->second});
  }
}

void SimAgent::Answered(FakeProcess* process) {
  Run& run = runs_[process->slot().value()];
  const SimUnit& unit = scenario_.units[run.invoked.unit];
  run.next = ReadAnswer(unit, process->answers().back(), directories_.files);
  Later(absl::Milliseconds(1), run, [this](Run& run) {
    if (!run.dying) EndCase(run, *run.asked);
  });
}

void SimAgent::GoOn(Run& run) {
  run.process->Prints(Told({"goes on"}), Pipe::kReport);
  world_.ProcessGoesOn(number_, run.invoked.unit, run.invoked.cases, run.next);
  Take(run, std::exchange(run.next, {}));
  run.asked.reset();
  world_.BatchStarts(number_, absl::ZeroDuration(), false);
  NextCase(run);
}

void SimAgent::List(Run& run) {
  const SimUnit& unit = scenario_.units[run.invoked.unit];
  if (unit.listing == ListingFate::kHang) return;
  Later(unit.listing_takes, run, [this, &unit](Run& run) {
    if (run.dying) return;
    const bool fails = unit.listing == ListingFate::kError;
    if (!fails && unit.keeps_much) directories_.files[run.invoked.listing_file] = ToldListing(unit);
    if (!fails && !unit.keeps_much) run.process->Prints(Listing(unit));
    EndProcess(run, fails ? 1 : 0, 0);
  });
}

void SimAgent::NextCase(Run& run) {
  const SimUnit& unit = scenario_.units[run.invoked.unit];
  if (run.position == run.cases.size()) {
    if (!run.next.empty()) return GoOn(run);
    unit.keeps_much ? run.process->Prints(Told({"end"}), Pipe::kReport) : run.process->Prints(Ending(run.cases.size()));
    Later(absl::Milliseconds(1), run, [this, &unit](Run& run) {
      if (!run.dying) EndProcess(run, run.spoiled ? 9 : run.failed && !unit.keeps_much ? 1 : 0, 0);
    });
    return;
  }
  const LeasedCase c = run.cases[run.position];
  const uint32_t execution = scenario_.ExecutionOf(run.invoked.iteration, c.attempt);
  const Fate fate = scenario_.FateOf(run.invoked.unit, c.index, execution);
  run.running = true;
  run.stubborn = fate == Fate::kStubborn;
  unit.keeps_much ? run.process->Prints(Told({"began", absl::StrCat(run.position)}), Pipe::kReport)
                  : run.process->Prints(CaseBegins(unit, run.invoked.cases, run.position));
  world_.CaseStarts(number_, epoch_, run.invoked.unit, run.invoked.iteration, c);
  if (fate == Fate::kHang || fate == Fate::kStubborn) return;
  Later(scenario_.DurationOn(number_, run.invoked.unit, c.index), run, [this, fate](Run& run) {
    if (!run.dying) EndCase(run, fate);
  });
}

void SimAgent::EndCase(Run& run, Fate fate) {
  const SimUnit& unit = scenario_.units[run.invoked.unit];
  // What spoils its process is to be seen as that ends, with the cases that it has then.
  const bool asks = unit.keeps_much && run.position + 1 == run.cases.size() && !run.spoiled && fate != Fate::kSpoil;
  if (asks && !run.asked.has_value()) {
    run.asked = fate;
    run.process->Prints(Told({"wants more"}), Pipe::kReport);
    return;
  }
  if (fate == Fate::kKillHost) return world_.HostDies(number_, epoch_);
  if (fate == Fate::kCrash) return EndProcess(run, 0, SIGSEGV);
  if (fate == Fate::kExit) return EndProcess(run, 0, 0);
  const Outcome outcome = fate == Fate::kFail   ? Outcome::kFailed
                          : fate == Fate::kSkip ? Outcome::kSkipped
                                                : Outcome::kPassed;
  run.failed |= outcome == Outcome::kFailed;
  run.spoiled |= fate == Fate::kSpoil;
  unit.keeps_much ? run.process->Prints(ToldEnd(unit, run.invoked.cases, run.position, outcome), Pipe::kReport)
                  : run.process->Prints(CaseEnds(unit, run.invoked.cases, run.position, outcome));
  StopRunning(run, outcome);
  ++run.position;
  NextCase(run);
}

void SimAgent::StopRunning(Run& run, std::optional<Outcome> said) {
  if (!run.running) return;
  run.running = false;
  world_.CaseStops(number_, run.invoked.unit, run.invoked.iteration, run.cases[run.position], said);
}

void SimAgent::EndProcess(Run& run, int exit_code, int signal) {
  StopRunning(run, std::nullopt);
  const Invoked& invoked = run.invoked;
  if (!invoked.lists && signal == 0 && run.position == run.cases.size()) {
    directories_.files.erase(invoked.premature_file);
    if (scenario_.properties && !invoked.report_file.empty()) {
      std::vector<uint32_t> executions;
      for (const LeasedCase& c : run.cases) executions.push_back(scenario_.ExecutionOf(invoked.iteration, c.attempt));
      directories_.files[invoked.report_file] = Report(scenario_.units[invoked.unit], invoked.cases, executions);
    }
  }
  run.process->Ends(exit_code, signal);
}

void SimAgent::Signalled(FakeProcess* process, int signal) {
  Run& run = runs_[process->slot().value()];
  if (run.process != process || process->ended() || run.dying) return;
  if (run.stubborn && run.running && signal != SIGKILL) return;
  run.dying = true;
  Later(kSignalTakes, run, [this, signal](Run& run) { EndProcess(run, 0, signal); });
}

void SimAgent::Gone(FakeProcess* process) {
  const uint32_t slot = process->slot().value();
  Run& run = runs_[slot];
  if (run.process != process) return;
  StopRunning(run, std::nullopt);
  world_.ProcessIsGone(number_, run.invoked.unit, run.invoked.cases);
  run.process = nullptr;
  if (!run.invoked.lists) idle_[slot] = {clock_.now(), world_.OthersHaveBacklog(number_)};
}

void SimAgent::Die() {
  loop_.reset();
  arrived_.clear();
}

}  // namespace dtest::simulation
