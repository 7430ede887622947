// dtest.toml: TOML 1.0 (https://toml.io/en/v1.0.0), whose keys are the names of settings.
//
//   retries = 2                    # a text, number or switch, as on the command line
//   data = ["golden/**"]           # lists, and single values of them
//   [hosts]                        # or: hosts = "hosts.txt"
//   file = "hosts.txt"             # --hosts
//   list = ["build01 slots=16"]    # --host
//   tags = ["gpu"]                 # --tag
//   [env]
//   TZ = "UTC"
//   [[override]]                   # these cases are run otherwise (overrides.h)
//   filter = "label(slow)"
//   timeout = "10m"
//   [lock.port-8080]               # and this one that they name is not farm-wide
//   scope = "host"
//   [profile.nightly]              # any of the above, where --profile nightly asks for it
//   inherits = "ci"                # and before that, what [profile.ci] says
//
// Free functions, any thread.

#ifndef DTEST_COORDINATOR_SETTINGS_CONFIG_FILE_H_
#define DTEST_COORDINATOR_SETTINGS_CONFIG_FILE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/settings/layers.h"

namespace dtest {

// dtest.toml in `directory` (absolute) or the nearest one above; empty where there is none.
std::string FindConfigFile(const std::string& directory);
// Whether a file that was found, not named, may be read: it can say which commands are run. It must be a file, and
// belong to this user or to root, as must a link that leads to it: anybody may put one into /tmp. FailedPrecondition
// says how to read it nevertheless.
absl::Status CheckConfigFile(const std::string& path);

struct ConfigFile {
  SettingLayer settings;               // of the file itself
  std::vector<SettingLayer> profiles;  // of the profile that was asked for: what it inherits first, itself last
};

// Reads the file. `shown` is its name in messages and origins; `directory`, absolute or empty for the working
// directory, is what its paths are relative to. InvalidArgument has every mistake of the file, also in profiles that
// were not asked for, in order: each with file, line, column, its line of text and a caret. NotFound and
// PermissionDenied: the file cannot be read.
absl::StatusOr<ConfigFile> ReadConfigFile(const std::string& path, const std::string& shown,
                                          const std::string& directory, const std::string& profile);
// The same of contents that were read.
absl::StatusOr<ConfigFile> ParseConfigFile(absl::string_view contents, const std::string& shown,
                                           const std::string& directory, const std::string& profile);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_SETTINGS_CONFIG_FILE_H_
