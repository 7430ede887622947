#include "coordinator/settings/config_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "coordinator/settings/toml_values.h"
#include "coordinator/settings/values.h"
#include "dtest/base/nearest.h"
#include "dtest/base/paths.h"

namespace dtest {
namespace {

constexpr absl::string_view kProfiles = "profile";
constexpr absl::string_view kInherits = "inherits";
constexpr absl::string_view kEnv = "env";
constexpr absl::string_view kHosts = "hosts";
constexpr absl::string_view kOverride = "override";
constexpr absl::string_view kQuarantine = "quarantine";
constexpr absl::string_view kLock = "lock";
constexpr absl::string_view kPytest = "pytest";
constexpr absl::string_view kSetup = "setup";
constexpr absl::string_view kEnvironment = "environment";
// What a table of settings, such as [hosts], calls those of the command line.
struct KeyInTable {
  absl::string_view key;
  const char* setting;
};
constexpr KeyInTable kHostsKeys[] = {{"file", "hosts"}, {"list", "host"}, {"tags", "tag"}};
constexpr KeyInTable kPytestKeys[] = {{"interpreter", "pytest"},
                                      {"args", "pytest-arg"},
                                      {"reports", "pytest-reports"},
                                      {"reports-timeout", "pytest-reports-timeout"}};
constexpr KeyInTable kSetupKeys[] = {{"host", "setup-host"}, {"slot", "setup-slot"}};

// Reads one file; its mistakes add up.
class Reader {
 public:
  Reader(absl::string_view contents, const std::string& shown, const std::string& directory)
      : mistakes_(contents, shown), shown_(shown), directory_(directory) {}

  void Read(const toml::table& top) {
    for (const auto& [key, node] : top) {
      if (NameOf(key) == kProfiles && node.is_table()) {
        ReadProfiles(*node.as_table());
      } else {
        ReadKey(key, node, &file_);
      }
    }
  }

  void Fail(const toml::source_position& place, absl::string_view what) { mistakes_.Add(place, what); }

  // The layers of the profile that is asked for.
  absl::StatusOr<ConfigFile> Finish(const std::string& profile) {
    for (const auto& [name, one] : profiles_) (void)Chain(name, one.place);
    if (mistakes_.empty() && !profile.empty() && profiles_.count(profile) == 0) {
      return absl::InvalidArgumentError(absl::StrCat(shown_, " has no profile '", profile, "'", Known(profile)));
    }
    if (!mistakes_.empty()) return mistakes_.Status();
    ConfigFile config;
    if (!profile.empty()) {
      for (const std::string& name : Chain(profile, {})) config.profiles.push_back(profiles_.at(name).settings);
    }
    config.settings = std::move(file_);
    return config;
  }

 private:
  struct Profile {
    SettingLayer settings;
    std::string inherits;
    toml::source_position place;  // of the name that it inherits, else its own
  };

  // What `name` inherits, before it. A mistake is told where the chain begins.
  std::vector<std::string> Chain(const std::string& name, const toml::source_position& place) {
    std::vector<std::string> chain;
    for (std::string at = name; !at.empty(); at = profiles_.at(at).inherits) {
      if (profiles_.count(at) == 0) {
        Fail(place, absl::StrCat("there is no [profile.", at, "] to inherit from", Known(at)));
        break;
      }
      if (std::find(chain.begin(), chain.end(), at) != chain.end()) {
        Fail(place, absl::StrCat("profile '", name, "' inherits from itself"));
        break;
      }
      chain.insert(chain.begin(), at);
    }
    return chain;
  }

  std::string Known(absl::string_view name) const {
    std::vector<absl::string_view> names;
    for (const auto& entry : profiles_) names.push_back(entry.first);
    std::string text = DidYouMean(name, names);
    if (text.empty() && !names.empty()) text = absl::StrCat("; it has ", absl::StrJoin(names, ", "));
    return text;
  }

