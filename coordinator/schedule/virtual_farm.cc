#include "coordinator/schedule/virtual_farm.h"

#include <algorithm>
#include <deque>
#include <map>
#include <queue>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "coordinator/schedule/check.h"

namespace dtest {
namespace {

// One run. An agent is its slots, its queue, and what it has collected.
class VirtualFarm {
 public:
  VirtualFarm(const std::vector<VirtualUnit>& units, const std::vector<VirtualHost>& hosts, SchedulerOptions options)
      : units_(units),
        hosts_(hosts),
        cases_(units.size()),
        agents_(hosts.size()),
        scheduler_(WithHosts(std::move(options))),
        known_(units.size()) {
    for (size_t u = 0; u < units.size(); ++u) {
      for (size_t i = 0; i < units[u].takes.size(); ++i) {
        const CasesKnown& known = units[u].known;
        cases_[u][known.cases[i].index] = {units[u].takes[i], i < known.suite_of.size() ? known.suite_of[i] : 0};
      }
    }
    for (size_t h = 0; h < hosts.size(); ++h) {
      agents_[h].slots.resize(hosts[h].slots);
      agents_[h].units.resize(units.size());
    }
  }

  VirtualRun Run() {
    // What is known before the hosts join is weighed as a whole, the longest first. But which suites are kept together
    // depends on how many slots there are.
    const auto is_listed = [](const VirtualUnit& unit) { return unit.collection <= absl::ZeroDuration(); };
    const auto waits = [](const VirtualUnit& unit) { return unit.known.suite_setup > absl::ZeroDuration(); };
    for (const VirtualUnit& unit : units_) {
      Tell(UnitAdded{unit.known.unit, 0, is_listed(unit)});
      if (is_listed(unit) && !waits(unit)) Tell(CasesKnown(unit.known));
    }
    Tell(BundleComplete());
    for (size_t h = 0; h < hosts_.size(); ++h) Tell(HostJoined{HostId(h), hosts_[h].slots, hosts_[h].speed});
    for (const VirtualUnit& unit : units_) {
      if (is_listed(unit) && waits(unit)) Tell(CasesKnown(unit.known));
    }
    while (!finished_) {
      const absl::Time deadline = scheduler_.NextDeadline();
      if (!due_.empty() && due_.top().time <= deadline) {
        const Due due = due_.top();
        due_.pop();
        now_ = due.time;
        Step(due.host, due.slot);
      } else {
        schedule::Check(deadline < absl::InfiniteFuture(), "something is left to happen until Finish");
        now_ = std::max(now_, deadline);
        Tell(Tick());
      }
    }
    return result_;
  }

 private:
  struct Case {
    absl::Duration takes;
    uint32_t suite = 0;
  };
  struct UnitHere {
    bool prepared = false;
    absl::Time ready = absl::InfiniteFuture();  // when it will have been collected, once that has begun
  };
  struct Slot {
    bool busy = false;
    bool listing = false;
    Lease lease;  // or the unit of a listing
    size_t begun = 0;
    absl::Duration startup;
    absl::Duration takes, shared;  // the case that it is at
  };
  struct Agent {
    std::vector<Slot> slots;
    std::deque<UnitId> listings;  // go before leases
    std::deque<Lease> queue;
    std::vector<UnitHere> units;
  };
  struct Due {
    absl::Time time;
    uint64_t serial;
    uint32_t host, slot;
    bool operator<(const Due& other) const { return time != other.time ? time > other.time : serial > other.serial; }
  };

  SchedulerOptions WithHosts(SchedulerOptions options) const {
    options.hosts = static_cast<uint32_t>(hosts_.size());
    options.host_names.clear();
    options.host_tags.clear();
    for (const VirtualHost& host : hosts_) {
      options.host_names.push_back(host.name);
      options.host_tags.push_back(host.tags);
    }
    return options;
  }

  void Tell(SchedulerEvent event) {
    told_.push_back(std::move(event));
    if (std::exchange(telling_, true)) return;
    std::vector<SchedulerAction> actions;
    while (!told_.empty()) {
      SchedulerEvent next = std::move(told_.front());
      told_.pop_front();
      actions.clear();
      scheduler_.Handle(now_, std::move(next), &actions);
      for (SchedulerAction& action : actions) Do(std::move(action));
    }
    telling_ = false;
  }
  void Say(uint32_t host, decltype(FromHost::message) message) { Tell(FromHost{HostId(host), std::move(message)}); }

  void Do(SchedulerAction action) {
    if (auto* send = std::get_if<SendTo>(&action)) {
      const uint32_t host = send->host.value();
      std::visit([&](auto& message) { Receive(host, std::move(message)); }, send->message);
    } else if (const auto* ended = std::get_if<AttemptEnded>(&action)) {
      result_.wall = now_ - start_;
      if (ended->result.outcome != Outcome::kPassed) ++result_.impossible;
    } else if (std::holds_alternative<Finish>(action)) {
      finished_ = true;
    }
  }

