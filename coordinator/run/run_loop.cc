#include "coordinator/run/run_loop.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "coordinator/run/expected_cases.h"

namespace dtest {
namespace {

// How long agents may take to clean up once told to leave. They do it without us, too.
constexpr absl::Duration kLeaveTimeout = absl::Seconds(10);

// How often the time left is estimated anew, which looks at every lease.
constexpr absl::Duration kEstimateInterval = absl::Milliseconds(500);

// How often the log says what was shipped.
constexpr absl::Duration kShippedInterval = absl::Seconds(1);

// How many of the running tests are named when a signal begins the end of the run.
constexpr size_t kRunningNamed = 5;

// Cases a CasesSelected.
constexpr size_t kSelectedPerEvent = 1000;

int64_t MonotonicNanos() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace

absl::StatusOr<std::unique_ptr<RunLoop>> RunLoop::Create(Options options, std::vector<HostSpec> hosts,
                                                         std::vector<TestProgram> programs, Selection selection,
                                                         Surroundings surroundings) {
  // Hosts with nobody to fetch from are spared the listening.
  std::optional<CurveKeyPair> peer_keys;
  if (options.peers && std::count_if(hosts.begin(), hosts.end(),
                                     [](const HostSpec& h) { return h.kind == HostSpec::Kind::kSsh; }) >= 2) {
    absl::StatusOr<CurveKeyPair> keys = MakeCurveKeyPair();
    if (keys.ok()) peer_keys = *std::move(keys);  // else without: a libzmq without CURVE is no reason not to run
  }
  HostPool::Options pool_options = options.pool;
  std::vector<HostSpec> pool_hosts = hosts;
  std::unique_ptr<RunLoop> loop(
      new RunLoop(std::move(options), std::move(hosts), std::move(programs), std::move(selection), surroundings));
  absl::StatusOr<std::unique_ptr<HostPool>> pool =
      HostPool::Create(std::move(pool_options), std::move(pool_hosts), loop.get());
  if (!pool.ok()) return pool.status();
  loop->pool_ = *std::move(pool);
  loop->peer_keys_ = std::move(peer_keys);
  return loop;
}

RunLoop::RunLoop(Options options, std::vector<HostSpec> hosts, std::vector<TestProgram> programs, Selection selection,
                 Surroundings surroundings)
    : options_(std::move(options)),
      selection_(std::move(selection)),
      out_(surroundings),
      started_(absl::FromUnixMicros(absl::ToUnixMicros(absl::Now()))),
      started_monotonic_(MonotonicNanos()),
      bundle_(options_.bundle, std::move(programs), &workers_),
      shipping_(&bundle_, hosts,
                {[this](HostId host, ToAgent message) { pool_->Send(now_, host, std::move(message)); },
                 [this](const HostShipped& event) { Emit(event); },
                 [this](HostId host, absl::string_view line) { HostLogs(host, line); }}),
      workers_(std::clamp<size_t>(std::thread::hardware_concurrency(), 1, 8)),
      scheduler_(options_.scheduler),
      hosts_(hosts.size()),
      running_(hosts.size()),
      units_(bundle_.size()),
      now_(started_) {
  for (size_t i = 0; i < hosts.size(); ++i) {
    hosts_[i].name = hosts[i].name;
    hosts_[i].has_table.resize(units_.size());
  }
}

RunLoop::~RunLoop() = default;

absl::Time RunLoop::Now() const {
  // The wall clock may jump while tests run; this one does not, and still says the time of day.
  // In microseconds, as the event log has it: a report of the log is then the report of the run.
  return started_ + absl::Microseconds((MonotonicNanos() - started_monotonic_) / 1000);
}

void RunLoop::Emit(decltype(RunEvent::what) what) { out_.sinks->Handle({now_, std::move(what)}); }

RunEnd RunLoop::Run() {
  RunStarted started{options_.run_id,
                     options_.version,
                     options_.command,
                     options_.working_directory,
                     {},
                     std::max(started_ - options_.began, absl::ZeroDuration())};
  for (const HostState& host : hosts_) started.hosts.push_back(host.name);
  Emit(std::move(started));
  if (out_.terminal != nullptr) {
    out_.terminal->SetLongest([this]() -> std::optional<LongCase> {
      const std::vector<RunningCases::Entry> longest = running_.LongestFirst(1);
      if (longest.empty()) return std::nullopt;
      return Describe(longest.front());
    });
  }

  pool_->WatchFd(workers_.event_fd());
  pool_->WatchFd(out_.signals->fd());
  pool_->Start(now_);
  units_pending_ = static_cast<uint32_t>(units_.size());
  bundle_.Prepare([this](UnitId id, const absl::Status& status, const std::vector<std::string>& warnings) {
    UnitReady(id, status, warnings);
  });

  const auto clock = [this] { return now_ = Now(); };
  while (!end_.has_value()) {
    if (absl::Status status = pool_->Turn(clock, std::min(scheduler_.NextDeadline(), out_.sinks->NextFlush()));
        !status.ok()) {
      end_ = RunEnd::kInternal;
      end_reason_ = std::string(status.message());
      break;
    }
    workers_.RunCompletions();
    HandleSignals();
    if (now_ >= scheduler_.NextDeadline()) Schedule(Tick());
    if (now_ >= next_shipped_report_) {
      next_shipped_report_ = now_ + kShippedInterval;
      shipping_.Report();
    }
    ShowProgress();
    out_.sinks->Flush(now_);
  }
  now_ = Now();
  shipping_.Report();
  for (uint32_t i = 0; i < units_.size(); ++i) {
    if (units_[i].listed || *end_ == RunEnd::kCompleted) continue;
    Emit(UnitListed{UnitId(i), bundle_.unit(UnitId(i)).name, 0, 0, "", "", /*unreached=*/true});
  }
  pool_->ShutDown(now_);  // they clean up while the reports are written
  Emit(RunFinished{*end_, end_reason_, processes_, startup_});
  out_.sinks->Flush(now_);
  const absl::Duration reports = Now() - now_;
  LetHostsGo();
  now_ = Now();
  Emit(RunClosed{reports});
  out_.sinks->Flush(now_);
  return *end_;
}

void RunLoop::LetHostsGo() {
  const absl::Time deadline = Now() + kLeaveTimeout;
  while (!pool_->AllGone() && Now() < deadline) {
    if (!pool_->Turn([this] { return now_ = Now(); }, deadline).ok()) return;
    workers_.RunCompletions();
    while (const std::optional<int> number = out_.signals->Take()) {
      if (*number != SIGUSR1 && *number != SIGWINCH) return;  // the user will not wait
    }
  }
}

// ---- Scheduler ---------------------------------------------------------------------------------------------------

void RunLoop::Schedule(SchedulerEvent event) {
  if (end_.has_value()) return;
  scheduler_.Handle(now_, std::move(event), &actions_);
  CarryOut();
}

void RunLoop::CarryOut() {
  // An action may lead to another event (a send to a host that turns out to be lost): its actions come after these.
  if (carrying_out_) return;
  carrying_out_ = true;
  for (size_t i = 0; i < actions_.size(); ++i) {
    SchedulerAction action = std::move(actions_[i]);
    std::visit([this](auto& what) { Act(what); }, action);
  }
  actions_.clear();
  carrying_out_ = false;
}

void RunLoop::EnsureTable(HostId host, UnitId unit) {
  HostState& state = hosts_[host.value()];
  if (state.has_table[unit.value()]) return;
  state.has_table[unit.value()] = true;
  pool_->Send(now_, host, CaseTable{unit, units_[unit.value()].cases});
}

void RunLoop::Act(SendTo& action) {
  const HostId host = action.host;
  std::visit(Overloaded{
                 [&](Lease& lease) {
                   shipping_.Uses(host, lease.unit);
                   EnsureTable(host, lease.unit);
                   pool_->Send(now_, host, std::move(lease));
                 },
                 [&](List& list) {
                   shipping_.Uses(host, list.unit);
                   pool_->Send(now_, host, list);
                 },
                 [&](Prefetch& prefetch) {
                   shipping_.Uses(host, prefetch.unit);
                   pool_->Send(now_, host, prefetch);
                 },
                 [&](auto& other) { pool_->Send(now_, host, std::move(other)); },
             },
             action.message);
}

void RunLoop::Act(AttemptEnded& action) {
  const UnitState& unit = units_[action.id.unit.value()];
  CaseEnded event;
  event.id = action.id;
  event.unit = bundle_.unit(action.id.unit).name;
  const CaseInfo info = unit.cases[action.id.index];
  event.name = info.name;
  event.suite = info.suite;
  event.parameter = info.parameter;
  event.file = info.file;
  event.line = info.line;
  event.iteration = action.iteration;
  event.final = action.final;
  event.flaky = action.flaky;
  event.started = absl::InfinitePast();
  if (action.host.has_value()) {
    const HostState& host = hosts_[action.host->value()];
    event.host = host.name;
    event.started = host.hello + absl::Trunc(action.result.start, absl::Microseconds(1));
  }
  event.result = std::move(action.result);
  event.result.duration = absl::Trunc(event.result.duration, absl::Microseconds(1));
  Emit(std::move(event));
}

void RunLoop::Act(PropertiesCame& action) {
  const uint32_t unit = action.id.unit.value();
  Emit(CaseProperties{action.id, bundle_.unit(action.id.unit).name, units_[unit].cases.name(action.id.index),
                      hosts_[action.host.value()].name, action.iteration, action.attempt,
                      std::move(action.properties)});
}

void RunLoop::Act(AttemptCopied& action) {
  const uint32_t unit = action.id.unit.value();
  Emit(CaseCopied{action.id, bundle_.unit(action.id.unit).name, units_[unit].cases.name(action.id.index),
                  hosts_[action.host.value()].name, hosts_[action.original.value()].name, action.iteration,
                  action.attempt, action.stage});
}

void RunLoop::Act(ListingFailed& action) {
  units_[action.unit.value()].listed = true;
  Emit(UnitListed{action.unit, bundle_.unit(action.unit).name, 0, 0,
                  absl::StrCat("no host could list it: ", action.reason), "", false});
}

void RunLoop::Act(Warn& action) { Emit(Warning{std::move(action.text)}); }

void RunLoop::Act(Finish& action) {
  end_ = action.end;
  switch (action.end) {
    case RunEnd::kCompleted:
      break;
    case RunEnd::kFailFast:
      end_reason_ = absl::StrCat("the limit of ", options_.scheduler.max_fail,
                                 options_.scheduler.max_fail == 1 ? " failure" : " failures", " was reached");
      break;
    case RunEnd::kInterrupted:
      end_reason_ = "interrupted";
      break;
    case RunEnd::kTimedOut:
      end_reason_ = absl::StrCat("the run passed its limit of ", absl::FormatDuration(options_.scheduler.run_timeout));
      break;
    case RunEnd::kNoHosts:
      end_reason_ = "no host is left";
      break;
    case RunEnd::kInternal:
      end_reason_ = "dtest failed";
      break;
  }
}

// ---- Bundle ------------------------------------------------------------------------------------------------------

void RunLoop::UnitReady(UnitId id, const absl::Status& status, const std::vector<std::string>& warnings) {
  for (const std::string& text : warnings) Emit(Warning{text});
  const RunBundle::Unit& unit = bundle_.unit(id);
  --units_pending_;
  units_[id.value()].ready = now_ - started_;
  if (status.ok()) {
    const UnitSpec& spec = unit.shipped ? *unit.shipped : *unit.in_place;
    Schedule(UnitAdded{id, unit.shipped ? SpecBytes(spec) : 0, unit.listing.has_value()});
    if (unit.listing) {
      CasesListed(id, unit.listing->cases, unit.listing->startup, /*asked=*/false);
    }
  } else {
    Schedule(UnitAdded{id, 0, true});
    ListingBroke(id, std::string(status.message()), "");
  }
  if (units_pending_ == 0) Schedule(BundleComplete());
}

void RunLoop::CasesListed(UnitId id, CaseInfos cases, absl::Duration startup, bool asked) {
  UnitState& state = units_[id.value()];
  if (state.listed) return;
  const std::string& name = bundle_.unit(id).name;
  state.listed = true;
  state.cases = std::move(cases);
  state.selected = selection_.Select(name, state.cases);
  if (state.cases.empty()) {
    Emit(Warning{absl::StrCat(name, " lists no case at all: were its tests linked into it?")});
  }
  Emit(UnitListed{id, name, static_cast<uint32_t>(state.cases.size()), static_cast<uint32_t>(state.selected.size()), "",
                  "", false, state.ready, asked ? startup : absl::ZeroDuration()});
  if (options_.list_only) {
    Schedule(CasesKnown{id, {}, {}, startup});
  } else {
    TellSelected(id);
    Schedule(ExpectedCases(id, name, state.cases, state.selected, startup, out_.history, options_.durations.get()));
  }
}

// In parts, so that no event and no line of the log grows with the suite.
void RunLoop::TellSelected(UnitId id) {
  const UnitState& state = units_[id.value()];
  for (size_t begin = 0; begin < state.selected.size(); begin += kSelectedPerEvent) {
    CasesSelected selected{id, bundle_.unit(id).name, {}};
    for (size_t i = begin; i < std::min(begin + kSelectedPerEvent, state.selected.size()); ++i) {
      selected.cases.push_back({state.selected[i], state.cases[state.selected[i]]});
    }
    Emit(std::move(selected));
  }
}

void RunLoop::ListingBroke(UnitId id, std::string error, std::string output) {
  UnitState& state = units_[id.value()];
  if (state.listed) return;
  state.listed = true;
  Emit(UnitListed{id, bundle_.unit(id).name, 0, 0, std::move(error), std::move(output), false, state.ready});
  Schedule(CasesUnknown{id});
}

std::vector<RunLoop::Listing> RunLoop::TakeListings() {
  std::vector<Listing> listings;
  for (uint32_t i = 0; i < units_.size(); ++i) {
    listings.push_back({bundle_.unit(UnitId(i)).name, std::move(units_[i].cases), std::move(units_[i].selected)});
  }
  return listings;
}

// ---- Hosts -------------------------------------------------------------------------------------------------------

void RunLoop::HostIsUp(HostId id, const Hello& hello) {
  HostState& host = hosts_[id.value()];
  const HostSpec& spec = pool_->spec(id);
  host.hello = now_;
  host.slots = spec.slots ? *spec.slots : options_.jobs ? *options_.jobs : std::max(1u, hello.cores);
  Welcome welcome;
  welcome.settings = options_.settings;
  welcome.settings.run_id = options_.run_id;
  welcome.settings.host_name = host.name;
  welcome.settings.slots = host.slots;
  welcome.settings.working_directory = spec.kind == HostSpec::Kind::kLocal ? options_.working_directory : std::string();
  welcome.heartbeat_interval = options_.heartbeat_interval;
  welcome.lease_timeout = options_.host_timeout;
  welcome.worker_base = workers_assigned_;
  workers_assigned_ += host.slots;
  welcome.worker_count = KnownSlots();
  if (spec.kind == HostSpec::Kind::kSsh && peer_keys_.has_value()) {
    welcome.peer_public_key = peer_keys_->public_key;
    welcome.peer_secret_key = peer_keys_->secret_key;
  }
  ++hosts_up_;
  pool_->Send(now_, id, std::move(welcome));
  Emit(HostUp{id, host.slots, hello.machine, hello.system});
  const double speed = out_.history == nullptr ? 1.0 : out_.history->Speed(host.name);
  Schedule(HostJoined{id, host.slots, speed});
}

uint32_t RunLoop::KnownSlots() const {
  uint32_t slots = 0;
  for (uint32_t i = 0; i < hosts_.size(); ++i) {
    const HostSpec& spec = pool_->spec(HostId(i));
    slots += hosts_[i].slots != 0 ? hosts_[i].slots : spec.slots.value_or(options_.jobs.value_or(0));
  }
  return slots;
}

void RunLoop::HostIsDown(HostId id, bool was_up, const absl::Status& reason) {
  if (was_up) --hosts_up_;
  shipping_.HostIsGone(id);
  running_.Gone(id);
  Emit(HostDown{id, was_up, std::string(reason.message())});
  Schedule(HostGone{id, std::string(reason.message()), false});
}

void RunLoop::HostSays(HostId id, FromAgent message) {
  HostState& host = hosts_[id.value()];
  std::visit(Overloaded{
                 [&](Listed& listed) {
                   const UnitId unit = listed.unit;
                   if (unit.value() >= units_.size()) return;
                   Listed heard;  // the scheduler needs no cases
                   heard.unit = unit;
                   heard.error = listed.error;
                   heard.duration = listed.duration;
                   Schedule(FromHost{id, std::move(heard)});
                   if (listed.error.empty()) {
                     // Other hosts that listed it too hold the same table only if they got the same names.
                     if (!units_[unit.value()].listed) host.has_table[unit.value()] = true;
                     bundle_.Remember(unit, listed.cases, listed.duration);
                     CasesListed(unit, std::move(listed.cases), listed.duration, /*asked=*/true);
                   } else {
                     ListingBroke(unit, std::move(listed.error), std::move(listed.output));
                   }
                 },
                 [&](NeedRecipes& need) { shipping_.Handle(id, need); },
                 [&](NeedChunks& need) { shipping_.Handle(id, need); },
                 [&](PeerPort& port) { shipping_.Handle(id, std::move(port)); },
                 [&](PeerLost& lost) { shipping_.Handle(id, lost); },
                 [&](FromPeers& from) { shipping_.Handle(id, from); },
                 [&](Note& note) { Emit(Warning{absl::StrCat(host.name, ": ", note.text)}); },
                 [&](Hello&) {},
                 [&](Heartbeat& heartbeat) {
                   running_.Heard(id, heartbeat.running, now_);
                   Schedule(FromHost{id, std::move(heartbeat)});
                 },
                 [&](Prepared& prepared) {
                   shipping_.Handle(id, prepared);
                   Schedule(FromHost{id, std::move(prepared)});
                 },
                 [&](Results& results) {
                   running_.Ended(id, results);
                   if (results.done && results.startup > absl::ZeroDuration()) {
                     ++processes_;
                     startup_ += results.startup;
                   }
                   if (results.done && results.startup > absl::ZeroDuration() && out_.history != nullptr &&
                       results.unit.value() < units_.size()) {
                     out_.history->RecordStartup(bundle_.unit(results.unit).name, results.startup);
                   }
                   Schedule(FromHost{id, std::move(results)});
                 },
                 [&](auto& other) {
                   Schedule(FromHost{id, std::move(other)});
                 },
             },
             message);
}

void RunLoop::HostLogs(HostId id, absl::string_view line) {
  if (options_.log) options_.log(hosts_[id.value()].name, line);
}

void RunLoop::HostNotes(HostId id, absl::string_view line) {
  // A farm has it of all its hosts alike: told once, of the first.
  if (noted_.emplace(line).second) {
    Emit(Warning{absl::StrCat(hosts_[id.value()].name, ": ", line)});
  } else {
    HostLogs(id, line);
  }
}

// ---- People ------------------------------------------------------------------------------------------------------

void RunLoop::HandleSignals() {
  while (const std::optional<int> number = out_.signals->Take()) {
    if (*number == SIGUSR1) {
      PrintRunning();
    } else if (*number == SIGWINCH) {
      if (out_.terminal != nullptr) out_.terminal->SetWidth(TerminalColumns(STDOUT_FILENO));
    } else if (stopping_) {
      Schedule(StopRun{RunEnd::kInterrupted, /*force=*/true});
    } else {
      stopping_ = true;
      Emit(Warning{StoppingText(*number)});
      Schedule(StopRun{RunEnd::kInterrupted, /*force=*/false});
    }
  }
}

void RunLoop::PrintRunning() {
  if (out_.terminal == nullptr) return;
  std::vector<std::string> lines;
  for (uint32_t i = 0; i < hosts_.size(); ++i) {
    const std::vector<RunningCases::Entry>& entries = running_.on(HostId(i));
    lines.push_back(absl::StrCat(hosts_[i].name, ": ", entries.size(), " running"));
    for (const RunningCases::Entry& running : entries) {
      const LongCase described = Describe(running);
      lines.push_back(absl::StrCat("  slot ", running.slot.value(), "  ",
                                   absl::FormatDuration(absl::Trunc(now_ - running.since, absl::Milliseconds(1))), "  ",
                                   described.unit, " ", described.name));
    }
  }
  out_.terminal->PrintLines(lines);
}

// What a first signal leads to, and which tests it waits for.
std::string RunLoop::StoppingText(int number) const {
  std::string text = absl::StrCat(number == SIGINT ? "interrupted" : "asked to stop",
                                  ": waiting for running tests to end; once more to kill them");
  const std::vector<RunningCases::Entry> named = running_.LongestFirst(kRunningNamed);
  for (const RunningCases::Entry& running : named) absl::StrAppend(&text, "\n", LongCaseText(Describe(running), now_));
  if (running_.size() > named.size()) absl::StrAppend(&text, "\nand ", running_.size() - named.size(), " more");
  return text;
}

LongCase RunLoop::Describe(const RunningCases::Entry& running) const {
  LongCase described{"?", "?", hosts_[running.host.value()].name, running.since};
  if (running.unit.value() >= units_.size()) return described;
  const CaseInfos& cases = units_[running.unit.value()].cases;
  described.unit = bundle_.unit(running.unit).name;
  if (running.index < cases.size()) described.name = std::string(cases.name(running.index));
  return described;
}

void RunLoop::ShowProgress() {
  if (out_.terminal == nullptr) return;
  const Scheduler::Progress progress = scheduler_.progress();
  ProgressInfo info;
  info.selected = progress.selected;
  info.finished = progress.finished;
  info.queued_or_running = progress.running_or_queued;
  info.unlisted = progress.unlisted + units_pending_;
  info.slots = progress.slots;
  if (now_ >= next_estimate_) {
    time_left_ = scheduler_.TimeLeft(now_);
    next_estimate_ = now_ + kEstimateInterval;
  }
  info.time_left = time_left_;
  info.hosts_up = hosts_up_;
  info.hosts_total = static_cast<uint32_t>(hosts_.size());
  out_.terminal->SetProgress(info);
}

}  // namespace dtest
