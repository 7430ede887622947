#include "coordinator/settings/toml_values.h"

#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "dtest/base/nearest.h"
#include "coordinator/settings/setting.h"

namespace dtest {
namespace {

constexpr absl::string_view kFilter = "filter";

// A setting that decides case by case, and where its value goes.
struct OfCases {
  const char* setting;
  void (*take)(const Options& read, PolicyOverride* to);
};
constexpr OfCases kOfCases[] = {
    {"timeout", [](const Options& read, PolicyOverride* to) { to->time_limit = read.timeout; }},
    {"retries", [](const Options& read, PolicyOverride* to) { to->retries = read.retries; }},
    {"processes", [](const Options& read, PolicyOverride* to) { to->processes = read.processes; }},
};

std::vector<absl::string_view> KnownKeys() {
  std::vector<absl::string_view> keys = {kFilter};
  for (const OfCases& one : kOfCases) keys.emplace_back(one.setting);
  return keys;
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

std::optional<PolicyOverride> ReadOverride(const toml::table& table, TomlFailure fail) {
  bool good = true;
  const auto mistake = [&](const toml::source_region& region, const std::string& what) {
    good = false;
    fail(region.begin, what);
  };
  const toml::node* const filter_node = table.get("filter");
  if (filter_node == nullptr) {
    mistake(table.source(), "an override needs a filter, which says of which cases it is; all() is all");
    return std::nullopt;
  }
  if (!filter_node->is_string()) {
    mistake(filter_node->source(), "filter: give one text");
    return std::nullopt;
  }
  const std::string text_of_filter = TextOf(*filter_node).value_or("");
  absl::StatusOr<Filter> filter = Filter::Parse(text_of_filter);
  if (absl::StartsWith(text_of_filter, "-")) mistake(filter_node->source(), "filter: what is meant, not what is not: write !");
  if (!filter.ok()) mistake(filter_node->source(), absl::StrCat("filter: ", filter.status().message()));
  if (filter.ok() && filter->NeedsHistory()) {
    mistake(filter_node->source(), "filter: failed() and new() choose what to run, not how");
  }
  PolicyOverride read{text_of_filter, filter.ok() ? *std::move(filter) : *Filter::Parse("all()"), {}, {}, {}};
  for (const auto& [key, node] : table) {
    const absl::string_view name = NameOf(key);
    if (name == kFilter) continue;
    const auto* const known = std::find_if(std::begin(kOfCases), std::end(kOfCases),
                                           [name](const OfCases& one) { return name == one.setting; });
    if (known == std::end(kOfCases)) {
      mistake(key.source(), absl::StrCat("unknown key '", name, "' of an override; it has ",
                                         absl::StrJoin(KnownKeys(), ", "), DidYouMean(name, KnownKeys())));
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
  if (good && !SaysSomething(read)) mistake(table.source(), "an override needs timeout, retries or processes");
  if (!good) return std::nullopt;
  return read;
}

std::string InlineText(toml::table table) {
  table.is_inline(true);
  std::ostringstream text;
  text << toml::toml_formatter(table, toml::toml_formatter::default_flags & ~toml::format_flags::indentation);
  return text.str();
}

absl::StatusOr<PolicyOverride> ParseOverride(absl::string_view text) {
  std::vector<std::string> problems;
  const auto fail = [&problems](const toml::source_position&, const std::string& what) { problems.push_back(what); };
  std::optional<PolicyOverride> read;
  try {
    const toml::table table = toml::parse(absl::StrCat("o = ", text));
    if (const toml::table* const inner = table["o"].as_table(); inner != nullptr && table.size() == 1) {
      read = ReadOverride(*inner, fail);
    } else {
      fail({}, "");
    }
  } catch (const toml::parse_error&) {
    fail({}, "");
  }
  if (read.has_value()) return *std::move(read);
  if (problems.front().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' is no override; give {filter = \"label(slow)\", timeout = \"10m\"}"));
  }
  return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
}

}  // namespace dtest
