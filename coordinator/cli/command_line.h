// argv, with dtest.toml and the environment, as what was asked for. Free functions, any thread.

#ifndef DTEST_COORDINATOR_CLI_COMMAND_LINE_H_
#define DTEST_COORDINATOR_CLI_COMMAND_LINE_H_

#include <optional>
#include <string>
#include <vector>

#include "coordinator/settings/layers.h"
#include "coordinator/settings/options.h"
#include "coordinator/settings/variables.h"

namespace dtest {

// What there is beside argv.
struct Surroundings {
  Variables variables;
  std::string directory;  // the working directory, absolute; empty: dtest.toml is not looked for
};
Surroundings ProcessSurroundings();

// Options, or a text to print and an exit status (help, version, wrong usage: 4).
struct ParsedCommandLine {
  std::optional<Options> options;
  std::string text;
  int exit_status = 0;
  SettingLayers layers;               // where the options come from
  std::vector<std::string> warnings;  // to be told beside what the command says
};
// A command line that is taken once more, with changes: as if it did not say anything of the settings `without`, and
// weaker than what is `on_top`.
struct GivenAnew {
  std::vector<std::string> without;
  SettingLayer on_top;
};
// `arguments` as main has them, the program's name included. Reads dtest.toml, and looks whether a word that could be a
// mistyped command is a file; nothing else.
ParsedCommandLine ParseCommandLine(const std::vector<std::string>& arguments, const Surroundings& surroundings,
                                   const GivenAnew& again = {});

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_COMMAND_LINE_H_
