// `dtest config`: the settings in force, as lines of dtest.toml, and where each comes from.

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/json_document.h"
#include "coordinator/cli/standard_output.h"
#include "coordinator/report/json_append.h"
#include "coordinator/report/text.h"
#include "coordinator/settings/overrides.h"
#include "coordinator/settings/values.h"
#include "dtest/base/nearest.h"

namespace dtest {
namespace {

// As dtest.toml would have it.
std::string ValueText(const Setting& setting, const std::vector<std::string>& values) {
  if (IsList(setting)) {
    const absl::string_view name = setting.name;
    const bool tables = name == "override" || name == "quarantine" || name == "lock";  // they are TOML as they are
    return absl::StrCat(
        "[",
        absl::StrJoin(values, ", ",
                      [tables](std::string* out, const std::string& value) {
                        out->append(tables && absl::StartsWith(value, "{") ? OneLine(value) : TomlText(value));
                      }),
        "]");
  }
  if (setting.kind == SettingKind::kCount) {
    uint32_t sum = 0;
    for (const std::string& value : values) sum += ParseNumber(value, 0, 9).value_or(0);
    return absl::StrCat(sum);
  }
  const std::string& value = values.back();
  const bool table = absl::StartsWith(setting.name, "setup-") || setting.name == absl::string_view("environment");
  if (table && absl::StartsWith(value, "{")) return value;
  const bool bare = value == "true" || value == "false" ||
                    (!value.empty() && value.find_first_not_of("0123456789") == std::string::npos);
  return bare ? value : TomlText(value);
}

// Where a command line is not all that can say something of it.
bool ComesFromElsewhere(const Setting& setting) {
  return setting.in_files || setting.has_variable || setting.chooses_layers;
}

std::vector<const Setting*> ShownSettings() {
  std::vector<const Setting*> shown;
  for (const Setting& setting : AllSettings()) {
    if (ComesFromElsewhere(setting)) shown.push_back(&setting);
  }
  return shown;
}

// As it stands in JSON: true or false, a number, a list of texts, or a text; null where nobody says anything.
void AppendValue(const Setting& setting, const SettingLayers& layers, std::string* out) {
  AppendKey("value", out);
  const std::vector<std::string> values = layers.Values(setting);
  if (IsList(setting)) {
    out->push_back('[');
    for (size_t i = 0; i < values.size(); ++i) {
      if (i > 0) out->push_back(',');
      AppendString(values[i], out);
    }
    out->push_back(']');
  } else if (values.empty()) {
    *out += "null";
  } else {
    const absl::StatusOr<bool> on = ParseSwitch(values.back());
    const std::string text =
        setting.kind == SettingKind::kFlag && on.ok() ? (*on ? "true" : "false") : ValueText(setting, values);
    // A table is the text that the command line takes. Numbers and switches have no quotes in TOML either; but 007 is a
    // number there only for people.
    const bool bare = text.front() != '"' && text.front() != '{' && (text.front() != '0' || text.size() == 1);
    bare ? void(*out += text) : AppendString(values.back(), out);
  }
}

int ShowAsJson(const std::vector<const Setting*>& settings, const SettingLayers& layers) {
  JsonDocument document("config");
  document.BeginList("settings");
  for (const Setting* setting : settings) {
    std::string* const text = document.Element();
    *text += "{\"name\":";
    AppendString(setting->name, text);
    AppendValue(*setting, layers, text);
    std::vector<std::string> origins;
    for (const GivenSetting* given : layers.InForce(*setting)) origins.push_back(given->origin);
    AppendField("origins", origins, text);
    if (*setting->fallback != '\0') AppendField("fallback", setting->fallback, text);
    text->push_back('}');
  }
  document.EndList();
  return document.End({}, 0);
}

struct Line {
  std::string setting, comment;
};

Line LineOf(const Setting& setting, const SettingLayers& layers) {
  const std::vector<const GivenSetting*> in_force = layers.InForce(setting);
  if (in_force.empty()) {
    // What stands there is for people, so the line is a comment.
    const absl::string_view fallback = setting.fallback;
    return {absl::StrCat("# ", setting.name, " = ",
                         !fallback.empty()                    ? fallback
                         : setting.kind == SettingKind::kFlag ? "false"
                                                              : "(none)"),
            "default"};
  }
  const std::vector<std::string> values = layers.Values(setting);
  std::vector<std::string> origins;
  origins.reserve(in_force.size());
  for (const GivenSetting* given : in_force) origins.push_back(given->origin);
  // What cannot stand in a file is a comment.
  const std::string value = values.empty() ? "[]" : ValueText(setting, values);
  return {absl::StrCat(setting.in_files ? "" : "# ", setting.name, " = ", value), absl::StrJoin(origins, ", ")};
}

}  // namespace

int ConfigCommand(const Options& options, const SettingLayers& layers) {
  std::vector<const Setting*> shown;
  for (const std::string& name : options.paths) {
    const Setting* const setting = FindSetting(name);
    if (setting == nullptr || !ComesFromElsewhere(*setting)) {
      std::vector<absl::string_view> names;
      for (const Setting* known : ShownSettings()) names.push_back(known->name);
      const absl::Status status =
          absl::InvalidArgumentError(absl::StrCat("there is no setting '", name, "'", DidYouMean(name, names)));
      const int exit_status = ExplainFailure(status);
      return options.json ? EndWithError("config", {"settings"}, status.message(), exit_status) : exit_status;
    }
    shown.push_back(setting);
  }
  if (shown.empty()) shown = ShownSettings();
  if (options.json) return ShowAsJson(shown, layers);
  std::vector<Line> lines;
  size_t width = 0;
  for (const Setting* setting : shown) {
    lines.push_back(LineOf(*setting, layers));
    width = std::max(width, std::min<size_t>(lines.back().setting.size(), 60));
  }
  std::string text;
  for (const Line& line : lines) {
    absl::StrAppend(&text, line.setting, std::string(width - std::min(width, line.setting.size()), ' '), "  # ",
                    line.comment, "\n");
  }
  return StatusAfterOutput(WriteOutput(text), 0);
}

}  // namespace dtest
