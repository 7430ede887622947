// World: a model of the coordinator's loop around the scheduler, with sessions over simulated links.

#include <ctime>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "protocol/codec.h"
#include "protocol/liveness.h"
#include "simulation/sim_world.h"

namespace dtest::simulation {

namespace {

constexpr absl::Duration kConnectTimeout = absl::Seconds(90);
constexpr absl::Duration kRelaunchAfter = absl::Seconds(1);

// Not CLOCK_THREAD_CPUTIME_ID, which is a system call, and costs more than much of what is measured here. Nothing in
// a replay waits, so wall time is processor time, or more than it on a busy machine.
double ProcessorSeconds() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

}  // namespace

World::World(const Scenario* scenario)
    : scenario_(*scenario),
      start_(clock_.now()),
      random_(scenario->seed * 2 + 1),
      scheduler_(scenario->scheduler),
      links_(scenario->hosts.size()),
      known_(scenario->units.size()),
      alive_(scenario->hosts.size()) {
  for (const SimUnit& unit : scenario->units) cases_.push_back(CasesOf(unit));
}

// Agents die while there is a world to die in.
World::~World() {
  clock_.Clear();
  for (Link& link : links_) link.agent.reset();
}

void World::Broken(const std::string& what) {
  if (outcomes_.broken.empty()) {
    outcomes_.broken = absl::StrCat(absl::FormatDuration(clock_.now() - start_), ": ", what);
  }
}

void World::LaunchHosts() {
  for (uint32_t h = 0; h < links_.size(); ++h) {
    const SimHost& host = scenario_.hosts[h];
    if (host.joins_after == absl::InfiniteDuration()) {
      clock_.After(absl::Seconds(2), [this, h] { Schedule(HostGone{HostId(h), "connection refused", false}); });
    } else {
      clock_.After(host.joins_after, [this, h] { Take(Input::kLaunch, h); });
    }
  }
}

void World::PlanMishaps() {
  for (uint32_t h = 0; h < links_.size(); ++h) {
    PartitionSometime(h);
    LoseHostSometime(h);
    StallAgentSometime(h);
  }
}

Outcomes World::RunProductLoop() {
  loop_ = std::make_unique<SimLoop>(&scenario_, &clock_, static_cast<LoopWorld*>(this));
  PlanMishaps();
  loop_->Run();
  return Conclude();
}

Outcomes World::Run() {
  LaunchHosts();
  PlanMishaps();
  AddUnits();
  if (scenario_.stop_after < absl::InfiniteDuration()) {
    clock_.After(scenario_.stop_after, [this] { Schedule(StopRun{}); });
  }
  if (scenario_.force_after < absl::InfiniteDuration()) {
    clock_.After(scenario_.force_after, [this] { Schedule(StopRun{RunEnd::kInterrupted, true}); });
  }
  while (!outcomes_.end && outcomes_.broken.empty()) {
    if (!clock_.Step()) Broken("nothing is left to happen, and the run has not ended");
    if (clock_.now() - start_ > scenario_.must_end_within) Broken("the run does not end");
  }
  return Conclude();
}

Outcomes World::Conclude() {
  for (const CaseKey& key : verdicts_) {
    if (key.iteration > 1 && !verdicts_.contains(CaseKey{key.unit, key.index, key.iteration - 1})) {
      Broken(
          absl::StrCat("case ", key.unit, "/", key.index, " has iteration ", key.iteration, " and not the one before"));
    }
  }
  if (outcomes_.broken.empty() && verdicts_.size() != selected_.size()) {
    Broken(absl::StrCat(selected_.size() - verdicts_.size(), " cases have no verdict at the end"));
  }
  if (outcomes_.broken.empty() && outcomes_.end == RunEnd::kCompleted && outcomes_.by_outcome[6] > 0) {
    Broken("the run is complete, but cases were not run");
  }
  if (outcomes_.broken.empty() && !copied_.empty()) Broken("a speculative copy has neither won nor lost");
  outcomes_.makespan = clock_.now() - start_;
  outcomes_.verdicts = verdicts_.size();
  outcomes_.events = clock_.steps();
  return outcomes_;
}

Outcomes World::Replay(const std::vector<Input>& record) {
  replaying_ = true;
  const double begin = ProcessorSeconds();
  for (const Input& input : record) {
    clock_.Skip(input.at);
    Take(input.kind, input.number, input.frame);
  }
  outcomes_.coordinator_seconds = ProcessorSeconds() - begin;
  return outcomes_;
}

void World::Take(Input::Kind kind, uint32_t number, const Session::Frame& frame) {
  if (record != nullptr) record->push_back({clock_.now(), kind, number, frame});
  switch (kind) {
    case Input::kLaunch:
      return Launch(number);
    case Input::kFrame:
      return Receive(number, *frame);
    case Input::kSessionDue:
      return Turn(number);
    case Input::kTick:
      return Schedule(Tick{});
    case Input::kUnit: {
      const SimUnit& x = scenario_.units[number];
      Schedule(UnitAdded{UnitId(number), x.bytes, x.cached_listing});
      if (x.cached_listing) TellCases(number);
      return;
    }
    case Input::kBundleComplete:
      return Schedule(BundleComplete{});
  }
}

// ---- The bundle ------------------------------------------------------------------------------------------------

void World::AddUnits() {
  absl::Duration last = absl::ZeroDuration();
  for (uint32_t e = 0; e < scenario_.units.size(); ++e) {
    const SimUnit& x = scenario_.units[e];
    last = std::max(last, x.added_after);
    clock_.After(x.added_after, [this, e] { Take(Input::kUnit, e); });
  }
  clock_.After(last + absl::Milliseconds(1), [this] { Take(Input::kBundleComplete, 0); });
}

void World::TellCases(uint32_t e) {
  if (known_[e]) return;
  known_[e] = true;
  const SimUnit& x = scenario_.units[e];
  CasesKnown known;
  known.unit = UnitId(e);
  known.policies = {scenario_.policy};
  for (uint32_t needs = 1; needs <= scenario_.needs.size(); ++needs) {
    known.policies.push_back(scenario_.PolicyOf(needs));
  }
  known.unlisted_too = true;
  known.startup = x.startup;
  known.after = x.after;
  if (x.suite_setup_known) known.suite_setup = x.suite_setup;
  for (uint32_t k = 0; k < x.cases.size(); ++k) {
    if (!x.cases[k].selected) continue;
    known.cases.push_back({k, x.cases[k].expected, absl::ZeroDuration(), static_cast<uint16_t>(x.cases[k].needs)});
    known.suite_of.push_back(x.cases[k].suite);
    known.group_of.push_back(x.cases[k].group);
    if (outcomes_.end || replaying_) continue;
    for (uint32_t i = 1; i <= std::max(scenario_.scheduler.repeat, 1u); ++i) selected_.insert(CaseKey{e, k, i});
  }
  Schedule(std::move(known));
}

// ---- Links -----------------------------------------------------------------------------------------------------

bool World::HasLivesLeft(uint32_t h) const { return links_[h].lives < scenario_.hosts[h].lives; }

void World::Launch(uint32_t h) {
  Link& link = links_[h];
  if (link.agent) link.agent.reset();  // it lives on in the clock until it notices that nobody hears it
  ++link.lives;
  link.launched = true;
  link.backlog = 0;
  link.epoch = Epoch(next_epoch_++);
  link.session = std::make_unique<Session>();
  link.added.assign(scenario_.units.size(), false);
  link.tabled.assign(scenario_.units.size(), false);
  if (replaying_) return;
  link.agent = std::make_shared<SimAgent>(&scenario_, h, link.epoch, "", &clock_, static_cast<AgentWorld*>(this));
  link.agent->Start();
  clock_.After(kConnectTimeout, [this, h, epoch = link.epoch] {
    if (links_[h].epoch == epoch && links_[h].launched && !links_[h].up) LoseHost(h, "no word in time");
  });
}

void World::LoseHost(uint32_t h, const std::string& reason) {
  Link& link = links_[h];
  link.launched = link.up = false;
  link.session.reset();
  ++outcomes_.hosts_lost;
  Schedule(HostGone{HostId(h), reason, HasLivesLeft(h)});
  if (HasLivesLeft(h)) clock_.After(kRelaunchAfter, [this, h] { Launch(h); });
}

void World::WatchSilence(uint32_t h) {
  if (replaying_) return;
  const absl::Duration limit = LostAfter(scenario_.lease_timeout, scenario_.heartbeat_interval);
  clock_.At(links_[h].last_heard + limit, [this, h, limit, epoch = links_[h].epoch] {
    Link& link = links_[h];
    if (!link.up || link.epoch != epoch) return;
    if (clock_.now() >= link.last_heard + limit) {
      LoseHost(h, "heard nothing");
    } else {
      WatchSilence(h);
    }
  });
}

void World::Send(uint32_t h, ToAgent message) {
  Link& link = links_[h];
  Envelope<ToAgent> envelope;
  envelope.epoch = link.epoch;
  envelope.sequence = link.session->NextSequence();
  envelope.acknowledged = link.session->acknowledged();
  envelope.body = std::move(message);
  auto frame = std::make_shared<const std::string>(Encode(envelope));
  link.session->Sent(clock_.now(), envelope.sequence, frame);
  Transmit(h, true, link.epoch, std::move(frame));
}

void World::Receive(uint32_t h, const std::string& bytes) {
  Link& link = links_[h];
  if (!link.launched || outcomes_.end) return;
  absl::StatusOr<Envelope<FromAgent>> envelope = DecodeFromAgent(bytes);
  if (!envelope.ok()) {
    Broken(absl::StrCat("frame that cannot be read: ", envelope.status().ToString()));
  } else if (envelope->epoch == link.epoch) {
    link.last_heard = clock_.now();
    const Session::Verdict verdict = link.session->Received(clock_.now(), envelope->sequence, envelope->acknowledged);
    if (verdict == Session::Verdict::kDeliver && envelope->body.has_value()) OnBody(h, std::move(*envelope->body));
    if (link.launched && !outcomes_.end) Turn(h);
  }
}

void World::Turn(uint32_t h) {
  Link& link = links_[h];
  for (Session::Frame& frame : link.session->Resend(clock_.now())) Transmit(h, true, link.epoch, std::move(frame));
  if (link.session->AcknowledgementDue(clock_.now())) {
    Envelope<ToAgent> envelope;
    envelope.epoch = link.epoch;
    envelope.acknowledged = link.session->acknowledged();
    link.session->AcknowledgementSent();
    Transmit(h, true, link.epoch, std::make_shared<const std::string>(Encode(envelope)));
  }
  const absl::Time next = link.session->NextDeadline();
  if (replaying_ || next == absl::InfiniteFuture() || (link.wakes > clock_.now() && link.wakes <= next)) return;
  link.wakes = next;
  clock_.At(next, [this, h, next, epoch = link.epoch] {
    Link& link = links_[h];
    if (!link.launched || link.epoch != epoch || link.wakes != next) return;
    link.wakes = absl::InfiniteFuture();
    Take(Input::kSessionDue, h);
  });
}

void World::OnBody(uint32_t h, FromAgent body) {
  Link& link = links_[h];
  if (Hello* hello = std::get_if<Hello>(&body)) {
    Welcome welcome;
    RunSettings& settings = welcome.settings;
    settings.host_name = scenario_.scheduler.host_names.empty() ? "" : scenario_.scheduler.host_names[h];
    settings.slots = scenario_.hosts[h].slots;
    settings.list_timeout = scenario_.list_timeout;
    settings.kill_grace = scenario_.kill_grace;
    settings.adapt_slots = scenario_.adapts;
    welcome.heartbeat_interval = scenario_.heartbeat_interval;
    welcome.lease_timeout = scenario_.lease_timeout;
    Send(h, std::move(welcome));
    link.up = true;
    WatchSilence(h);
    Schedule(HostJoined{HostId(h), hello->cores, scenario_.hosts[h].speed});
    return;
  }
  std::visit(
      [&](auto& message) {
        using M = std::decay_t<decltype(message)>;
        if constexpr (std::is_constructible_v<decltype(FromHost::message), M>) {
          std::optional<Listed> listed;
          if constexpr (std::is_same_v<M, Listed>) listed = message;
          if constexpr (std::is_same_v<M, Released>) HasSaid(h, message);
          Schedule(FromHost{HostId(h), std::move(message)});
          if (!listed) return;
          if (listed->error.empty()) {
            TellCases(listed->unit.value());
          } else {
            Schedule(CasesUnknown{listed->unit});
          }
        }
      },
      body);
}

void World::CaseIsSelected(uint32_t unit, uint32_t index) {
  for (uint32_t i = 1; i <= std::max(scenario_.scheduler.repeat, 1u); ++i) selected_.insert(CaseKey{unit, index, i});
}

// ---- The scheduler ---------------------------------------------------------------------------------------------

void World::Schedule(SchedulerEvent event) {
  waiting_.push_back(std::move(event));
  if (in_scheduler_) return;
  in_scheduler_ = true;
  std::vector<SchedulerAction> actions;
  while (!waiting_.empty() && outcomes_.broken.empty()) {
    const bool tick = std::holds_alternative<Tick>(waiting_.front());
    const bool after_the_end = outcomes_.end.has_value();
    if (verbose) {
      std::cerr << absl::FormatDuration(clock_.now() - start_) << " event " << waiting_.front().index();
      if (const FromHost* from = std::get_if<FromHost>(&waiting_.front())) {
        std::cerr << " from " << from->host.value() << " message " << from->message.index();
      }
      if (const HostGone* gone = std::get_if<HostGone>(&waiting_.front())) {
        std::cerr << " host " << gone->host.value() << " " << gone->reason << " returns " << gone->may_return;
      }
      std::cerr << "\n";
    }
    actions.clear();
    const double begin = replaying_ ? ProcessorSeconds() : 0;
    if (scheduler_scope != nullptr) scheduler_scope(true);
    scheduler_.Handle(clock_.now(), std::move(waiting_.front()), &actions);
    if (scheduler_scope != nullptr) scheduler_scope(false);
    if (replaying_) outcomes_.scheduler_seconds += ProcessorSeconds() - begin;
    waiting_.pop_front();
    if (scenario_.check_every_step) scheduler_.CheckInvariants();
    if (after_the_end && !actions.empty()) Broken("the scheduler acts after Finish");
    if (tick && scheduler_.NextDeadline() <= clock_.now()) Broken("a tick is followed by another at once");
    for (const SchedulerAction& action : actions) {
      if (outcomes_.end) Broken("an action follows Finish");
      std::visit([this](const auto& a) { Do(a); }, action);
    }
  }
  in_scheduler_ = false;
  WakeScheduler();
}

void World::WakeScheduler() {
  const absl::Time next = scheduler_.NextDeadline();
  if (replaying_ || next == absl::InfiniteFuture() || (scheduler_wakes_ > clock_.now() && scheduler_wakes_ <= next))
    return;
  scheduler_wakes_ = next;
  clock_.At(next, [this, next] {
    if (scheduler_wakes_ != next || outcomes_.end) return;
    scheduler_wakes_ = absl::InfiniteFuture();
    if (clock_.now() >= scheduler_.NextDeadline()) {
      Take(Input::kTick, 0);
    } else {
      WakeScheduler();
    }
  });
}

void World::Do(const SendTo& action) {
  const uint32_t h = action.host.value();
  Link& link = links_[h];
  if (!link.up) {
    Broken(absl::StrCat("a message goes to host ", h, ", which is not up"));
    return;
  }
  std::visit(
      [&](const auto& message) {
        using M = std::decay_t<decltype(message)>;
        if constexpr (std::is_same_v<M, Lease> || std::is_same_v<M, List> || std::is_same_v<M, Prefetch>) {
          const uint32_t e = message.unit.value();
          if (!link.added[e]) {
            AddUnit add;
            add.spec.id = message.unit;
            add.spec.name = absl::StrCat("executable", e);
            add.spec.framework = FrameworkOf(scenario_.units[e]);
            Send(h, std::move(add));
            link.added[e] = true;
          }
          if constexpr (std::is_same_v<M, Lease>) {
            // A replay measures the scheduler; what tables cost is another matter.
            if (!link.tabled[e]) Send(h, CaseTable{message.unit, replaying_ ? CaseInfos{"S.C"} : cases_[e]});
            link.tabled[e] = true;
          }
        }
        if constexpr (std::is_same_v<M, Recall>) ++outcomes_.recalls;
        if constexpr (std::is_same_v<M, Lease>) IsLeased(h, message);
        Send(h, message);
      },
      action.message);
  if (verbose) std::cerr << "    to " << h << " message " << action.message.index() << "\n";
  if (!in_scheduler_) return;
  Turn(h);
}

void World::Do(const ListingFailed&) {}
void World::Do(const Warn&) {}
void World::Do(const Finish& action) { outcomes_.end = action.end; }

}  // namespace dtest::simulation
