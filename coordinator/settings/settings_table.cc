#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "coordinator/settings/setting.h"
#include "coordinator/settings/values.h"

namespace dtest {
namespace {

using Values = std::vector<std::string>;

// How values become members of Options. A kFlag has "true" or "false".
template <auto Member, auto Parse>
absl::Status Into(const Values& values, Options* options) {
  auto value = Parse(values.back());
  if (!value.ok()) return value.status();
  options->*Member = *std::move(value);
  return absl::OkStatus();
}
template <auto Member, uint32_t least, uint32_t most>
absl::Status Number(const Values& values, Options* options) {
  const absl::StatusOr<uint32_t> number = ParseNumber(values.back(), least, most);
  if (!number.ok()) return number.status();
  options->*Member = *number;
  return absl::OkStatus();
}
template <auto Member>
absl::Status Flag(const Values& values, Options* options) {
  return Into<Member, ParseSwitch>(values, options);
}
template <auto Member>
absl::Status Text(const Values& values, Options* options) {
  options->*Member = values.back();
  return absl::OkStatus();
}
// An empty name, from a variable that is not set, is no wish for no report; "none" is.
template <auto Member>
absl::Status FileName(const Values& values, Options* options) {
  if (values.back().empty()) return absl::InvalidArgumentError("the path is empty; give none to use none");
  if (values.back() != "none") options->*Member = values.back();
  return absl::OkStatus();
}
template <auto Member>
absl::Status Texts(const Values& values, Options* options) {
  for (const std::string& value : values) {
    if (value.empty()) return absl::InvalidArgumentError("one of its values is empty");
  }
  options->*Member = values;
  return absl::OkStatus();
}

// Of a setting that tells "none" from nothing.
template <auto Member>
absl::Status FileNameOrNone(const Values& values, Options* options) {
  if (values.back().empty()) return absl::InvalidArgumentError("the path is empty; give none to use none");
  return Text<Member>(values, options);
}
absl::Status ReadProfile(const Values& values, Options* options) {
  if (values.back().empty()) return absl::InvalidArgumentError("the name is empty; leave it out to use none");
  return Text<&Options::profile>(values, options);
}
absl::Status ReadFilters(const Values& values, Options* options) {
  for (const std::string& value : values) {
    const absl::StatusOr<Filter> filter = Filter::Parse(absl::StripPrefix(value, "-"));
    if (!filter.ok()) return absl::InvalidArgumentError(absl::StrCat("'", value, "': ", filter.status().message()));
  }
  return Texts<&Options::filters>(values, options);
}
// A filter that leaves out narrows what all others select.
absl::Status ReadLastFailed(const Values& values, Options* options) {
  const absl::StatusOr<bool> on = ParseSwitch(values.back());
  if (!on.ok()) return on.status();
  if (*on) options->filters.push_back("-!failed()");
  return absl::OkStatus();
}

constexpr char kMark[] = "-m", kDeselect[] = "--deselect", kIgnore[] = "--ignore", kPlugin[] = "-p",
               kOverrideIni[] = "-o", kImportMode[] = "--import-mode";
template <const char* Option>
absl::Status ForPytest(const Values& values, Options* options) {
  for (const std::string& value : values) {
    if (value.empty()) return absl::InvalidArgumentError("it is empty");
    options->pytest_arguments.push_back(Option);
    options->pytest_arguments.push_back(value);
  }
  return absl::OkStatus();
}

absl::Status ReadHostTimeout(const Values& values, Options* options) {
  if (absl::Status status = Into<&Options::host_timeout, ParseDurationOption>(values, options); !status.ok())
    return status;
  if (options->host_timeout >= absl::Seconds(2)) return absl::OkStatus();
  return absl::InvalidArgumentError("less than 2s would call healthy hosts lost");
}

absl::Status ReadEnv(const Values& values, Options* options) {
  for (const std::string& value : values) {
    absl::StatusOr<std::pair<std::string, std::string>> variable = ParseVariable(value);
    if (!variable.ok()) return variable.status();
    options->env.push_back(*std::move(variable));
  }
  return absl::OkStatus();
}

absl::Status ReadOverrides(const Values& values, Options* options) {
  for (const std::string& value : values) {
    absl::StatusOr<PolicyOverride> one = ParseOverride(value);
    if (!one.ok()) return one.status();
    options->overrides.push_back(*std::move(one));
  }
  return absl::OkStatus();
}

// A duration, "auto" (nullopt in the second member), or "none".
absl::Status ReadTimeout(const Values& values, Options* options) {
  options->timeout_by_history = values.back() == "auto";
  if (!options->timeout_by_history) return Into<&Options::timeout, ParseDurationOption>(values, options);
  options->timeout = Options().timeout;
  return absl::OkStatus();
}

absl::Status ReadRetryDelay(const Values& values, Options* options) {
  const absl::StatusOr<std::pair<absl::Duration, absl::Duration>> range = ParseDurationRange(values.back());
  if (!range.ok()) return range.status();
  std::tie(options->retry_delay, options->most_retry_delay) = *range;
  return absl::OkStatus();
}

// An override that makes these cases exclusive.
absl::Status ReadExclusive(const Values& values, Options* options) {
  for (const std::string& value : values) {
    absl::StatusOr<PolicyOverride> one =
        ParseOverride(absl::StrCat("{filter = ", TomlText(value), ", exclusive = true}"));
    if (!one.ok()) return one.status();
    options->exclusive.push_back(*std::move(one));
  }
  return absl::OkStatus();
}
absl::Status ReadLocks(const Values& values, Options* options) {
  for (const std::string& value : values) {
    absl::StatusOr<CaseLock> lock = ParseLock(value);
    if (!lock.ok()) return lock.status();
    options->locks.push_back(*std::move(lock));
  }
  return absl::OkStatus();
}

absl::Status ReadEnvironmentTable(const Values& values, Options* options) {
  if (values.back() == "none") return absl::OkStatus();
  return Into<&Options::environment, ParseEnvironment>(values, options);
}

template <auto Member>
absl::Status ReadSetupTable(const Values& values, Options* options) {
  if (values.back() == "none") return absl::OkStatus();
  return Into<Member, ParseSetup>(values, options);
}

// Tables, and names of files with more of them.
absl::Status ReadQuarantines(const Values& values, Options* options) {
  for (const std::string& value : values) {
    if (value.empty()) return absl::InvalidArgumentError("the path is empty; give none to use none");
    if (value == "none") {
      options->quarantine.clear();
      options->quarantine_files.clear();
    } else if (value.front() == '{') {
      absl::StatusOr<QuarantineEntry> entry = ParseQuarantine(value);
      if (!entry.ok()) return entry.status();
      options->quarantine.push_back(*std::move(entry));
    } else {
      options->quarantine_files.push_back(value);
    }
  }
  return absl::OkStatus();
}

absl::Status ReadShard(const Values& values, Options* options) {
  const absl::StatusOr<std::pair<uint32_t, uint32_t>> shard = ParseShard(values.back());
  if (!shard.ok()) return shard.status();
  std::tie(options->shard_index, options->shard_count) = *shard;
  return absl::OkStatus();
}

// "1000": so often; "90s", "10m": for so long.
absl::StatusOr<std::optional<Stress>> ParseStress(const std::string& text) {
  if (text == "none") return std::nullopt;
  if (!text.empty() && text.find_first_not_of("0123456789") == std::string::npos) {
    const absl::StatusOr<uint32_t> times = ParseNumber(text, 1, 1'000'000);
    if (!times.ok()) return times.status();
    return Stress{.times = *times};
  }
  const absl::StatusOr<absl::Duration> time = ParseDurationOption(text);
  if (!time.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is neither how often (1000) nor for how long (10m)"));
  }
  return Stress{.time = *time};
}

absl::Status ReadFailFast(const Values& values, Options* options) {
  const absl::StatusOr<bool> on = ParseSwitch(values.back());
  if (!on.ok()) return on.status();
  if (*on) options->max_fail = 1;
  return absl::OkStatus();
}

absl::Status ReadQuiet(const Values& values, Options* options) {
  const absl::StatusOr<bool> on = ParseSwitch(values.back());
  if (!on.ok()) return on.status();
  if (*on) options->verbosity = -1;
  return absl::OkStatus();
}

absl::Status ReadVerbose(const Values& values, Options* options) {
  uint32_t sum = 0;
  for (const std::string& value : values) {
    const absl::StatusOr<uint32_t> number = ParseNumber(value, 0, 9);
    if (!number.ok()) return number.status();
    sum += *number;
  }
  if (sum > 0) options->verbosity = static_cast<int>(std::min(sum, 9u));
  return absl::OkStatus();
}

// What says how a series goes on says that there is one.
template <auto Member>
absl::Status ReadStepwise(const Values& values, Options* options) {
  const absl::StatusOr<bool> on = ParseSwitch(values.back());
  if (!on.ok()) return on.status();
  if (*on) options->stepwise = options->*Member = true;
  return absl::OkStatus();
}

constexpr CommandSet kOfHosts = {Command::kRun, Command::kRerun, Command::kList, Command::kHosts, Command::kConfig};
constexpr CommandSet kOfFarms = {Command::kRun,   Command::kRerun, Command::kList,
                                 Command::kHosts, Command::kPlan,  Command::kConfig};  // which hosts there are
constexpr CommandSet kOfJobs = {Command::kRun,  Command::kRerun,  Command::kList,  Command::kHosts,
                                Command::kPlan, Command::kBisect, Command::kConfig};
constexpr CommandSet kOfCases = {Command::kRun, Command::kRerun, Command::kList, Command::kConfig};
constexpr CommandSet kOfPytest = {Command::kRun, Command::kRerun, Command::kList, Command::kProfile, Command::kConfig};
constexpr CommandSet kOfNames = {Command::kRun, Command::kRerun, Command::kList, Command::kPlan, Command::kConfig};
constexpr CommandSet kOfProjects = {Command::kRun,  Command::kRerun,   Command::kList,
                                    Command::kPlan, Command::kProfile, Command::kConfig};
constexpr CommandSet kOfShards = {Command::kRun, Command::kList, Command::kConfig};  // a rerun has the cases of its run
constexpr CommandSet kOfPaths = {Command::kRun, Command::kList, Command::kPlan, Command::kProfile, Command::kConfig};
constexpr CommandSet kOfRuns = {Command::kRun, Command::kRerun, Command::kConfig};
constexpr CommandSet kOfPolicies = {Command::kRun, Command::kRerun, Command::kPlan, Command::kConfig};
constexpr CommandSet kOfReports = {Command::kRun, Command::kRerun, Command::kReport, Command::kConfig};
constexpr CommandSet kOfAll = {Command::kRun,     Command::kRerun,     Command::kList,   Command::kHosts,
                               Command::kReport,  Command::kReproduce, Command::kBisect, Command::kPlan,
                               Command::kHistory, Command::kProfile,   Command::kConfig};

constexpr Setting kSettings[] = {
    {.name = "hosts",
     .group = SettingGroup::kHosts,
     .value = "FILE",
     .text = "Hosts to use, one a line (neither this nor --host: this machine)",
     .commands = kOfFarms,
     .is_path = true,
     .choice = "hosts",
     .read = FileName<&Options::hosts_file>},
    {.name = "host",
     .group = SettingGroup::kHosts,
     .kind = SettingKind::kReplacingList,
     .value = "HOST",
     .text = "One host, written like a line of that file",
     .commands = kOfFarms,
     .has_variable = false,  // DTEST_HOST is what a test sees of the host that it is on
     .choice = "hosts",
     .read = Texts<&Options::hosts>},
    {.name = "tag",
     .group = SettingGroup::kHosts,
     .kind = SettingKind::kReplacingList,
     .value = "TAG",
     .text = "Only hosts that have this tag, or all of these",
     .commands = kOfFarms,
     .read = Texts<&Options::tags>},
    {.name = "jobs",
     .letter = "j",
     .group = SettingGroup::kHosts,
     .value = "N",
     .fallback = "auto",
     .text = "Slots on a host whose line gives none; auto: its cores",
     .commands = kOfJobs,
     .read = Into<&Options::jobs, ParseJobs>},
    {.name = "transport",
     .group = SettingGroup::kHosts,
     .value = "ssh|tcp",
     .fallback = "ssh",
     .text = "How agents talk back: through the SSH connection, or by TCP under CURVE",
     .commands = kOfHosts,
     .read = Into<&Options::tcp, ParseTransport>},
    {.name = "peers",
     .group = SettingGroup::kHosts,
     .kind = SettingKind::kFlag,
     .fallback = "on",
     .text = "All files come from here: hosts open no port for one another",
     .commands = kOfHosts,
     .read = Flag<&Options::peers>},
    {.name = "ssh-config",
     .letter = "F",
     .group = SettingGroup::kHosts,
     .value = "FILE",
     .fallback = "~/.ssh/config",
     .text = "Read this in place of ~/.ssh/config; none: neither that nor the system's",
     .commands = kOfHosts,
     .is_path = true,
     .read = FileNameOrNone<&Options::ssh_config>},
    {.name = "connect-timeout",
     .group = SettingGroup::kHosts,
     .value = "DUR",
     .fallback = "15s",
     .text = "Give up a host that is not there after so long",
     .commands = kOfHosts,
     .read = Into<&Options::connect_timeout, ParseDurationOption>},
    {.name = "host-timeout",
     .group = SettingGroup::kHosts,
     .value = "DUR",
     .fallback = "30s",
     .text = "An agent that hears nothing for so long stops its tests and leaves",
     .commands = kOfHosts,
     .read = ReadHostTimeout},
    {.name = "min-hosts",
     .group = SettingGroup::kHosts,
     .value = "N",
     .fallback = "1",
     .text = "Fail as soon as it is certain that fewer hosts come up",
     .commands = kOfHosts,
     .read = Number<&Options::min_hosts, 1, 10000>},
    {.name = "load",
     .group = SettingGroup::kHosts,
     .value = "full|auto",
     .fallback = "full",
     .text = "auto: a host uses fewer slots while it has much to do, and shares itself with other runs",
     .commands = kOfRuns,
     .read = Into<&Options::adapt_slots, ParseLoad>},
    {.name = "remote-store",
     .group = SettingGroup::kHosts,
     .value = "DIR",
     .fallback = "~/.cache/dtest there",
     .text = "Where hosts keep what was shipped",
     .commands = kOfHosts,
     .read = Text<&Options::remote_store>},
    {.name = "store-limit",
     .group = SettingGroup::kHosts,
     .value = "BYTES",
     .fallback = "20G",
     .text = "What a host keeps at most",
     .commands = kOfHosts,
     .read = Into<&Options::store_limit, ParseBytesOption>},

    {.name = "path",
     .group = SettingGroup::kSelection,
     .kind = SettingKind::kReplacingList,
     .value = "PATH",
     .text = "What is run where the command line has no PATH",
     .commands = kOfPaths,
     .is_path = true,
     .read = Texts<&Options::usual_paths>},
    {.name = "filter",
     .letter = "k",
     .group = SettingGroup::kSelection,
     .kind = SettingKind::kReplacingList,
     .value = "EXPR",
     .text = "Select cases; a leading - excludes",
     .commands = kOfProjects,
     .none_is_a_value = true,  // a part of a name, too
     .read = ReadFilters},
    {.name = "last-failed",
     .alias = "lf,rerun-failed",
     .group = SettingGroup::kSelection,
     .kind = SettingKind::kFlag,
     .text = "Of the cases that -k selects, those that failed when they ran last",
     .commands = kOfNames,
     .read = ReadLastFailed},  // after "filter", to which it adds
    {.name = "shard",
     .group = SettingGroup::kSelection,
     .value = "I/N",
     .text = "Only the I-th of N parts: the same parts on every machine",
     .commands = kOfShards,
     .read = ReadShard},
    {.name = "shard-durations",
     .group = SettingGroup::kSelection,
     .value = "FILE",
     .text = "Make them equally long by this file, the same for all (dtest history export)",
     .commands = kOfShards,
     .is_path = true,
     .read = FileName<&Options::shard_durations>},
    {.name = "failed",
     .group = SettingGroup::kSelection,
     .kind = SettingKind::kFlag,
     .text = "dtest rerun: what failed in that run (so it does without either)",
     .commands = {Command::kRerun},
     .has_variable = false,
     .in_files = false,
     .read = Flag<&Options::rerun_failed>},
    {.name = "unfinished",
     .group = SettingGroup::kSelection,
     .kind = SettingKind::kFlag,
     .text = "dtest rerun: what has no verdict since that run was ended",
     .commands = {Command::kRerun},
     .has_variable = false,
     .in_files = false,
     .read = Flag<&Options::rerun_unfinished>},
    {.name = "plain",
     .group = SettingGroup::kSelection,
     .value = "auto|all|none",
     .fallback = "auto",
     .text = "Which other executables in a directory are tests: those named so, all, none",
     .commands = kOfNames,
     .read = Into<&Options::plain, ParsePlain>},
    {.name = "protocol",
     .group = SettingGroup::kSelection,
     .value = "NAME",
     .fallback = "plain",
     .text = "What programs speak that show no framework: tap, or another that dtest knows",
     .commands = kOfNames,
     .read = Into<&Options::protocol, ParseProtocol>},
    {.name = "ctest-config",
     .letter = "C",
     .group = SettingGroup::kSelection,
     .value = "CONFIG",
     .text = "The configuration of CTest trees that is tested, where they have several: Debug, Release",
     .commands = kOfNames,
     .read = Text<&Options::ctest_config>},
    {.name = "also-unlisted",
     .group = SettingGroup::kSelection,
     .kind = SettingKind::kFlag,
     .text = "Run what is found in a CTest tree and is in no test of CTest, too",
     .commands = kOfNames,
     .read = Flag<&Options::also_unlisted>},
    {.name = "pytest",
     .group = SettingGroup::kSelection,
     .value = "PYTHON",
     .fallback = "the project's .venv, VIRTUAL_ENV, python3",
     .text = "The interpreter that has pytest, a name or a path; none: Python files are no tests",
     .commands = kOfProjects,
     .read = Text<&Options::pytest>},
    {.name = "pytest-arg",
     .group = SettingGroup::kSelection,
     .kind = SettingKind::kReplacingList,
     .value = "ARG",
     .text = "Hand it to pytest: --pytest-arg=-mslow",
     .commands = kOfProjects,
     .read = Texts<&Options::pytest_arguments>},
    // These add to "pytest-arg".
    {.name = "mark",
     .letter = "m",
     .group = SettingGroup::kSelection,
     .value = "EXPR",
     .text = "Of pytest's tests, those with such marks",
     .commands = kOfPytest,
     .read = ForPytest<kMark>},
    {.name = "deselect",
     .group = SettingGroup::kSelection,
     .kind = SettingKind::kReplacingList,
     .value = "ID",
     .text = "Of pytest's tests, not this one, or those whose ids begin so",
     .commands = kOfPytest,
     .read = ForPytest<kDeselect>},
    {.name = "ignore",
     .group = SettingGroup::kSelection,
     .kind = SettingKind::kReplacingList,
     .value = "PATH",
     .text = "A file or directory that pytest leaves out",
     .commands = kOfPytest,
     .read = ForPytest<kIgnore>},
    {.name = "plugin",
     .letter = "p",
     .group = SettingGroup::kSelection,
     .kind = SettingKind::kReplacingList,
     .value = "NAME",
     .text = "A plugin that pytest loads; no:NAME: one that it does not",
     .commands = kOfProjects,
     .read = ForPytest<kPlugin>},
    {.name = "override-ini",
     .letter = "o",
     .group = SettingGroup::kSelection,
     .kind = SettingKind::kReplacingList,
     .value = "NAME=VALUE",
     .text = "In place of what the configuration of pytest says",
     .commands = kOfProjects,
     .read = ForPytest<kOverrideIni>},
    {.name = "import-mode",
     .group = SettingGroup::kSelection,
     .value = "MODE",
     .text = "How pytest imports tests: prepend, append or importlib",
     .commands = kOfProjects,
     .read = ForPytest<kImportMode>},
    {.name = "config-file",
     .letter = "c",
     .group = SettingGroup::kSelection,
     .value = "FILE",
     .fallback = "looked for above the tests",
     .text = "What configures pytest, for all of its tests",
     .commands = kOfProjects,
     .read = FileName<&Options::pytest_config>},
    {.name = "rootdir",
     .group = SettingGroup::kSelection,
     .value = "DIR",
     .fallback = "where the configuration is",
     .text = "The root of all of pytest's tests, which their names begin at",
     .commands = kOfProjects,
     .read = FileName<&Options::pytest_root>},
    {.name = "allow-unrunnable",
     .group = SettingGroup::kSelection,
     .kind = SettingKind::kFlag,
     .text = "What looks like a test and cannot be started is a warning, in place of failing the run",
     .commands = kOfNames,
     .read = Flag<&Options::allow_unrunnable>},
    {.name = "run-disabled",
     .alias = "gtest_also_run_disabled_tests",
     .group = SettingGroup::kSelection,
     .kind = SettingKind::kFlag,
     .text = "Run DISABLED_ and hidden cases, too",
     .commands = kOfCases,
     .read = Flag<&Options::run_disabled>},
    {.name = "list-cache",
     .group = SettingGroup::kSelection,
     .kind = SettingKind::kFlag,
     .fallback = "on",
     .text = "List anew although executable, libraries, --data and --env are as before",
     .commands = kOfCases,
     .read = Flag<&Options::list_cache>},
    {.name = "list-timeout",
     .group = SettingGroup::kSelection,
     .value = "DUR",
     .fallback = "60s",
     .text = "Limit of listing one executable",
     .commands = kOfPytest,
     .read = Into<&Options::list_timeout, ParseDurationOption>},
    {.name = "data",
     .group = SettingGroup::kSelection,
     .kind = SettingKind::kAddingList,
     .value = "GLOB",
     .text = "Files the tests read, relative to here; ** and directories",
     .commands = kOfCases,
     .is_path = true,
     .read = Texts<&Options::data>},
    {.name = "env",
     .group = SettingGroup::kSelection,
     .kind = SettingKind::kAddingList,
     .value = "K[=V]",
     .text = "Set a variable for tests; without =V it is passed on",
     .commands = kOfPytest,
     .has_variable = false,
     .read = ReadEnv},

    {.name = "environment",
     .group = SettingGroup::kRun,
     .value = "TABLE",
     .text =
         "What tests import, on each host: {command = \"...\", key = [\"uv.lock\"]}, {path = \"/opt/env\"} or {ship = "
         "\".venv\"}",
     .commands = kOfPytest,
     .has_variable = false,
     .read = ReadEnvironmentTable},
    {.name = "setup-host",
     .group = SettingGroup::kRun,
     .value = "TABLE",
     .text = "Run around the tests of each host: {command = \"...\", teardown = \"...\", timeout = \"5m\"}",
     .commands = kOfPytest,
     .has_variable = false,
     .read = ReadSetupTable<&Options::host_setup>},
    {.name = "setup-slot",
     .group = SettingGroup::kRun,
     .value = "TABLE",
     .text = "The same around the tests of each slot; what its command prints as NAME=VALUE they see",
     .commands = kOfPytest,
     .has_variable = false,
     .read = ReadSetupTable<&Options::slot_setup>},
    {.name = "network",
     .group = SettingGroup::kRun,
     .kind = SettingKind::kFlag,
     .fallback = "on",
     .text = "Keep tests from every address but those of their own host",
     .commands = kOfPytest,
     .read = Flag<&Options::network>},
    {.name = "processes",
     .group = SettingGroup::kRun,
     .value = "batch|case",
     .fallback = "batch",
     .text = "A process for several cases, or one a case",
     .commands = kOfPolicies,
     .read = Into<&Options::processes, ParseProcesses>},
    {.name = "timeout",
     .group = SettingGroup::kRun,
     .value = "DUR",
     .fallback = "25m",
     .text = "Limit of one case; auto: by what it took before",
     .commands = {Command::kRun, Command::kRerun, Command::kProfile, Command::kConfig},
     .read = ReadTimeout},
    {.name = "run-timeout",
     .group = SettingGroup::kRun,
     .value = "DUR",
     .fallback = "none",
     .text = "Limit of the whole run",
     .commands = kOfRuns,
     .read = Into<&Options::run_timeout, ParseDurationOption>},
    {.name = "override",
     .group = SettingGroup::kRun,
     .kind = SettingKind::kAddingList,
     .value = "TABLE",
     .text = "Other values for some cases: {filter = \"label(slow)\", timeout = \"10m\"}",
     .commands = kOfPolicies,
     .has_variable = false,
     .read = ReadOverrides},
    {.name = "exclusive",
     .group = SettingGroup::kRun,
     .kind = SettingKind::kAddingList,
     .value = "EXPR",
     .text = "While one of these cases runs, nothing else of this run does on its host",
     .commands = kOfPolicies,
     .read = ReadExclusive},
    {.name = "lock",
     .group = SettingGroup::kRun,
     .kind = SettingKind::kAddingList,
     .value = "TABLE",
     .text = "A lock that overrides name: {name = \"port-8080\", scope = \"host\", max = 2}",
     .commands = kOfPolicies,
     .has_variable = false,
     .read = ReadLocks},
    {.name = "grace",
     .group = SettingGroup::kRun,
     .value = "DUR",
     .fallback = "10s",
     .text = "From asking a test to stop to killing it",
     .commands = {Command::kRun, Command::kRerun, Command::kProfile, Command::kConfig},
     .read = Into<&Options::kill_grace, ParseDurationOption>},
    {.name = "retries",
     .group = SettingGroup::kRun,
     .value = "N",
     .fallback = "0",
     .text = "Further attempts of a case that fails, on another host if there is one",
     .commands = kOfRuns,
     .read = Number<&Options::retries, 0, 100>},
    {.name = "retry-delay",
     .group = SettingGroup::kRun,
     .value = "DUR[..MAX]",
     .fallback = "0",
     .text = "Wait so long before a further attempt; with MAX twice as long each time, up to that",
     .commands = kOfRuns,
     .read = ReadRetryDelay},
    {.name = "retry-budget",
     .group = SettingGroup::kRun,
     .value = "N|P%",
     .fallback = "none",
     .text = "Further attempts in the whole run: so many, or so many per cent of its cases",
     .commands = kOfRuns,
     .read = Into<&Options::retry_budget, ParseRetryBudget>},
    {.name = "flaky-result",
     .group = SettingGroup::kRun,
     .value = "pass|fail",
     .fallback = "pass",
     .text = "What a case comes to that passes at a further attempt only",
     .commands = kOfRuns,
     .read = Into<&Options::flaky_fails, ParseFlakyResult>},
    {.name = "quarantine",
     .group = SettingGroup::kRun,
     .kind = SettingKind::kAddingList,
     .value = "FILE",
     .text = "Cases whose failures are reported and do not fail the run, for now; or a TABLE of it",
     .commands = {Command::kRun, Command::kRerun, Command::kHistory, Command::kConfig},
     .is_path = true,
     .or_table = true,
     .read = ReadQuarantines},
    {.name = "slow",
     .group = SettingGroup::kRun,
     .value = "DUR",
     .fallback = "auto",
     .text = "Tell of a case that has run for so long; auto: for twice what it may take",
     .commands = kOfRuns,
     .read = Into<&Options::slow_after, ParseSlow>},
    {.name = "budget",
     .group = SettingGroup::kRun,
     .value = "FILE",
     .text = "Cases that take longer than this file allows have failed",
     .commands = kOfRuns,
     .is_path = true,
     .read = FileName<&Options::budget>},
    {.name = "explain",
     .group = SettingGroup::kRun,
     .kind = SettingKind::kFlag,
     .text = "Run a case that failed behind others in one process once more, alone, to tell if it passes then",
     .commands = kOfRuns,
     .read = Flag<&Options::explain>},
    {.name = "repeat",
     .group = SettingGroup::kRun,
     .value = "N",
     .fallback = "1",
     .text = "Run every case so many times",
     .commands = kOfPolicies,
     .read = Number<&Options::repeat, 1, 10000>},
    {.name = "stress",
     .group = SettingGroup::kRun,
     .value = "LIMIT",
     .text = "Run cases again and again on every slot until one fails: for so long (10m), or so often (1000)",
     .commands = kOfRuns,
     .read = Into<&Options::stress, ParseStress>},
    {.name = "shuffle",
     .group = SettingGroup::kRun,
     .kind = SettingKind::kOptionalText,
     .value = "SEED",
     .text = "Give cases out in random order; with a seed: in the same again",
     .commands = kOfRuns,
     .read = Into<&Options::shuffle, ParseSeed>},
    {.name = "failed-first",
     .alias = "ff",
     .group = SettingGroup::kRun,
     .kind = SettingKind::kFlag,
     .text = "Hand out first the cases that failed when they ran last",
     .commands = kOfRuns,
     .read = Flag<&Options::failed_first>},
    {.name = "new-first",
     .alias = "nf",
     .group = SettingGroup::kRun,
     .kind = SettingKind::kFlag,
     .text = "Hand out first the cases that history has never seen",
     .commands = kOfRuns,
     .read = Flag<&Options::new_first>},
    {.name = "stepwise",
     .alias = "sw",
     .group = SettingGroup::kRun,
     .kind = SettingKind::kFlag,
     .text = "Stop at the first failure, and go on there in the next run, without what has passed before",
     .commands = kOfShards,
     .read = Flag<&Options::stepwise>},
    {.name = "stepwise-skip",
     .alias = "sw-skip",
     .group = SettingGroup::kRun,
     .kind = SettingKind::kFlag,
     .text = "As --stepwise, but what failed in the run before does not stop this one",
     .commands = kOfShards,
     .read = ReadStepwise<&Options::stepwise_skip>},
    {.name = "stepwise-reset",
     .alias = "sw-reset",
     .group = SettingGroup::kRun,
     .kind = SettingKind::kFlag,
     .text = "As --stepwise, from the beginning",
     .commands = kOfShards,
     .has_variable = false,
     .in_files = false,
     .read = ReadStepwise<&Options::stepwise_reset>},
    {.name = "max-fail",
     .alias = "maxfail",
     .group = SettingGroup::kRun,
     .value = "N",
     .text = "Stop after so many failures; 0: never",
     .commands = kOfRuns,
     .choice = "max-fail",
     .read = Number<&Options::max_fail, 0, 1000000000>},
    {.name = "fail-fast",
     .letter = "x",
     .group = SettingGroup::kRun,
     .kind = SettingKind::kFlag,
     .text = "Stop at the first failure",
     .commands = kOfRuns,
     .choice = "max-fail",
     .read = ReadFailFast},
    {.name = "behind",
     .group = SettingGroup::kRun,
     .kind = SettingKind::kReplacingList,
     .value = "CASE",
     .text = "dtest reproduce: behind these only of the cases that ran before it; none: alone",
     .commands = {Command::kReproduce},
     .has_variable = false,
     .in_files = false,
     .none_is_a_value = true,
     .read = Texts<&Options::behind>},
    {.name = "slots",
     .group = SettingGroup::kRun,
     .value = "N[,N...]",
     .fallback = "1,2,4... as long as it pays",
     .text = "dtest plan: what so many slots would give",
     .commands = {Command::kPlan},
     .has_variable = false,  // DTEST_SLOTS is what a test sees of the host that it is on
     .in_files = false,
     .read = Into<&Options::plan_slots, ParseSlotCounts>},
    {.name = "speculate",
     .group = SettingGroup::kRun,
     .kind = SettingKind::kFlag,
     .text = "At the end, idle hosts run a second copy of slow cases: only for tests that bear to run twice at once",
     .commands = kOfRuns,
     .read = Flag<&Options::speculate>},

    {.name = "junit",
     .group = SettingGroup::kReports,
     .value = "FILE",
     .text = "Write JUnit XML",
     .commands = kOfReports,
     .is_path = true,
     .read = FileName<&Options::junit>},
    {.name = "coverage",
     .group = SettingGroup::kReports,
     .value = "DIR",
     .text = "Measure what pytest's tests cover, and write .coverage, coverage.xml and coverage.lcov there",
     .commands = kOfRuns,
     .is_path = true,
     .read = FileName<&Options::coverage>},
    {.name = "pytest-reports",
     .group = SettingGroup::kReports,
     .value = "auto|always|never",
     .fallback = "auto",
     .text = "pytest's own reports (--junitxml, --html), and hooks of its controller: where they are wanted",
     .commands = kOfRuns,
     .read = Into<&Options::pytest_reports, ParseWhen>},
    {.name = "pytest-reports-timeout",
     .group = SettingGroup::kReports,
     .value = "DUR",
     .fallback = "10m",
     .text = "Limit of the process that makes pytest's own reports at the end",
     .commands = kOfRuns,
     .read = Into<&Options::pytest_reports_timeout, ParseDurationOption>},
    {.name = "junit-success-output",
     .group = SettingGroup::kReports,
     .kind = SettingKind::kFlag,
     .text = "JUnit and the event log have the output of cases that pass, too",
     .commands = kOfRuns,
     .read = Flag<&Options::junit_success_output>},
    {.name = "events",
     .group = SettingGroup::kReports,
     .value = "FILE",
     .text = "Write the event log here, too (JSON lines)",
     .commands = kOfRuns,
     .is_path = true,
     .read = FileName<&Options::events>},
    {.name = "success-output",
     .group = SettingGroup::kReports,
     .value = "never|final|immediate",
     .fallback = "never; -vv: immediate",
     .text = "Show the output of cases that pass: never, at the end, as they end",
     .commands = kOfReports,
     .read = Into<&Options::success_output, ParseSuccessOutput>},
    {.name = "output-cap",
     .group = SettingGroup::kReports,
     .value = "BYTES",
     .fallback = "1M",
     .text = "Output kept of one case, head and tail, at most 16M",
     .commands = kOfRuns,
     .read = Into<&Options::output_cap, ParseOutputCap>},
    {.name = "durations",
     .group = SettingGroup::kReports,
     .value = "N",
     .text = "Show the N slowest cases; dtest history, profile: so many of each kind",
     .commands = {Command::kRun, Command::kRerun, Command::kReport, Command::kHistory, Command::kProfile,
                  Command::kConfig},
     .read = Number<&Options::durations, 0, 1000000000>},
    {.name = "timings",
     .group = SettingGroup::kReports,
     .kind = SettingKind::kFlag,
     .text = "Show where the time went (so does -v)",
     .commands = kOfReports,
     .read = Flag<&Options::timings>},

    {.name = "collect-only",
     .group = SettingGroup::kReports,
     .kind = SettingKind::kFlag,
     .text = "dtest profile: run nothing; imports and collection alone",
     .commands = {Command::kProfile},
     .has_variable = false,
     .in_files = false,
     .read = Flag<&Options::collect_only>},
    {.name = "json",
     .group = SettingGroup::kReports,
     .kind = SettingKind::kFlag,
     .text = "dtest list, hosts, plan, history, profile, config: show one JSON document, for programs (docs/json.md)",
     .commands = {Command::kList, Command::kHosts, Command::kPlan, Command::kHistory, Command::kProfile,
                  Command::kConfig},
     .has_variable = false,
     .in_files = false,
     .read = Flag<&Options::json>},

    {.name = "color",
     .group = SettingGroup::kPresentation,
     .value = "auto|always|never",
     .fallback = "auto",
     .text = "Colours; auto honours NO_COLOR, CLICOLOR_FORCE and TERM=dumb",
     .commands = kOfAll,
     .read = Into<&Options::color, ParseWhen>},
    {.name = "progress",
     .group = SettingGroup::kPresentation,
     .value = "auto|always|never",
     .fallback = "auto",
     .text = "A status line; auto: on a terminal and not under CI",
     .commands = kOfAll,
     .read = Into<&Options::progress, ParseWhen>},
    {.name = "quiet",
     .letter = "q",
     .group = SettingGroup::kPresentation,
     .kind = SettingKind::kFlag,
     .text = "Only failures, warnings and the summary",
     .commands = kOfAll,
     .choice = "verbosity",
     .read = ReadQuiet},
    {.name = "verbose",
     .letter = "v",
     .group = SettingGroup::kPresentation,
     .kind = SettingKind::kCount,
     .text = "Every case as it ends; twice: what dtest does, too",
     .commands = kOfAll,
     .choice = "verbosity",
     .read = ReadVerbose},

    {.name = "config",
     .group = SettingGroup::kPlaces,
     .value = "FILE",
     .fallback = "dtest.toml here or above",
     .text = "Read settings from this file; none: from no file",
     .commands = kOfAll,
     .in_files = false,
     .chooses_layers = true,
     .read = FileNameOrNone<&Options::config>},
    {.name = "profile",
     .group = SettingGroup::kPlaces,
     .value = "NAME",
     .text = "Use what dtest.toml says under [profile.NAME], too",
     .commands = kOfAll,
     .in_files = false,
     .chooses_layers = true,
     .read = ReadProfile},
    {.name = "cache-dir",
     .group = SettingGroup::kPlaces,
     .value = "DIR",
     .fallback = "~/.cache/dtest",
     .text = "File hashes and listings",
     .commands = kOfAll,
     .is_path = true,
     .read = FileName<&Options::cache_dir>},
    {.name = "state-dir",
     .group = SettingGroup::kPlaces,
     .value = "DIR",
     .fallback = "~/.local/state/dtest",
     .text = "History and event logs",
     .commands = kOfAll,
     .is_path = true,
     .read = FileName<&Options::state_dir>},
};

constexpr CommandWord kCommands[] = {
    {Command::kRun, "run", "[OPTIONS] PATH... [-- ARG...]",
     "run the tests in PATH: a test executable, or a directory of them; with ARGs"},
    {Command::kList, "list", "[OPTIONS] PATH...", "list their cases, one a line"},
    {Command::kHosts, "hosts", "[OPTIONS]", "check every host and say what is wrong with which"},
    {Command::kReport, "report", "[OPTIONS] [RUN]",
     "show the reports of the latest run, or of RUN (an id or an event log)"},
    {Command::kReproduce, "reproduce", "CASE [RUN]",
     "run a case of the latest run, or of RUN, again as it ran: on its host, behind the cases that ran before it in "
     "its "
     "process"},
    {Command::kBisect, "bisect", "CASE [RUN]",
     "find the fewest of the cases that ran before it in the latest run, or in RUN, behind which a case fails that "
     "passes "
     "alone"},
    {Command::kRerun, "rerun", "[OPTIONS] [RUN]",
     "run again what failed in the latest run, or in RUN, with the settings of that run and these on top"},
    {Command::kPlan, "plan", "[OPTIONS] PATH...",
     "tell what more slots or other hosts would give, by what is known of the tests in PATH: nothing is run"},
    {Command::kHistory, "history", "[trend [EXPR...] | flaky | export FILE | forget EXPR...]",
     "show the latest runs and the slowest, flaky and new cases; the trend of the suite or of cases, run by run; "
     "propose a quarantine of the flaky ones; write what is known "
     "of durations, for --shard-durations; forget these cases"},
    {Command::kProfile, "profile", "[OPTIONS] PATH... [-- ARG...]",
     "run the tests of pytest in PATH one after the other, on this machine, and show what imports, collection and "
     "fixtures take"},
    {Command::kConfig, "config", "[OPTIONS] [SETTING...]",
     "show the settings in force, and where each comes from: file and line, variable or command line"},
};

}  // namespace

const char* SettingGroupName(SettingGroup group) {
  switch (group) {
    case SettingGroup::kHosts:
      return "Hosts";
    case SettingGroup::kSelection:
      return "Which cases";
    case SettingGroup::kRun:
      return "How they run";
    case SettingGroup::kReports:
      return "Reports";
    case SettingGroup::kPresentation:
      return "Presentation";
    case SettingGroup::kPlaces:
      return "Places";
  }
  return "";
}

absl::Span<const Setting> AllSettings() { return kSettings; }

const Setting* FindSetting(absl::string_view name) {
  for (const Setting& setting : kSettings) {
    if (name == setting.name) return &setting;
  }
  return nullptr;
}

std::string VariableName(const Setting& setting) {
  return absl::StrCat("DTEST_", absl::StrReplaceAll(absl::AsciiStrToUpper(setting.name), {{"-", "_"}}));
}

bool IsList(const Setting& setting) {
  return setting.kind == SettingKind::kReplacingList || setting.kind == SettingKind::kAddingList;
}

bool TakesValue(const Setting& setting) { return setting.kind == SettingKind::kText || IsList(setting); }

bool IsPath(const Setting& setting, absl::string_view value) {
  return setting.is_path && value != "none" && value != "-" && !(setting.or_table && absl::StartsWith(value, "{"));
}

bool IsOnByDefault(const Setting& setting) {
  return setting.kind == SettingKind::kFlag && absl::string_view(setting.fallback) == "on";
}

absl::Span<const CommandWord> AllCommands() { return kCommands; }

const CommandWord& WordOf(Command command) {
  return *std::find_if(std::begin(kCommands), std::end(kCommands),
                       [command](const CommandWord& word) { return word.command == command; });
}

}  // namespace dtest
