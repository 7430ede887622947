#include "coordinator/cli/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/option_values.h"
#include "dtest/version.h"

namespace dtest {
namespace {

constexpr int kWrongUsage = 4;

constexpr char kSynopsis[] =
    "dtest: every machine you can ssh to, used as one big machine for one test suite.\n"
    "\n"
    "  dtest [run] [OPTIONS] PATH... [-- ARG...]\n"
    "                                  run the tests in PATH: a test executable, or a directory of them; with ARGs\n"
    "  dtest list [OPTIONS] PATH...    list their cases, one a line\n"
    "  dtest hosts [OPTIONS]           check every host and say what is wrong with which\n"
    "  dtest report [OPTIONS] [RUN]    show the reports of the latest run, or of RUN (an id or an event log)\n"
    "  dtest reproduce CASE [RUN]      run a case of the latest run, or of RUN, again as it ran: on its host, behind\n"
    "                                  the cases that ran before it in its process\n"
    "  dtest history                   show the slowest and the flaky cases that are known\n"
    "  dtest history export FILE       write what is known of durations, for --shard-durations\n"
    "  dtest history forget EXPR...    forget these cases\n";

constexpr char kFooter[] =
    "DUR is 90, 90s, 1m30s, 250ms or none.  EXPR without * or ? selects cases whose EXECUTABLE.SUITE.CASE contains "
    "it;\n"
    "with them it must match all of SUITE.CASE or EXECUTABLE.SUITE.CASE; =NAME is exact; a leading - excludes.\n"
    "Several patterns may be joined by ':'. Patterns that exclude win.\n"
    "\n"
    "Exit status: 0 all passed; 1 some failed; 2 interrupted; 3 the hosts or dtest itself failed; 4 wrong usage;\n"
    "5 no test selected.\n";

// $XDG_..._HOME/dtest, else ~/<fallback>/dtest. An account without a home has none: in /tmp others could be before us.
std::string DefaultDirectory(const char* variable, absl::string_view fallback) {
  if (std::string base = Environment(variable); !base.empty() && base.front() == '/') return base + "/dtest";
  if (std::string home = Environment("HOME"); !home.empty()) return absl::StrCat(home, "/", fallback, "/dtest");
  return "";
}

// Makes CLI11 take `option` through `parse`, turning its Status into CLI11's error.
template <typename Value>
std::function<void(const std::string&)> Through(absl::StatusOr<Value> (*parse)(absl::string_view), Value* target,
                                                std::string option) {
  return [parse, target, option = std::move(option)](const std::string& text) {
    absl::StatusOr<Value> value = parse(text);
    if (!value.ok()) throw CLI::ValidationError(option, std::string(value.status().message()));
    *target = *value;
  };
}

// Texts that are understood after CLI11 has seen the whole line.
struct RawOptions {
  std::string shuffle;  // empty, "random" or a seed
};

// For an option that names a file to write: an empty name, from a variable that is not set, is no wish for no report.
std::string IsNamed(const std::string& path) {
  return path.empty() ? "the path is empty; leave the option out to write nothing" : "";
}

// What is wrong with options that are right one by one; empty: nothing.
std::string Contradiction(const Options& options) {
  if (options.hosts_file.has_value() && options.hosts_file->empty()) {
    return "--hosts was given an empty name; leave the option out to use this machine";
  }
  if (!options.junit.empty() && options.junit == options.events) {
    return absl::StrCat("--junit and --events both name ", options.junit, ": each needs a file of its own");
  }
  if (!options.tags.empty() && !options.hosts_file.has_value() && options.hosts.empty()) {
    return "--tag selects among the hosts of --hosts or --host, and neither is given";
  }
  if (options.command == Command::kHosts && !options.paths.empty()) {
    return absl::StrCat("dtest hosts runs no tests: what is ", options.paths.front(), " for?");
  }
  if (!options.test_arguments.empty() && options.command != Command::kRun && options.command != Command::kList) {
    return absl::StrCat("what follows -- is for test programs, and this command runs none: what is ",
                        options.test_arguments.front(), " for?");
  }
  if (!options.shard_durations.empty() && options.shard_count == 1) {
    return "--shard-durations says how --shard divides, and no --shard with more than one part is given";
  }
  if (options.command == Command::kHistory && !options.paths.empty()) {
    const std::string& word = options.paths.front();
    if (word != "export" && word != "forget") {
      return absl::StrCat("dtest history cannot '", word, "': give nothing, export FILE or forget EXPR");
    }
    if (word == "export" && options.paths.size() != 2) return "dtest history export needs one FILE to write";
    if (word == "forget" && options.paths.size() < 2) return "dtest history forget needs an EXPR; '*' forgets all";
  }
  if (options.host_timeout < absl::Seconds(2)) {
    return "--host-timeout: less than 2s would call healthy hosts lost";
  }
  return "";
}

void AddHostOptions(CLI::App& app, Options& options) {
  const std::string group = "Hosts";
  app.add_option_function<std::string>(
         "--hosts", [&options](const std::string& file) { options.hosts_file = file; },
         "Hosts to use, one a line (neither this nor --host: this machine)")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--host", options.hosts, "One host, written like a line of that file; repeatable")
      ->type_name("HOST")
      ->take_all()
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("--tag", options.tags, "Only hosts that have this tag; repeatable: all of them")
      ->type_name("TAG")
      ->allow_extra_args(false)
      ->group(group);
  app.add_option_function<std::string>("-j,--jobs", Through(ParseJobs, &options.jobs, "--jobs"),
                                       "Slots on a host whose line gives none; auto (the default): its cores")
      ->type_name("N")
      ->group(group);
  app.add_option_function<std::string>(
         "--transport",
         [&options](const std::string& text) {
           if (text != "ssh" && text != "tcp") throw CLI::ValidationError("--transport", "not one of ssh, tcp");
           options.tcp = text == "tcp";
         },
         "How agents talk back: through the SSH connection, or by TCP under CURVE  [ssh]")
      ->type_name("ssh|tcp")
      ->group(group);
  app.add_flag("!--no-peers", options.peers, "All files come from here: hosts open no port for one another")
      ->group(group);
  app.add_option("-F,--ssh-config", options.ssh_config, "Read this in place of ~/.ssh/config; none: read neither")
      ->type_name("FILE")
      ->group(group);
  app.add_option_function<std::string>("--connect-timeout",
                                       Through(ParseDurationOption, &options.connect_timeout, "--connect-timeout"),
                                       "Give up a host that is not there after so long  [15s]")
      ->type_name("DUR")
      ->group(group);
  app.add_option_function<std::string>("--host-timeout",
                                       Through(ParseDurationOption, &options.host_timeout, "--host-timeout"),
                                       "An agent that hears nothing for so long stops its tests and leaves  [30s]")
      ->type_name("DUR")
      ->group(group);
  app.add_option("--min-hosts", options.min_hosts, "Fail as soon as it is certain that fewer hosts come up  [1]")
      ->check(CLI::Range(1, 10000).description(""))
      ->type_name("N")
      ->group(group);
  app.add_option("--remote-store", options.remote_store, "Where hosts keep what was shipped  [~/.cache/dtest there]")
      ->type_name("DIR")
      ->group(group);
  app.add_option_function<std::string>("--store-limit",
                                       Through(ParseBytesOption, &options.store_limit, "--store-limit"),
                                       "What a host keeps at most, like 20G  [20G]")
      ->type_name("BYTES")
      ->group(group);
}

void AddSelectionOptions(CLI::App& app, Options& options) {
  const std::string group = "Which cases";
  app.add_option("-k,--filter", options.filters, "Select cases; repeatable; a leading - excludes (see below)")
      ->type_name("EXPR")
      ->allow_extra_args(false)
      ->group(group);
  app.add_option_function<std::string>(
         "--shard",
         [&options](const std::string& text) {
           auto shard = ParseShard(text);
           if (!shard.ok()) throw CLI::ValidationError("--shard", std::string(shard.status().message()));
           std::tie(options.shard_index, options.shard_count) = *shard;
         },
         "Only the I-th of N parts: the same parts on every machine")
      ->type_name("I/N")
      ->group(group);
  app.add_option("--shard-durations", options.shard_durations,
                 "Make them equally long by this file, the same for all (dtest history export)")
      ->type_name("FILE")
      ->group(group);
  app.add_option_function<std::string>(
         "--plain", Through(ParsePlain, &options.plain, "--plain"),
         "Which other executables in a directory are tests: those named so (auto), all, none  [auto]")
      ->type_name("auto|all|none")
      ->group(group);
  app.add_option_function<std::string>("--protocol", Through(ParseProtocol, &options.protocol, "--protocol"),
                                       "What programs speak that show no framework, like tap  [plain]")
      ->type_name("NAME")
      ->group(group);
  app.add_flag("--allow-unrunnable", options.allow_unrunnable,
               "What looks like a test and cannot be started is a warning, in place of failing the run")
      ->group(group);
  app.add_flag("--gtest_also_run_disabled_tests,--run-disabled", options.run_disabled, "Run DISABLED_ cases too")
      ->group(group);
  app.add_flag("!--no-list-cache", options.list_cache,
               "List anew although executable, libraries, --data and --env are as before")
      ->group(group);
  app.add_option_function<std::string>("--list-timeout",
                                       Through(ParseDurationOption, &options.list_timeout, "--list-timeout"),
                                       "Limit of listing one executable  [60s]")
      ->type_name("DUR")
      ->group(group);
  app.add_option("--data", options.data, "Files the tests read, relative to here; ** and directories; repeatable")
      ->type_name("GLOB")
      ->check([](const std::string& pattern) { return pattern.empty() ? "the pattern is empty" : ""; }, "")
      ->allow_extra_args(false)
      ->group(group);
  app.add_option_function<std::vector<std::string>>(
         "--env",
         [&options](const std::vector<std::string>& texts) {
           for (const std::string& text : texts) {
             auto variable = ParseVariable(text);
             if (!variable.ok()) throw CLI::ValidationError("--env", std::string(variable.status().message()));
             options.env.push_back(*std::move(variable));
           }
         },
         "Set a variable for tests; without =V it is passed on; repeatable")
      ->type_name("K[=V]")
      ->allow_extra_args(false)
      ->take_all()
      ->group(group);
}

void AddRunOptions(CLI::App& app, Options& options, RawOptions& raw) {
  const std::string group = "How they run";
  CLI::Option* const processes =
      app.add_option_function<std::string>("--processes", Through(ParseProcesses, &options.processes, "--processes"),
                                           "A process for several cases, or one a case  [batch]")
          ->type_name("batch|case")
          ->group(group);
  app.add_option_function<std::string>("--isolate", Through(ParseIsolate, &options.processes, "--isolate"),
                                       "The same under its former name")
      ->type_name("batch|process")
      ->excludes(processes)
      ->group(group);
  app.add_option_function<std::string>("--timeout", Through(ParseDurationOption, &options.timeout, "--timeout"),
                                       "Limit of one case  [25m]")
      ->type_name("DUR")
      ->group(group);
  app.add_option_function<std::string>("--run-timeout",
                                       Through(ParseDurationOption, &options.run_timeout, "--run-timeout"),
                                       "Limit of the whole run  [none]")
      ->type_name("DUR")
      ->group(group);
  app.add_option_function<std::string>("--grace", Through(ParseDurationOption, &options.kill_grace, "--grace"),
                                       "From asking a test to stop to killing it  [10s]")
      ->type_name("DUR")
      ->group(group);
  app.add_option("--retries", options.retries,
                 "Further attempts of a case that fails, on another host if there is one  [0]")
      ->check(CLI::Range(0, 100).description(""))
      ->type_name("N")
      ->group(group);
  app.add_flag("--explain", options.explain,
               "Run a case that failed behind others in one process once more, alone, to tell if it passes then")
      ->group(group);
  app.add_option("--repeat", options.repeat, "Run every case so many times  [1]")
      ->check(CLI::Range(1, 10000).description(""))
      ->type_name("N")
      ->group(group);
  app.add_flag("--shuffle{random}", raw.shuffle, "Give cases out in random order; --shuffle=SEED: in the same again")
      ->group(group);
  app.add_flag_callback(
         "-x,--fail-fast", [&options] { options.max_fail = 1; }, "Stop at the first failure")
      ->group(group);
  app.add_option("--max-fail", options.max_fail, "Stop after so many failures")
      ->check(CLI::Range(1, 1000000000).description(""))
      ->type_name("N")
      ->group(group);
  app.add_flag("--speculate", options.speculate,
               "At the end, idle hosts run a second copy of slow cases: only for tests that bear to run twice at once")
      ->group(group);
}

void AddReportOptions(CLI::App& app, Options& options) {
  const std::string group = "Reports";
  app.add_option("--junit", options.junit, "Write JUnit XML")->type_name("FILE")->group(group)->check(IsNamed, "");
  app.add_option_function<std::string>(
         "--success-output",
         [&options](const std::string& text) {
           auto when = ParseSuccessOutput(text);
           if (!when.ok()) throw CLI::ValidationError("--success-output", std::string(when.status().message()));
           options.success_output = *when;
         },
         "Show the output of cases that pass: never, at the end, as they end  [never; -vv: immediate]")
      ->type_name("never|final|immediate")
      ->group(group);
  app.add_option("--durations", options.durations, "Show the N slowest cases")->type_name("N")->group(group);
  app.add_flag("--timings", options.timings, "Show where the time went (so does -v)")->group(group);
}

void AddPresentationOptions(CLI::App& app, Options& options) {
  const std::string group = "Presentation";
  app.add_option_function<std::string>("--color", Through(ParseWhen, &options.color, "--color"),
                                       "Colours; auto honours NO_COLOR, CLICOLOR_FORCE and TERM=dumb  [auto]")
      ->type_name("auto|always|never")
      ->group(group);
  app.add_option_function<std::string>("--progress", Through(ParseWhen, &options.progress, "--progress"),
                                       "A status line; auto: on a terminal and not under CI  [auto]")
      ->type_name("auto|always|never")
      ->group(group);
  app.add_flag_callback(
         "-q,--quiet", [&options] { options.verbosity = -1; }, "Only failures, warnings and the summary")
      ->group(group);
  app.add_flag_function(
         "-v,--verbose", [&options](int64_t count) { options.verbosity = static_cast<int>(count); },
         "Every case as it ends; twice: what dtest does, too")
      ->group(group);
}

void AddPlaceOptions(CLI::App& app, Options& options) {
  const std::string group = "Places";
  app.add_option("--cache-dir", options.cache_dir, "File hashes and listings  [~/.cache/dtest]")
      ->type_name("DIR")
      ->group(group);
  app.add_option("--state-dir", options.state_dir, "History and event logs  [~/.local/state/dtest]")
      ->type_name("DIR")
      ->group(group);
}

// Left column fixed, groups in the order they were added: CLI11's own layout, less its repetition of types.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(30); }
  std::string make_usage(const CLI::App*, std::string) const override { return ""; }
  std::string make_description(const CLI::App* app) const override { return app->get_description() + "\n"; }
  std::string make_option_name(const CLI::Option* option, bool positional) const override {
    const std::string name = CLI::Formatter::make_option_name(option, positional);
    return name.substr(0, name.find('{'));  // of a flag with a value
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    return option->get_type_size() == 0 || option->get_type_name().empty() ? "" : " " + option->get_type_name();
  }
};

std::optional<Command> FindCommand(const std::string& word) {
  if (word == "run") return Command::kRun;
  if (word == "list") return Command::kList;
  if (word == "hosts") return Command::kHosts;
  if (word == "report") return Command::kReport;
  if (word == "history") return Command::kHistory;
  if (word == "reproduce") return Command::kReproduce;
  return std::nullopt;
}

void Describe(CLI::App& app, Options& options, RawOptions& raw) {
  app.formatter(std::make_shared<HelpFormatter>());
  if (options.command == Command::kRun || options.command == Command::kList) app.footer(kFooter);
  app.set_help_flag();  // set again below, so that it is not the first thing shown
  CLI::Option* paths = app.add_option("path", options.paths)->group("");
  switch (options.command) {
    case Command::kRun:
      AddHostOptions(app, options);
      AddSelectionOptions(app, options);
      AddRunOptions(app, options, raw);
      AddReportOptions(app, options);
      app.add_option("--events", options.events, "Write the event log here, too (JSON lines)")
          ->type_name("FILE")
          ->check(IsNamed, "")
          ->group("Reports");
      app.add_flag("--junit-success-output", options.junit_success_output,
                   "JUnit and the event log have the output of cases that pass, too")
          ->group("Reports");
      app.add_option_function<std::string>("--output-cap", Through(ParseOutputCap, &options.output_cap, "--output-cap"),
                                           "Output kept of one case, head and tail, at most 16M  [1M]")
          ->type_name("BYTES")
          ->group("Reports");
      break;
    case Command::kList:
      AddHostOptions(app, options);
      AddSelectionOptions(app, options);
      break;
    case Command::kHosts:
      AddHostOptions(app, options);
      break;
    case Command::kReport:
      paths->expected(0, 1);
      AddReportOptions(app, options);
      break;
    case Command::kReproduce:
      paths->expected(1, 2);
      paths->required();
      break;
    case Command::kHistory:
      app.add_option("--durations", options.durations, "Show so many of each kind  [20]")
          ->type_name("N")
          ->group("Reports");
      break;
  }
  AddPresentationOptions(app, options);
  AddPlaceOptions(app, options);
  app.set_help_flag("-h,--help", "Show this")->group("Help");
  app.set_version_flag("--version", absl::StrCat("dtest ", Version()), "Show the version and its commit")
      ->group("Help");
}

}  // namespace

