#include "simulation/sim_agent.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"
#include "protocol/liveness.h"
#include "simulation/sim_loop.h"

namespace dtest::simulation {

namespace {

constexpr absl::Duration kSignalTakes = absl::Milliseconds(2);
constexpr absl::Duration kLeavingTakes = absl::Seconds(2);  // killing everything; less than kLossGrace

}  // namespace

SimAgent::SimAgent(const Scenario* scenario, uint32_t host, Epoch epoch, SimClock* clock, AgentWorld* world)
    : scenario_(*scenario),
      host_(scenario->hosts[host]),
      number_(host),
      epoch_(epoch),
      clock_(*clock),
      world_(*world),
      core_([&] {
        AgentOptions options;
        options.cores = scenario->hosts[host].slots;
        // Must not exceed half of the lease timeout: a Welcome that was under way for longer would let the agent live
        // on after the coordinator, which heard nothing but the Hello, has given it up (protocol/liveness.h).
        options.welcome_timeout = scenario->lease_timeout / 2;
        return options;
      }()),
      processes_(host_.slots),
      idle_(host_.slots) {}

void SimAgent::Start() {
  Hello hello;
  hello.version = "simulated";
  hello.cores = host_.slots;
  Send(hello);
  Handle(AgentTick{});
}

void SimAgent::Send(FromAgent message) {
  Envelope<FromAgent> envelope;
  envelope.epoch = epoch_;
  envelope.sequence = session_.NextSequence();
  envelope.acknowledged = session_.acknowledged();
  envelope.body = std::move(message);
  auto frame = std::make_shared<const std::string>(Encode(envelope));
  session_.Sent(clock_.now(), envelope.sequence, frame);
  world_.FromAgentHost(number_, std::move(frame));
}

void SimAgent::Receive(const std::string& bytes) {
  if (!alive_ || leaving_) return;
  absl::StatusOr<Envelope<ToAgent>> envelope = DecodeToAgent(bytes);
  if (!envelope.ok() || envelope->epoch != epoch_) return;
  const Session::Verdict verdict = session_.Received(clock_.now(), envelope->sequence, envelope->acknowledged);
  if (ProvesLife(session_, clock_.now(), scenario_.lease_timeout)) Handle(CoordinatorHeard{});
  if (verdict == Session::Verdict::kDeliver && envelope->body.has_value() && alive_ && !leaving_) {
    std::visit(
        [this](auto& message) {
          using M = std::decay_t<decltype(message)>;
          if constexpr (std::is_same_v<M, Lease>) ++backlog_;
          if constexpr (!IsBulk<M>()) Handle(FromCoordinator{std::move(message)});
        },
        *envelope->body);
  }
  Turn();
}

void SimAgent::Handle(AgentEvent event) {
  std::vector<AgentAction> actions;
  core_.Handle(clock_.now(), std::move(event), &actions);
  if (scenario_.check_agents) core_.CheckInvariants();
  for (AgentAction& action : actions) {
    if (!alive_) return;
    Do(std::move(action));
  }
  Turn();
}

void SimAgent::Turn() {
  if (!alive_ || leaving_) return;
  for (Session::Frame& frame : session_.Resend(clock_.now())) world_.FromAgentHost(number_, std::move(frame));
  if (session_.AcknowledgementDue(clock_.now())) {
    Envelope<FromAgent> envelope;
    envelope.epoch = epoch_;
    envelope.acknowledged = session_.acknowledged();
    session_.AcknowledgementSent();
    world_.FromAgentHost(number_, std::make_shared<const std::string>(Encode(envelope)));
  }
  const absl::Time next = std::min(core_.NextDeadline(), session_.NextDeadline());
  if (next >= wakes_ || next == absl::InfiniteFuture()) return;
  wakes_ = std::max(next, clock_.now());
  const absl::Time mine = wakes_;
  clock_.At(wakes_, [self = shared_from_this(), mine] {
    if (!self->alive_ || self->leaving_ || self->wakes_ != mine) return;
    self->wakes_ = absl::InfiniteFuture();
    if (self->clock_.now() >= self->core_.NextDeadline()) {
      self->Handle(AgentTick{});
    } else {
      self->Turn();
    }
  });
}

void SimAgent::Later(absl::Duration delay, uint32_t slot, uint64_t process, std::function<void()> what) {
  clock_.After(delay, [self = shared_from_this(), slot, process, what = std::move(what)] {
    if (!self->alive_) return;
    if (process != 0 && self->processes_[slot].id != process) return;
    what();
  });
}

void SimAgent::Do(AgentAction action) {
  std::visit(
      [this](auto& a) {
        using A = std::decay_t<decltype(a)>;
        if constexpr (std::is_same_v<A, Reply>) {
          if (std::holds_alternative<Released>(a.message) && backlog_ > 0) --backlog_;
          std::visit([this](auto& message) { Send(std::move(message)); }, a.message);
        } else {
          Do(std::move(a));
        }
      },
      action);
}

void SimAgent::Do(PrepareFiles action) {
  const uint32_t e = action.unit.value();
  const uint64_t bytes = scenario_.units[e].bytes;
  const bool full = bytes > 0 && host_.fills_up && ++shipped_ > 1;
  const bool unfit = e < host_.unfit.size() && host_.unfit[e];
  Later(absl::Milliseconds(1) + absl::Seconds(bytes / scenario_.network.bytes_per_second), 0, 0,
        [this, e, full, unfit] {
          Handle(FilesReady{UnitId(e), full ? "no space left on device" : unfit ? "needs GLIBC_9.9" : "", full});
        });
}

void SimAgent::Do(StartListing action) {
  const uint32_t slot = action.slot.value();
  Process& process = processes_[slot];
  process = Process();
  process.id = next_process_++;
  process.listing = true;
  process.unit = action.unit.value();
  const SimUnit& x = scenario_.units[process.unit];
  if (process.unit < host_.cannot_spawn.size() && host_.cannot_spawn[process.unit]) {
    Later(kSignalTakes, slot, process.id, [this, slot] {
      processes_[slot].id = 0;
      ListingEnded ended{SlotId(slot), {}, "", "", kSignalTakes, "cannot start: exec format error"};
      Handle(std::move(ended));
    });
    return;
  }
  if (x.listing == ListingFate::kHang) return;
  Later(x.listing_takes, slot, process.id, [this, slot, &x] {
    if (processes_[slot].dying) return;
    ListingEnded ended{SlotId(slot), {}, "", "", x.listing_takes, ""};
    if (x.listing == ListingFate::kError) {
      ended.error = "exited with status 1";
    } else {
      ended.cases = CasesOf(x);
    }
    processes_[slot].id = 0;
    Handle(std::move(ended));
  });
}

void SimAgent::Do(StartBatch action) {
  const uint32_t slot = action.slot.value();
  Process& process = processes_[slot];
  process = Process();
  process.id = next_process_++;
  process.unit = action.unit.value();
  process.iteration = action.iteration;
  process.cases = std::move(action.cases);
  if (backlog_ > 0) --backlog_;  // each lease is one process, where nothing crashes
  if (idle_[slot].since < clock_.now()) world_.SlotWaited(clock_.now() - idle_[slot].since, idle_[slot].begrudged);
  idle_[slot] = Idle();
  const uint32_t e = process.unit;
  if (e < host_.cannot_spawn.size() && host_.cannot_spawn[e]) {
    Later(kSignalTakes, slot, process.id, [this, slot] {
      processes_[slot].id = 0;
      ProcessEnded ended;
      ended.slot = SlotId(slot);
      ended.spawn_error = "cannot start: exec format error";
      Handle(std::move(ended));
    });
    return;
  }
  Later(scenario_.units[e].startup, slot, process.id, [this, slot] { NextCase(slot); });
}

void SimAgent::NextCase(uint32_t slot) {
  Process& process = processes_[slot];
  if (process.dying) return;
  if (process.position == process.cases.size()) {
    Later(absl::Milliseconds(1), slot, process.id, [this, slot] {
      if (!processes_[slot].dying) EndProcess(slot, processes_[slot].failed ? 1 : 0, 0);
    });
    return;
  }
  const LeasedCase c = process.cases[process.position];
  const Fate fate = scenario_.FateOf(process.unit, c.index, scenario_.ExecutionOf(process.iteration, c.attempt));
  process.running = true;
  process.stubborn = fate == Fate::kStubborn;
  world_.CaseStarts(number_, epoch_, process.unit, process.iteration, c);
  const uint64_t id = process.id;
  const absl::Duration takes = scenario_.DurationOn(number_, process.unit, c.index);
  Handle(CaseBegan{SlotId(slot), c.index});
  if (!alive_ || processes_[slot].id != id) return;
  if (fate == Fate::kHang || fate == Fate::kStubborn) return;
  Later(takes, slot, id, [this, slot, fate] { EndCase(slot, fate); });
}

void SimAgent::EndCase(uint32_t slot, Fate fate) {
  Process& process = processes_[slot];
  if (process.dying) return;
  if (fate == Fate::kKillHost) {
    world_.HostDies(number_, epoch_);
    return;
  }
  if (fate == Fate::kCrash || fate == Fate::kExit) {
    EndProcess(slot, 0, fate == Fate::kCrash ? SIGSEGV : 0);
    return;
  }
  const uint64_t id = process.id;
  CaseFinished finished;
  finished.slot = SlotId(slot);
  finished.result.index = process.cases[process.position].index;
  finished.result.outcome = fate == Fate::kFail   ? Outcome::kFailed
                            : fate == Fate::kSkip ? Outcome::kSkipped
                                                  : Outcome::kPassed;
  if (fate == Fate::kFail) finished.result.message = "Expected equality of these values";
  process.failed |= fate == Fate::kFail;
  StopRunning(process, fate == Fate::kPass);
  ++process.position;
  Handle(std::move(finished));
  if (alive_ && processes_[slot].id == id) NextCase(slot);
}

void SimAgent::StopRunning(Process& process, bool passed) {
  if (!process.running) return;
  process.running = false;
  world_.CaseStops(number_, process.unit, process.iteration, process.cases[process.position], passed);
}

void SimAgent::EndProcess(uint32_t slot, int exit_code, int signal) {
  Process& process = processes_[slot];
  StopRunning(process, false);
  const bool listing = process.listing;
  const bool premature = process.position < process.cases.size();
  process.id = 0;
  if (leaving_) return;
  if (listing) {
    Handle(ListingEnded{SlotId(slot), {}, "killed", "", absl::Seconds(1), ""});
    return;
  }
  ProcessEnded ended;
  ended.slot = SlotId(slot);
  ended.exit_code = exit_code;
  ended.signal = signal;
  ended.premature = premature && signal == 0 && exit_code == 0;
  if (scenario_.properties && signal == 0 && !premature) {
    for (const LeasedCase& c : process.cases) {
      ended.properties.push_back(
          {c.index, "attempt", absl::StrCat(scenario_.ExecutionOf(process.iteration, c.attempt))});
    }
  }
  Handle(std::move(ended));
  if (alive_ && process.id == 0) idle_[slot] = {clock_.now(), world_.OthersHaveBacklog(number_)};
}

void SimAgent::Do(KillSlot action) {
  const uint32_t slot = action.slot.value();
  Process& process = processes_[slot];
  if (process.id == 0 || process.dying) return;
  if (process.stubborn && process.running && action.signal != SIGKILL) return;
  process.dying = true;
  Later(kSignalTakes, slot, process.id, [this, slot, signal = action.signal] { EndProcess(slot, 0, signal); });
}

void SimAgent::Do(Exit) {
  leaving_ = true;
  Later(kLeavingTakes, 0, 0, [this] {
    Die();
    world_.AgentLeft(number_, epoch_);
  });
}

void SimAgent::Die() {
  if (!alive_) return;
  alive_ = false;
  for (Process& process : processes_) {
    if (process.id != 0) StopRunning(process, false);
    process.id = 0;
  }
}

}  // namespace dtest::simulation
