// World: the checks of what either coordinator tells of the cases.

#include <algorithm>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "coordinator/schedule/case_times.h"
#include "simulation/sim_world.h"

namespace dtest::simulation {

void World::Do(const AttemptEnded& action) {
  const CaseKey key{action.id.unit.value(), action.id.index, action.iteration};
  if (verbose) {
    std::cerr << "    ended " << key.unit << "/" << key.index << " " << OutcomeName(action.result.outcome)
              << " attempt " << action.result.attempt << " final " << action.final << "\n";
  }
  ++outcomes_.attempts;
  if (replaying_) return;
  // Iterations under stress come into being as there is room: each after the one before.
  const std::optional<StressLimits>& stress = scenario_.scheduler.stress;
  if (stress.has_value() && key.iteration > 1 && key.iteration <= stress->times &&
      selected_.contains(CaseKey{key.unit, key.index, 1})) {
    selected_.insert(key);
  }
  if (!selected_.contains(key)) Broken("a verdict about a case that was not selected");
  // Beyond the first attempt and its retries there are infra errors, which use up no retries.
  if (action.result.attempt < 1 || action.result.attempt > scenario_.policy.retries + 4) {
    Broken("an attempt that is not within the iteration");
  }
  if (action.result.outcome == Outcome::kPassed && !passed_.contains({key, action.host->value()})) {
    Broken("it did not pass there");
  }
  if (action.result.outcome == Outcome::kTimedOut && WouldEndInTime(action))
    Broken("it was timed out, but for no reason");
  if (action.replaces.has_value()) {
    if (IsFailure(*action.replaces)) return;  // a remark
    if (!verdicts_.contains(key)) Broken("a verdict takes the place of none");
    ++outcomes_.late_failures;
    --outcomes_.by_outcome[static_cast<int>(*action.replaces)];
    if (!action.final) {
      verdicts_.erase(key);
      reopened_.insert(key.unit);
    } else {
      ++outcomes_.by_outcome[static_cast<int>(action.result.outcome)];
    }
    return;
  }
  if (copied_.contains(key)) Broken("an attempt ends before its copy has won or lost");
  if (verdicts_.contains(key)) Broken("an attempt ends after the final verdict");
  if (scenario_.properties && action.host.has_value()) {
    ended_[{key, action.result.attempt}] = *action.host;
    CheckProperties(key, action.result.attempt, action.result.properties);
  }
  if (!action.final) return;
  verdicts_.insert(key);
  if (IsFailure(action.result.outcome)) failed_.insert(key.unit);
  ++outcomes_.by_outcome[static_cast<int>(action.result.outcome)];
}

void World::CheckGroups(const Lease& lease) {
  if (replaying_ || scenario_.policy.processes == Processes::kCase || scenario_.scheduler.stress.has_value()) return;
  const uint32_t unit = lease.unit.value();
  const std::vector<SimCase>& cases = scenario_.units[unit].cases;
  // What the agents' framework lists has none.
  if (loop_ != nullptr && !scenario_.units[unit].cached_listing) return;
  absl::flat_hash_set<uint32_t> groups, apart;
  for (const LeasedCase& one : lease.cases) {
    const CaseKey key{unit, one.index, lease.iteration};
    if (leased_.insert(key).second && cases[one.index].group > 0) groups.insert(cases[one.index].group);
  }
  if (groups.empty()) return;
  for (const SimCase& one : cases) {
    if (one.needs > 0) apart.insert(one.group);  // one by one
  }
  for (uint32_t k = 0; k < cases.size(); ++k) {
    const CaseKey key{unit, k, lease.iteration};
    if (!groups.contains(cases[k].group) || apart.contains(cases[k].group)) continue;
    if (selected_.contains(key) && !leased_.contains(key)) {
      Broken(absl::StrCat("a lease that begins with case ", unit, "/", lease.cases[0].index, " has a part of group ",
                          cases[k].group, ", and not case ", k));
    }
    ++outcomes_.grouped;
  }
}

void World::CheckOrder(const Lease& lease) {
  if (replaying_ || loop_ != nullptr || scenario_.scheduler.stress.has_value()) return;
  const uint32_t unit = lease.unit.value();
  for (const UnitBefore& before : scenario_.units[unit].after) {
    if (reopened_.contains(before.unit.value())) continue;
    if (before.must_pass && failed_.contains(before.unit.value())) {
      Broken(
          absl::StrCat("a case of unit ", unit, " is handed out though unit ", before.unit.value(), " did not pass"));
    }
    for (const CaseKey& key : selected_) {
      if (key.unit == before.unit.value() && !verdicts_.contains(key)) {
        Broken(absl::StrCat("a case of unit ", unit, " is handed out before ", key.unit, "/", key.index,
                            " has its last verdict"));
      }
    }
    ++outcomes_.in_order;
  }
}

void World::ProcessStarts(uint32_t host, uint32_t unit, const std::vector<uint32_t>& cases) {
  Alive& alive = alive_[host];
  ++alive.processes;
  ++alive.slots;
  for (const uint32_t index : cases) {
    const CasePolicy policy = PolicyOf(unit, index);
    if (!policy.HasNeeds()) continue;
    ++outcomes_.needy;
    const std::string name = absl::StrCat("case ", unit, "/", index, " on host ", host);
    if (cases.size() > 1) Broken(absl::StrCat(name, " shares a process"));
    alive.slots += (policy.exclusive ? std::max(policy.slots, scenario_.hosts[host].slots) : policy.slots) - 1;
    alive.exclusive += policy.exclusive;
    for (const CaseLock& lock : policy.locks) {
      const bool here = lock.scope == LockScope::kHost;
      if (++held_[absl::StrCat(lock.name, here ? absl::StrCat("@", host) : "")] > lock.max) {
        Broken(absl::StrCat(name, " is one too many that holds lock ", lock.name));
      }
    }
    if (!policy.same_host.empty() && pinned_to_.try_emplace(policy.same_host, host).first->second != host) {
      Broken(absl::StrCat(name, " is not where others ran that it is to be with"));
    }
    for (const std::string& tag : policy.tags) {
      const std::vector<std::string>& has = scenario_.scheduler.host_tags[host];
      if (std::find(has.begin(), has.end(), tag) == has.end()) Broken(absl::StrCat(name, " lacks its tag"));
    }
  }
  if (alive.exclusive > 0 && alive.processes > 1) Broken(absl::StrCat("an exclusive case is not alone on host ", host));
  if (alive.slots > scenario_.hosts[host].slots)
    Broken(absl::StrCat("more is at work on host ", host, " than it has slots"));
}

void World::ProcessIsGone(uint32_t host, uint32_t unit, const std::vector<uint32_t>& cases) {
  Alive& alive = alive_[host];
  --alive.processes;
  --alive.slots;
  for (const uint32_t index : cases) {
    const CasePolicy policy = PolicyOf(unit, index);
    alive.slots -= (policy.exclusive ? std::max(policy.slots, scenario_.hosts[host].slots) : policy.slots) - 1;
    alive.exclusive -= policy.exclusive;
    for (const CaseLock& lock : policy.locks) {
      --held_[absl::StrCat(lock.name, lock.scope == LockScope::kHost ? absl::StrCat("@", host) : "")];
    }
  }
}

bool World::WouldEndInTime(const AttemptEnded& attempt) const {
  const uint32_t unit = attempt.id.unit.value(), index = attempt.id.index;
  const uint32_t execution = scenario_.ExecutionOf(attempt.iteration, attempt.result.attempt);
  const Fate fate = scenario_.FateOf(unit, index, execution);
  return fate != Fate::kHang && fate != Fate::kStubborn &&
         scenario_.DurationOn(attempt.host->value(), unit, index) < scenario_.policy.time_limit;
}

void World::Do(const AttemptCopied& action) {
  const CaseKey key{action.id.unit.value(), action.id.index, action.iteration};
  if (verbose) {
    std::cerr << "    copy of " << key.unit << "/" << key.index << " attempt " << action.attempt << " on "
              << action.original.value() << " on " << action.host.value() << " stage " << int(action.stage) << "\n";
  }
  if (replaying_) return;
  if (action.stage != CopyStage::kStarted) {
    if (copied_.erase(key) == 0) Broken("a copy ends that was not started");
    outcomes_.copies_won += action.stage == CopyStage::kWon;
    return;
  }
  ++outcomes_.copies;
  if (!scenario_.scheduler.speculate) Broken("a copy nobody asked for");
  if (!copied_.insert(key).second) Broken("a second copy of an attempt");
  if (PolicyOf(key.unit, key.index).HasNeeds()) Broken("a copy of a case with needs");
  if (action.host == action.original) Broken("a copy on the host of its original");
  if (verdicts_.contains(key)) Broken("a copy of a case that has its verdict");
  copies_[key].push_back(action);
}

void World::Do(const PropertiesCame& action) {
  if (replaying_) return;
  const CaseKey key{action.id.unit.value(), action.id.index, action.iteration};
  const auto ended = ended_.find({key, action.attempt});
  if (ended == ended_.end() || ended->second != action.host) Broken("properties of an attempt that did not end there");
  outcomes_.late_properties += action.properties.size();
  CheckProperties(key, action.attempt, action.properties);
}

void World::Do(const CaseIsSlow& action) {
  if (replaying_) return;
  const CaseKey key{action.id.unit.value(), action.id.index, action.iteration};
  if (verdicts_.contains(key)) Broken("a case that has its verdict is slow");
  if (!slow_.insert({key, action.attempt}).second) Broken("an attempt is told to be slow twice");
  if (action.elapsed < schedule::SlowAfter(scenario_.policy, absl::ZeroDuration(), 1))
    Broken("slow, but for no reason");
}

void World::CheckProperties(const CaseKey& key, uint32_t attempt,
                            const std::vector<std::pair<std::string, std::string>>& properties) {
  for (const auto& [name, value] : properties) {
    ++outcomes_.properties;
    if (value != absl::StrCat(scenario_.ExecutionOf(key.iteration, attempt))) Broken("properties of another attempt");
    if (!recorded_.insert({key, attempt}).second) Broken("a property comes twice");
  }
}

}  // namespace dtest::simulation
