#include "coordinator/cli/command_line.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "coordinator/cli/ctest_words.h"
#include "coordinator/cli/help_text.h"
#include "coordinator/settings/config_file.h"
#include "coordinator/settings/values.h"
#include "dtest/base/nearest.h"
#include "dtest/base/paths.h"
#include "dtest/version.h"

namespace dtest {
namespace {

constexpr int kWrongUsage = 4;

std::string Or(const Variables& variables, const char* name) {
  const auto found = variables.find(name);
  return found == variables.end() ? "" : found->second;
}

// $XDG_..._HOME/dtest, else ~/<fallback>/dtest. An account without a home has none: in /tmp others could be before us.
std::string DefaultDirectory(const Variables& variables, const char* variable, absl::string_view fallback) {
  if (std::string base = Or(variables, variable); !base.empty() && base.front() == '/') return base + "/dtest";
  if (std::string home = Or(variables, "HOME"); !home.empty()) return absl::StrCat(home, "/", fallback, "/dtest");
  return "";
}

std::optional<Command> FindCommand(absl::string_view word) {
  for (const CommandWord& known : AllCommands()) {
    if (word == known.word) return known.command;
  }
  return std::nullopt;
}

ParsedCommandLine WrongUsage(absl::string_view message) {
  ParsedCommandLine parsed;
  parsed.text = absl::StrCat("dtest: ", message, "\nTry 'dtest --help'.\n");
  parsed.exit_status = kWrongUsage;
  return parsed;
}

ParsedCommandLine Print(std::string text) {
  ParsedCommandLine parsed;
  parsed.text = std::move(text);
  return parsed;
}

// `dtest help [COMMAND]`, `dtest man`, `dtest completion SHELL`: words without settings.
std::optional<ParsedCommandLine> TextCommand(const std::vector<std::string>& words) {
  if (words.empty()) return std::nullopt;
  const std::string& argument = words.size() > 1 ? words[1] : "";
  if (words.size() > 2) return std::nullopt;
  if (words[0] == "help") {
    if (argument.empty()) return Print(HelpText(std::nullopt));
    if (argument == "--markdown") return Print(SettingsMarkdown());
    if (const std::optional<Command> command = FindCommand(argument)) return Print(HelpText(command));
    std::vector<absl::string_view> known;
    for (const CommandWord& word : AllCommands()) known.push_back(word.word);
    return WrongUsage(absl::StrCat("there is no command '", argument, "'", DidYouMean(argument, known)));
  }
  if (words[0] == "man" && argument.empty()) return Print(ManPage());
  if (words[0] == "completion" && !argument.empty()) {
    if (std::string script = CompletionScript(argument); !script.empty()) return Print(std::move(script));
    return WrongUsage(absl::StrCat("there is no completion for '", argument, "': give bash, zsh or fish"));
  }
  return std::nullopt;
}

// A word that is no command, no path and much like a command.
std::string MistypedCommand(const std::vector<std::string>& words) {
  if (words.empty() || words.front().empty() || absl::StartsWith(words.front(), "-") ||
      absl::StrContains(words.front(), "/") || access(words.front().c_str(), F_OK) == 0) {
    return "";
  }
  std::vector<absl::string_view> known;
  for (const CommandWord& word : AllCommands()) known.push_back(word.word);
  if (FindCommand(words.front()).has_value()) {
    return absl::StrCat("there is no file '", words.front(), "' here; a command comes first: dtest ", words.front(),
                        " ...");
  }
  const std::string suggestion = DidYouMean(words.front(), known);
  return suggestion.empty() ? ""
                            : absl::StrCat("'", words.front(), "' is neither a command nor a file here", suggestion);
}

// What argv says, as strings.
struct Words {
  SettingLayer layer;
  std::vector<std::string> paths;
};

std::vector<absl::string_view> Aliases(const Setting& setting) {
  return absl::StrSplit(setting.alias, ',', absl::SkipEmpty());
}

// A flag's --NAME is "true", --no-NAME "false"; --NAME=VALUE is understood of every setting.
std::string FlagNames(const Setting& setting) {
  std::string names = absl::StrCat("--", setting.name, setting.kind == SettingKind::kCount ? "{1}" : "{true}");
  if (setting.kind == SettingKind::kFlag) absl::StrAppend(&names, ",--no-", setting.name, "{false}");
  const std::string meaning = setting.kind == SettingKind::kCount ? "{1}" : "{true}";
  if (*setting.letter != '\0') absl::StrAppend(&names, ",-", setting.letter, meaning);
  for (const absl::string_view alias : Aliases(setting)) absl::StrAppend(&names, ",--", alias, meaning);
  return names;
}

std::string ValueNames(const Setting& setting) {
  std::string names = absl::StrCat("--", setting.name);
  if (*setting.letter != '\0') absl::StrAppend(&names, ",-", setting.letter);
  for (const absl::string_view alias : Aliases(setting)) absl::StrAppend(&names, ",--", alias);
  return names;
}

// "--hots" among the extras of a command line.
std::string UnknownOption(const std::string& word, Command command) {
  std::vector<std::string> names;
  for (const Setting& setting : AllSettings()) {
    if (!setting.commands.Has(command)) continue;
    names.push_back(absl::StrCat("--", setting.name));
    if (setting.kind == SettingKind::kFlag) names.push_back(absl::StrCat("--no-", setting.name));
  }
  const std::string name = word.substr(0, word.find('='));
  if (name == "--isolate") return "--isolate is --processes now, with batch or case";
  const Setting* const other = FindSetting(name.substr(std::min<size_t>(2, name.size())));
  if (other != nullptr) {
    return absl::StrCat(name, " is no option of `dtest ", WordOf(command).word, "`");
  }
  if (const std::string use = InPlaceOfCTestOption(name); !use.empty()) {
    return absl::StrCat("there is no option ", name, ": ", use);
  }
  return absl::StrCat("there is no option ", name,
                      DidYouMean(name, std::vector<absl::string_view>(names.begin(), names.end())));
}

// CLI11 takes an empty value behind '=' for none, and the next word for the value.
std::vector<std::string> WithEmptyValuesApart(const std::vector<std::string>& arguments) {
  std::vector<std::string> words;
  for (const std::string& word : arguments) {
    words.push_back(word);
    if (!absl::StartsWith(word, "--") || word.find('=') != word.size() - 1) continue;
    const Setting* const setting = FindSetting(absl::string_view(word).substr(2, word.size() - 3));
    if (setting == nullptr || !TakesValue(*setting)) continue;
    words.back().pop_back();
    words.emplace_back();
  }
  return words;
}

// Through CLI11, which knows how options are written. An error is text for people.
absl::StatusOr<Words> ReadWords(const std::vector<std::string>& arguments, Command command) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  Words words;
  app.add_option("path", words.paths);
  const absl::Span<const Setting> settings = AllSettings();
  std::vector<std::vector<std::string>> values(settings.size());
  std::vector<CLI::Option*> options(settings.size(), nullptr);
  for (size_t i = 0; i < settings.size(); ++i) {
    const Setting& setting = settings[i];
    if (!setting.commands.Has(command)) continue;
    options[i] = TakesValue(setting) ? app.add_option(ValueNames(setting), values[i])->allow_extra_args(false)
                                     : app.add_flag(FlagNames(setting), values[i]);
    options[i]->take_all();
  }
  try {
    const absl::StatusOr<std::vector<std::string>> own = FromCTestWords(arguments);
    if (!own.ok()) return own.status();
    const std::vector<std::string> given = WithEmptyValuesApart(*own);
    app.parse(std::vector<std::string>(given.rbegin(), given.rend()));  // CLI11 takes them from the back
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string name = std::string(error.what()).substr(0, std::string(error.what()).find(':'));
    const Setting* const setting = FindSetting(name.substr(std::min<size_t>(2, name.size())));
    return absl::InvalidArgumentError(setting == nullptr ? error.what()
                                                         : absl::StrCat(name, " needs ", setting->value));
  } catch (const CLI::Error& error) {
    return absl::InvalidArgumentError(error.what());
  }
  for (const std::string& extra : app.remaining()) {
    if (extra.size() > 1 && extra.front() == '-') return absl::InvalidArgumentError(UnknownOption(extra, command));
    words.paths.push_back(extra);
  }
  for (size_t i = 0; i < settings.size(); ++i) {
    if (options[i] != nullptr && options[i]->count() > 0) {
      words.layer.push_back(Given(settings[i], std::move(values[i]), kCommandLineOrigin));
    }
  }
  return words;
}

const GivenSetting* FindIn(const SettingLayer& layer, absl::string_view name) {
  const auto found = std::find_if(layer.begin(), layer.end(),
                                  [name](const GivenSetting& given) { return given.setting->name == name; });
  return found == layer.end() ? nullptr : &*found;
}

// What of this name the stronger of two layers says; empty: nothing.
std::string Stronger(const SettingLayer& command_line, const SettingLayer& environment, absl::string_view name) {
  for (const SettingLayer* layer : {&command_line, &environment}) {
    const GivenSetting* const given = FindIn(*layer, name);
    if (given != nullptr && !given->values.empty()) return given->values.back();
  }
  return "";
}

// Of dtest.toml, if there is one or one is asked for.
absl::StatusOr<ConfigFile> ReadConfig(const std::string& asked, const std::string& profile,
                                      const std::string& directory) {
  if (asked == "none") {
    if (profile.empty()) return ConfigFile();
    return absl::InvalidArgumentError(
        absl::StrCat("--profile ", profile, " is looked for in a file, and --config none reads none"));
  }
  const std::string path = !asked.empty() ? asked : directory.empty() ? "" : FindConfigFile(directory);
  if (asked.empty() && !path.empty()) {
    if (absl::Status status = CheckConfigFile(path); !status.ok()) return status;
  }
  if (path.empty()) {
    if (profile.empty()) return ConfigFile();
    return absl::InvalidArgumentError(
        absl::StrCat("--profile ", profile, ": there is no dtest.toml in ", directory, " or above it"));
  }
  // Here it is "dtest.toml", and its paths are those of the command line; elsewhere both are absolute.
  const bool here = path == absl::StrCat(directory, "/dtest.toml");
  const std::string file = path.front() == '/' || directory.empty() ? path : absl::StrCat(directory, "/", path);
  const std::string above = std::string(DirectoryOf(file));
  return ReadConfigFile(file, here ? "dtest.toml" : path, above == directory ? "" : above, profile);
}

// What the environment or the command line says of all cases is stronger than what a file says of some.
void WeakenOverridesOfFiles(const SettingLayer& command_line, const SettingLayer& environment, Options* options) {
  const GivenSetting* const own = FindIn(command_line, "override");
  const size_t of_files = options->overrides.size() - (own == nullptr ? 0 : own->values.size());
  const auto given = [&](const char* name) { return !Stronger(command_line, environment, name).empty(); };
  for (size_t i = 0; i < of_files; ++i) {
    if (given("timeout")) options->overrides[i].time_limit.reset();
    if (given("retries")) options->overrides[i].retries.reset();
    if (given("processes")) options->overrides[i].processes.reset();
    if (given("slow")) options->overrides[i].slow_after.reset();
    if (given("retry-delay")) options->overrides[i].retry_delay.reset();
    if (given("flaky-result")) options->overrides[i].flaky_fails.reset();
    if (given("network")) options->overrides[i].sandbox.reset();
    if (const GivenSetting* variables = FindIn(command_line, "env")) {
      std::erase_if(options->overrides[i].env, [variables](const auto& one) {
        return std::any_of(variables->values.begin(), variables->values.end(),
                           [&one](const std::string& value) { return value.substr(0, value.find('=')) == one.first; });
      });
    }
  }
}

std::string Origin(const SettingLayers& layers, const char* name) {
  const std::vector<const GivenSetting*> in_force = layers.InForce(*FindSetting(name));
  return in_force.empty() ? "default" : in_force.back()->origin;
}

// What a file or a variable says for runs of another kind does not stand in the way of this one. Returns the names of
// what is dropped.
std::vector<absl::string_view> DropWhatDoesNotApply(const SettingLayer& command_line, Options* options) {
  const auto typed = [&command_line](const char* name) { return FindIn(command_line, name) != nullptr; };
  std::vector<absl::string_view> dropped;
  // Looking at a run must not write over the report of another.
  if (options->command == Command::kReport && !typed("junit")) {
    options->junit.clear();
    dropped.push_back("junit");
  }
  if (options->shard_count == 1 && !typed("shard-durations")) {
    options->shard_durations.clear();
    dropped.push_back("shard-durations");
  }
  const bool other_hosts = typed("host") || typed("hosts");
  const bool no_hosts = !options->hosts_file.has_value() && options->hosts.empty();
  if (!typed("tag") && (other_hosts || no_hosts)) {
    options->tags.clear();
    dropped.push_back("tag");
  }
  return dropped;
}

// What a run does that runs cases until one fails, whatever is said of other runs.
constexpr absl::string_view kNotOfStress[] = {"retries", "repeat", "explain", "speculate"};

void FitToStress(const SettingLayers& layers, Options* options) {
  options->retries = 0;
  for (PolicyOverride& one : options->overrides) one.retries.reset();
  options->repeat = 1;
  options->explain = options->speculate = false;
  const bool said = !layers.InForce(*FindSetting("max-fail")).empty() || options->max_fail > 0;
  if (!said) options->max_fail = 1;
}

// PATH..., or those of dtest.toml.
bool TakesPaths(Command command) {
  return command == Command::kRun || command == Command::kList || command == Command::kPlan ||
         command == Command::kProfile;
}

// Whether a word is --NAME=... of one of these.
bool SaysOneOf(absl::string_view word, const std::vector<absl::string_view>& names) {
  return std::any_of(names.begin(), names.end(), [word](absl::string_view name) {
    absl::string_view rest = word;
    return absl::ConsumePrefix(&rest, "--") && absl::ConsumePrefix(&rest, name) && absl::StartsWith(rest, "=");
  });
}

// What is wrong with options that are right one by one; empty: nothing.
std::string Contradiction(const Options& options, const SettingLayers& layers) {
  // Those that are switched on, or are above 0.
  const auto is_on = [&layers](const char* name) {
    const std::vector<std::string> values = layers.Values(*FindSetting(name));
    return !values.empty() && values.back() != "0" && ParseSwitch(values.back()).value_or(true);
  };
  if (is_on("quiet") && is_on("verbose")) {
    return absl::StrCat("quiet (", Origin(layers, "quiet"), ") and verbose (", Origin(layers, "verbose"),
                        ") contradict one another: leave one out");
  }
  if (is_on("fail-fast") && is_on("max-fail")) {
    return absl::StrCat("fail-fast (", Origin(layers, "fail-fast"), ") is max-fail 1, and max-fail (",
                        Origin(layers, "max-fail"), ") is given, too: leave one out");
  }
  if (!options.junit.empty() && options.junit == options.events) {
    return absl::StrCat("--junit and --events both name ", options.junit, ": each needs a file of its own");
  }
  for (const absl::string_view name : kNotOfStress) {
    const std::string other(name);
    if (options.stress.has_value() && is_on(other.c_str()) && Origin(layers, other.c_str()) == kCommandLineOrigin) {
      return absl::StrCat("--stress runs each case as it is, until one fails: what is --", name, " for?");
    }
  }
  if (options.events == kStandardOutput) {
    return "--events -: only --junit can be standard output, once the run is over; name a file, or a pipe to read it "
           "as it grows";
  }
  if (options.command != Command::kRerun && !options.tags.empty() && !options.hosts_file.has_value() &&
      options.hosts.empty()) {
    return "--tag selects among the hosts of --hosts or --host, and neither is given";
  }
  if (options.command == Command::kHosts && !options.paths.empty()) {
    return absl::StrCat("dtest hosts runs no tests: what is ", options.paths.front(), " for?");
  }
  if (options.command == Command::kRerun && !options.test_arguments.empty()) {
    return absl::StrCat("dtest rerun runs tests with the arguments that they had: what is ",
                        options.test_arguments.front(), " for?");
  }
  if (options.command == Command::kRerun && options.paths.size() > 1) {
    return absl::StrCat("dtest rerun takes one RUN, an id or an event log: what is ", options.paths[1], " for?");
  }
  if (!options.test_arguments.empty() && options.command != Command::kRun && options.command != Command::kList &&
      options.command != Command::kProfile) {
    return absl::StrCat("what follows -- is for test programs, and this command runs none: what is ",
                        options.test_arguments.front(), " for?");
  }
  if (!options.shard_durations.empty() && options.shard_count == 1) {
    return "--shard-durations says how --shard divides, and no --shard with more than one part is given";
  }
  if (options.command == Command::kReport && options.paths.size() > 1) {
    return absl::StrCat("dtest report shows one run: what is ", options.paths[1], " for?");
  }
  const bool of_one_case = options.command == Command::kReproduce || options.command == Command::kBisect;
  if (of_one_case && (options.paths.empty() || options.paths.size() > 2)) {
    return absl::StrCat("dtest ", WordOf(options.command).word,
                        " takes a CASE, named as in the reports, and perhaps a RUN");
  }
  if (options.command == Command::kHistory && !options.paths.empty()) {
    const std::string& word = options.paths.front();
    if (word != "export" && word != "forget" && word != "flaky" && word != "trend") {
      return absl::StrCat("dtest history cannot '", word,
                          "': give nothing, trend [EXPR], flaky, export FILE or forget EXPR");
    }
    if (options.json && word != "trend" && word != "flaky") {
      return absl::StrCat("dtest history ", word, " has no JSON: what is --json for?");
    }
    if (word == "flaky" && options.paths.size() > 1) {
      return absl::StrCat("dtest history flaky takes nothing: what is ", options.paths[1], " for?");
    }
    if (word == "export" && options.paths.size() != 2) return "dtest history export needs one FILE to write";
    if (word == "forget" && options.paths.size() < 2) return "dtest history forget needs an EXPR; '*' forgets all";
  }
  if (TakesPaths(options.command) && options.paths.empty()) {
    return "no PATH given: name a test executable or a directory of them.";
  }
  return "";
}

}  // namespace

