#include "coordinator/run/run_loop.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/report/event_log.h"
#include "dtest/base/overloaded.h"

namespace dtest {
namespace {

// How long agents may take to clean up once told to leave, beside tear-downs. They do it without us, too.
constexpr absl::Duration kLeaveTimeout = absl::Seconds(10);

// How long agents go on without us when a person has stopped us with Ctrl-Z, and how long to wait until they have heard
// that.
constexpr absl::Duration kSuspendedLease = absl::Hours(24);
constexpr absl::Duration kSuspendTimeout = absl::Seconds(2);

// How often the time left is estimated anew, which looks at every lease.
constexpr absl::Duration kEstimateInterval = absl::Milliseconds(500);

// How often the log says what was shipped.
constexpr absl::Duration kShippedInterval = absl::Seconds(1);

// At most; of a host.
absl::Duration TearDownTime(const RunSettings& settings) {
  absl::Duration time;
  for (const Setup* setup : {&settings.host_setup, &settings.slot_setup}) {
    if (!setup->command.empty()) time += settings.kill_grace;  // it may still run
    if (!setup->teardown.empty()) time += setup->time_limit + settings.kill_grace;
  }
  return time;
}

std::vector<std::string> NamesOf(const std::vector<HostSpec>& hosts) {
  std::vector<std::string> names;
  names.reserve(hosts.size());
  for (const HostSpec& host : hosts) names.push_back(host.name);
  return names;
}

Welcomer::Options WelcomeOptions(const RunLoop::Options& options) {
  Welcomer::Options welcome{options.settings,        options.working_directory,  options.jobs,
                            options.host_timeout,    options.heartbeat_interval, options.peer_keys,
                            options.environment_here};
  welcome.settings.run_id = options.run_id;
  return welcome;
}

}  // namespace

RunLoop::RunLoop(Options options, std::vector<HostSpec> hosts, Selection selection, Surroundings surroundings)
    : options_(std::move(options)),
      selection_(std::move(selection)),
      quarantine_(options_.quarantine),
      budget_(options_.budget),
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
      predecessors_(welcomer_.hosts().size()),
      speeds_(welcomer_.hosts().size(), 1.0),
      came_up_(welcomer_.hosts().size()),
      told_down_(welcomer_.hosts().size()),
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
                     std::max(started_ - options_.began, absl::ZeroDuration()),
                     options_.scheduler.repeat};
  for (const RunUnit& unit : units_) started.units.push_back(unit.name);
  started.reproduction = options_.scheduler.together;
  for (const CasesLeft& left : options_.left) started.left += left.cases.size();
  Emit(std::move(started));
  for (const CasesLeft& left : options_.left) {
    left_.Add(left);
    Emit(left);
  }
  if (out_.terminal != nullptr) {
    out_.terminal->SetLongest([this] { return status_.Longest(); });
    out_.terminal->SetStop(out_.signals->fd(), [this] { return WillNotWait(); });
  }
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
  if (*end_ == RunEnd::kCompleted && !options_.list_only) TellUnmatched();
  if (out_.stepwise != nullptr && out_.stepwise->left_out() > 0) {
    Emit(Warning{out_.stepwise->EndText(options_.list_only)});
  }
  hosts_->ShutDown(now_);  // they clean up while the reports are written
  ReportCoverage();
  MakeReports();
  for (uint32_t i = 0; out_.history != nullptr && i < units_.size(); ++i) {
    // A run that has shown none of it says something only if it ran all there is.
    std::optional<absl::Duration> setup = scheduler_.SuiteSetup(UnitId(i));
    if (!setup.has_value() && *end_ == RunEnd::kCompleted && TakesAll()) setup = absl::ZeroDuration();
    if (setup.has_value()) out_.history->RecordSuiteSetup(units_[i].name, *setup);
  }
  Emit(RunFinished{*end_, end_reason_, processes_, startup_});
  out_.sinks->Flush(now_);
  const absl::Duration reports = out_.clock() - now_;
  LetHostsGo();
  now_ = out_.clock();
  Emit(RunClosed{reports});
  out_.sinks->Flush(now_);
}

void RunLoop::ReportCoverage() {
  if (options_.list_only || !options_.report_coverage) return;
  Options::CoverageReport report = options_.report_coverage([this] { return WillNotWait(); });
  for (std::string& text : report.warnings) Emit(Warning{std::move(text)});
  if (report.measured.has_value()) Emit(*std::move(report.measured));
}

void RunLoop::MakeReports() {
  if (options_.list_only || !options_.make_reports) return;
  const bool completed = *end_ == RunEnd::kCompleted;
  const std::string why = completed ? "" : end_reason_.empty() ? RunEndName(*end_) : end_reason_;
  Options::FrameworkReports reports = options_.make_reports(why, [this] { return WillNotWait(); });
  for (std::string& text : reports.warnings) Emit(Warning{std::move(text)});
  for (ReportsMade& made : reports.made) Emit(std::move(made));
}

