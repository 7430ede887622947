// `dtest plan`: what history knows of the tests in some paths, made into input of a run in virtual time.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/cli/bring_along.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/hosts.h"
#include "coordinator/cli/json_document.h"
#include "coordinator/cli/kept_runs.h"
#include "coordinator/cli/known_case.h"
#include "coordinator/cli/plan.h"
#include "coordinator/cli/run_command.h"
#include "coordinator/cli/standard_output.h"
#include "coordinator/history/history.h"
#include "coordinator/report/json_append.h"
#include "coordinator/report/summary.h"
#include "coordinator/report/text.h"
#include "coordinator/run/declared_cases.h"
#include "coordinator/run/expected_cases.h"
#include "coordinator/run/selection.h"

namespace dtest {
namespace {

constexpr size_t kNamed = 5;  // of what is told with a number
constexpr absl::Duration kStale = absl::Hours(24 * 7);

// What is known of the tests, and what is not.
struct Knowledge {
  PlanInput input;
  uint64_t without_duration = 0;   // they never ended by themselves: they count as their executable's others
  uint64_t skipped = 0;            // whenever they ran: they take nothing
  uint64_t stale = 0;              // others of their executable have run since, for long
  uint64_t elsewhere = 0;          // not among the cases of the latest whole run here
  uint64_t with_marked_locks = 0;  // by pytest's mark: the plan does not know them
  std::vector<std::string> unknown_units, unknown_collections, unlisted_units;
};

std::string Named(const std::vector<std::string>& names) {
  std::vector<std::string> shown;
  for (const std::string& name : names) {
    if (shown.size() < kNamed) shown.push_back(NameLine(name));
  }
  return absl::StrCat(absl::StrJoin(shown, ", "), names.size() > kNamed ? ", ..." : "");
}

// The suite of a node id of pytest: what of it shares set-ups. Of other names none is told without a listing, and none
// is needed, since only pytest tells what set-ups took.
absl::string_view SuiteOf(absl::string_view name) {
  name = name.substr(0, name.find('['));
  const size_t end = name.rfind("::");
  return end == absl::string_view::npos ? absl::string_view() : name.substr(0, end);
}

// The cases of one unit, in the order of their names.
void AddUnit(const std::string& name, bool pytest, const std::vector<const History::KnownCase*>& cases,
             absl::Duration startup, absl::Duration suite_setup, absl::Duration collection,
             const CasePolicies& policies, const Declarations* declarations, bool listed, Knowledge* knowledge) {
  CaseInfos infos;
  std::vector<uint32_t> selected;
  std::vector<std::optional<CaseHistory>> histories;
  std::vector<std::string> names;
  absl::Duration sum;
  uint64_t timed = 0;
  absl::Time latest = absl::InfinitePast();
  for (const History::KnownCase* known : cases) {
    infos.Add({.name = known->name, .suite = pytest ? SuiteOf(known->name) : ""});
    selected.push_back(static_cast<uint32_t>(selected.size()));
    histories.emplace_back(known->history);
    names.push_back(known->name);
    latest = std::max(latest, known->history.last_run);
    if (!known->history.duration.has_value()) continue;
    sum += *known->history.duration;
    ++timed;
  }
  VirtualUnit unit;
  const UnitId id(static_cast<uint32_t>(knowledge->input.units.size()));
  unit.collection = collection;
  DeclaredCases declared;
  if (declarations != nullptr) {
    declared = Declare(*declarations, infos);
    infos = std::move(declared.cases);
  }
  unit.known = ExpectedCases(id, name, infos, selected, policies, startup, histories, nullptr, declared.declared);
  unit.known.suite_setup = suite_setup;
  for (const History::KnownCase* known : cases) {
    const CaseHistory& history = known->history;
    knowledge->stale += !listed && history.last_run + kStale < latest ? 1 : 0;
    if (history.duration.has_value()) {
      unit.takes.push_back(*history.duration);
    } else if (history.runs == 0) {
      ++knowledge->skipped;
      unit.takes.push_back(absl::ZeroDuration());
    } else {
      ++knowledge->without_duration;
      unit.takes.push_back(timed == 0 ? SchedulerOptions().default_case : sum / static_cast<double>(timed));
    }
  }
  knowledge->input.units.push_back(std::move(unit));
  knowledge->input.unit_names.push_back(name);
  knowledge->input.case_names.push_back(std::move(names));
}

// NotFound: history knows none of the cases.
absl::StatusOr<Knowledge> Know(const Options& options, const Discovery& discovery, History* history,
                               const KeptFacts& facts) {
  const absl::StatusOr<Selection> selection = Selection::Make(options.filters);
  if (!selection.ok()) return selection.status();
  if (absl::Status status = CheckNamesAreEnough(*selection); !status.ok()) return status;
  absl::StatusOr<std::vector<History::KnownCase>> all = history->All();
  if (!all.ok()) return all.status();
  std::map<std::string, std::vector<const History::KnownCase*>> by_unit;
  std::set<std::string> known_units;
  for (const History::KnownCase& known : *all) {
    known_units.insert(known.unit);
    if (selection->Matches(SubjectOf(known))) by_unit[known.unit].push_back(&known);
  }
  const Companions companions =
      FindCompanions(DeclarationsOf(discovery.programs),
                     [&](const std::string& unit, const CaseInfos&) { return by_unit.find(unit) != by_unit.end(); });
  const std::set<std::string> brought(companions.units.begin(), companions.units.end());
  for (const History::KnownCase& known : *all) {
    if (brought.contains(known.unit)) by_unit[known.unit].push_back(&known);
  }
  Knowledge knowledge;
  knowledge.input.repeat = options.repeat;
  const CasePolicies policies = PoliciesOf(options);
  for (const TestProgram& program : discovery.programs) {
    if (!known_units.contains(program.name)) knowledge.unknown_units.push_back(program.name);
    const auto cases = by_unit.find(program.name);
    if (cases == by_unit.end()) continue;
    const auto names = facts.names.find(program.name);
    const bool listed = names != facts.names.end();
    if (listed) {
      knowledge.elsewhere += std::erase_if(
          cases->second, [&](const History::KnownCase* known) { return !names->second.contains(known->name); });
      if (cases->second.empty()) continue;
    } else {
      knowledge.unlisted_units.push_back(program.name);
    }
    const auto collection = facts.collection.find(program.name);
    const bool pytest = program.pytest.has_value();
    if (pytest && collection == facts.collection.end()) knowledge.unknown_collections.push_back(program.name);
    AddUnit(program.name, pytest, cases->second, history->Startup(program.name).value_or(absl::ZeroDuration()),
            history->SuiteSetup(program.name).value_or(absl::ZeroDuration()),
            collection == facts.collection.end() ? absl::ZeroDuration() : collection->second, policies,
            program.ctest.has_value() ? &program.ctest->declarations : nullptr, listed, &knowledge);
  }
  knowledge.with_marked_locks = facts.with_marked_locks;
  if (!knowledge.input.units.empty()) return knowledge;
  if (knowledge.unknown_units.size() < discovery.programs.size()) {
    return absl::NotFoundError("no case that history knows in these paths is selected");
  }
  return absl::NotFoundError(absl::StrCat("history knows nothing of ", Named(knowledge.unknown_units),
                                          ": a plan is made of what cases took before, so run them once"));
}

// What is not in the plan, or only about right; for people.
std::vector<std::string> Doubts(const Options& options, const Knowledge& knowledge) {
  std::vector<std::string> doubts;
  if (!knowledge.unknown_units.empty()) {
    doubts.push_back(absl::StrCat(Plural(knowledge.unknown_units.size(), "executable"),
                                  " unknown to history, and so not in the plan: ", Named(knowledge.unknown_units),
                                  "; run once what is to be planned"));
  }
  if (knowledge.without_duration > 0) {
    doubts.push_back(absl::StrCat(Plural(knowledge.without_duration, "case"),
                                  " without an end in any run, by crashes or limits: counted as the average of the "
                                  "executable"));
  }
  if (knowledge.skipped > 0) {
    doubts.push_back(absl::StrCat(Plural(knowledge.skipped, "case"), " skipped in every run: counted as nothing"));
  }
  if (knowledge.stale > 0) {
    doubts.push_back(
        absl::StrCat(Plural(knowledge.stale, "case"),
                     " not run for 7 days while others of the executable were: if there is no such test any "
                     "more, `dtest history forget EXPR` takes it out of the plan"));
  }
  if (knowledge.elsewhere > 0) {
    doubts.push_back(absl::StrCat(Plural(knowledge.elsewhere, "case"),
                                  " of history not in the plan: the latest whole run that was started here did not "
                                  "have them, so they are gone, or of an equal name elsewhere"));
  }
  if (knowledge.with_marked_locks > 0) {
    doubts.push_back(absl::StrCat(Plural(knowledge.with_marked_locks, "case"),
                                  " with locks by pytest's mark dtest_lock, which a plan does not know: such cases are "
                                  "run beside one another in it"));
  }
  if (!knowledge.unknown_collections.empty()) {
    doubts.push_back(absl::StrCat("no run that is kept tells how long it takes to collect ",
                                  Named(knowledge.unknown_collections), ": counted as nothing"));
  }
  if (!knowledge.unlisted_units.empty()) {
    doubts.push_back(absl::StrCat("no whole run that is kept and was started here tells which cases there are of ",
                                  Named(knowledge.unlisted_units),
                                  ": all that history knows by that name are planned"));
  }
  for (const auto* overrides : {&options.overrides, &options.exclusive}) {
    for (const PolicyOverride& one : *overrides) {
      if (!one.filter.NeedsInfo()) continue;
      doubts.push_back(absl::StrCat("the override of '", OneLine(one.filter_text),
                                    "' asks for more than names, which history has: it counts for no case"));
    }
  }
  return doubts;
}

// The hosts that were named, as far as it is known what they can. InvalidArgument: it is not.
absl::StatusOr<std::vector<VirtualHost>> NamedHosts(const Options& options, const std::vector<HostSpec>& specs,
                                                    const std::map<std::string, uint32_t>& slots, History* history) {
  std::vector<VirtualHost> hosts;
  for (const HostSpec& spec : specs) {
    VirtualHost host{spec.name, spec.slots.value_or(options.jobs.value_or(0)), history->Speed(spec.name), spec.tags};
    const auto known = slots.find(spec.name);
    if (host.slots == 0 && known != slots.end()) host.slots = known->second;
    if (host.slots == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(OneLine(spec.name),
                       ": no run that is kept tells how many slots it has: write slots=N behind it, "
                       "or give --jobs N"));
    }
    std::sort(host.tags.begin(), host.tags.end());
    hosts.push_back(std::move(host));
  }
  return hosts;
}

void AppendChain(const PlanInput& input, const Chain& chain, std::string* text) {
  AppendKey("chain", text);
  *text += "{\"kind\":";
  switch (chain.kind) {
    case Chain::Kind::kNone:
      AppendString("none", text);
      break;
    case Chain::Kind::kCase:
      AppendString("case", text);
      break;
    case Chain::Kind::kGroup:
      AppendString("group", text);
      break;
    case Chain::Kind::kLock:
      AppendString("lock", text);
      break;
    case Chain::Kind::kAlone:
      AppendString("alone", text);
      break;
  }
  if (chain.kind == Chain::Kind::kLock) AppendField("lock", chain.lock, text);
  if (chain.kind == Chain::Kind::kCase || chain.kind == Chain::Kind::kGroup) {
    AppendField("executable", input.unit_names[chain.unit.value()], text);
    AppendField("name", input.case_names[chain.unit.value()][chain.index], text);
  }
  AppendField("cases", chain.cases, text);
  AppendKey("length", text);
  AppendDuration(chain.length, text);
  AppendDurationField("startup", chain.startup, text);
  text->push_back('}');
}

int ShowAsJson(const Knowledge& knowledge, const Plan& plan, const std::vector<std::string>& doubts) {
  JsonDocument document("plan");
  AppendField("cases", plan.cases, document.fields());
  AppendKey("case_time", document.fields());
  AppendDuration(plan.case_time, document.fields());
  document.BeginList("rows");
  for (const PlanRow& row : plan.rows) {
    std::string* const text = document.Element();
    absl::StrAppend(text, "{\"slots\":", row.slots);
    AppendField("hosts", uint64_t{row.hosts}, text);
    AppendFlag("own", row.own, text);
    AppendKey("wall", text);
    AppendDuration(row.run.wall, text);
    AppendNumber("speed_up", row.speed_up, text);
    AppendNumber("efficiency", row.efficiency, text);
    AppendKey("startup", text);
    AppendDuration(row.run.startup_time, text);
    AppendKey("collection", text);
    AppendDuration(row.run.collection_time, text);
    AppendField("processes", row.run.processes, text);
    if (row.run.impossible > 0) AppendField("impossible", row.run.impossible, text);
    AppendChain(knowledge.input, row.chain, text);
    text->push_back('}');
  }
  document.EndList();
  for (const auto& [key, texts] : {std::pair("advice", &plan.advice), std::pair("warnings", &doubts)}) {
    document.BeginList(key);
    for (const std::string& one : *texts) AppendString(one, document.Element());
    document.EndList();
  }
  return document.End({}, kExitPassed);
}

}  // namespace

