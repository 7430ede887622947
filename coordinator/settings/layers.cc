#include "coordinator/settings/layers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace dtest {
namespace {

bool AnswersTheSame(const Setting& a, const Setting& b) {
  return &a == &b || (*a.choice != '\0' && absl::string_view(a.choice) == b.choice);
}

const GivenSetting* FindIn(const SettingLayer& layer, const Setting& setting) {
  const auto found =
      std::find_if(layer.begin(), layer.end(), [&](const GivenSetting& given) { return given.setting == &setting; });
  return found == layer.end() ? nullptr : &*found;
}

}  // namespace

GivenSetting Given(const Setting& setting, std::vector<std::string> values, std::string origin) {
  GivenSetting given{&setting, std::move(values), std::move(origin)};
  if (!IsList(setting)) return given;
  if (!setting.none_is_a_value) {
    const auto none = std::find(given.values.rbegin(), given.values.rend(), "none");
    given.alone = none != given.values.rend();
    given.values.erase(given.values.begin(), none.base());
  }
  given.alone = given.alone || given.values.empty();
  return given;
}

std::vector<const GivenSetting*> SettingLayers::InForce(const Setting& setting) const {
  std::vector<const GivenSetting*> in_force;
  for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) {
    const GivenSetting* given = FindIn(*layer, setting);
    if (given != nullptr) in_force.insert(in_force.begin(), given);
    if (given != nullptr && given->alone) break;
    if (setting.kind == SettingKind::kAddingList) continue;
    const bool answered = std::any_of(layer->begin(), layer->end(), [&](const GivenSetting& other) {
      return AnswersTheSame(*other.setting, setting);
    });
    if (answered) break;
  }
  return in_force;
}

std::vector<std::string> SettingLayers::Values(const Setting& setting) const {
  std::vector<std::string> values;
  for (const GivenSetting* given : InForce(setting)) {
    values.insert(values.end(), given->values.begin(), given->values.end());
  }
  return values;
}

absl::Status SettingLayers::Read(Command command, Options* options) const {
  std::vector<std::string> problems;
  for (const Setting& setting : AllSettings()) {
    if (!setting.commands.Has(command)) continue;
    const std::vector<const GivenSetting*> in_force = InForce(setting);
    const std::vector<std::string> values = Values(setting);
    if (values.empty()) continue;
    const absl::Status status = setting.read(values, options);
    if (!status.ok()) {
      const std::string& origin = in_force.back()->origin;
      const std::string shown =
          origin == kCommandLineOrigin ? absl::StrCat("--", setting.name) : absl::StrCat(origin, ": ", setting.name);
      problems.push_back(absl::StrCat(shown, ": ", status.message()));
    }
  }
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
}

std::vector<std::string> SettingLayers::CommandLine(Command command) const {
  std::vector<std::string> words = {"--config=none"};
  for (const Setting& setting : AllSettings()) {
    // Overrides depend on what else is said: who knows that adds them.
    if (!setting.commands.Has(command) || setting.chooses_layers || setting.name == absl::string_view("override")) continue;
    for (const std::string& value : Values(setting)) {
      words.push_back(absl::StrCat("--", setting.name, "=", value));
    }
  }
  return words;
}

}  // namespace dtest