  void ReadProfiles(const toml::table& profiles) {
    for (const auto& [name, node] : profiles) {
      Profile& profile = profiles_[std::string(NameOf(name))];
      profile.place = name.source().begin;
      if (!node.is_table()) {
        Fail(name.source().begin, absl::StrCat("a profile is a table: [profile.", NameOf(name), "]"));
        continue;
      }
      for (const auto& [key, value] : *node.as_table()) {
        if (NameOf(key) != kInherits) {
          ReadKey(key, value, &profile.settings);
        } else if (value.is_string()) {
          profile.inherits = **value.as_string();
          profile.place = value.source().begin;
        } else {
          Fail(value.source().begin, "inherits: give the name of one profile, as a text");
        }
      }
    }
  }

  void ReadKey(const toml::key& key, const toml::node& node, SettingLayer* layer) {
    if (NameOf(key) == kHosts && node.is_table()) return ReadTable(kHosts, kHostsKeys, *node.as_table(), layer);
    if (NameOf(key) == kPytest && node.is_table()) return ReadTable(kPytest, kPytestKeys, *node.as_table(), layer);
    if (NameOf(key) == kSetup && node.is_table()) return ReadTable(kSetup, kSetupKeys, *node.as_table(), layer);
    if (NameOf(key) == kEnv && node.is_table()) return ReadEnv(*node.as_table(), layer);
    if (NameOf(key) == kOverride) return ReadTables(key, node, ReadOverride, layer);
    if (NameOf(key) == kQuarantine && node.is_array_of_tables()) return ReadTables(key, node, ReadQuarantine, layer);
    if (NameOf(key) == kLock) return ReadLocks(key, node, layer);
    const Setting* const setting = FindSetting(NameOf(key));
    if (setting == nullptr || !setting->in_files) {
      std::vector<absl::string_view> names;
      for (const Setting& one : AllSettings()) {
        if (one.in_files) names.push_back(one.name);
      }
      if (layer != &file_) names.push_back(kInherits);
      names.push_back(kProfiles);
      names.push_back(kSetup);
      Fail(key.source().begin, setting == nullptr
                                   ? absl::StrCat("unknown key '", NameOf(key), "'", DidYouMean(NameOf(key), names))
                                   : absl::StrCat("'", NameOf(key), "' cannot be set here"));
      return;
    }
    Take(*setting, key, node, layer);
  }

  void ReadTable(absl::string_view name, absl::Span<const KeyInTable> keys, const toml::table& table,
                 SettingLayer* layer) {
    for (const auto& [key, node] : table) {
      const auto* const known = std::find_if(keys.begin(), keys.end(),
                                             [&key = key](const KeyInTable& one) { return one.key == NameOf(key); });
      if (known != keys.end()) {
        Take(*FindSetting(known->setting), key, node, layer);
        continue;
      }
      std::vector<absl::string_view> names;
      for (const KeyInTable& one : keys) names.push_back(one.key);
      Fail(key.source().begin, absl::StrCat("unknown key '", NameOf(key), "' of [", name, "]; it has ",
                                            absl::StrJoin(names, ", "), DidYouMean(NameOf(key), names)));
    }
  }

  void ReadEnv(const toml::table& table, SettingLayer* layer) {
    GivenSetting given{FindSetting(kEnv), {}, ""};
    for (const auto& [key, node] : table) {
      const std::optional<std::string> text = TextOf(node);
      if (!text.has_value() || node.is_floating_point()) {
        Fail(node.source().begin,
             absl::StrCat("env.", NameOf(key), ": give a text in quotes, a whole number, true or false"));
        continue;
      }
      if (NameOf(key).empty() || absl::StrContains(NameOf(key), "=")) {
        Fail(key.source().begin, "a variable's name is not empty and has no '='");
        continue;
      }
      if (given.origin.empty()) given.origin = Origin(key.source().begin);
      given.values.push_back(absl::StrCat(NameOf(key), "=", *text));
    }
    if (!given.values.empty()) layer->push_back(std::move(given));
  }

