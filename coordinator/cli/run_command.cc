#include "coordinator/cli/run_command.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "coordinator/bundle/discover.h"
#include "coordinator/bundle/file_tree.h"
#include "coordinator/bundle/pytest_spec.h"
#include "coordinator/cli/bring_along.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/hosts.h"
#include "coordinator/cli/json_document.h"
#include "coordinator/cli/reports.h"
#include "coordinator/cli/reproduce_command.h"
#include "coordinator/cli/run_environment.h"
#include "coordinator/cli/standard_output.h"
#include "coordinator/controller/pytest_reports.h"
#include "coordinator/coverage/collector.h"
#include "coordinator/history/durations_file.h"
#include "coordinator/history/history.h"
#include "coordinator/report/event_log.h"
#include "coordinator/report/json_append.h"
#include "coordinator/report/terminal_output.h"
#include "coordinator/report/text.h"
#include "coordinator/run/host_pool.h"
#include "coordinator/run/left_behind.h"
#include "coordinator/run/missing_files.h"
#include "coordinator/run/run_bundle.h"
#include "coordinator/run/run_clock.h"
#include "coordinator/run/run_loop.h"
#include "coordinator/run/signals.h"
#include "coordinator/run/stepwise.h"
#include "dtest/base/whole_file.h"
#include "dtest/version.h"

