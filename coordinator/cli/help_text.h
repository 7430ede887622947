// What the table of settings says, laid out for people and for shells. Pure; any thread.

#ifndef DTEST_COORDINATOR_CLI_HELP_TEXT_H_
#define DTEST_COORDINATOR_CLI_HELP_TEXT_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "coordinator/settings/setting.h"

namespace dtest {

// Of one command, with its settings by group; nullopt: of dtest as a whole, with the settings of `dtest run`.
std::string HelpText(std::optional<Command> command);
// The manual page dtest(1), as roff's man macros.
std::string ManPage();
// A completion script for "bash", "zsh" or "fish"; empty for another shell.
std::string CompletionScript(absl::string_view shell);
// The settings as a table of Markdown, as README.md has it.
std::string SettingsMarkdown();

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_HELP_TEXT_H_
