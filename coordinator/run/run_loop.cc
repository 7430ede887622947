#include "coordinator/run/run_loop.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/bundle/unit_spec.h"
#include "coordinator/run/expected_cases.h"

namespace dtest {
namespace {

// How long agents may take to clean up once told to leave. They do it without us, too.
constexpr absl::Duration kLeaveTimeout = absl::Seconds(10);

// How often the time left is estimated anew, which looks at every lease.
constexpr absl::Duration kEstimateInterval = absl::Milliseconds(500);

// How often the log says what was shipped.
constexpr absl::Duration kShippedInterval = absl::Seconds(1);

// Cases a CasesSelected.
constexpr size_t kSelectedPerEvent = 1000;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

std::vector<std::string> NamesOf(const std::vector<HostSpec>& hosts) {
  std::vector<std::string> names;
  for (const HostSpec& host : hosts) names.push_back(host.name);
  return names;
}

Welcomer::Options WelcomeOptions(const RunLoop::Options& options) {
  Welcomer::Options welcome{options.settings,     options.working_directory,  options.jobs,
                            options.host_timeout, options.heartbeat_interval, options.peer_keys};
  welcome.settings.run_id = options.run_id;
  return welcome;
}

}  // namespace

RunLoop::RunLoop(Options options, std::vector<HostSpec> hosts, Selection selection, Surroundings surroundings)
    : options_(std::move(options)),
      selection_(std::move(selection)),
      out_(std::move(surroundings)),
      started_(out_.clock()),
      scheduler_(options_.scheduler),
      shipping_(out_.bundle, hosts,
                {[this](HostId host, ToAgent message) { Send(host, std::move(message)); },
                 [this](const HostShipped& event) { Emit(event); },
                 [this](HostId host, absl::string_view line) { HostLogs(host, line); }}),
      welcomer_(WelcomeOptions(options_), std::move(hosts)),
      units_(out_.bundle->size()),
      status_(NamesOf(welcomer_.hosts()), &units_),
      has_table_(welcomer_.hosts().size(), std::vector<bool>(units_.size())),
      now_(started_) {
  for (uint32_t i = 0; i < units_.size(); ++i) units_[i].name = out_.bundle->unit(UnitId(i)).name;
}

RunLoop::~RunLoop() = default;

// ---- The loop ----------------------------------------------------------------------------------------------------

RunEnd RunLoop::Run(Hosts* hosts) {
  hosts_ = hosts;
  Begin();
  while (!end_.has_value()) Turn();
  End();
  return *end_;
}

void RunLoop::Begin() {
  RunStarted started{options_.run_id,
                     options_.version,
                     options_.command,
                     options_.working_directory,
                     NamesOf(welcomer_.hosts()),
                     std::max(started_ - options_.began, absl::ZeroDuration())};
  Emit(std::move(started));
  if (out_.terminal != nullptr) out_.terminal->SetLongest([this] { return status_.Longest(); });
  hosts_->WatchFd(out_.bundle->event_fd());
  hosts_->WatchFd(out_.signals->fd());
  hosts_->Start(now_);
  units_pending_ = static_cast<uint32_t>(units_.size());
  out_.bundle->Prepare([this](UnitId id, const absl::Status& status, const std::vector<std::string>& warnings) {
    UnitReady(id, status, warnings);
  });
  if (units_pending_ == 0) Schedule(BundleComplete());
}

void RunLoop::Turn() {
  const absl::Time deadline = std::min(scheduler_.NextDeadline(), out_.sinks->NextFlush());
  if (absl::Status status = hosts_->Turn([this] { return now_ = out_.clock(); }, deadline); !status.ok()) {
    end_ = RunEnd::kInternal;
    end_reason_ = std::string(status.message());
    return;
  }
  out_.bundle->RunCallbacks();
  HandleSignals();
  if (now_ >= scheduler_.NextDeadline()) Schedule(Tick());
  if (now_ >= next_shipped_report_) {
    next_shipped_report_ = now_ + kShippedInterval;
    shipping_.Report();
  }
  ShowProgress();
  out_.sinks->Flush(now_);
}

void RunLoop::End() {
  now_ = out_.clock();
  shipping_.Report();
  for (uint32_t i = 0; i < units_.size(); ++i) {
    if (units_[i].listed || *end_ == RunEnd::kCompleted) continue;
    Emit(UnitListed{UnitId(i), units_[i].name, 0, 0, "", "", /*unreached=*/true});
  }
  hosts_->ShutDown(now_);  // they clean up while the reports are written
  Emit(RunFinished{*end_, end_reason_, processes_, startup_});
  out_.sinks->Flush(now_);
  const absl::Duration reports = out_.clock() - now_;
  LetHostsGo();
  now_ = out_.clock();
  Emit(RunClosed{reports});
  out_.sinks->Flush(now_);
}

void RunLoop::LetHostsGo() {
  const absl::Time deadline = out_.clock() + kLeaveTimeout;
  while (!hosts_->AllGone() && out_.clock() < deadline) {
    if (!hosts_->Turn([this] { return now_ = out_.clock(); }, deadline).ok()) return;
    out_.bundle->RunCallbacks();
    while (const std::optional<int> number = out_.signals->Take()) {
      if (*number != SIGUSR1 && *number != SIGWINCH) return;  // the user will not wait
    }
  }
}

void RunLoop::HandleSignals() {
  while (const std::optional<int> number = out_.signals->Take()) {
    if (*number == SIGUSR1) {
      if (out_.terminal != nullptr) out_.terminal->PrintLines(status_.RunningLines(now_));
    } else if (*number == SIGWINCH) {
      if (out_.terminal != nullptr) out_.terminal->SetWidth(TerminalColumns(STDOUT_FILENO));
    } else if (stopping_) {
      Schedule(StopRun{RunEnd::kInterrupted, /*force=*/true});
    } else {
      stopping_ = true;
      Emit(Warning{status_.StoppingText(*number, now_)});
      Schedule(StopRun{RunEnd::kInterrupted, /*force=*/false});
    }
  }
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
  info.hosts_total = static_cast<uint32_t>(welcomer_.hosts().size());
  out_.terminal->SetProgress(info);
}

// ---- The scheduler -----------------------------------------------------------------------------------------------

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
    std::visit([this](auto& what) { Perform(what); }, action);
  }
  actions_.clear();
  carrying_out_ = false;
}

