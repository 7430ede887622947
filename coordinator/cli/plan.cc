#include "coordinator/cli/plan.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/report/text.h"

namespace dtest {
namespace {

// More slots that save less than this save nothing: estimates are no better.
constexpr double kNothing = 0.02;
constexpr uint32_t kMostDoubled = 4096;
// From which part on something is worth a word: of the wall a chain, of what slots do or of the wall the rest.
constexpr double kMuchOfWall = 0.8;
constexpr double kMuch = 0.2;

double Share(absl::Duration part, absl::Duration whole) {
  return whole > absl::ZeroDuration() ? absl::FDivDuration(part, whole) : 0;
}

std::string PercentOf(absl::Duration part, absl::Duration whole) { return PercentText(100 * Share(part, whole)); }

// One host with so many slots that can run everything.
std::vector<VirtualHost> OneHost(const PlanInput& input, uint32_t slots) {
  std::set<std::string> tags;
  for (const VirtualUnit& unit : input.units) {
    for (const CasePolicy& policy : unit.known.policies) tags.insert(policy.tags.begin(), policy.tags.end());
  }
  return {{"simulated", slots, 1, std::vector<std::string>(tags.begin(), tags.end())}};
}

std::vector<VirtualUnit> WithSlotsAtMost(std::vector<VirtualUnit> units, uint32_t slots) {
  for (VirtualUnit& unit : units) {
    for (CasePolicy& policy : unit.known.policies) policy.slots = std::min(policy.slots, slots);
  }
  return units;
}

PlanRow RowOf(const std::vector<VirtualUnit>& units, const std::vector<VirtualHost>& hosts, uint32_t repeat) {
  SchedulerOptions options;
  options.repeat = repeat;
  PlanRow row;
  row.hosts = hosts.size();
  for (const VirtualHost& host : hosts) row.slots += host.slots;
  row.run = RunVirtually(units, hosts, options);
  row.chain = LongestChain(units, hosts, repeat);
  return row;
}

std::string SlotsText(const PlanRow& row) {
  return row.own ? absl::StrCat("your ", Plural(row.slots, "slot")) : Plural(row.slots, "slot");
}

uint32_t MostWanted(const std::vector<VirtualUnit>& units) {
  uint32_t most = 1;
  for (const VirtualUnit& unit : units) {
    for (const SelectedCase& one : unit.known.cases) {
      most = std::max(most, unit.known.policies[one.policy].slots);
    }
  }
  return most;
}

// Something of each host is what cases wait for, so more hosts do what more slots cannot.
bool HostsAreWaitedFor(const std::vector<VirtualUnit>& units) {
  for (const VirtualUnit& unit : units) {
    for (const SelectedCase& one : unit.known.cases) {
      const CasePolicy& policy = unit.known.policies[one.policy];
      const bool host_lock = std::any_of(policy.locks.begin(), policy.locks.end(),
                                         [](const CaseLock& lock) { return lock.scope == LockScope::kHost; });
      if (policy.exclusive || host_lock) return true;
    }
  }
  return false;
}

bool SavesNothing(const PlanRow& more, const PlanRow& fewer) {
  return more.run.wall >= (1 - kNothing) * fewer.run.wall;
}
bool IsAtItsChain(const PlanRow& row) { return row.run.wall <= (1 + kNothing) * row.chain.length; }

// Those cases only that some of the hosts can run.
std::vector<VirtualUnit> WhatCanRun(const std::vector<VirtualUnit>& units, const std::vector<VirtualHost>& hosts) {
  std::vector<VirtualUnit> able = units;
  for (size_t u = 0; u < units.size(); ++u) {
    const VirtualUnit& unit = units[u];
    able[u].takes.clear();
    CasesKnown& known = able[u].known;
    known.cases.clear();
    known.suite_of.clear();
    known.file_of.clear();
    known.group_of.clear();
    for (size_t i = 0; i < unit.takes.size(); ++i) {
      if (!CanRun(hosts, unit.known.policies[unit.known.cases[i].policy])) continue;
      able[u].takes.push_back(unit.takes[i]);
      known.cases.push_back(unit.known.cases[i]);
      if (!unit.known.suite_of.empty()) known.suite_of.push_back(unit.known.suite_of[i]);
      if (!unit.known.file_of.empty()) known.file_of.push_back(unit.known.file_of[i]);
      if (!unit.known.group_of.empty()) known.group_of.push_back(unit.known.group_of[i]);
    }
  }
  return able;
}

absl::Duration TimeOf(const std::vector<VirtualUnit>& units, uint32_t repeat) {
  absl::Duration time;
  for (const VirtualUnit& unit : units) {
    for (const absl::Duration takes : unit.takes) time += takes * repeat;
  }
  return time;
}

// The first row of one host behind which no number of slots that was tried saves anything, where this is so because a
// chain is as long, or was seen with twice as many. Null: none is known.
const PlanRow* Saturated(const Plan& plan) {
  std::vector<const PlanRow*> rows;
  for (const PlanRow& row : plan.rows) {
    if (!row.own) rows.push_back(&row);
  }
  std::stable_sort(rows.begin(), rows.end(), [](const PlanRow* a, const PlanRow* b) { return a->slots < b->slots; });
  for (size_t i = 0; i + 1 < rows.size(); ++i) {
    const bool nothing = std::all_of(rows.begin() + static_cast<ptrdiff_t>(i) + 1, rows.end(),
                                     [&](const PlanRow* later) { return SavesNothing(*later, *rows[i]); });
    const uint64_t most = rows.back()->slots;
    const bool seen = most > rows[i]->slots && (IsAtItsChain(*rows[i]) || most >= 2 * rows[i]->slots);
    if (nothing && seen) return rows[i];
  }
  return nullptr;
}

// `saturated`: more slots than the row has would save nothing.
void AdviseOnChain(const PlanInput& input, const PlanRow& row, bool saturated, std::vector<std::string>* advice) {
  const Chain& chain = row.chain;
  if (Share(chain.length, row.run.wall) < kMuchOfWall || (row.slots == 1 && !saturated)) return;
  const std::string share = absl::StrCat(PercentOf(chain.length, row.run.wall), " of the wall with ", SlotsText(row));
  switch (chain.kind) {
    case Chain::Kind::kNone:
      return;
    case Chain::Kind::kCase:
      if (chain.startup > chain.length / 2) {
        if (chain.collection > chain.startup / 2) return;  // that is told by itself
        advice->push_back(absl::StrCat("what comes before the first case of ",
                                       NameLine(input.unit_names[chain.unit.value()]), ", ", SecondsText(chain.startup),
                                       ", is ", PercentOf(chain.startup, row.run.wall), " of the wall with ",
                                       SlotsText(row), ": no slot makes it shorter"));
        return;
      }
      advice->push_back(absl::StrCat("the longest case, ", ChainText(input, chain), ", is ", share, ": split it"));
      return;
    case Chain::Kind::kGroup:
      advice->push_back(absl::StrCat("the longest group, ", ChainText(input, chain), ", is ", share, ": divide it"));
      return;
    case Chain::Kind::kLock:
      advice->push_back(absl::StrCat(ChainText(input, chain), " take ", share,
                                     ": let more of them hold it at once, or fewer need it"));
      return;
    case Chain::Kind::kAlone:
      advice->push_back(absl::StrCat(ChainText(input, chain), " take ", share, ": more hosts, or fewer such cases"));
      return;
  }
}

bool SomeHaveOwnProcess(const PlanInput& input) {
  return std::any_of(input.units.begin(), input.units.end(), [](const VirtualUnit& unit) {
    return std::any_of(unit.known.policies.begin(), unit.known.policies.end(),
                       [](const CasePolicy& policy) { return policy.processes == Processes::kCase; });
  });
}

void AdviseOnStartup(const PlanInput& input, const PlanRow& row, std::vector<std::string>* advice) {
  const absl::Duration busy = row.run.case_time + row.run.startup_time + row.run.collection_time;
  if (Share(row.run.suite_time, busy) >= kMuch) {
    advice->push_back(absl::StrCat("fixtures of modules and classes take ", PercentOf(row.run.suite_time, busy),
                                   " of what slots do with ", SlotsText(row), ": dtest profile shows which"));
  }
  const absl::Duration starts = row.run.startup_time - row.run.suite_time;
  if (Share(starts, busy) < kMuch) return;
  advice->push_back(absl::StrCat(
      "start-up is ", PercentOf(starts, busy), " of what slots do with ", SlotsText(row), ": ",
      row.run.processes == 1 ? "1 process starts" : absl::StrCat(CountText(row.run.processes), " processes start"),
      SomeHaveOwnProcess(input) ? "; --processes batch starts fewer" : "; make cheaper what they do before a case"));
}

void AdviseOnCollection(const PlanInput& input, const PlanRow& row, std::vector<std::string>* advice) {
  const auto longest =
      std::max_element(input.units.begin(), input.units.end(),
                       [](const VirtualUnit& a, const VirtualUnit& b) { return a.collection < b.collection; });
  if (longest == input.units.end() || Share(longest->collection, row.run.wall) < kMuch) return;
  advice->push_back(absl::StrCat(
      "collecting ", NameLine(input.unit_names[static_cast<size_t>(longest - input.units.begin())]),
      " takes each host ", SecondsText(longest->collection), ", ", PercentOf(longest->collection, row.run.wall),
      " of the wall with ", SlotsText(row), ": none of its cases runs before"));
}

void Advise(const PlanInput& input, Plan* plan) {
  const PlanRow* const saturated = Saturated(*plan);
  const PlanRow* row = saturated;
  for (const PlanRow& one : plan->rows) {
    if (saturated == nullptr && !one.own && (row == nullptr || one.slots > row->slots)) row = &one;
  }
  if (row == nullptr) return;
  AdviseOnChain(input, *row, saturated != nullptr, &plan->advice);
  AdviseOnCollection(input, *row, &plan->advice);
  AdviseOnStartup(input, *row, &plan->advice);
  if (saturated == nullptr) return;
  const bool hosts_gain = HostsAreWaitedFor(input.units) ||
                          std::any_of(plan->rows.begin(), plan->rows.end(),
                                      [&](const PlanRow& one) { return one.own && !SavesNothing(one, *saturated); });
  plan->advice.push_back(
      absl::StrCat("beyond ", SlotsText(*row), hosts_gain ? " of one host" : "", " nothing is gained"));
}

std::string Right(const std::string& text, size_t width) {
  return std::string(width - std::min(width, text.size()), ' ') + text;
}

}  // namespace

Plan MakePlan(const PlanInput& input, const std::vector<uint32_t>& slots, const std::vector<VirtualHost>& own) {
  Plan plan;
  for (const VirtualUnit& unit : input.units) plan.cases += unit.takes.size() * input.repeat;
  plan.case_time = TimeOf(input.units, input.repeat);
  const auto with = [&](uint32_t count) {
    return RowOf(WithSlotsAtMost(input.units, count), OneHost(input, count), input.repeat);
  };
  const PlanRow one = with(1);
  if (slots.empty()) {
    plan.rows.push_back(one);
    const uint32_t wanted = MostWanted(input.units);
    int plateaus = 0;  // in a row; below twice what a case wants they say nothing
    for (uint32_t count = 2; count <= kMostDoubled && plateaus < 2; count *= 2) {
      plan.rows.push_back(with(count));
      const PlanRow& before = plan.rows[plan.rows.size() - 2];
      const bool plateau = SavesNothing(plan.rows.back(), before);
      if (plateau && count > wanted && IsAtItsChain(before)) break;
      plateaus = plateau && count >= 2 * wanted ? plateaus + 1 : 0;
    }
  }
  for (const uint32_t count : slots) plan.rows.push_back(count == 1 ? one : with(count));
  if (!own.empty()) {
    plan.rows.push_back(RowOf(input.units, own, input.repeat));
    plan.rows.back().own = true;
  }
  double own_capacity = 0;
  for (const VirtualHost& host : own) own_capacity += host.slots * host.speed;
  for (PlanRow& row : plan.rows) {
    const double capacity = row.own ? own_capacity : static_cast<double>(row.slots);
    absl::Duration one_slot = one.run.wall, time = plan.case_time;
    if (row.run.impossible > 0) {
      const std::vector<VirtualUnit> able = WhatCanRun(input.units, own);
      one_slot = RowOf(WithSlotsAtMost(able, 1), OneHost(input, 1), input.repeat).run.wall;
      time = TimeOf(able, input.repeat);
    }
    row.speed_up = Share(one_slot, row.run.wall);
    row.efficiency = Share(time, row.run.wall) / capacity;
  }
  Advise(input, &plan);
  return plan;
}

std::string ChainText(const PlanInput& input, const Chain& chain) {
  if (chain.kind == Chain::Kind::kNone) return "nothing";
  const std::string length = SecondsText(chain.length);
  if (chain.kind == Chain::Kind::kLock) {
    return absl::StrCat(Plural(chain.cases, "case"), " with the lock '", OneLine(chain.lock), "' (", length, ")");
  }
  if (chain.kind == Chain::Kind::kAlone) {
    return absl::StrCat(Plural(chain.cases, "case"), " with no room for one another on a host (", length, ")");
  }
  const size_t unit = chain.unit.value();
  const std::string name = CaseLine(input.unit_names[unit], input.case_names[unit][chain.index]);
  std::string behind;
  const absl::Duration startup = chain.startup - chain.collection;
  if (chain.collection >= absl::Milliseconds(1)) {
    absl::StrAppend(&behind, ", collection ", SecondsText(chain.collection));
  }
  if (startup >= absl::Milliseconds(1)) absl::StrAppend(&behind, ", start-up ", SecondsText(startup));
  if (chain.kind == Chain::Kind::kCase) return absl::StrCat(name, " (", length, behind, ")");
  return absl::StrCat(name, " and ", Plural(chain.cases - 1, "case"), " more (", length, behind, ")");
}

std::string PlanText(const PlanInput& input, const Plan& plan) {
  std::string text =
      absl::StrCat(Plural(plan.cases, "case"), " of ", Plural(input.units.size(), "executable"), ", ",
                   SecondsText(plan.case_time), " of cases\n\n",
                   "     slots          wall  speed-up  efficiency   start-up  collection         chain  of wall\n");
  for (const PlanRow& row : plan.rows) {
    if (row.own) absl::StrAppend(&text, "your ", Plural(row.hosts, "host"), ":\n");
    const absl::Duration busy = row.run.case_time + row.run.startup_time + row.run.collection_time;
    const bool nothing_runs = row.run.wall <= absl::ZeroDuration();
    absl::StrAppend(&text, Right(CountText(row.slots), 10), Right(SecondsText(row.run.wall), 14),
                    nothing_runs ? Right("-", 10) : FixedSeconds(absl::Seconds(row.speed_up), 2, 10),
                    Right(nothing_runs ? "-" : PercentText(100 * row.efficiency), 12),
                    Right(PercentOf(row.run.startup_time, busy), 11),
                    Right(PercentOf(row.run.collection_time, busy), 12), Right(SecondsText(row.chain.length), 14),
                    Right(nothing_runs ? "-" : PercentOf(row.chain.length, row.run.wall), 9), "\n");
    if (row.run.impossible > 0) {
      absl::StrAppend(&text, "            less ", Plural(row.run.impossible, "case"),
                      " that none of these hosts can run: they need tags, or more slots\n");
    }
  }
  if (!plan.rows.empty()) {
    absl::StrAppend(&text, "\nlongest chain: ", ChainText(input, plan.rows.front().chain), "\n");
  }
  for (const std::string& advice : plan.advice) absl::StrAppend(&text, advice, "\n");
  return text;
}

}  // namespace dtest