  void Receive(uint32_t h, Prefetch message) { Prepare(h, message.unit); }
  void Receive(uint32_t h, List message) {
    Prepare(h, message.unit);
    agents_[h].listings.push_back(message.unit);
    StartWhatMay(h);
  }
  void Receive(uint32_t h, Lease message) {
    Prepare(h, message.unit);
    agents_[h].queue.push_back(std::move(message));
    StartWhatMay(h);
  }
  void Receive(uint32_t h, Recall message) {
    std::deque<Lease>& queue = agents_[h].queue;
    const auto found =
        std::find_if(queue.begin(), queue.end(), [&](const Lease& lease) { return lease.id == message.lease; });
    if (found == queue.end()) return Say(h, Refused{message.lease});
    queue.erase(found);
    Say(h, Released{message.lease});
  }
  void Receive(uint32_t, Cancel) { schedule::Check(false, "nothing is copied in a virtual run"); }
  void Receive(uint32_t, Interrupt) { schedule::Check(false, "nobody stops a virtual run"); }
  void Receive(uint32_t, Shutdown) {}

  void Prepare(uint32_t h, UnitId unit) {
    if (!std::exchange(agents_[h].units[unit.value()].prepared, true)) Say(h, Prepared{unit, ""});
  }

  void StartWhatMay(uint32_t h) {
    Agent& agent = agents_[h];
    for (uint32_t s = 0; s < agent.slots.size() && !(agent.listings.empty() && agent.queue.empty()); ++s) {
      Slot& slot = agent.slots[s];
      if (slot.busy) continue;
      slot = Slot();
      slot.busy = true;
      if (!agent.listings.empty()) {
        slot.listing = true;
        slot.lease.unit = agent.listings.front();
        agent.listings.pop_front();
        Wake(h, s, std::max(now_, Collected(h, slot.lease.unit)));
        result_.collection_time += std::max(now_, Collected(h, slot.lease.unit)) - now_;
        continue;
      }
      slot.lease = std::move(agent.queue.front());
      agent.queue.pop_front();
      const absl::Time collected = std::max(now_, Collected(h, slot.lease.unit));
      slot.startup = units_[slot.lease.unit.value()].known.startup / hosts_[h].speed;
      result_.collection_time += collected - now_;
      result_.startup_time += slot.startup;
      ++result_.processes;
      Wake(h, s, collected + slot.startup + CaseTakes(h, &slot));
    }
  }

  // When the host has collected the unit, which begins now if it has not yet.
  absl::Time Collected(uint32_t h, UnitId unit) {
    absl::Time& ready = agents_[h].units[unit.value()].ready;
    if (ready == absl::InfiniteFuture()) ready = now_ + units_[unit.value()].collection / hosts_[h].speed;
    return ready;
  }

  // The case that the slot is at, with what it makes for its suite; both are counted.
  absl::Duration CaseTakes(uint32_t h, Slot* slot) {
    const absl::flat_hash_map<uint32_t, Case>& cases = cases_[slot->lease.unit.value()];
    const Case& c = cases.at(slot->lease.cases[slot->begun].index);
    const bool same_suite = slot->begun > 0 && cases.at(slot->lease.cases[slot->begun - 1].index).suite == c.suite;
    const absl::Duration setup = units_[slot->lease.unit.value()].known.suite_setup;
    slot->shared = same_suite ? absl::ZeroDuration() : setup / hosts_[h].speed;
    slot->takes = c.takes / hosts_[h].speed;
    result_.startup_time += slot->shared;
    result_.suite_time += slot->shared;
    result_.case_time += slot->takes;
    return slot->takes + slot->shared;
  }

  void Wake(uint32_t h, uint32_t s, absl::Time time) { due_.push({time, ++serial_, h, s}); }

  // What the slot does has ended: a listing, or a case.
  void Step(uint32_t h, uint32_t s) {
    Slot& slot = agents_[h].slots[s];
    if (slot.listing) {
      const UnitId unit = slot.lease.unit;
      slot.busy = false;
      StartWhatMay(h);
      Listed listed;
      listed.unit = unit;
      listed.duration = units_[unit.value()].collection;
      Say(h, std::move(listed));
      if (known_[unit.value()]) return;
      known_[unit.value()] = true;
      Tell(CasesKnown(units_[unit.value()].known));
      return;
    }
    Results results;
    results.lease = slot.lease.id;
    results.unit = slot.lease.unit;
    const LeasedCase& leased = slot.lease.cases[slot.begun];
    CaseResult& result = results.results.emplace_back();
    result.index = leased.index;
    result.attempt = leased.attempt;
    result.slot = SlotId(s);
    result.duration = slot.takes + slot.shared;
    result.setup = result.shared = slot.shared;
    results.done = ++slot.begun == slot.lease.cases.size();
    if (results.done) {
      results.startup = slot.startup;
      results.followed = true;  // so what its cases share is no part of that
      slot.busy = false;
      StartWhatMay(h);
    } else {
      Wake(h, s, now_ + CaseTakes(h, &slot));
    }
    Say(h, std::move(results));
  }