void RunLoop::Perform(SendTo& action) {
  const HostId host = action.host;
  std::visit(Overloaded{
                 [&](Lease& lease) {
                   shipping_.Uses(host, lease.unit);
                   std::vector<bool>::reference has_table = has_table_[host.value()][lease.unit.value()];
                   if (!has_table) Send(host, CaseTable{lease.unit, Unit(lease.unit).cases});
                   has_table = true;
                   Send(host, std::move(lease));
                 },
                 [&](List& list) {
                   shipping_.Uses(host, list.unit);
                   Send(host, list);
                 },
                 [&](Prefetch& prefetch) {
                   shipping_.Uses(host, prefetch.unit);
                   Send(host, prefetch);
                 },
                 [&](auto& other) { Send(host, std::move(other)); },
             },
             action.message);
}

void RunLoop::Perform(AttemptEnded& action) {
  const RunUnit& unit = Unit(action.id.unit);
  CaseEnded event;
  event.id = action.id;
  event.unit = unit.name;
  const CaseInfo info = unit.cases[action.id.index];
  event.name = info.name;
  event.suite = info.suite;
  event.parameter = info.parameter;
  event.file = info.file;
  event.line = info.line;
  event.iteration = action.iteration;
  event.final = action.final;
  event.flaky = action.flaky;
  event.started = action.started;
  if (action.started != absl::InfinitePast()) {
    event.started = absl::FromUnixMicros(absl::ToUnixMicros(action.started));  // as the event log has it
  }
  if (action.host.has_value()) event.host = HostName(*action.host);
  event.result = std::move(action.result);
  event.result.duration = absl::Trunc(event.result.duration, absl::Microseconds(1));
  Emit(std::move(event));
}

void RunLoop::Perform(PropertiesCame& action) {
  const RunUnit& unit = Unit(action.id.unit);
  Emit(CaseProperties{action.id, unit.name, unit.cases.name(action.id.index), HostName(action.host), action.iteration,
                      action.attempt, std::move(action.properties)});
}

void RunLoop::Perform(AttemptCopied& action) {
  const RunUnit& unit = Unit(action.id.unit);
  Emit(CaseCopied{action.id, unit.name, unit.cases.name(action.id.index), HostName(action.host),
                  HostName(action.original), action.iteration, action.attempt, action.stage});
}

void RunLoop::Perform(ListingFailed& action) {
  Unit(action.unit).listed = true;
  Emit(UnitListed{action.unit, Unit(action.unit).name, 0, 0, absl::StrCat("no host could list it: ", action.reason), "",
                  false});
}

void RunLoop::Perform(Warn& action) { Emit(Warning{std::move(action.text)}); }