namespace dtest {

absl::StatusOr<Discovery> FindTests(const Options& options, const std::vector<HostSpec>& hosts, bool rerun) {
  LibraryResolver resolver({.ld_library_path = SplitSearchPath(std::getenv("LD_LIBRARY_PATH")),
                            .ld_so_cache = "/etc/ld.so.cache",
                            .default_dirs = {}});
  DiscoverOptions discover;
  discover.resolver = &resolver;
  discover.allow_unrunnable = options.allow_unrunnable;
  discover.here = !AnyRemote(hosts);
  discover.protocol = options.protocol;
  discover.ctest = {.config = options.ctest_config, .time_limit = options.list_timeout};
  discover.also_unlisted = options.also_unlisted;
  discover.pytest = options.pytest != "none";
  discover.pytest_root = options.pytest_root;
  discover.pytest_config = options.pytest_config;
  discover.pytest_arguments = options.pytest_arguments;
  discover.pytest_arguments.insert(discover.pytest_arguments.end(), options.test_arguments.begin(),
                                   options.test_arguments.end());
  switch (options.plain) {
    case PlainTests::kAuto:
      discover.plain = DiscoverOptions::Plain::kAuto;
      break;
    case PlainTests::kAll:
      discover.plain = DiscoverOptions::Plain::kAll;
      break;
    case PlainTests::kNone:
      discover.plain = DiscoverOptions::Plain::kNone;
      break;
  }
  absl::StatusOr<Discovery> found = Discover(options.paths, discover);
  if (found.ok() || !rerun) return found;
  // Where a path of the repeated run is gone, only the cases that were in it are lost, which are told; the rest runs.
  Discovery nothing;
  std::vector<std::string> paths;
  for (const std::string& path : options.paths) {
    const absl::Status alone = Discover({path}, discover).status();
    if (alone.ok() || absl::IsFailedPrecondition(alone)) {
      paths.push_back(path);
    } else {
      nothing.warnings.emplace_back(alone.message());
    }
  }
  if (!paths.empty()) found = Discover(paths, discover);
  if (!found.ok() && !paths.empty() && !absl::IsFailedPrecondition(found.status())) return found;
  if (paths.empty() || !found.ok()) return nothing;
  found->warnings.insert(found->warnings.begin(), nothing.warnings.begin(), nothing.warnings.end());
  return found;
}

namespace {

// Where the cases that run are named, programs without any need not be listed. Of cases whose program is gone a rerun
// tells in `left`; a reproduction has no others, so NotFound names them.
absl::Status LeaveOnlyWanted(const Selection& selection, bool rerun, std::vector<TestProgram>* programs,
                             std::vector<CasesLeft>* left) {
  std::erase_if(*programs, [&](const TestProgram& program) { return !selection.MayTake(program.name); });
  LeftCases before;
  for (const CasesLeft& told : *left) before.Add(told);
  std::string gone;
  for (const std::string& unit : selection.WantedUnits()) {
    if (std::any_of(programs->begin(), programs->end(), [&](const TestProgram& p) { return p.name == unit; })) continue;
    const Selection::Rest rest = selection.RestOf(unit);
    for (CasesLeft& one : LeftBehind(unit, rest, "its executable is no test here any more: build it again", before)) {
      left->push_back(std::move(one));
    }
    for (const std::string& name : rest.missing) absl::StrAppend(&gone, "\n  ", NameToReproduce(unit, name));
  }
  if (gone.empty() || rerun) return absl::OkStatus();
  return absl::NotFoundError(
      absl::StrCat("these are to run again, and their programs are no tests here any more: build them again:", gone));
}

// The others are told, as they were found. InvalidArgument: there are no others.
absl::Status LeaveOnlyPytest(Discovery* discovery) {
  const size_t others =
      std::erase_if(discovery->programs, [](const TestProgram& program) { return !program.pytest.has_value(); });
  if (discovery->programs.empty()) {
    return absl::InvalidArgumentError(
        "there are no tests of pytest there, and of others a profile shows nothing (`dtest list` shows what there is)");
  }
  if (others > 0) {
    discovery->notes.push_back(
        absl::StrCat(Plural(others, "executable"), " left out: a profile is of tests of pytest"));
  }
  return absl::OkStatus();
}

// Finds out before the run, and also where nothing is shipped, that a pattern of --data matches nothing.
// Returns the files, hashed by nobody yet.
absl::StatusOr<std::vector<std::string>> FindData(const Options& options) {
  std::error_code error;
  const std::string root = std::filesystem::current_path(error).string();
  TreeBuilder tree(root);
  for (const std::string& pattern : options.data) {
    if (absl::Status status = tree.AddGlob(pattern); !status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--data: ", status.message()));
    }
  }
  std::vector<std::string> files;
  for (const ManifestEntry& entry : tree.entries()) {
    if (entry.symlink_target.empty()) files.push_back(absl::StrCat(root, "/", entry.path));
  }
  return files;
}

// All entries of the command line, dtest.toml and the files that these name.
absl::StatusOr<Quarantine> MakeQuarantine(const Options& options, absl::Time now) {
  std::vector<QuarantineEntry> entries = options.quarantine;
  for (const std::string& file : options.quarantine_files) {
    absl::StatusOr<std::vector<QuarantineEntry>> read = ReadQuarantineFile(file);
    if (!read.ok()) return read.status();
    entries.insert(entries.end(), read->begin(), read->end());
  }
  // Everywhere the same day, whatever the zone of this machine.
  return Quarantine(std::move(entries), absl::ToCivilDay(now, absl::UTCTimeZone()));
}

RunLoop::Options LoopOptions(const Options& options, const std::vector<HostSpec>& hosts, const std::string& run_id) {
  RunLoop::Options loop;
  loop.run_id = run_id;
  loop.version = Version();
  loop.command = options.equivalent;
  if (options.shuffle) {
    // With the seed that was drawn, so that the log has all that makes the order again.
    const auto own = std::find(loop.command.begin(), loop.command.end(), "--");  // behind it are the tests' arguments
    std::replace(loop.command.begin(), own, std::string("--shuffle=true"),
                 absl::StrCat("--shuffle=", *options.shuffle));
  }
  std::error_code error;
  loop.working_directory = std::filesystem::current_path(error).string();
  loop.list_only = options.command == Command::kList;
  loop.failed_first = options.failed_first;
  loop.new_first = options.new_first;
  loop.allow_unrunnable = options.allow_unrunnable;
  loop.jobs = options.jobs;
  loop.min_hosts = options.min_hosts;
  loop.host_timeout = options.host_timeout;
  loop.heartbeat_interval = HeartbeatInterval(options);

  loop.scheduler.hosts = static_cast<uint32_t>(hosts.size());
  for (const HostSpec& host : hosts) {
    loop.scheduler.host_names.push_back(host.name);
    loop.scheduler.host_tags.push_back(host.tags);
    std::sort(loop.scheduler.host_tags.back().begin(), loop.scheduler.host_tags.back().end());
  }
  loop.scheduler.explain = options.explain;
  loop.scheduler.together = options.together;
  loop.scheduler.repeat = options.repeat;
  if (options.stress.has_value()) {
    loop.scheduler.stress.emplace();
    loop.scheduler.stress->time = options.stress->time;
    if (options.stress->times > 0) loop.scheduler.stress->times = options.stress->times;
  }
  loop.scheduler.max_fail = options.max_fail;
  loop.scheduler.retry_budget = options.retry_budget;
  loop.scheduler.shuffle = options.shuffle;
  loop.scheduler.speculate = options.speculate;
  loop.scheduler.run_timeout = options.run_timeout;
  loop.scheduler.kill_grace = options.kill_grace;
  loop.policies = PoliciesOf(options);

  loop.settings.list_timeout = options.list_timeout;
  loop.settings.kill_grace = options.kill_grace;
  loop.settings.leak_timeout = absl::Milliseconds(200);
  loop.settings.output_cap = options.output_cap;
  loop.settings.keep_all_output = KeepsAllOutput(options);
  loop.settings.run_disabled = options.run_disabled;
  loop.settings.adapt_slots = options.adapt_slots;
  loop.settings.sandbox = SandboxOf(options.network);
  loop.settings.env = options.env;
  loop.settings.env.insert(loop.settings.env.end(), options.as_it_ran.begin(), options.as_it_ran.end());
  if (!options.profile_directory.empty()) {
    // For agent/pytest/dtest_pytest/apart.py.
    loop.settings.env.emplace_back("DTEST_PYTEST_PROFILE", options.profile_directory);
  }
  loop.settings.store_limit = options.store_limit;
  loop.settings.host_setup = options.host_setup;
  loop.settings.slot_setup = options.slot_setup;
  if (options.verbosity >= 2) {
    // As the report: a reader that has stopped reading must not stop the run.
    loop.log = [output = std::make_shared<TerminalOutput>(STDERR_FILENO)](absl::string_view host,
                                                                          absl::string_view line) {
      output->Append(absl::StrCat(host, ": ", line, "\n"));
      (void)output->Write();
    };
  }
  return loop;
}

PytestSettings::Reports ReportsOf(const Options& options, bool rerun) {
  if (options.pytest_reports == When::kAlways) return PytestSettings::Reports::kAlways;
  // They would be of the few cases that run again, and take the place of those of all.
  const bool part = options.together || rerun || !options.profile_directory.empty();
  return part || options.pytest_reports == When::kNever ? PytestSettings::Reports::kNever
                                                        : PytestSettings::Reports::kWanted;
}

RunBundle::Options BundleOptions(const Options& options, const std::vector<HostSpec>& hosts, bool rerun,
                                 const RunEnvironment& environment, std::string root,
                                 std::vector<std::string> data_files) {
  RunBundle::Options bundle;
  bundle.in_place = AnyLocal(hosts);
  bundle.shipped = AnyRemote(hosts);
  // What is there at a path, or in packages that travel, changes without a sign.
  bundle.list_cache = options.list_cache && options.environment.path.empty() && options.environment.ship.empty();
  bundle.cache_dir = options.cache_dir;
  bundle.env = options.env;
  // What they export is there when a program is listed. No variable has such a name.
  for (const auto& [name, setup] :
       {std::pair("setup-host=", &options.host_setup), std::pair("setup-slot=", &options.slot_setup)}) {
    if (!setup->command.empty()) bundle.env.emplace_back(name, setup->command);
  }
  if (!environment.interpreter_here.empty()) {
    const HostEnvironment& here = environment.here;
    bundle.env.emplace_back("environment=", here.command.empty() ? here.path : here.key.Hex());
  }
  if (!options.network) bundle.env.emplace_back("network=", "false");
  bundle.placed = environment.files;
  bundle.pytest.packages = environment.packages;
  bundle.pytest.system_packages = environment.system_packages;
  bundle.pytest.environments_here = environment.interpreter_here;
  bundle.pytest.environments_there = environment.interpreter_there;
  bundle.arguments = options.test_arguments;
  bundle.pytest.interpreter = options.pytest;
  if (!options.coverage.empty()) {
    bundle.pytest.coverage = PytestSettings::Coverage::kAlways;
  } else if (options.together || rerun || !options.profile_directory.empty()) {
    // Reports would be of the few cases that run again, and measuring be the most of what a profile shows.
    bundle.pytest.coverage = PytestSettings::Coverage::kNever;
  }
  bundle.pytest.reports = ReportsOf(options, rerun);
  bundle.pytest.arguments = options.pytest_arguments;
  bundle.pytest.arguments.insert(bundle.pytest.arguments.end(), options.test_arguments.begin(),
                                 options.test_arguments.end());
  bundle.root = std::move(root);
  bundle.data = options.data;
  bundle.data_files = std::move(data_files);
  return bundle;
}

// What a run without an interpreter of its own takes on this machine, where [environment] has one here.
std::string InterpreterHere(const Options& options, const RunEnvironment& environment) {
  if (!options.pytest.empty() || !environment.here.command.empty()) return options.pytest;
  return environment.interpreter_here;
}

// Where coverage of this run's units goes. An error keeps a run from beginning whose coverage could not be reported.
absl::StatusOr<std::unique_ptr<CoverageCollector>> MakeCollector(const Options& options,
                                                                 const RunEnvironment& environment,
                                                                 const std::vector<TestProgram>& programs) {
  CoverageCollector::Options collector;
  std::error_code error;
  collector.temporary = std::filesystem::temp_directory_path(error).string();
  std::string root;  // whose interpreter is taken
  for (size_t i = 0; i < programs.size(); ++i) {
    if (!programs[i].pytest.has_value()) continue;
    if (root.empty()) root = programs[i].pytest->root;
    collector.roots[UnitId(static_cast<uint32_t>(i))] = programs[i].pytest->root;
  }
  // What a command makes is in the store of the host that runs tests, which need not be this machine.
  const std::string chosen = InterpreterHere(options, environment);
  if (options.pytest.empty() && !options.coverage.empty() && !chosen.empty() && access(chosen.c_str(), X_OK) != 0) {
    return absl::NotFoundError(
        absl::StrCat("--coverage: this machine combines what hosts have measured, by the Python "
                     "of [environment], and cannot execute ",
                     chosen, ": ", std::strerror(errno), "; --pytest names another"));
  }
  collector.interpreter = [root, chosen] { return PytestInterpreter(root, chosen); };
  if (!options.coverage.empty() && root.empty()) {
    std::fputs("dtest: warning: --coverage: there are no tests of pytest, and of others it measures nothing\n", stderr);
  } else if (!options.coverage.empty()) {
    const absl::StatusOr<std::string> interpreter = collector.interpreter();
    if (!interpreter.ok()) return interpreter.status();
    if (absl::Status can = CheckCoverage(*interpreter); !can.ok()) return can;
    const std::filesystem::path directory = std::filesystem::absolute(options.coverage, error);
    std::filesystem::create_directories(directory, error);
    if (std::filesystem::exists(directory, error) && !std::filesystem::is_directory(directory, error)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--coverage ", options.coverage, ": is no directory; reports are written into one"));
    }
    collector.output = directory.string();
    absl::Status writable =
        CheckReplaceable(absl::StrCat("--coverage ", options.coverage), (directory / ".coverage").string());
    if (!writable.ok()) return writable;
  }
  return std::make_unique<CoverageCollector>(std::move(collector));
}

// Null: no unit's own reports may be wanted.
std::unique_ptr<PytestReports> MakePytestReports(const Options& options, const RunEnvironment& environment,
                                                 const PytestSettings& settings,
                                                 const std::vector<TestProgram>& programs) {
  if (settings.reports == PytestSettings::Reports::kNever) return nullptr;
  PytestReports::Options reports;
  std::error_code error;
  reports.temporary = std::filesystem::temp_directory_path(error).string();
  for (size_t i = 0; i < programs.size(); ++i) {
    const std::optional<PytestUnit>& unit = programs[i].pytest;
    if (!unit.has_value()) continue;
    reports.units[UnitId(static_cast<uint32_t>(i))] = {programs[i].name, unit->root,
                                                       PytestArgumentsHere(*unit, settings)};
  }
  if (reports.units.empty()) return nullptr;
  reports.always = settings.reports == PytestSettings::Reports::kAlways;
  reports.interpreter = [chosen = InterpreterHere(options, environment)](const std::string& root) {
    return PytestInterpreter(root, chosen);
  };
  reports.env = options.env;
  reports.limit = options.pytest_reports_timeout;
  return std::make_unique<PytestReports>(std::move(reports));
}

// Hosts with nobody to fetch from are spared the listening; so are all where libzmq has no CURVE, which is no reason
// not to run.
std::optional<CurveKeyPair> PeerKeys(const Options& options, const std::vector<HostSpec>& hosts) {
  const auto ssh = [](const HostSpec& host) { return host.kind == HostSpec::Kind::kSsh; };
  if (!options.peers || std::count_if(hosts.begin(), hosts.end(), ssh) < 2) return std::nullopt;
  absl::StatusOr<CurveKeyPair> keys = MakeCurveKeyPair();
  if (!keys.ok()) return std::nullopt;
  return *std::move(keys);
}

// One case a line, as it is written in a filter, and the value of its parameter; to a person, and where it is more than
// a line, without what a terminal would obey.
std::string ListingsText(const std::vector<RunLoop::Listing>& listings) {
  std::string text;
  const bool person = isatty(STDOUT_FILENO) != 0;
  for (const RunLoop::Listing& listing : listings) {
    for (const uint32_t index : listing.selected) {
      const CaseInfo info = listing.cases[index];
      std::string line = info.name == listing.unit ? listing.unit : absl::StrCat(listing.unit, ".", info.name);
      if (!info.parameter.empty()) absl::StrAppend(&line, "  # ", info.parameter);
      if (person || absl::StrContains(line, '\n')) line = NameLine(line);
      absl::StrAppend(&text, line, "\n");
    }
  }
  return text;
}

// What `dtest list`, which has no terminal report, tells a person when it is over.
class ListWarnings final : public Sink {
 public:
  absl::Status Handle(const RunEvent& event) override {
    if (const auto* warning = std::get_if<Warning>(&event.what)) texts_.push_back(warning->text);
    return absl::OkStatus();
  }
  const std::vector<std::string>& texts() const { return texts_; }