  // [[override]] and [[quarantine]]: values of the setting of that name.
  template <typename ReadOne>
  void ReadTables(const toml::key& key, const toml::node& node, ReadOne read, SettingLayer* layer) {
    if (!node.is_array_of_tables())
      return Fail(key.source().begin, absl::StrCat(NameOf(key), "s are tables: [[", NameOf(key), "]]"));
    GivenSetting given{FindSetting(NameOf(key)), {}, Origin(key.source().begin)};
    for (const toml::node& one : *node.as_array()) {
      const auto fail = [this](const toml::source_position& place, const std::string& what) { Fail(place, what); };
      if (read(*one.as_table(), fail).has_value()) given.values.push_back(InlineText(*one.as_table()));
    }
    if (!given.values.empty()) layer->push_back(std::move(given));
  }

  // [lock.NAME], or the array that `dtest config` shows.
  void ReadLocks(const toml::key& key, const toml::node& node, SettingLayer* layer) {
    GivenSetting given{FindSetting(kLock), {}, Origin(key.source().begin)};
    const auto fail = [this](const toml::source_position& place, const std::string& what) { Fail(place, what); };
    const auto add = [&](const toml::node& one, const std::optional<std::string>& name) {
      if (!one.is_table()) {
        const bool names = name == "name" && one.is_string();
        return Fail(one.source().begin,
                    names ? absl::StrCat("a lock's name is in the head of its table: [lock.", **one.as_string(), "]")
                          : "a lock is a table: [lock.NAME]");
      }
      if (const std::optional<CaseLock> lock = ReadLock(*one.as_table(), name, fail); lock.has_value()) {
        given.values.push_back(LockText(*lock));
      }
    };
    if (node.is_table()) {
      for (const auto& [name, one] : *node.as_table()) add(one, std::string(NameOf(name)));
    } else if (node.is_array_of_tables()) {
      for (const toml::node& one : *node.as_array()) add(one, std::nullopt);
    } else {
      Fail(key.source().begin, "locks are tables: [lock.NAME]");
    }
    if (!given.values.empty()) layer->push_back(std::move(given));
  }

  // [setup.host], or the table that `dtest config` shows.
  void TakeSetup(const Setting& setting, const toml::key& key, const toml::table& table, SettingLayer* layer) {
    const auto fail = [this](const toml::source_position& place, const std::string& what) { Fail(place, what); };
    const std::optional<Setup> setup = ReadSetup(table, fail);
    if (setup.has_value()) layer->push_back(Given(setting, {SetupText(*setup)}, Origin(key.source().begin)));
  }

  // [environment], or the table that `dtest config` shows.
  void TakeEnvironment(const Setting& setting, const toml::key& key, const toml::table& table, SettingLayer* layer) {
    const auto fail = [this](const toml::source_position& place, const std::string& what) { Fail(place, what); };
    std::optional<EnvironmentSettings> environment = ReadEnvironment(table, fail);
    if (!environment.has_value()) return;
    environment->directory = environment->directory.empty() ? directory_ : Absolute(environment->directory);
    layer->push_back(Given(setting, {EnvironmentText(*environment)}, Origin(key.source().begin)));
  }

