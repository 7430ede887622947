#include "coordinator/cli/help_text.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "dtest/version.h"

namespace dtest {
namespace {

constexpr size_t kColumn = 32;  // where texts begin
constexpr size_t kWidth = 116;

constexpr char kTitle[] = "dtest: every machine you can ssh to, used as one big machine for one test suite.\n\n";

// Of the commands that select cases.
constexpr char kNotes[] =
    "DUR is 90, 90s, 1m30s, 250ms or none.  EXPR without * or ? selects cases whose EXECUTABLE.SUITE.CASE contains it;\n"
    "with them it must match all of SUITE.CASE or EXECUTABLE.SUITE.CASE; =NAME is exact; a leading - excludes.\n"
    "Several patterns may be joined by ':'. Patterns that exclude win. Or, with predicates suite, name, unit, parameter,\n"
    "label, file, failed, new, all: suite(Net*) & !name(/Slow$/) | label(slow). See docs/filters.md.\n"
    "BYTES is 1048576, 512M or 20G.\n";

constexpr char kStatuses[] =
    "Exit status: 0 all passed; 1 some failed; 2 interrupted; 3 the hosts or dtest itself failed; 4 wrong usage;\n"
    "5 no test selected.\n";

constexpr char kSources[] =
    "A setting is also a key of dtest.toml, which is looked for here and above (see docs/configuration.md), and most are a\n"
    "variable: DTEST_RETRIES=2. The command line is stronger than the environment, that than a profile, that than the\n"
    "rest of the file. `dtest config` shows what is in force and why.\n";

// `text` from column kColumn on, behind `left`.
void AppendEntry(absl::string_view left, absl::string_view text, std::string* out) {
  std::string line = absl::StrCat("  ", left);
  if (line.size() + 1 > kColumn) {
    absl::StrAppend(out, line, "\n");
    line.clear();
  }
  line.resize(kColumn, ' ');
  bool first = true;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    if (!first && line.size() + 1 + word.size() > kWidth) {
      absl::StrAppend(out, line, "\n");
      line.assign(kColumn, ' ');
      first = true;
    }
    absl::StrAppend(&line, first ? "" : " ", word);
    first = false;
  }
  absl::StrAppend(out, line, "\n");
}

// "-j,--jobs N", "--no-peers", "--shuffle[=SEED]".
std::string OptionText(const Setting& setting) {
  std::string text;
  if (*setting.letter != '\0') absl::StrAppend(&text, "-", setting.letter, ",");
  absl::StrAppend(&text, IsOnByDefault(setting) ? "--no-" : "--", setting.name);
  if (setting.kind == SettingKind::kOptionalText) absl::StrAppend(&text, "[=", setting.value, "]");
  if (TakesValue(setting)) absl::StrAppend(&text, " ", setting.value);
  return text;
}

std::string ExplanationText(const Setting& setting) {
  std::string text = setting.text;
  if (IsList(setting)) {
    absl::StrAppend(&text, "; repeatable");
  }
  if (*setting.fallback != '\0' && !IsOnByDefault(setting)) absl::StrAppend(&text, "  [", setting.fallback, "]");
  return text;
}

void AppendSettings(Command command, std::string* out) {
  for (const SettingGroup group : kSettingGroups) {
    bool any = false;
    for (const Setting& setting : AllSettings()) {
      if (setting.group != group || !setting.commands.Has(command)) continue;
      if (!any) absl::StrAppend(out, "\n", SettingGroupName(group), ":\n");
      any = true;
      AppendEntry(OptionText(setting), ExplanationText(setting), out);
    }
  }
  absl::StrAppend(out, "\nHelp:\n");
  AppendEntry("-h,--help", "Show this", out);
  AppendEntry("--version", "Show the version and its commit", out);
}

bool SelectsCases(Command command) {
  return command == Command::kRun || command == Command::kList || command == Command::kProfile;
}

// A dash would be typeset as a hyphen, a leading dot or quote be taken for a macro.
std::string Roff(absl::string_view text) {
  std::string escaped = absl::StrReplaceAll(text, {{"\\", "\\e"}, {"-", "\\-"}});
  if (!escaped.empty() && (escaped[0] == '.' || escaped[0] == '\'')) escaped.insert(0, "\\&");
  return escaped;
}

// All words of an option: "--jobs", "-j", "--peers", "--no-peers".
std::vector<std::string> OptionWords(const Setting& setting) {
  std::vector<std::string> words = {absl::StrCat("--", setting.name)};
  if (setting.kind == SettingKind::kFlag) words.push_back(absl::StrCat("--no-", setting.name));
  if (*setting.letter != '\0') words.push_back(absl::StrCat("-", setting.letter));
  return words;
}

// "auto|all|none" as words; empty where the value is free.
std::vector<std::string> Choices(const Setting& setting) {
  if (!absl::string_view(setting.value).empty() && absl::string_view(setting.value).find('|') != absl::string_view::npos) {
    return absl::StrSplit(setting.value, '|');
  }
  return {};
}

bool TakesFile(const Setting& setting) {
  const absl::string_view value = setting.value;
  return value == "FILE" || value == "GLOB";
}
bool TakesDirectory(const Setting& setting) { return absl::string_view(setting.value) == "DIR"; }

std::string CommandWords() {
  return absl::StrJoin(AllCommands(), " ", [](std::string* out, const CommandWord& word) { out->append(word.word); });
}

std::string ShellQuoted(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

std::string BashCompletion() {
  std::string out =
      "# Completion of dtest for bash. Made by `dtest completion bash`.\n"
      "_dtest() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command=run word options\n"
      // '=' is a word of its own to bash.
      "  if [[ $current == = ]]; then current=''\n"
      "  elif [[ $previous == = ]]; then previous=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
      "  COMPREPLY=()\n"
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
      "    [[ $word == -- ]] && { compopt -o default; return; }\n"
      "  done\n";
  absl::StrAppend(&out, "  case ${COMP_WORDS[1]} in ", absl::StrReplaceAll(CommandWords(), {{" ", "|"}}),
                  ") [ \"$COMP_CWORD\" -gt 1 ] && command=${COMP_WORDS[1]};; esac\n  case $previous in\n");
  for (const Setting& setting : AllSettings()) {
    if (!TakesValue(setting)) continue;
    std::vector<std::string> words = OptionWords(setting);
    absl::StrAppend(&out, "    ", absl::StrJoin(words, "|"), ") ");
    if (const std::vector<std::string> choices = Choices(setting); !choices.empty()) {
      absl::StrAppend(&out, "COMPREPLY=($(compgen -W '", absl::StrJoin(choices, " "), "' -- \"$current\"))");
    } else if (TakesDirectory(setting)) {
      absl::StrAppend(&out, "compopt -o dirnames");
    } else if (TakesFile(setting)) {
      absl::StrAppend(&out, "compopt -o default");
    } else {
      absl::StrAppend(&out, ":");
    }
    absl::StrAppend(&out, "; return;;\n");
  }
  absl::StrAppend(&out, "  esac\n  case $command in\n");
  for (const CommandWord& word : AllCommands()) {
    std::vector<std::string> words = {"--help", "--version"};
    for (const Setting& setting : AllSettings()) {
      if (!setting.commands.Has(word.command)) continue;
      words.push_back(absl::StrCat(IsOnByDefault(setting) ? "--no-" : "--", setting.name));
    }
    absl::StrAppend(&out, "    ", word.word, ") options='", absl::StrJoin(words, " "), "';;\n");
  }
  absl::StrAppend(&out,
                  "  esac\n"
                  "  if [[ $current == -* ]]; then\n"
                  "    COMPREPLY=($(compgen -W \"$options\" -- \"$current\"))\n"
                  "  else\n"
                  "    compopt -o filenames 2>/dev/null\n"
                  "    mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
                  "    [ \"$COMP_CWORD\" -eq 1 ] && COMPREPLY+=($(compgen -W '",
                  CommandWords(),
                  " help' -- \"$current\"))\n"
                  "    [ \"${COMP_WORDS[1]}\" = help ] && COMPREPLY=($(compgen -W '",
                  CommandWords(),
                  "' -- \"$current\"))\n"
                  "  fi\n"
                  "}\n"
                  "complete -F _dtest dtest\n");
  return out;
}

std::string ZshCompletion() {
  std::string out = "#compdef dtest\n# Completion of dtest for zsh. Made by `dtest completion zsh`.\n_dtest() {\n";
  absl::StrAppend(&out, "  local -a commands\n  commands=(\n");
  for (const CommandWord& word : AllCommands()) {
    absl::StrAppend(&out, "    ", ShellQuoted(absl::StrCat(word.word, ":", absl::StrReplaceAll(word.text, {{":", "\\:"}}))),
                    "\n");
  }
  absl::StrAppend(&out,
                  "  )\n"
                  "  local command=run\n"
                  "  (( CURRENT > 2 )) && (( ${commands[(I)${words[2]}:*]} )) && command=$words[2]\n"
                  "  local -a first options\n"
                  "  first=()\n"
                  "  (( CURRENT == 2 )) && [[ $PREFIX != -* ]] && _describe command commands\n"
                  "  case $command in\n");
  for (const CommandWord& word : AllCommands()) {
    absl::StrAppend(&out, "    ", word.word, ") options=(\n");
    for (const Setting& setting : AllSettings()) {
      if (!setting.commands.Has(word.command)) continue;
      const bool many = IsList(setting) || setting.kind == SettingKind::kCount;
      const std::string text = absl::StrReplaceAll(
          setting.text, {{"[", "\\["}, {"]", "\\]"}, {":", "\\:"}});
      std::string value;
      if (TakesValue(setting)) {
        value = absl::StrCat(":", absl::StrReplaceAll(setting.value, {{"|", " or "}, {"[", ""}, {"]", ""}}), ":");
        if (const std::vector<std::string> choices = Choices(setting); !choices.empty()) {
          absl::StrAppend(&value, "(", absl::StrJoin(choices, " "), ")");
        } else if (TakesDirectory(setting)) {
          absl::StrAppend(&value, "_directories");
        } else if (TakesFile(setting)) {
          absl::StrAppend(&value, "_files");
        }
      }
      const std::string name = absl::StrCat(IsOnByDefault(setting) ? "--no-" : "--", setting.name,
                                            TakesValue(setting) ? "=" : "");
      absl::StrAppend(&out, "      ", ShellQuoted(absl::StrCat(many ? "*" : "", name, "[", text, "]", value)), "\n");
    }
    absl::StrAppend(&out, "    );;\n");
  }
  absl::StrAppend(&out,
                  "  esac\n"
                  "  _arguments -s $options '*:path:_files'\n"
                  "}\n"
                  "_dtest \"$@\"\n");
  return out;
}

std::string FishCompletion() {
  std::string out =
      "# Completion of dtest for fish. Made by `dtest completion fish`.\n"
      "function __dtest_command\n"
      "    set -l words (commandline -opc)\n"
      "    set -l command run\n";
  absl::StrAppend(&out, "    if set -q words[2]; and contains -- $words[2] ", CommandWords(),
                  "\n        set command $words[2]\n    end\n    contains -- $command $argv\nend\n");
  for (const CommandWord& word : AllCommands()) {
    absl::StrAppend(&out, "complete -c dtest -n __fish_use_subcommand -a ", word.word, " -d ", ShellQuoted(word.text), "\n");
  }
  for (const Setting& setting : AllSettings()) {
    std::string commands;
    for (const CommandWord& word : AllCommands()) {
      if (setting.commands.Has(word.command)) absl::StrAppend(&commands, " ", word.word);
    }
    absl::StrAppend(&out, "complete -c dtest -n '__dtest_command", commands, "' -l ",
                    IsOnByDefault(setting) ? "no-" : "", setting.name);
    if (*setting.letter != '\0') absl::StrAppend(&out, " -s ", setting.letter);
    if (TakesValue(setting)) {
      const std::vector<std::string> choices = Choices(setting);
      if (!choices.empty()) {
        absl::StrAppend(&out, " -x -a '", absl::StrJoin(choices, " "), "'");
      } else if (TakesDirectory(setting)) {
        absl::StrAppend(&out, " -x -a '(__fish_complete_directories)'");
      } else {
        absl::StrAppend(&out, TakesFile(setting) ? " -r -F" : " -x");
      }
    }
    absl::StrAppend(&out, " -d ", ShellQuoted(setting.text), "\n");
  }
  return out;
}

}  // namespace

std::string HelpText(std::optional<Command> command) {
  std::string out;
  if (command.has_value()) {
    const CommandWord& word = WordOf(*command);
    absl::StrAppend(&out, "dtest ", word.word, " ", word.usage, "\n");
    AppendEntry("", word.text, &out);
  } else {
    out = kTitle;
    for (const CommandWord& word : AllCommands()) {
      const bool run = word.command == Command::kRun;
      AppendEntry(absl::StrCat("dtest ", run ? "[run]" : word.word, " ", word.usage), word.text, &out);
    }
    AppendEntry("dtest help [COMMAND]", "what a command takes; without one, this", &out);
  }
  const Command shown = command.value_or(Command::kRun);
  AppendSettings(shown, &out);
  absl::StrAppend(&out, "\n", kSources);
  if (SelectsCases(shown)) absl::StrAppend(&out, "\n", kNotes, "\n", kStatuses);
  return out;
}

std::string ManPage() {
  std::string out = absl::StrCat(".TH DTEST 1 \"\" \"dtest ", Roff(Version()), "\" \"User Commands\"\n",
                                 ".SH NAME\ndtest \\- every machine you can ssh to, used as one big machine for one test "
                                 "suite\n.SH SYNOPSIS\n");
  for (const CommandWord& word : AllCommands()) {
    absl::StrAppend(&out, ".B dtest ", word.word, "\n", Roff(word.usage), "\n.br\n");
  }
  absl::StrAppend(&out, ".SH COMMANDS\n");
  for (const CommandWord& word : AllCommands()) {
    absl::StrAppend(&out, ".TP\n.B ", word.word, "\n", Roff(word.text), ".\n");
  }
  absl::StrAppend(&out, ".SH SETTINGS\n", Roff(absl::StrReplaceAll(kSources, {{"\n", " "}})), "\n");
  for (const SettingGroup group : kSettingGroups) {
    absl::StrAppend(&out, ".SS ", SettingGroupName(group), "\n");
    for (const Setting& setting : AllSettings()) {
      if (setting.group != group) continue;
      absl::StrAppend(&out, ".TP\n.B ", Roff(OptionText(setting)), "\n", Roff(ExplanationText(setting)), ".");
      std::vector<std::string> names;
      if (setting.in_files) names.push_back(absl::StrCat("key ", setting.name));
      if (setting.has_variable) names.push_back(VariableName(setting));
      if (!names.empty()) absl::StrAppend(&out, " (", Roff(absl::StrJoin(names, ", ")), ")");
      absl::StrAppend(&out, "\n");
    }
  }
  absl::StrAppend(&out, ".SH EXPRESSIONS\n", Roff(kNotes), ".SH EXIT STATUS\n", Roff(kStatuses));
  return out;
}

std::string CompletionScript(absl::string_view shell) {
  if (shell == "bash") return BashCompletion();
  if (shell == "zsh") return ZshCompletion();
  if (shell == "fish") return FishCompletion();
  return "";
}

std::string SettingsMarkdown() {
  std::string out = "| setting | |\n|---|---|\n";
  for (const SettingGroup group : kSettingGroups) {
    absl::StrAppend(&out, "| **", SettingGroupName(group), "** | |\n");
    for (const Setting& setting : AllSettings()) {
      if (setting.group != group) continue;
      const std::string option = absl::StrReplaceAll(OptionText(setting), {{"|", "\\|"}, {",", ", "}});
      absl::StrAppend(&out, "| `", option, "` | ", absl::StrReplaceAll(ExplanationText(setting), {{"|", "\\|"}}), " |\n");
    }
  }
  return out;
}

}  // namespace dtest