 private:
  std::vector<std::string> texts_;
};

// Each on lines of its own.
void SayClean(const std::string& head, absl::string_view text) {
  std::string clean;
  AppendClean(text, Colors::kDrop, &clean);
  std::fprintf(stderr, "dtest: %s%s%s", head.c_str(), clean.c_str(), absl::EndsWith(clean, "\n") ? "" : "\n");
}

int ListAsJson(const std::vector<RunLoop::Listing>& listings, const RunSummary& summary,
               const std::vector<std::string>& warnings, int exit_status) {
  JsonDocument document("list");
  document.BeginList("cases");
  for (const RunLoop::Listing& listing : listings) {
    for (const uint32_t index : listing.selected) {
      const CaseInfo info = listing.cases[index];
      std::string* const text = document.Element();
      *text += "{\"executable\":";
      AppendString(listing.unit, text);
      AppendField("name", info.name, text);
      if (!info.suite.empty()) AppendField("suite", info.suite, text);
      if (!info.parameter.empty()) AppendField("parameter", info.parameter, text);
      if (!info.file.empty()) AppendField("file", info.file, text);
      if (info.line != 0) AppendField("line", uint64_t{info.line}, text);
      if (!info.labels.empty()) AppendField("labels", info.labels, text);
      if (!info.locks.empty()) AppendField("locks", info.locks, text);
      text->push_back('}');
    }
  }
  document.EndList();
  if (!warnings.empty()) {
    document.BeginList("warnings");
    for (const std::string& warning : warnings) AppendString(warning, document.Element());
    document.EndList();
  }
  std::vector<JsonDocument::Error> errors;
  for (const RunSummary::Unlisted& unlisted : summary.unlisted()) {
    errors.push_back({unlisted.error, unlisted.unit, "", unlisted.output});
  }
  for (const RunSummary::Host& host : summary.hosts()) {
    if (!host.reason.empty()) errors.push_back({host.reason, "", host.name, ""});
  }
  if (!summary.end().reason.empty()) errors.push_back({summary.end().reason, "", "", ""});
  if (errors.empty() && exit_status == kExitNothingSelected) errors.push_back({"no case is selected", "", "", ""});
  if (errors.empty() && exit_status != kExitPassed) errors.push_back({RunEndName(summary.end().end), "", "", ""});
  return document.End(errors, exit_status);
}

// A name that is mistyped, here or there, locks nothing. `selection` has seen all cases.
void SayLocksWithoutUse(const Options& options, const Selection& selection) {
  for (const CaseLock& lock : options.locks) {
    const bool used = std::any_of(options.overrides.begin(), options.overrides.end(), [&](const PolicyOverride& one) {
      return one.locks.has_value() && absl::c_linear_search(*one.locks, lock.name);
    });
    if (used || selection.IsLockNamed(lock.name)) continue;
    std::fprintf(stderr,
                 "dtest: warning: neither an override nor a mark of a test names the lock '%s': it locks nothing\n",
                 OneLine(lock.name).c_str());
  }
}

void SayBefore(const Options& options, const Discovery& discovery, const std::string& history_warning) {
  if (options.shuffle) {
    std::fprintf(stderr, "dtest: note: random order; --shuffle=%llu makes it the same again\n",
                 static_cast<unsigned long long>(*options.shuffle));
  }
  if (!history_warning.empty()) std::fprintf(stderr, "dtest: warning: %s\n", history_warning.c_str());
  for (const std::string& warning : discovery.warnings) std::fprintf(stderr, "dtest: warning: %s\n", warning.c_str());
  if (options.verbosity < 0) return;
  for (const std::string& note : discovery.notes) std::fprintf(stderr, "dtest: note: %s\n", note.c_str());
  if (options.verbosity == 0) return;
  for (const std::string& detail : discovery.details) std::fprintf(stderr, "dtest: note: %s\n", detail.c_str());
}

// What all shards must say alike.
void SayShard(const Options& options, const Durations& durations, const std::vector<absl::Duration>& expected) {
  if (options.verbosity < 0) return;
  absl::Duration longest;
  for (const absl::Duration part : expected) longest = std::max(longest, part);
  const std::string text =
      absl::StrCat("dtest: note: shard ", options.shard_index, "/", options.shard_count, " by ",
                   options.shard_durations, ", digest ", durations.digest,
                   " (every shard must say the same): ", SecondsText(expected[options.shard_index - 1]),
                   " of cases it knows, the longest shard ", SecondsText(longest), "\n");
  std::fputs(text.c_str(), stderr);
}

absl::StatusOr<std::unique_ptr<Stepwise>> MakeStepwise(const Options& options, const std::vector<TestProgram>& programs,
                                                       History* history) {
  Stepwise::Options stepwise;
  std::error_code error;
  stepwise.directory = std::filesystem::current_path(error).string();
  for (const TestProgram& program : programs) stepwise.units.push_back(program.name);
  stepwise.skip = options.stepwise_skip;
  stepwise.anew = options.stepwise_reset;
  absl::StatusOr<std::unique_ptr<Stepwise>> made = Stepwise::Make(history, std::move(stepwise));
  if (!made.ok()) {
    return absl::UnavailableError(
        absl::StrCat("--stepwise asks the history, which cannot be read: ", made.status().message()));
  }
  return made;
}

// Why a run that went well ran nothing.
void SayNothingSelected(const Options& options, const RunSummary& summary, const Stepwise* stepwise) {
  std::string text = absl::StrCat("dtest: none of the ", CountText(summary.listed()), " cases is selected");
  for (const std::string& filter : options.filters) {
    absl::StrAppend(&text, &filter == &options.filters.front() ? " by" : " or", " -k '", OneLine(filter), "'");
  }
  if (options.shard_count > 1) absl::StrAppend(&text, " in shard ", options.shard_index, "/", options.shard_count);
  if (stepwise != nullptr && stepwise->left_out() > 0) {
    absl::StrAppend(&text, "; --stepwise leaves out ", CountText(stepwise->left_out()),
                    " that passed in the runs before, --stepwise-reset none");
  }
  for (const std::string& filter : options.filters) {
    // GoogleTest's own way; here a '-' may be in an executable's name.
    if (absl::StrContains(filter, "*-")) {
      absl::StrAppend(&text, "; what is to be left out begins with ':-', as in '",
                      OneLine(absl::StrReplaceAll(filter, {{"*-", "*:-"}})), "'");
    }
  }
  if (summary.listed() == 0) {
    text = "dtest: the executables list no case at all: were tests linked into them?";
  } else if (options.command != Command::kList) {
    absl::StrAppend(&text, "; `dtest list` shows what there is");
  }
  std::fprintf(stderr, "%s\n", text.c_str());
}

int ListStatus(RunEnd end, const RunSummary& summary) {
  if (end != RunEnd::kCompleted) return end == RunEnd::kInterrupted ? kExitInterrupted : kExitBroken;
  if (!summary.unlisted().empty()) return kExitFailed;
  return summary.selected() == 0 ? kExitNothingSelected : kExitPassed;
}

}  // namespace

int ExplainFailure(const absl::Status& status) {
  std::fprintf(stderr, "dtest: %s\n", std::string(status.message()).c_str());
  switch (status.code()) {
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
      return kExitBroken;
    default:
      return kExitUsage;
  }
}

int RunCommand(const Options& options, std::vector<CasesLeft> left) {
  const absl::Time began = absl::Now();
  const bool list_only = options.command == Command::kList, rerun = !left.empty();
  const bool profile = !options.profile_directory.empty();
  const bool run_follows = profile && list_only && !options.collect_only;  // which tells the same
  // Everything that keeps it from beginning.
  const auto fail = [&](const absl::Status& status) {
    const int exit_status = ExplainFailure(status);
    if (!options.json || profile) return exit_status;
    return EndWithError(WordOf(options.command).word, {"cases"}, status.message(), exit_status);
  };
  // Everything that can be wrong with the command line is found before any host is bothered.
  absl::StatusOr<std::vector<HostSpec>> hosts = ChooseHosts(options);
  if (!hosts.ok()) return fail(hosts.status());
  if (!options.only_host.empty()) {
    hosts->erase(std::remove_if(hosts->begin(), hosts->end(),
                                [&](const HostSpec& host) { return host.name != options.only_host; }),
                 hosts->end());
    if (hosts->empty()) {
      return fail(absl::NotFoundError(
          absl::StrCat("it ran on ", options.only_host, ", which the run's hosts do not name any more")));
    }
    for (HostSpec& host : *hosts) host.slots = 1;
  }
  if (hosts->size() < options.min_hosts) {
    return fail(absl::InvalidArgumentError(absl::StrCat("--min-hosts ", options.min_hosts, ": there are only ",
                                                        hosts->size(), " hosts: ask for no more")));
  }
  absl::StatusOr<Selection> selection = Selection::Make(options.filters, options.shard_index, options.shard_count);
  if (!selection.ok()) return fail(selection.status());
  if (selection->NeedsHistory() && options.shard_count > 1) {
    return fail(absl::InvalidArgumentError(
        "--filter has failed() or new(), and --shard: shards that know another history would leave cases out"));
  }
  if (!options.only.empty()) {
    selection->TakeOnly(options.only, options.together);
  } else if (!list_only) {
    for (const PolicyOverride& one : options.overrides) {
      selection->Watch(absl::StrCat("the override of '", OneLine(one.filter_text), "'"), one.filter);
    }
    for (const PolicyOverride& one : options.exclusive) {
      selection->Watch(absl::StrCat("--exclusive '", OneLine(one.filter_text), "'"), one.filter);
    }
  }
  std::shared_ptr<const Durations> durations;
  if (!options.shard_durations.empty()) {
    absl::StatusOr<Durations> read = ReadDurations(options.shard_durations);
    if (!read.ok()) return fail(read.status());
    durations = std::make_shared<const Durations>(*std::move(read));
    selection->DivideBy(*durations);
  }
  absl::StatusOr<Quarantine> quarantine = MakeQuarantine(options, began);
  if (!quarantine.ok()) return fail(quarantine.status());
  absl::StatusOr<Budget> budget = options.budget.empty() ? Budget() : Budget::Read(options.budget);
  if (!budget.ok()) return fail(budget.status());
  absl::StatusOr<Discovery> discovery = FindTests(options, *hosts, rerun);
  if (!discovery.ok()) {
    if (list_only || !absl::IsFailedPrecondition(discovery.status())) return fail(discovery.status());
    (void)ExplainFailure(discovery.status());
    // A valid report of nothing, rather than the one of an earlier run.
    if (absl::StatusOr<std::unique_ptr<Reports>> reports = Reports::Make(options, /*terminal=*/false); reports.ok()) {
      (*reports)->sinks().Handle({began, RunFinished{RunEnd::kCompleted, ""}});
      return kExitNothingSelected;
    } else {
      return fail(reports.status());
    }
  }
  if (profile) {
    if (absl::Status status = LeaveOnlyPytest(&*discovery); !status.ok()) return fail(status);
  }
  std::string history_warning;
  std::unique_ptr<History> history;
  const bool in_steps = options.stepwise && options.only.empty();
  if (!list_only || in_steps || selection->NeedsHistory()) {
    absl::StatusOr<std::unique_ptr<History>> opened = History::Open(options.state_dir + "/history.db");
    if (opened.ok()) {
      history = *std::move(opened);
      history_warning = history->warning();
    } else if (in_steps || selection->NeedsHistory()) {
      return fail(
          absl::UnavailableError(absl::StrCat(in_steps ? "--stepwise asks" : "failed() and new() ask",
                                              " the history, which cannot be read: ", opened.status().message())));
    } else {
      history_warning = std::string(opened.status().message());
    }
  }
  std::unique_ptr<Stepwise> stepwise;
  if (in_steps) {
    absl::StatusOr<std::unique_ptr<Stepwise>> made = MakeStepwise(options, discovery->programs, history.get());
    if (!made.ok()) return fail(made.status());
    stepwise = *std::move(made);
  }
  if (std::string note = BringAlong(discovery->programs, history.get(), stepwise.get(), &*selection); !note.empty()) {
    discovery->notes.push_back(std::move(note));
  }
  if (absl::Status status = LeaveOnlyWanted(*selection, rerun, &discovery->programs, &left); !status.ok()) {
    return fail(status);
  }
  absl::StatusOr<std::vector<std::string>> data_files = FindData(options);
  if (!data_files.ok()) return fail(data_files.status());
  const bool pytest = std::any_of(discovery->programs.begin(), discovery->programs.end(),
                                  [](const TestProgram& program) { return program.pytest.has_value(); });
  const absl::StatusOr<RunEnvironment> environment = MakeRunEnvironment(
      options.environment, options.env, pytest ? std::make_optional(options.pytest) : std::nullopt, AnyRemote(*hosts));
  if (!environment.ok()) return fail(environment.status());
  for (const std::string& warning : environment->warnings) {
    if (!run_follows) SayClean("warning: ", warning);
  }
  absl::StatusOr<std::unique_ptr<Reports>> reports = Reports::Make(options, /*terminal=*/!list_only);
  if (!reports.ok()) return fail(reports.status());

  absl::StatusOr<std::unique_ptr<CoverageCollector>> coverage =
      MakeCollector(options, *environment, discovery->programs);
  if (!coverage.ok()) return fail(coverage.status());

  const std::string run_id = MakeRunId();
  RunLoop::Options loop_options = LoopOptions(options, *hosts, run_id);
  loop_options.settings.environment = environment->there;
  loop_options.environment_here = environment->here;
  absl::StatusOr<HostPool::Options> pool = PoolOptions(options, *hosts, run_id);
  if (!pool.ok()) return fail(pool.status());
  loop_options.hint = [root = loop_options.working_directory, data_files = *data_files](const CaseResult& failure,
                                                                                        absl::string_view host) {
    return MissingFilesHint(failure.message, failure.output, host, root, data_files,
                            [](const std::string& path) { return access(path.c_str(), F_OK) == 0; });
  };
  RunBundle::Options bundle_options =
      BundleOptions(options, *hosts, rerun, *environment, loop_options.working_directory, *std::move(data_files));
  const std::unique_ptr<PytestReports> pytest_reports =
      MakePytestReports(options, *environment, bundle_options.pytest, discovery->programs);
  loop_options.peer_keys = PeerKeys(options, *hosts);
  loop_options.began = began;
  loop_options.durations = durations;
  loop_options.quarantine = *std::move(quarantine);
  loop_options.budget = *std::move(budget);
  loop_options.left = std::move(left);
  if (!list_only) {
    (*reports)->sinks().Add("coverage", coverage->get());
    if (pytest_reports != nullptr) (*reports)->sinks().Add("pytest's reports", pytest_reports.get());
    loop_options.gathered = [&collector = **coverage, own = pytest_reports.get()](const Gathered& gathered) {
      if (gathered.kind == GatheredKind::kCoverage) {
        collector.Add(gathered);
      } else if (own != nullptr) {
        own->Add(gathered);
      }
    };
    if (pytest_reports != nullptr) {
      loop_options.make_reports = [own = pytest_reports.get()](absl::string_view interrupted,
                                                               const std::function<bool()>& stop) {
        PytestReports::Made made = own->Make(interrupted, stop);
        return RunLoop::Options::FrameworkReports{std::move(made.reports), std::move(made.warnings)};
      };
    }
    loop_options.report_coverage = [&collector = **coverage,
                                    &summary = (*reports)->summary()](const std::function<bool()>& stop) {
      CoverageCollector::Reported reported =
          collector.Report(summary.failures() > 0 || !summary.unlisted().empty(), stop);
      return RunLoop::Options::CoverageReport{std::move(reported.measured), std::move(reported.warnings)};
    };
  }

  ListWarnings warnings;
  if (list_only) (*reports)->sinks().Add("warnings", &warnings);

  if (!list_only) {
    (*reports)->KeepEventLog(options, run_id);
    if (history != nullptr) (*reports)->sinks().Add("history", history.get());
  }
  if (stepwise != nullptr) {
    loop_options.scheduler.listing_order = true;
    loop_options.scheduler.max_fail = stepwise->max_fail();
    if (!list_only) (*reports)->sinks().Add("stepwise", stepwise.get());
  }
  if (!run_follows) SayBefore(options, *discovery, history_warning);
  if (stepwise != nullptr && stepwise->goes_on() && options.verbosity >= 0) {
    std::fprintf(stderr, "dtest: note: %s\n", stepwise->BeginText().c_str());
  }
  if (durations != nullptr) SayShard(options, *durations, selection->expected());

  auto signals = std::make_unique<Signals>();
  const RunClock clock;
  RunBundle bundle(std::move(bundle_options), std::move(discovery->programs));
  RunLoop loop(std::move(loop_options), *hosts, *std::move(selection),
               {&(*reports)->sinks(), history.get(), (*reports)->terminal(), signals.get(), &bundle,
                [&clock] { return clock.Now(); }, stepwise.get()});
  absl::StatusOr<std::unique_ptr<HostPool>> launched = HostPool::Create(*std::move(pool), *std::move(hosts), &loop);
  if (!launched.ok()) return fail(launched.status());
  const RunEnd end = loop.Run(launched->get());
  // All reports are written. What is printed from here on may wait for a reader, and a signal ends that.
  while (signals->Take().has_value()) continue;
  signals.reset();
  const RunSummary& summary = (*reports)->summary();
  const int exit_status = (*reports)->FinishOutput(summary.ExitStatus());
  const bool nothing = summary.selected() == 0 && summary.unlisted().empty() && summary.left().count() == 0;
  if (end == RunEnd::kCompleted && nothing) SayNothingSelected(options, summary, stepwise.get());
  // Of units that could not be listed nothing is known.
  if (end == RunEnd::kCompleted && summary.selected() > 0 && summary.unlisted().empty()) {
    const std::string cases = Plural(summary.listed(), "case");
    for (const std::string& filter : loop.selection().Unmatched()) {
      std::fprintf(stderr, "dtest: warning: --filter '%s' matches none of the %s\n", OneLine(filter).c_str(),
                   cases.c_str());
    }
    for (const std::string& filter : loop.selection().UnmatchedWatched()) {
      std::fprintf(stderr, "dtest: warning: %s matches none of the %s\n", filter.c_str(), cases.c_str());
    }
    if (!list_only && options.only.empty()) SayLocksWithoutUse(options, loop.selection());
  }
  if (!list_only) return exit_status;

  const int list_status = ListStatus(end, summary);
  if (run_follows && (list_status == kExitPassed || list_status == kExitFailed)) return list_status;
  const int error = options.json || profile ? 0 : WriteOutput(ListingsText(loop.TakeListings()));
  for (const std::string& warning : warnings.texts()) SayClean("warning: ", warning);
  for (const RunSummary::Host& host : summary.hosts()) {
    if (!host.reason.empty()) std::fprintf(stderr, "dtest: %s: %s\n", host.name.c_str(), host.reason.c_str());
  }
  for (const RunSummary::Unlisted& unlisted : summary.unlisted()) {
    std::string output;
    AppendClean(unlisted.output, Colors::kDrop, &output);
    std::fprintf(stderr, "dtest: %s: %s\n%s%s", unlisted.unit.c_str(), unlisted.error.c_str(), output.c_str(),
                 output.empty() || output.back() == '\n' ? "" : "\n");
  }
  if (!summary.end().reason.empty()) SayClean("", summary.end().reason);
  if (options.json && !profile) return ListAsJson(loop.TakeListings(), summary, warnings.texts(), list_status);
  return StatusAfterOutput(error, list_status);
}

}  // namespace dtest
