#include "coordinator/cli/help_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace dtest {
namespace {

using testing::HasSubstr;

std::string Contents(const char* path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(HelpText, EverySettingOfACommandIsThere) {
  for (const CommandWord& word : AllCommands()) {
    const std::string help = HelpText(word.command);
    for (const Setting& setting : AllSettings()) {
      const std::string option = absl::StrCat(IsOnByDefault(setting) ? "--no-" : "--", setting.name);
      const bool shown = help.find(option + " ") != std::string::npos || help.find(option + "\n") != std::string::npos ||
                         help.find(option + "[") != std::string::npos;
      EXPECT_EQ(shown, setting.commands.Has(word.command)) << word.word << " " << option;
    }
    for (const absl::string_view line : absl::StrSplit(help, '\n')) EXPECT_LE(line.size(), 120u) << line;
  }
}

TEST(HelpText, OfDtestAsAWhole) {
  const std::string help = HelpText(std::nullopt);
  for (const CommandWord& word : AllCommands()) EXPECT_THAT(help, HasSubstr(word.word));
  for (const char* text : {"Hosts:", "Which cases:", "How they run:", "Reports:", "Presentation:", "Exit status",
                           "-j,--jobs N", "--no-peers", "--shuffle[=SEED]", "[25m]"}) {
    EXPECT_THAT(help, HasSubstr(text));
  }
}

TEST(HelpText, ReadmeHasTheTable) {
  EXPECT_THAT(Contents(README), HasSubstr(SettingsMarkdown()))
      << "copy what `dtest help --markdown` prints into README.md, below \"## Settings\"";
}

TEST(HelpText, ConfigurationPageNamesEverySetting) {
  const std::string page = Contents(CONFIGURATION);
  for (const Setting& setting : AllSettings()) {
    EXPECT_THAT(page, HasSubstr(absl::StrCat("`", setting.name, "`"))) << "docs/configuration.md";
  }
}

TEST(HelpText, ScriptsForShells) {
  for (const char* shell : {"bash", "zsh", "fish"}) EXPECT_THAT(CompletionScript(shell), HasSubstr("retries")) << shell;
  EXPECT_EQ(CompletionScript("csh"), "");
}

}  // namespace
}  // namespace dtest
