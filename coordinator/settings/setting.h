// The one table of settings. From an entry come the option of the command line, the key of dtest.toml, the variable of
// the environment, its line in --help, in the completions, in the man page and in `dtest config`: adding a setting is
// adding an entry to settings_table.cc and a member to Options.
//
// Constant data; any thread.

#ifndef DTEST_COORDINATOR_SETTINGS_SETTING_H_
#define DTEST_COORDINATOR_SETTINGS_SETTING_H_

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "coordinator/settings/options.h"

namespace dtest {

// Under which heading a setting is shown, in the order of --help.
enum class SettingGroup : uint8_t { kHosts, kSelection, kRun, kReports, kPresentation, kPlaces };
inline constexpr SettingGroup kSettingGroups[] = {SettingGroup::kHosts,        SettingGroup::kSelection,
                                                  SettingGroup::kRun,          SettingGroup::kReports,
                                                  SettingGroup::kPresentation, SettingGroup::kPlaces};
// "Hosts", "Which cases"...
const char* SettingGroupName(SettingGroup group);

// What a setting takes.
enum class SettingKind : uint8_t {
  kFlag,           // --NAME and --no-NAME; true or false elsewhere
  kCount,          // --NAME, the more often the more; a number elsewhere
  kText,           // --NAME VALUE; the last one counts
  kOptionalText,   // --NAME or --NAME=VALUE; true, false or the value elsewhere
  kReplacingList,  // --NAME VALUE, repeatable; an array in a file. The strongest layer that has it gives all values
  kAddingList,     // the same, but the values of all layers count: weaker layers first
};

// The commands that a setting is of, as a set.
class CommandSet {
 public:
  constexpr CommandSet(std::initializer_list<Command> commands) {
    for (const Command command : commands) bits_ |= Bit(command);
  }
  constexpr bool Has(Command command) const { return (bits_ & Bit(command)) != 0; }

 private:
  static constexpr uint32_t Bit(Command command) { return 1u << static_cast<uint32_t>(command); }
  uint32_t bits_ = 0;
};

struct Setting {
  // Takes the values that are in force, at least one, into `options`. InvalidArgument says what would be accepted,
  // without naming the setting.
  using Read = absl::Status (*)(const std::vector<std::string>& values, Options* options);

  const char* name;         // "host-timeout": --host-timeout, DTEST_HOST_TIMEOUT; host-timeout in dtest.toml
  const char* letter = "";  // "j": -j
  const char* alias = "";   // other names on the command line, joined by ',', for who knows them from elsewhere
  SettingGroup group;
  SettingKind kind = SettingKind::kText;
  const char* value = "";     // "DUR", "auto|all|none": what it takes, for people; empty for flags
  const char* fallback = "";  // what is in force where nobody says anything, for people; "on" for a flag that is
  const char* text;  // what it does, or --no-NAME of a flag that is on, for people: a phrase without a full stop
  CommandSet commands;
  bool is_path = false;         // its values are paths (IsPath): in a file relative to that file's directory
  bool or_table = false;        // of such a setting: a value that begins with '{' is a table instead
  bool has_variable = true;     // DTEST_NAME is read: not where tests find another meaning under that name
  bool in_files = true;         // dtest.toml may have it
  bool chooses_layers = false;  // says where settings are read: without effect once they are
  // Settings of one choice, such as "max-fail" and "fail-fast", answer one question: what the strongest layer that has
  // any of them says counts, and weaker layers are not asked.
  const char* choice = "";
  bool none_is_a_value = false;  // of a list: "none" does not take back what was said before it
  Read read;
};

// In the order in which they are shown.
absl::Span<const Setting> AllSettings();
// By name, or null.
const Setting* FindSetting(absl::string_view name);
// DTEST_HOST_TIMEOUT of host-timeout.
std::string VariableName(const Setting& setting);
// May have several values: true of kReplacingList and kAddingList.
bool IsList(const Setting& setting);
// What stands behind --NAME on a command line: true of kText, kReplacingList and kAddingList.
bool TakesValue(const Setting& setting);
// Whether this value of it is a path, which may be relative.
bool IsPath(const Setting& setting, absl::string_view value);
// True of kFlag, and is on where nobody says anything.
bool IsOnByDefault(const Setting& setting);

// A command of dtest, as its first word.
struct CommandWord {
  Command command;
  const char* word;
  const char* usage;  // what stands behind the word
  const char* text;   // what it does
};
absl::Span<const CommandWord> AllCommands();
const CommandWord& WordOf(Command command);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_SETTINGS_SETTING_H_