  // One value, or an array where the setting is a list.
  void Take(const Setting& setting, const toml::key& key, const toml::node& node, SettingLayer* layer) {
    const bool setup = std::any_of(std::begin(kSetupKeys), std::end(kSetupKeys), [&](const KeyInTable& one) {
      return setting.name == absl::string_view(one.setting);
    });
    if (setup && node.is_table()) return TakeSetup(setting, key, *node.as_table(), layer);
    if (setting.name == kEnvironment && node.is_table()) {
      return TakeEnvironment(setting, key, *node.as_table(), layer);
    }
    std::vector<std::string> values;
    const bool list = IsList(setting);
    bool good = true;
    const auto add = [&](const toml::node& one) {
      const std::optional<std::string> text = TextOf(one);
      good = good && text.has_value();
      if (good) values.push_back(IsPath(setting, *text) ? Absolute(*text) : *text);
    };
    if (list && node.is_array()) {
      for (const toml::node& one : *node.as_array()) add(one);
    } else {
      add(node);
    }
    if (!good) {
      Fail(node.source().begin,
           absl::StrCat(NameOf(key), ": give ", list ? "an array of texts" : "a text, a number or a switch"));
      return;
    }
    GivenSetting given = Given(setting, std::move(values), Origin(key.source().begin));
    // Read into options of no use, so that all mistakes of the file are told together.
    Options ignored;
    if (absl::Status status = given.values.empty() ? absl::OkStatus() : setting.read(given.values, &ignored);
        !status.ok()) {
      return Fail(node.source().begin, absl::StrCat(NameOf(key), ": ", status.message()));
    }
    // One that is given as on the command line is relative to the file all the same.
    if (setting.name == kEnvironment && given.values.size() == 1 && ignored.environment != EnvironmentSettings()) {
      std::string& directory = ignored.environment.directory;
      directory = directory.empty() ? directory_ : Absolute(directory);
      given.values[0] = EnvironmentText(ignored.environment);
    }
    const auto same = std::find_if(layer->begin(), layer->end(),
                                   [&](const GivenSetting& other) { return other.setting == &setting; });
    if (same != layer->end()) {
      return Fail(key.source().begin, absl::StrCat(NameOf(key), ": was given before, at ", same->origin));
    }
    layer->push_back(std::move(given));
  }

  std::string Absolute(const std::string& path) const {
    if (absl::string_view rest = path; absl::ConsumePrefix(&rest, "~/"))
      return absl::StrCat(Environment("HOME"), "/", rest);
    if (path.empty() || path.front() == '/' || directory_.empty()) return path;
    return std::filesystem::path(absl::StrCat(directory_, "/", path)).lexically_normal().string();
  }

  std::string Origin(const toml::source_position& place) const { return mistakes_.Origin(place); }

  TomlMistakes mistakes_;
  const std::string shown_;
  const std::string directory_;
  SettingLayer file_;
  std::map<std::string, Profile> profiles_;
};

}  // namespace

std::string FindConfigFile(const std::string& directory) {
  for (absl::string_view at = directory;; at = DirectoryOf(at)) {
    std::string path = absl::StrCat(at == "/" ? "" : at, "/dtest.toml");
    struct stat found;
    if (lstat(path.c_str(), &found) == 0) return path;
    if (at.size() <= 1) return "";
  }
}

absl::Status CheckConfigFile(const std::string& path) {
  struct stat link, file;
  if (lstat(path.c_str(), &link) != 0 || stat(path.c_str(), &file) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot read the settings in ", path));
  }
  const char* const otherwise = "; --config FILE reads it nevertheless, --config none reads none";
  if (!S_ISREG(file.st_mode)) return absl::FailedPreconditionError(absl::StrCat(path, " is no file", otherwise));
  for (const uid_t owner : {link.st_uid, file.st_uid}) {
    if (owner == 0 || owner == geteuid()) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(path, " belongs to another user (", owner, "), who could have any command run by it", otherwise));
  }
  return absl::OkStatus();
}

absl::StatusOr<ConfigFile> ReadConfigFile(const std::string& path, const std::string& shown,
                                          const std::string& directory, const std::string& profile) {
  const absl::StatusOr<std::string> contents = ReadTomlFile(path, absl::StrCat("the settings in ", shown));
  if (!contents.ok()) return contents.status();
  return ParseConfigFile(*contents, shown, directory, profile);
}

absl::StatusOr<ConfigFile> ParseConfigFile(absl::string_view contents, const std::string& shown,
                                           const std::string& directory, const std::string& profile) {
  Reader reader(contents, shown, directory);
  try {
    reader.Read(toml::parse(std::string_view(contents.data(), contents.size())));
  } catch (const toml::parse_error& error) {
    reader.Fail(error.source().begin, absl::string_view(error.description().data(), error.description().size()));
  }
  return reader.Finish(profile);
}

}  // namespace dtest
