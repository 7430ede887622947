// Shared by the readers of TOML, and by nobody else: toml++ is large.

#ifndef DTEST_COORDINATOR_SETTINGS_TOML_VALUES_H_
#define DTEST_COORDINATOR_SETTINGS_TOML_VALUES_H_

#include <toml++/toml.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "coordinator/settings/overrides.h"
#include "coordinator/settings/quarantine_list.h"

namespace dtest {

inline absl::string_view NameOf(const toml::key& key) { return {key.str().data(), key.str().size()}; }

// As the command line has it; nullopt for tables, arrays and dates.
std::optional<std::string> TextOf(const toml::node& node);

// Tells of one mistake and where it is.
using TomlFailure = absl::FunctionRef<void(const toml::source_position& place, const std::string& what)>;

// The mistakes of one file, as they are shown to people: file, line, column, what is wrong, and the line with a caret.
class TomlMistakes {
 public:
  // `contents` outlives it.
  TomlMistakes(absl::string_view contents, std::string shown);
  void Add(const toml::source_position& place, absl::string_view what);
  bool empty() const { return mistakes_.empty(); }
  // In the order of the file. There must be some.
  absl::Status Status() const;
  // "dtest.toml:12"
  std::string Origin(const toml::source_position& place) const { return absl::StrCat(shown_, ":", place.line); }

 private:
  const std::vector<absl::string_view> lines_;
  const std::string shown_;
  std::vector<std::pair<toml::source_index, std::string>> mistakes_;
};

// All of a file of TOML. NotFound and PermissionDenied: it cannot be read.
absl::StatusOr<std::string> ReadTomlFile(const std::string& path, const std::string& shown);

// The filter of a table that is a `what` ("an override"); nullopt, and told, if there is none that can be used.
struct TomlFilter {
  std::string text;
  Filter filter;
};
std::optional<TomlFilter> ReadTomlFilter(const toml::table& table, absl::string_view what, TomlFailure fail);

// Of the table of one [[quarantine]]. nullopt if any mistake was told.
std::optional<QuarantineEntry> ReadQuarantine(const toml::table& table, TomlFailure fail);

// Of the table of one [[override]]. nullopt if any mistake was told.
std::optional<PolicyOverride> ReadOverride(const toml::table& table, TomlFailure fail);
// Of the table of a lock, which is named by its key `name` or, where that is above it, by `name`.
std::optional<CaseLock> ReadLock(const toml::table& table, const std::optional<std::string>& name, TomlFailure fail);
// Of [setup.host] or [setup.slot].
std::optional<Setup> ReadSetup(const toml::table& table, TomlFailure fail);
// Of [environment].
std::optional<EnvironmentSettings> ReadEnvironment(const toml::table& table, TomlFailure fail);
// As ParseLock takes it.
std::string LockText(const CaseLock& lock);
// The inner table of a text that is an inline table; what the text is else is told as "".
template <typename Read>
auto ReadInline(absl::string_view text, Read read, TomlFailure fail) -> decltype(read(std::declval<toml::table>())) {
  try {
    const toml::table table = toml::parse(absl::StrCat("o = ", text));
    const toml::table* const inner = table["o"].as_table();
    if (inner != nullptr && table.size() == 1) return read(*inner);
  } catch (const toml::parse_error&) {
  }
  fail({}, "");
  return std::nullopt;
}

// A table on one line, as ParseOverride takes that of an override.
std::string InlineText(toml::table table);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_SETTINGS_TOML_VALUES_H_