void RunLoop::Perform(Finish& action) {
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

// ---- Units -------------------------------------------------------------------------------------------------------

void RunLoop::UnitReady(UnitId id, const absl::Status& status, const std::vector<std::string>& warnings) {
  for (const std::string& text : warnings) Emit(Warning{text});
  const Bundle::Unit& unit = out_.bundle->unit(id);
  --units_pending_;
  Unit(id).ready = now_ - started_;
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
  RunUnit& unit = Unit(id);
  if (unit.listed) return;
  unit.listed = true;
  unit.cases = std::move(cases);
  unit.selected = selection_.Select(unit.name, unit.cases);
  if (unit.cases.empty()) {
    Emit(Warning{absl::StrCat(unit.name, " lists no case at all: were its tests linked into it?")});
  }
  Emit(UnitListed{id, unit.name, static_cast<uint32_t>(unit.cases.size()), static_cast<uint32_t>(unit.selected.size()),
                  "", "", false, unit.ready, asked ? startup : absl::ZeroDuration()});
  if (options_.list_only) {
    Schedule(CasesKnown{id, {}, {}, startup});
  } else {
    TellSelected(id);
    Schedule(ExpectedCases(id, unit.name, unit.cases, unit.selected, startup, out_.history, options_.durations.get()));
  }
}

// In parts, so that no event and no line of the log grows with the suite.
void RunLoop::TellSelected(UnitId id) {
  const RunUnit& unit = Unit(id);
  for (size_t begin = 0; begin < unit.selected.size(); begin += kSelectedPerEvent) {
    CasesSelected selected{id, unit.name, {}};
    for (size_t i = begin; i < std::min(begin + kSelectedPerEvent, unit.selected.size()); ++i) {
      selected.cases.push_back({unit.selected[i], unit.cases[unit.selected[i]]});
    }
    Emit(std::move(selected));
  }
}

void RunLoop::ListingBroke(UnitId id, std::string error, std::string output) {
  RunUnit& unit = Unit(id);
  if (unit.listed) return;
  unit.listed = true;
  Emit(UnitListed{id, unit.name, 0, 0, std::move(error), std::move(output), false, unit.ready});
  Schedule(CasesUnknown{id});
}

std::vector<RunLoop::Listing> RunLoop::TakeListings() {
  std::vector<Listing> listings;
  for (RunUnit& unit : units_) {
    listings.push_back({unit.name, std::move(unit.cases), std::move(unit.selected)});
  }
  return listings;
}

// ---- Hosts -------------------------------------------------------------------------------------------------------

void RunLoop::HostIsUp(HostId id, const Hello& hello) {
  Welcome welcome = welcomer_.Greet(id, hello);
  const uint32_t slots = welcome.settings.slots;
  ++hosts_up_;
  Send(id, std::move(welcome));
  Emit(HostUp{id, slots, hello.machine, hello.system});
  Schedule(HostJoined{id, slots, out_.history == nullptr ? 1.0 : out_.history->Speed(HostName(id))});
}

void RunLoop::HostIsDown(HostId id, bool was_up, const absl::Status& reason) {
  if (was_up) --hosts_up_;
  shipping_.HostIsGone(id);
  status_.Gone(id);
  Emit(HostDown{id, was_up, std::string(reason.message())});
  Schedule(HostGone{id, std::string(reason.message()), false});
}

void RunLoop::HostSays(HostId id, FromAgent message) {
  std::visit(Overloaded{
                 [&](Listed& listed) { HostListed(id, std::move(listed)); },
                 [&](NeedRecipes& need) { shipping_.Handle(id, need); },
                 [&](NeedChunks& need) { shipping_.Handle(id, need); },
                 [&](PeerPort& port) { shipping_.Handle(id, std::move(port)); },
                 [&](PeerLost& lost) { shipping_.Handle(id, lost); },
                 [&](FromPeers& from) { shipping_.Handle(id, from); },
                 [&](Note& note) { Emit(Warning{absl::StrCat(HostName(id), ": ", note.text)}); },
                 [&](Hello&) {},
                 [&](Heartbeat& heartbeat) {
                   status_.Heard(id, heartbeat.running, now_);
                   Schedule(FromHost{id, std::move(heartbeat)});
                 },
                 [&](Prepared& prepared) {
                   shipping_.Handle(id, prepared);
                   Schedule(FromHost{id, std::move(prepared)});
                 },
                 [&](Results& results) { HostHasResults(id, std::move(results)); },
                 [&](auto& other) {
                   Schedule(FromHost{id, std::move(other)});
                 },
             },
             message);
}

void RunLoop::HostListed(HostId id, Listed listed) {
  const UnitId unit = listed.unit;
  if (unit.value() >= units_.size()) return;
  Listed heard;  // the scheduler needs no cases
  heard.unit = unit;
  heard.error = listed.error;
  heard.duration = listed.duration;
  Schedule(FromHost{id, std::move(heard)});
  if (!listed.error.empty()) {
    ListingBroke(unit, std::move(listed.error), std::move(listed.output));
    return;
  }
  // Other hosts that listed it too hold the same table only if they got the same names.
  if (!Unit(unit).listed) has_table_[id.value()][unit.value()] = true;
  out_.bundle->Remember(unit, listed.cases, listed.duration);
  CasesListed(unit, std::move(listed.cases), listed.duration, /*asked=*/true);
}

void RunLoop::HostHasResults(HostId id, Results results) {
  status_.Ended(id, results);
  if (results.done && results.startup > absl::ZeroDuration()) {
    ++processes_;
    startup_ += results.startup;
    if (out_.history != nullptr && results.unit.value() < units_.size()) {
      out_.history->RecordStartup(Unit(results.unit).name, results.startup);
    }
  }
  Schedule(FromHost{id, std::move(results)});
}

void RunLoop::HostLogs(HostId id, absl::string_view line) {
  if (options_.log) options_.log(HostName(id), line);
}

void RunLoop::HostNotes(HostId id, absl::string_view line) {
  // A farm has it of all its hosts alike: told once, of the first.
  if (noted_.emplace(line).second) {
    Emit(Warning{absl::StrCat(HostName(id), ": ", line)});
  } else {
    HostLogs(id, line);
  }
}

}  // namespace dtest