Surroundings ProcessSurroundings() {
  std::error_code error;
  return {ProcessVariables(), std::filesystem::current_path(error).string()};
}

ParsedCommandLine ParseCommandLine(const std::vector<std::string>& arguments, const Surroundings& surroundings,
                                   const GivenAnew& again) {
  Options options;
  options.arguments = arguments;
  options.program = arguments.empty() ? "dtest" : arguments.front();
  std::vector<std::string> rest(arguments.begin() + (arguments.empty() ? 0 : 1), arguments.end());
  const bool nothing_typed = rest.empty();
  if (std::optional<ParsedCommandLine> text = TextCommand(rest)) return *std::move(text);
  const std::optional<Command> command = nothing_typed ? std::nullopt : FindCommand(rest.front());
  if (command.has_value()) {
    options.command = *command;
    rest.erase(rest.begin());
  }
  const auto dashes = std::find(rest.begin(), rest.end(), "--");
  if (dashes != rest.end()) {
    options.test_arguments.assign(dashes + 1, rest.end());
    rest.erase(dashes, rest.end());
  }
  for (const std::string& word : rest) {
    if (word == "-h" || word == "--help") return Print(HelpText(command));
    if (word == "--version") return Print(absl::StrCat("dtest ", Version(), "\n"));
  }
  absl::StatusOr<Words> words = ReadWords(rest, options.command);
  if (!words.ok()) return WrongUsage(words.status().message());
  if (!command.has_value()) {
    if (const std::string mistyped = MistypedCommand(words->paths); !mistyped.empty()) return WrongUsage(mistyped);
  }
  options.paths = std::move(words->paths);
  std::erase_if(words->layer, [&](const GivenSetting& given) {
    return std::find(again.without.begin(), again.without.end(), given.setting->name) != again.without.end();
  });
  // Nobody has typed it now: it contradicts nothing.
  if (!again.on_top.empty()) {
    for (GivenSetting& given : words->layer) given.origin = kRecordedOrigin;
  }

  ParsedCommandLine parsed;
  VariableSettings variables = ReadVariables(surroundings.variables);
  parsed.warnings = std::move(variables.warnings);
  absl::StatusOr<ConfigFile> config =
      ReadConfig(Stronger(words->layer, variables.layer, "config"), Stronger(words->layer, variables.layer, "profile"),
                 surroundings.directory);
  if (!config.ok()) return WrongUsage(config.status().message());
  parsed.layers.Add(std::move(config->settings));
  for (SettingLayer& profile : config->profiles) parsed.layers.Add(std::move(profile));
  parsed.layers.Add(variables.layer);
  parsed.layers.Add(words->layer);
  if (!again.on_top.empty()) parsed.layers.Add(again.on_top);
  const SettingLayer& typed = again.on_top.empty() ? words->layer : again.on_top;
  if (absl::Status status = parsed.layers.Read(options.command, &options); !status.ok()) {
    return WrongUsage(status.message());
  }
  WeakenOverridesOfFiles(typed, variables.layer, &options);
  std::vector<absl::string_view> dropped = DropWhatDoesNotApply(typed, &options);
  if (options.paths.empty() && TakesPaths(options.command)) {
    options.paths = options.usual_paths;
  }
  if (options.stress.has_value()) {
    FitToStress(parsed.layers, &options);
    dropped.insert(dropped.end(), std::begin(kNotOfStress), std::end(kNotOfStress));
  }
  if (nothing_typed && options.paths.empty()) {
    ParsedCommandLine help = Print(HelpText(std::nullopt));
    help.exit_status = kWrongUsage;
    return help;
  }
  if (options.command != Command::kConfig) {
    if (const std::string problem = Contradiction(options, parsed.layers); !problem.empty()) return WrongUsage(problem);
  }

  if (options.cache_dir.empty())
    options.cache_dir = DefaultDirectory(surroundings.variables, "XDG_CACHE_HOME", ".cache");
  options.own_state_dir = !options.state_dir.empty();
  if (options.state_dir.empty())
    options.state_dir = DefaultDirectory(surroundings.variables, "XDG_STATE_HOME", ".local/state");
  if (options.cache_dir.empty() || options.state_dir.empty()) {
    return WrongUsage("HOME is not set: give --cache-dir and --state-dir directories to keep things in");
  }
  options.equivalent = {arguments.front(), WordOf(options.command).word};
  for (std::string& word : parsed.layers.CommandLine(options.command)) {
    if (!SaysOneOf(word, dropped)) options.equivalent.push_back(std::move(word));
  }
  for (const PolicyOverride& one : options.overrides) {
    if (SaysSomething(one)) options.equivalent.push_back(absl::StrCat("--override=", OverrideText(one)));
  }
  options.equivalent.insert(options.equivalent.end(), options.paths.begin(), options.paths.end());
  if (!options.test_arguments.empty()) {
    options.equivalent.push_back("--");
    options.equivalent.insert(options.equivalent.end(), options.test_arguments.begin(), options.test_arguments.end());
  }
  parsed.options = std::move(options);
  return parsed;
}

}  // namespace dtest