  const std::vector<VirtualUnit>& units_;
  const std::vector<VirtualHost>& hosts_;
  std::vector<absl::flat_hash_map<uint32_t, Case>> cases_;  // by unit and index
  std::vector<Agent> agents_;
  Scheduler scheduler_;
  std::deque<SchedulerEvent> told_;
  bool telling_ = false;
  std::vector<bool> known_;  // units whose listing has come
  std::priority_queue<Due> due_;
  uint64_t serial_ = 0;
  const absl::Time start_ = absl::UnixEpoch();
  absl::Time now_ = start_;
  bool finished_ = false;
  VirtualRun result_;
};

}  // namespace

VirtualRun RunVirtually(const std::vector<VirtualUnit>& units, const std::vector<VirtualHost>& hosts,
                        SchedulerOptions options) {
  return VirtualFarm(units, hosts, std::move(options)).Run();
}

bool CanRun(const std::vector<VirtualHost>& hosts, const CasePolicy& policy) {
  return std::any_of(hosts.begin(), hosts.end(), [&](const VirtualHost& host) {
    return (host.slots >= policy.slots || policy.fewer_slots_will_do) &&
           std::includes(host.tags.begin(), host.tags.end(), policy.tags.begin(), policy.tags.end());
  });
}

Chain LongestChain(const std::vector<VirtualUnit>& units, const std::vector<VirtualHost>& hosts, uint32_t repeat) {
  double fastest = 0;
  uint32_t most_slots = 1;
  for (const VirtualHost& host : hosts) {
    fastest = std::max(fastest, host.speed);
    most_slots = std::max(most_slots, host.slots);
  }
  Chain longest;
  const auto offer = [&](Chain chain) {
    chain.length /= fastest;
    chain.startup /= fastest;
    chain.collection /= fastest;
    if (longest.kind == Chain::Kind::kNone || chain.length > longest.length) longest = std::move(chain);
  };
  struct Shared {
    Chain chain;
    absl::Duration cases;
    double at_once = 1;
  };
  std::map<std::string, Shared> locks;
  Shared alone;
  alone.chain.kind = Chain::Kind::kAlone;
  alone.at_once = static_cast<double>(hosts.size());
  for (const VirtualUnit& unit : units) {
    const absl::Duration before = unit.collection + unit.known.startup + unit.known.suite_setup;
    // One process may run several of them, unless each has its own.
    const auto add = [&](uint32_t i, Shared* shared) {
      const bool own_process = unit.known.policies[unit.known.cases[i].policy].processes == Processes::kCase;
      // Any of them may be the first.
      absl::Duration& collection = shared->chain.collection;
      collection = shared->chain.cases == 0 ? unit.collection : std::min(collection, unit.collection);
      shared->cases += (unit.takes[i] + (own_process ? unit.known.startup : absl::ZeroDuration())) * repeat;
      ++shared->chain.cases;
    };
    std::map<uint32_t, Chain> groups;
    for (uint32_t i = 0; i < unit.takes.size(); ++i) {
      const CasePolicy& policy = unit.known.policies[unit.known.cases[i].policy];
      if (!CanRun(hosts, policy)) continue;
      const Chain one = {Chain::Kind::kCase, unit.known.unit, i, "", 1, before + unit.takes[i], before,
                         unit.collection};
      offer(one);
      if (!unit.known.group_of.empty() && unit.known.group_of[i] != 0) {
        Chain none = one;
        none.kind = Chain::Kind::kGroup;
        none.cases = 0;
        none.length = before;
        Chain& group = groups.try_emplace(unit.known.group_of[i], none).first->second;
        group.length += unit.takes[i] * repeat;
        ++group.cases;
      }
      for (const CaseLock& lock : policy.locks) {
        Shared& shared = locks[lock.name];
        shared.chain.kind = Chain::Kind::kLock;
        shared.chain.lock = lock.name;
        const double holders = static_cast<double>(lock.max);
        shared.at_once = lock.scope == LockScope::kHost ? holders * static_cast<double>(hosts.size()) : holders;
        add(i, &shared);
      }
      const bool has_no_neighbour = policy.slots > 1 && 2 * uint64_t{policy.slots} > most_slots;
      if (policy.exclusive || has_no_neighbour) add(i, &alone);
    }
    for (auto& [number, group] : groups) offer(std::move(group));
  }
  const auto offer_shared = [&](Shared shared) {
    if (shared.chain.cases * repeat <= 1) return;
    shared.chain.length = shared.chain.collection + shared.cases / shared.at_once;
    shared.chain.startup = shared.chain.collection;
    offer(std::move(shared.chain));
  };
  for (auto& [name, lock] : locks) offer_shared(std::move(lock));
  offer_shared(std::move(alone));
  return longest;
}

}  // namespace dtest
