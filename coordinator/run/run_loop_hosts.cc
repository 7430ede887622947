// The run loop's part about hosts: what they say, and their coming and going.

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "coordinator/run/run_loop.h"
#include "dtest/base/overloaded.h"

namespace dtest {
namespace {}  // namespace

void RunLoop::HostIsUp(HostId id, const Hello& hello) {
  Welcome welcome = welcomer_.Greet(id, hello);
  const uint32_t slots = welcome.settings.slots;
  predecessors_.HostIsUp(id, slots);
  ++hosts_up_;
  came_up_[id.value()] = true;
  told_down_[id.value()] = false;
  Send(id, std::move(welcome));
  Emit(HostUp{id, slots, hello.machine, hello.system});
  if (out_.history != nullptr) speeds_[id.value()] = out_.history->Speed(HostName(id));
  Schedule(HostJoined{id, slots, speeds_[id.value()]});
}

void RunLoop::HostIsDown(HostId id, bool was_up, const absl::Status& reason, bool may_return, absl::Time tests_end) {
  if (was_up) --hosts_up_;
  shipping_.HostIsGone(id);
  status_.Gone(id);
  has_table_[id.value()].assign(units_.size(), false);  // should it return, it is a fresh agent
  absl::erase_if(listed_so_far_, [id](const auto& entry) { return entry.first.first == id; });
  const std::string text(reason.message());
  // Told once each time that it is lost, not again for each try to start it again.
  if (told_down_[id.value()]) {
    HostLogs(id, absl::StrCat("could not be started again: ", text));
  } else {
    told_down_[id.value()] = true;
    Emit(HostDown{id, was_up, may_return ? absl::StrCat(text, "; its agent is started again") : text});
  }
  Schedule(HostGone{id, text, may_return, tests_end});
  if (may_return || came_up_[id.value()]) return;
  ++never_up_;
  if (came_up_.size() - never_up_ + 1 == options_.min_hosts) Schedule(StopRun{RunEnd::kNoHosts, /*force=*/true});
}

void RunLoop::HostSays(HostId id, FromAgent message) {
  std::visit(Overloaded{
                 [&](Listed& listed) { HostListed(id, std::move(listed)); },
                 [&](ListingWrong& wrong) {
                   ListingProvedWrong(id, wrong);
                   Schedule(FromHost{id, std::move(wrong)});
                 },
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
                   if (prepared.drain) drained_ = absl::StrCat(HostName(id), ": ", prepared.error);
                   Schedule(FromHost{id, std::move(prepared)});
                 },
                 [&](Results& results) { HostHasResults(id, std::move(results)); },
                 [&](Gathered& gathered) {
                   if (gathered.kind == GatheredKind::kRunner) {
                     RunnerTold(id, gathered.unit, std::move(gathered.data));
                     return;
                   }
                   if (options_.gathered && gathered.unit.value() < units_.size())
                     options_.gathered(std::move(gathered));
                 },
                 [&](auto& other) {
                   Schedule(FromHost{id, std::move(other)});
                 },
             },
             message);
}

void RunLoop::HostHasResults(HostId id, Results results) {
  status_.Ended(id, results);
  const bool known = results.unit.value() < units_.size();
  if (known && (options_.policies.MayRetry() || options_.scheduler.explain)) {
    for (const CaseResult& result : results.results) {
      if (result.index < Unit(results.unit).cases.size()) predecessors_.Add(id, results.unit, result);
    }
  }
  // Behind others or not: what took too long does not depend on their order.
  if (known && !Unit(results.unit).budget.empty()) ApplyBudget(id, &results);
  if (results.done && results.startup > absl::ZeroDuration()) {
    if (!results.followed) {
      ++processes_;
      startup_ += results.startup;
    }
    if (out_.history != nullptr && known) {
      out_.history->RecordStartup(Unit(results.unit).name, results.startup);
    }
  }
  Schedule(FromHost{id, std::move(results)});
}

void RunLoop::RunnerTold(HostId id, UnitId unit, std::string runner) {
  if (unit.value() >= units_.size()) return;
  RunUnit& known = Unit(unit);
  HostLogs(id, absl::StrCat(known.name, " is run by ", runner));
  if (known.runner.empty()) {
    known.runner = std::move(runner);
    known.runner_host = id;
  } else if (runner != known.runner && known.other_runners.insert(runner).second) {
    Emit(Warning{absl::StrCat(known.name, " is run by ", known.runner, " on ", HostName(known.runner_host), " and by ",
                              runner, " on ", HostName(id),
                              ": names and verdicts may differ; [environment] gives all hosts the same")});
  }
}

void RunLoop::ApplyBudget(HostId id, Results* results) {
  const RunUnit& unit = Unit(results->unit);
  for (CaseResult& result : results->results) {
    if (result.outcome != Outcome::kPassed || result.index >= unit.budget.size()) continue;
    std::optional<std::string> excess = budget_.Excess(unit.budget[result.index], result.duration, speeds_[id.value()]);
    if (!excess.has_value()) continue;
    result.outcome = Outcome::kFailed;
    result.message = *std::move(excess);
    if (!results->done) over_budget_.emplace(results->lease, result.index);
  }
  // The agent told it as passed, but here it has failed: what the end of its process adds is said of that failure.
  for (LateFailure& failure : results->late_failures) {
    if (over_budget_.contains({results->lease, failure.result.index})) failure.told = Outcome::kFailed;
  }
  if (results->done && !over_budget_.empty()) {
    absl::erase_if(over_budget_, [&](const auto& one) { return one.first == results->lease; });
  }
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
