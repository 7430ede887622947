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
  row.chain = LongestChain(units, hosts);
  return row;
}

std::string SlotsText(const PlanRow& row) {
  return row.own ? absl::StrCat("your ", Plural(row.slots, "slot")) : Plural(row.slots, "slot");
}

// The first row of one host behind which no number of slots that was tried saves anything. Null: each saves something.
const PlanRow* Saturated(const Plan& plan) {
  std::vector<const PlanRow*> rows;
  for (const PlanRow& row : plan.rows) {
    if (!row.own) rows.push_back(&row);
  }
  std::stable_sort(rows.begin(), rows.end(), [](const PlanRow* a, const PlanRow* b) { return a->slots < b->slots; });
  for (size_t i = 0; i + 1 < rows.size(); ++i) {
    const bool nothing =
        std::all_of(rows.begin() + static_cast<ptrdiff_t>(i) + 1, rows.end(),
                    [&](const PlanRow* later) { return later->run.wall >= (1 - kNothing) * rows[i]->run.wall; });
    if (nothing) return rows[i];
  }
  return nullptr;
}

void AdviseOnChain(const PlanInput& input, const PlanRow& row, std::vector<std::string>* advice) {
  const Chain& chain = row.chain;
  if (Share(chain.length, row.run.wall) < kMuchOfWall || row.slots == 1) return;
  const std::string share = absl::StrCat(PercentOf(chain.length, row.run.wall), " of the wall with ", SlotsText(row));
  switch (chain.kind) {
    case Chain::Kind::kNone:
      return;
    case Chain::Kind::kCase:
      if (chain.startup > chain.length / 2) {
        if (input.units[chain.unit.value()].collection > chain.startup / 2) return;  // that is told by itself
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
  if (Share(row.run.startup_time, busy) < kMuch) return;
  advice->push_back(absl::StrCat(
      "start-up is ", PercentOf(row.run.startup_time, busy), " of what slots do with ", SlotsText(row), ": ",
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
  AdviseOnChain(input, *row, &plan->advice);
  AdviseOnCollection(input, *row, &plan->advice);
  AdviseOnStartup(input, *row, &plan->advice);
  if (saturated != nullptr) plan->advice.push_back(absl::StrCat("beyond ", SlotsText(*row), " nothing is gained"));
}

std::string Right(const std::string& text, size_t width) {
  return std::string(width - std::min(width, text.size()), ' ') + text;
}

}  // namespace

Plan MakePlan(const PlanInput& input, const std::vector<uint32_t>& slots, const std::vector<VirtualHost>& own) {
  Plan plan;
  for (const VirtualUnit& unit : input.units) {
    plan.cases += unit.takes.size() * input.repeat;
    for (const absl::Duration takes : unit.takes) plan.case_time += takes * input.repeat;
  }
  const auto with = [&](uint32_t count) {
    return RowOf(WithSlotsAtMost(input.units, count), OneHost(input, count), input.repeat);
  };
  const PlanRow one = with(1);
  if (slots.empty()) {
    plan.rows.push_back(one);
    for (uint32_t count = 2; count <= kMostDoubled; count *= 2) {
      plan.rows.push_back(with(count));
      if (plan.rows.back().run.wall >= (1 - kNothing) * plan.rows[plan.rows.size() - 2].run.wall) break;
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
    row.speed_up = Share(one.run.wall, row.run.wall);
    row.efficiency = Share(plan.case_time, row.run.wall) / capacity;
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
  const size_t unit = chain.unit.value();
  const std::string name = CaseLine(input.unit_names[unit], input.case_names[unit][chain.index]);
  std::string behind;
  if (chain.startup >= absl::Milliseconds(1)) absl::StrAppend(&behind, ", start-up ", SecondsText(chain.startup));
  if (chain.kind == Chain::Kind::kCase) return absl::StrCat(name, " (", length, behind, ")");
  return absl::StrCat(name, " and ", Plural(chain.cases - 1, "case"), " more (", length, behind, ")");
}

std::string PlanText(const PlanInput& input, const Plan& plan) {
  std::string text = absl::StrCat(Plural(plan.cases, "case"), " of ", Plural(input.units.size(), "executable"), ", ",
                                  SecondsText(plan.case_time), " of cases\n\n",
                                  "     slots        wall  speed-up  efficiency   start-up    longest chain\n");
  for (const PlanRow& row : plan.rows) {
    if (row.own) absl::StrAppend(&text, "your ", Plural(row.hosts, "host"), ":\n");
    const absl::Duration busy = row.run.case_time + row.run.startup_time + row.run.collection_time;
    absl::StrAppend(&text, Right(CountText(row.slots), 10), FixedSeconds(row.run.wall, 3, 12), "s",
                    FixedSeconds(absl::Seconds(row.speed_up), 2, 10), Right(PercentText(100 * row.efficiency), 12),
                    Right(PercentOf(row.run.startup_time + row.run.collection_time, busy), 11),
                    FixedSeconds(row.chain.length, 3, 12), "s", Right(PercentOf(row.chain.length, row.run.wall), 9),
                    "\n");
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