SuccessOutput SuccessOutputOf(const Options& options) {
  return options.success_output.value_or(options.verbosity >= 2 ? SuccessOutput::kImmediate : SuccessOutput::kNever);
}

CasePolicy PolicyOf(const Options& options) {
  return {.time_limit = options.timeout, .retries = options.retries, .processes = options.processes};
}

bool KeepsAllOutput(const Options& options) {
  return options.junit_success_output || SuccessOutputOf(options) != SuccessOutput::kNever;
}

ParsedCommandLine ParseCommandLine(const std::vector<std::string>& arguments) {
  Options options;
  options.arguments = arguments;
  options.program = arguments.empty() ? "dtest" : arguments.front();
  std::vector<std::string> rest(arguments.begin() + (arguments.empty() ? 0 : 1), arguments.end());
  if (!rest.empty()) {
    if (std::optional<Command> command = FindCommand(rest.front())) {
      options.command = *command;
      rest.erase(rest.begin());
    }
  }
  const auto dashes = std::find(rest.begin(), rest.end(), "--");
  if (dashes != rest.end()) {
    options.test_arguments.assign(dashes + 1, rest.end());
    rest.erase(dashes, rest.end());
  }
  CLI::App app(kSynopsis, "dtest");
  RawOptions raw;
  Describe(app, options, raw);
  ParsedCommandLine parsed;
  try {
    std::vector<std::string> reversed(rest.rbegin(), rest.rend());  // CLI11 takes them from the back
    app.parse(std::move(reversed));
  } catch (const CLI::CallForVersion& version) {
    parsed.text = absl::StrCat(version.what(), "\n");
    return parsed;
  } catch (const CLI::CallForHelp&) {
    parsed.text = app.help();
    return parsed;
  } catch (const CLI::Error& error) {
    parsed.text = absl::StrCat("dtest: ", error.what(), "\nTry 'dtest --help'.\n");
    parsed.exit_status = kWrongUsage;
    return parsed;
  }
  absl::StatusOr<std::optional<uint64_t>> seed = ParseSeed(raw.shuffle);
  if (!seed.ok()) {
    parsed.text = absl::StrCat("dtest: ", seed.status().message(), "\nTry 'dtest --help'.\n");
    parsed.exit_status = kWrongUsage;
    return parsed;
  }
  options.shuffle = *seed;
  if (const std::string problem = Contradiction(options); !problem.empty()) {
    parsed.text = absl::StrCat("dtest: ", problem, "\nTry 'dtest --help'.\n");
    parsed.exit_status = kWrongUsage;
    return parsed;
  }
  if ((options.command == Command::kRun || options.command == Command::kList) && options.paths.empty()) {
    parsed.text = arguments.size() <= 1 ? app.help()
                                        : "dtest: no PATH given: name a test executable or a directory of them.\n"
                                          "Try 'dtest --help'.\n";
    parsed.exit_status = kWrongUsage;
    return parsed;
  }
  if (options.cache_dir.empty()) options.cache_dir = DefaultDirectory("XDG_CACHE_HOME", ".cache");
  options.own_state_dir = !options.state_dir.empty();
  if (options.state_dir.empty()) options.state_dir = DefaultDirectory("XDG_STATE_HOME", ".local/state");
  if (options.cache_dir.empty() || options.state_dir.empty()) {
    parsed.text = "dtest: HOME is not set: give --cache-dir and --state-dir directories to keep things in\n";
    parsed.exit_status = kWrongUsage;
    return parsed;
  }
  parsed.options = std::move(options);
  return parsed;
}

}  // namespace dtest
