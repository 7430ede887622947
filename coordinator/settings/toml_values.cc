#include "coordinator/settings/toml_values.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "coordinator/settings/setting.h"
#include "coordinator/settings/values.h"
#include "dtest/base/fd.h"
#include "dtest/base/io.h"
#include "dtest/base/nearest.h"

namespace dtest {
namespace {

constexpr absl::string_view kFilter = "filter";
constexpr absl::string_view kEnvKey = "env";
constexpr size_t kMostBytes = 16 << 20;

constexpr char kTakesSmallNumber[] = "give a number from 1 to 10000";
std::optional<uint32_t> SmallNumber(const toml::node& node) {
  const auto* const number = node.as_integer();
  if (number == nullptr || number->get() < 1 || number->get() > 10000) return std::nullopt;
  return static_cast<uint32_t>(number->get());
}

// A setting that decides case by case, and where its value goes.
struct OfCases {
  const char* setting;
  void (*take)(const Options& read, PolicyOverride* to);
};
constexpr OfCases kSettingsOfCases[] = {
    {"timeout",
     [](const Options& read, PolicyOverride* to) {
       to->time_limit = read.timeout;
       to->limit_by_history = read.timeout_by_history;
     }},
    {"retries", [](const Options& read, PolicyOverride* to) { to->retries = read.retries; }},
    {"processes", [](const Options& read, PolicyOverride* to) { to->processes = read.processes; }},
    {"slow", [](const Options& read, PolicyOverride* to) { to->slow_after = read.slow_after; }},
    {"retry-delay",
     [](const Options& read, PolicyOverride* to) {
       to->retry_delay = {read.retry_delay, read.most_retry_delay};
     }},
    {"flaky-result", [](const Options& read, PolicyOverride* to) { to->flaky_fails = read.flaky_fails; }},
    {"network", [](const Options& read, PolicyOverride* to) { to->sandbox = SandboxOf(read.network); }},
};

// A key that only overrides have. It is read from its value, or what it takes is returned.
struct OfNeeds {
  const char* key;
  const char* (*read)(const toml::node& node, PolicyOverride* to);
};
const char* ReadTexts(const toml::node& node, std::optional<std::vector<std::string>>* to) {
  constexpr const char* kTakes = "give an array of texts";
  std::vector<std::string>& texts = to->emplace();
  if (!node.is_array()) return kTakes;
  for (const toml::node& one : *node.as_array()) {
    std::optional<std::string> text = one.is_string() ? TextOf(one) : std::nullopt;
    if (!text.has_value()) return kTakes;
    if (text->empty()) return "a text is empty";
    texts.push_back(*std::move(text));
  }
  return nullptr;
}
constexpr OfNeeds kOfNeeds[] = {
    {"locks", [](const toml::node& node, PolicyOverride* to) { return ReadTexts(node, &to->locks); }},
    {"exclusive",
     [](const toml::node& node, PolicyOverride* to) -> const char* {
       if (!node.is_boolean()) return "give true or false";
       to->exclusive = node.as_boolean()->get();
       return nullptr;
     }},
    {"slots",
     [](const toml::node& node, PolicyOverride* to) -> const char* {
       to->slots = SmallNumber(node);
       return to->slots.has_value() ? nullptr : kTakesSmallNumber;
     }},
    {"tags", [](const toml::node& node, PolicyOverride* to) { return ReadTexts(node, &to->tags); }},
};

std::vector<absl::string_view> KnownKeys() {
  std::vector<absl::string_view> keys = {kFilter};
  for (const OfCases& one : kSettingsOfCases) keys.emplace_back(one.setting);
  keys.push_back(kEnvKey);
  for (const OfNeeds& one : kOfNeeds) keys.emplace_back(one.key);
  return keys;
}

// {TZ = "UTC"}, or texts as --env takes them.
void ReadEnv(const toml::node& node, PolicyOverride* to, TomlFailure fail) {
  const auto add = [&](const toml::node& value, absl::string_view name) {
    const std::optional<std::string> text = TextOf(value);
    absl::StatusOr<std::pair<std::string, std::string>> variable =
        !text.has_value() ? absl::InvalidArgumentError("give texts, as in {TZ = \"UTC\"}")
                          : ParseVariable(name.empty() ? *text : absl::StrCat(name, "=", *text));
    if (!variable.ok()) return fail(value.source().begin, absl::StrCat("env: ", variable.status().message()));
    to->env.push_back(*std::move(variable));
  };
  if (const toml::table* const table = node.as_table()) {
    for (const auto& [key, value] : *table) add(value, NameOf(key));
  } else if (const toml::array* const array = node.as_array()) {
    for (const toml::node& value : *array) add(value, "");
  } else {
    add(node, "");
  }
}

constexpr absl::string_view kLockKeys[] = {"scope", "max"};
constexpr absl::string_view kScopes[] = {"farm", "host"};

constexpr absl::string_view kKeysOfSetup[] = {"command", "teardown", "timeout"};
constexpr absl::Duration kUsualSetupLimit = absl::Minutes(5);
constexpr absl::string_view kEnvironmentKeys[] = {"command", "key", "check", "timeout", "path", "ship", "directory"};
constexpr absl::Duration kUsualEnvironmentLimit = absl::Minutes(15);

// Empty: it can be one.
const char* WhyNoKeyFile(absl::string_view name) {
  if (absl::StartsWith(name, "/")) return "give a path relative to dtest.toml: hosts have copies elsewhere";
  for (const absl::string_view part : absl::StrSplit(name, '/')) {
    if (part.empty() || part == "." || part == "..")
      return "give the path of a file below dtest.toml, without . and ..";
  }
  return "";
}

}  // namespace

std::optional<std::string> TextOf(const toml::node& node) {
  if (const auto* string = node.as_string()) {
    // No argument and no variable can hold a zero byte.
    if (string->get().find('\0') != std::string::npos) return std::nullopt;
    return string->get();
  }
  if (const auto* integer = node.as_integer()) return absl::StrCat(integer->get());
  if (const auto* real = node.as_floating_point()) return absl::StrCat(real->get());
  if (const auto* boolean = node.as_boolean()) return boolean->get() ? "true" : "false";
  return std::nullopt;
}

TomlMistakes::TomlMistakes(absl::string_view contents, std::string shown)
    : lines_(absl::StrSplit(contents, '\n')), shown_(std::move(shown)) {}

void TomlMistakes::Add(const toml::source_position& place, absl::string_view what) {
  std::string text = absl::StrFormat("%s:%d:%d: %s", shown_, place.line, place.column, what);
  if (place.line >= 1 && place.line <= lines_.size()) {
    const std::string number = absl::StrFormat("%5d", place.line);
    std::string line(lines_[place.line - 1]);
    for (char& c : line) c = absl::ascii_iscntrl(static_cast<unsigned char>(c)) ? ' ' : c;
    absl::StrAppend(&text, "\n", number, " | ", line, "\n", std::string(number.size(), ' '), " | ",
                    std::string(place.column - 1, ' '), "^");
  }
  mistakes_.emplace_back(place.line, std::move(text));
}

absl::Status TomlMistakes::Status() const {
  auto ordered = mistakes_;
  std::stable_sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return absl::InvalidArgumentError(
      absl::StrJoin(ordered, "\n", [](std::string* out, const auto& mistake) { out->append(mistake.second); }));
}

absl::StatusOr<std::string> ReadTomlFile(const std::string& path, const std::string& shown) {
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string contents;
  const int error = file.ok() ? ReadToEnd(file.get(), kMostBytes, &contents) : errno;
  if (error != 0) return absl::ErrnoToStatus(error, absl::StrCat("cannot read ", shown));
  if (contents.size() == kMostBytes) {
    return absl::InvalidArgumentError(absl::StrCat(shown, ": more than ", kMostBytes, " bytes: no file of settings"));
  }
  return contents;
}

std::optional<TomlFilter> ReadTomlFilter(const toml::table& table, absl::string_view what, TomlFailure fail) {
  const toml::node* const node = table.get("filter");
  if (node == nullptr) {
    fail(table.source().begin, absl::StrCat(what, " needs a filter, which says of which cases it is; all() is all"));
    return std::nullopt;
  }
  if (!node->is_string()) {
    fail(node->source().begin, "filter: give one text");
    return std::nullopt;
  }
  std::string text = TextOf(*node).value_or("");
  absl::StatusOr<Filter> filter = Filter::Parse(text);
  if (absl::StartsWith(text, "-")) {
    fail(node->source().begin, "filter: what is meant, not what is not: write !");
  } else if (!filter.ok()) {
    fail(node->source().begin, absl::StrCat("filter: ", filter.status().message()));
  } else if (filter->NeedsHistory()) {
    fail(node->source().begin, "filter: failed() and new() choose what to run, not how");
  }
  // Where it cannot be used, so that what else is wrong is told, too.
  return TomlFilter{std::move(text), filter.ok() ? *std::move(filter) : *Filter::Parse("all()")};
}

std::optional<PolicyOverride> ReadOverride(const toml::table& table, TomlFailure fail) {
  bool good = true;
  const std::vector<absl::string_view> keys = KnownKeys();
  const auto mistake = [&](const toml::source_region& region, const std::string& what) {
    good = false;
    fail(region.begin, what);
  };
  const auto told = [&](const toml::source_position& place, const std::string& what) {
    good = false;
    fail(place, what);
  };
  std::optional<TomlFilter> filter = ReadTomlFilter(table, "an override", told);
  if (!filter.has_value()) return std::nullopt;
  PolicyOverride read{.filter_text = std::move(filter->text), .filter = std::move(filter->filter)};
  for (const auto& [key, node] : table) {
    const absl::string_view name = NameOf(key);
    if (name == kFilter) continue;
    if (name == kEnvKey) {
      ReadEnv(node, &read, told);
      continue;
    }
    if (const auto* const need = std::find_if(std::begin(kOfNeeds), std::end(kOfNeeds),
                                              [name](const OfNeeds& one) { return name == one.key; });
        need != std::end(kOfNeeds)) {
      const char* const takes = need->read(node, &read);
      if (takes != nullptr) mistake(node.source(), absl::StrCat(name, ": ", takes));
      continue;
    }
    const auto* const known = std::find_if(std::begin(kSettingsOfCases), std::end(kSettingsOfCases),
                                           [name](const OfCases& one) { return name == one.setting; });
    if (known == std::end(kSettingsOfCases)) {
      mistake(key.source(), absl::StrCat("unknown key '", name, "' of an override; it has ", absl::StrJoin(keys, ", "),
                                         DidYouMean(name, keys)));
      continue;
    }
    const std::optional<std::string> text = TextOf(node);
    if (!text.has_value()) {
      mistake(node.source(), absl::StrCat(name, ": give a text or a number"));
      continue;
    }
    Options options;
    if (const absl::Status status = FindSetting(name)->read({*text}, &options); !status.ok()) {
      mistake(node.source(), absl::StrCat(name, ": ", status.message()));
      continue;
    }
    known->take(options, &read);
  }
  if (good && !SaysSomething(read)) {
    mistake(table.source(), absl::StrCat("an override has nothing but its filter; give ",
                                         absl::StrJoin(absl::MakeSpan(keys).subspan(1), ", ")));
  }
  if (!good) return std::nullopt;
  return read;
}

std::optional<CaseLock> ReadLock(const toml::table& table, const std::optional<std::string>& name, TomlFailure fail) {
  bool good = true;
  const auto mistake = [&](const toml::source_region& region, const std::string& what) {
    good = false;
    fail(region.begin, what);
  };
  CaseLock lock;
  if (name.has_value()) lock.name = *name;
  for (const auto& [key, node] : table) {
    const absl::string_view what = NameOf(key);
    if (what == "name" && !name.has_value()) {
      lock.name = node.is_string() ? TextOf(node).value_or("") : "";
    } else if (what == "scope") {
      const std::string scope = TextOf(node).value_or("");
      lock.scope = scope == "host" ? LockScope::kHost : LockScope::kFarm;
      if (std::find(std::begin(kScopes), std::end(kScopes), scope) == std::end(kScopes)) {
        mistake(node.source(), absl::StrCat("scope: give farm or host", DidYouMean(scope, {"farm", "host"})));
      }
    } else if (what == "max") {
      const std::optional<uint32_t> max = SmallNumber(node);
      if (!max.has_value()) mistake(node.source(), absl::StrCat("max: ", kTakesSmallNumber));
      lock.max = max.value_or(1);
    } else if (what == "name") {
      mistake(key.source(), absl::StrCat("name: the lock has one by its head, [lock.", *name, "]; leave this out"));
    } else {
      mistake(key.source(), absl::StrCat("unknown key '", what, "' of a lock; it has ", absl::StrJoin(kLockKeys, ", "),
                                         DidYouMean(what, {"scope", "max"})));
    }
  }
  if (lock.name.empty()) mistake(table.source(), "a lock needs a name, which is not empty");
  if (!good) return std::nullopt;
  return lock;
}

std::optional<Setup> ReadSetup(const toml::table& table, TomlFailure fail) {
  bool good = true;
  const auto mistake = [&](const toml::source_region& region, const std::string& what) {
    good = false;
    fail(region.begin, what);
  };
  Setup setup;
  setup.time_limit = kUsualSetupLimit;
  for (const auto& [key, node] : table) {
    const absl::string_view what = NameOf(key);
    if (what == "command" || what == "teardown") {
      const std::optional<std::string> text = node.is_string() ? TextOf(node) : std::nullopt;
      if (!text.has_value() || text->empty()) {
        mistake(node.source(), absl::StrCat(what, ": give a command of the shell, as one text"));
      } else {
        (what == "command" ? setup.command : setup.teardown) = *text;
      }
    } else if (what == "timeout") {
      const absl::StatusOr<absl::Duration> limit = ParseDurationOption(TextOf(node).value_or(""));
      if (!limit.ok()) mistake(node.source(), absl::StrCat("timeout: ", limit.status().message()));
      if (limit.ok()) setup.time_limit = *limit;
    } else {
      mistake(key.source(), absl::StrCat("unknown key '", what, "' of a set-up; it has ",
                                         absl::StrJoin(kKeysOfSetup, ", "), DidYouMean(what, kKeysOfSetup)));
    }
  }
  if (good && setup.command.empty() && setup.teardown.empty())
    mistake(table.source(), "a set-up needs a command, or a teardown");
  if (!good) return std::nullopt;
  return setup;
}

std::optional<EnvironmentSettings> ReadEnvironment(const toml::table& table, TomlFailure fail) {
  bool good = true;
  const auto mistake = [&](const toml::source_region& region, const std::string& what) {
    good = false;
    fail(region.begin, what);
  };
  EnvironmentSettings read;
  read.time_limit = kUsualEnvironmentLimit;
  std::optional<std::vector<std::string>> key_files;
  bool timeout = false;
  for (const auto& [key, node] : table) {
    const absl::string_view what = NameOf(key);
    std::string* const text = what == "command"     ? &read.command
                              : what == "check"     ? &read.check
                              : what == "path"      ? &read.path
                              : what == "ship"      ? &read.ship
                              : what == "directory" ? &read.directory
                                                    : nullptr;
    if (text != nullptr) {
      *text = node.is_string() ? TextOf(node).value_or("") : "";
      const bool command = what == "command" || what == "check";
      if (text->empty()) {
        mistake(node.source(),
                absl::StrCat(what, ": give ", command ? "a command of the shell" : "a directory", ", as one text"));
      } else if (what == "path" && read.path[0] != '/') {
        mistake(node.source(), "path: each host has it in the same place: give an absolute path");
      }
    } else if (what == "key") {
      if (const char* const takes = ReadTexts(node, &key_files); takes != nullptr) {
        mistake(node.source(), absl::StrCat("key: ", takes, ", the files that the environment is made from"));
        continue;
      }
      for (const std::string& name : *key_files) {
        if (const std::string why = WhyNoKeyFile(name); !why.empty()) {
          mistake(node.source(), absl::StrCat("key: '", name, "': ", why));
        }
      }
    } else if (what == "timeout") {
      timeout = true;
      const absl::StatusOr<absl::Duration> limit = ParseDurationOption(TextOf(node).value_or(""));
      if (!limit.ok()) mistake(node.source(), absl::StrCat("timeout: ", limit.status().message()));
      if (limit.ok()) read.time_limit = *limit;
    } else {
      mistake(key.source(), absl::StrCat("unknown key '", what, "' of an environment; it has ",
                                         absl::StrJoin(absl::MakeSpan(kEnvironmentKeys).first(6), ", "),
                                         DidYouMean(what, kEnvironmentKeys)));
    }
  }
  if (!good) return std::nullopt;
  const int kinds = !read.command.empty() + !read.path.empty() + !read.ship.empty();
  if (kinds != 1) {
    mistake(table.source(),
            "an environment is made by a command, is there at a path, or is a directory to ship: give "
            "one of command, path, ship");
  } else if (!read.command.empty() && !key_files.has_value()) {
    mistake(table.source(),
            "command needs key = [\"uv.lock\"], the files that the environment is made from: it is made anew when one "
            "of them changes ([]: when the command does)");
  } else if (read.command.empty() && (key_files.has_value() || timeout || !read.check.empty())) {
    mistake(table.source(), "key, check and timeout are of an environment that is made by a command");
  }
  if (!good) return std::nullopt;
  read.key = std::move(key_files).value_or(std::vector<std::string>());
  return read;
}

std::string LockText(const CaseLock& lock) {
  return absl::StrCat("{name = ", TomlText(lock.name), ", scope = \"", lock.scope == LockScope::kHost ? "host" : "farm",
                      "\", max = ", lock.max, "}");
}

std::string InlineText(toml::table table) {
  table.is_inline(true);
  std::ostringstream text;
  text << toml::toml_formatter(table, toml::toml_formatter::default_flags & ~toml::format_flags::indentation);
  return text.str();
}

namespace {

// One inline table, by `read`; `what` it is and what would be, for the message.
template <typename T>
absl::StatusOr<T> ParseTable(absl::string_view text, std::optional<T> (*read)(const toml::table&, TomlFailure),
                             absl::string_view what) {
  std::vector<std::string> problems;
  const auto fail = [&problems](const toml::source_position&, const std::string& what) { problems.push_back(what); };
  std::optional<T> value = ReadInline(
      text, [&](const toml::table& table) { return read(table, fail); }, fail);
  if (value.has_value()) return *std::move(value);
  if (problems.front().empty()) return absl::InvalidArgumentError(absl::StrCat("'", text, "' is no ", what));
  return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
}

}  // namespace

absl::StatusOr<PolicyOverride> ParseOverride(absl::string_view text) {
  return ParseTable<PolicyOverride>(text, ReadOverride, "override; give {filter = \"label(slow)\", timeout = \"10m\"}");
}

absl::StatusOr<CaseLock> ParseLock(absl::string_view text) {
  return ParseTable<CaseLock>(
      text, [](const toml::table& table, TomlFailure fail) { return ReadLock(table, std::nullopt, fail); },
      "lock; give {name = \"port-8080\", scope = \"host\", max = 2}");
}

absl::StatusOr<Setup> ParseSetup(absl::string_view text) {
  return ParseTable<Setup>(text, ReadSetup, "set-up; give {command = \"createdb t$DTEST_WORKER\"}");
}

absl::StatusOr<EnvironmentSettings> ParseEnvironment(absl::string_view text) {
  return ParseTable<EnvironmentSettings>(text, ReadEnvironment, "environment; give {path = \"/opt/env\"}");
}

}  // namespace dtest
