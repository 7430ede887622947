// Shared by the readers of TOML, and by nobody else: toml++ is large.

#ifndef DTEST_COORDINATOR_SETTINGS_TOML_VALUES_H_
#define DTEST_COORDINATOR_SETTINGS_TOML_VALUES_H_

#include <toml++/toml.h>

#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "coordinator/settings/overrides.h"

namespace dtest {

inline absl::string_view NameOf(const toml::key& key) { return {key.str().data(), key.str().size()}; }

// As the command line has it; nullopt for tables, arrays and dates.
std::optional<std::string> TextOf(const toml::node& node);

// Tells of one mistake and where it is.
using TomlFailure = absl::FunctionRef<void(const toml::source_position& place, const std::string& what)>;

// Of the table of one [[override]]. nullopt if any mistake was told.
std::optional<PolicyOverride> ReadOverride(const toml::table& table, TomlFailure fail);
// Of the table of a lock, which is named by its key `name` or, where that is above it, by `name`.
std::optional<CaseLock> ReadLock(const toml::table& table, const std::optional<std::string>& name, TomlFailure fail);
// As ParseLock takes it.
std::string LockText(const CaseLock& lock);
// The table of an override on one line, as ParseOverride takes it.
std::string InlineText(toml::table table);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_SETTINGS_TOML_VALUES_H_