int PlanCommand(const Options& options) {
  const auto fail = [&](const absl::Status& status) {
    int exit_status = ExplainFailure(status);
    if (absl::IsNotFound(status)) exit_status = kExitNothingSelected;
    return options.json ? EndWithError("plan", {"rows"}, status.message(), exit_status) : exit_status;
  };
  absl::StatusOr<std::vector<HostSpec>> specs = ChooseHosts(options);
  if (!specs.ok()) return fail(specs.status());
  const bool own_hosts = options.hosts_file.has_value() || !options.hosts.empty();
  const absl::StatusOr<Discovery> discovery = FindTests(options, *specs, /*rerun=*/false);
  // A path that does not exist is no lack of history.
  if (!discovery.ok()) return fail(absl::InvalidArgumentError(discovery.status().message()));
  absl::StatusOr<std::unique_ptr<History>> history = History::Open(options.state_dir + "/history.db");
  if (!history.ok()) return fail(history.status());
  if (!(*history)->warning().empty()) std::fprintf(stderr, "dtest: warning: %s\n", (*history)->warning().c_str());

  std::set<std::string> host_names, collected, named;
  for (const HostSpec& spec : *specs) {
    if (own_hosts && !spec.slots.has_value() && !options.jobs.has_value()) host_names.insert(spec.name);
  }
  for (const TestProgram& program : discovery->programs) {
    if (program.pytest.has_value()) collected.insert(program.name);
    named.insert(program.name);
  }
  std::error_code error;
  std::vector<std::string> problems;
  const KeptFacts facts = ReadKeptRuns(options.state_dir, std::filesystem::current_path(error).string(),
                                       std::move(host_names), std::move(collected), std::move(named), &problems);
  absl::StatusOr<std::vector<VirtualHost>> own = std::vector<VirtualHost>();
  if (own_hosts) own = NamedHosts(options, *specs, facts.slots, history->get());
  if (!own.ok()) return fail(own.status());
  const absl::StatusOr<Knowledge> knowledge = Know(options, *discovery, history->get(), facts);
  if (!knowledge.ok()) return fail(knowledge.status());

  std::vector<std::string> doubts = Doubts(options, *knowledge);
  doubts.insert(doubts.end(), problems.begin(), problems.end());
  const Plan plan = MakePlan(knowledge->input, options.plan_slots, *own);
  for (const std::string& doubt : doubts) std::fprintf(stderr, "dtest: note: %s\n", doubt.c_str());
  if (options.json) return ShowAsJson(*knowledge, plan, doubts);
  return StatusAfterOutput(WriteOutput(PlanText(knowledge->input, plan)), kExitPassed);
}

}  // namespace dtest