void RunLoop::LetHostsGo() {
  const absl::Time deadline = out_.clock() + kLeaveTimeout + TearDownTime(options_.settings);
  while (!hosts_->AllGone() && out_.clock() < deadline) {
    if (!hosts_->Turn([this] { return now_ = out_.clock(); }, deadline).ok()) return;
    out_.bundle->RunCallbacks();
    if (WillNotWait()) return;
  }
}

bool RunLoop::WillNotWait() {
  while (const std::optional<int> number = out_.signals->Take()) {
    if (*number == SIGTSTP) {
      out_.signals->StopProcess();
    } else if (*number != SIGUSR1 && *number != SIGWINCH) {
      return true;
    }
  }
  return false;
}

void RunLoop::HandleSignals() {
  while (const std::optional<int> number = out_.signals->Take()) {
    if (*number == SIGUSR1) {
      if (out_.terminal != nullptr) out_.terminal->PrintLines(status_.RunningLines(now_));
    } else if (*number == SIGTSTP) {
      Suspend();
    } else if (*number == SIGWINCH) {
      if (out_.terminal != nullptr) out_.terminal->SetWidth(TerminalColumns(out_.terminal->fd()));
    } else if (stopping_) {
      Schedule(StopRun{RunEnd::kInterrupted, /*force=*/true});
    } else {
      stopping_ = true;
      Emit(Warning{status_.StoppingText(*number, now_)});
      Schedule(StopRun{RunEnd::kInterrupted, /*force=*/false});
    }
  }
}

void RunLoop::SetLeases(absl::Duration timeout) {
  for (uint32_t i = 0; i < came_up_.size(); ++i) {
    if (std::optional<Welcome> welcome = welcomer_.WithLease(HostId(i), timeout)) Send(HostId(i), *std::move(welcome));
  }
}

void RunLoop::Suspend() {
  SetLeases(kSuspendedLease);
  const absl::Time deadline = now_ + kSuspendTimeout;
  while (!hosts_->AllAcknowledged() && now_ < deadline && !end_.has_value()) {
    if (!hosts_->Turn([this] { return now_ = out_.clock(); }, deadline).ok()) break;
  }
  out_.signals->StopProcess();
  now_ = out_.clock();
  SetLeases(options_.host_timeout);
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
                   if (!has_table) SendCases(host, lease.unit);
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
  // It counts as a failure already, and may be under way once more: what is new is said beside it.
  if (action.replaces.has_value() && IsFailure(*action.replaces)) {
    const std::string host = action.host.has_value() ? HostName(*action.host) : "";
    Emit(Warning{absl::StrCat(action.result.message, "\n", action.result.output),
                 CaseAttempt{action.id, unit.name, unit.cases.name(action.id.index), host, action.iteration,
                             action.result.attempt}});
    return;
  }
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
  event.replaces = action.replaces;
  if (action.final) {
    const std::vector<uint32_t> before = predecessors_.Take(action.id);
    for (size_t i = 0; i < before.size() && action.order_dependent; ++i) {
      event.before.push_back(unit.cases.name(before[i]));
    }
  }
  event.started = action.started;
  if (action.started != absl::InfinitePast()) {
    event.started = absl::FromUnixMicros(absl::ToUnixMicros(action.started));  // as the event log has it
  }
  if (action.host.has_value()) event.host = HostName(*action.host);
  event.result = std::move(action.result);
  event.result.duration = absl::Trunc(event.result.duration, absl::Microseconds(1));
  const bool elsewhere =
      action.host.has_value() && welcomer_.hosts()[action.host->value()].kind != HostSpec::Kind::kLocal;
  if (elsewhere && options_.hint && IsFailure(event.result.outcome)) {
    event.hint = options_.hint(event.result, event.host);
  }
  if (!unit.quarantined.empty()) AddQuarantine(unit, &event);
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

void RunLoop::Perform(CaseIsSlow& action) {
  const RunUnit& unit = Unit(action.id.unit);
  CaseSlow slow;
  slow.id = action.id;
  slow.unit = unit.name;
  slow.name = unit.cases.name(action.id.index);
  slow.host = HostName(action.host);
  slow.iteration = action.iteration;
  slow.attempt = action.attempt;
  slow.elapsed = absl::Trunc(action.elapsed, absl::Microseconds(1));
  slow.expected = absl::Trunc(action.expected, absl::Microseconds(1));
  Emit(slow);
}

void RunLoop::Perform(ListingFailed& action) {
  Unit(action.unit).listed = true;
  Emit(UnitListed{
      action.unit, Unit(action.unit).name, 0, 0,
      absl::StrCat("no host could list it: ", action.reason, ". Add a host that can, or do not give its path"), "",
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
      end_reason_ = absl::StrCat("no host is left", drained_.empty() ? "" : ": ", drained_);
      if (came_up_.size() - never_up_ < options_.min_hosts) {
        end_reason_ = absl::StrCat("--min-hosts ", options_.min_hosts, ": ", never_up_, " of ", came_up_.size(),
                                   " hosts did not come up");
      }
      break;
    case RunEnd::kInternal:
      end_reason_ = "dtest failed";
      break;
  }
}

}  // namespace dtest
