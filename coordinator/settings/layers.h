// Who said what of the settings: dtest.toml, its profile, the environment and the command line, and which of them is in
// force. Stronger layers replace what weaker ones say, but for lists that add up (SettingKind).
//
// A value; const methods from any thread.

#ifndef DTEST_COORDINATOR_SETTINGS_LAYERS_H_
#define DTEST_COORDINATOR_SETTINGS_LAYERS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/settings/setting.h"

namespace dtest {

inline constexpr char kCommandLineOrigin[] = "command line";
inline constexpr char kRecordedOrigin[] = "command of the run that is repeated";

// One setting in one layer.
struct GivenSetting {
  const Setting* setting = nullptr;
  std::vector<std::string> values;  // of a list, none: what weaker layers say is taken back
  std::string origin;               // for people: "dtest.toml:12", "DTEST_RETRIES", kCommandLineOrigin
  bool alone = false;               // of a list that adds up: weaker layers are not asked
};
// "none" among the values of a list takes back those before it and those of weaker layers.
GivenSetting Given(const Setting& setting, std::vector<std::string> values, std::string origin);
using SettingLayer = std::vector<GivenSetting>;

class SettingLayers {
 public:
  // On top of those that are there: stronger than each of them. At most one entry a setting.
  void Add(SettingLayer layer) { layers_.push_back(std::move(layer)); }

  // The strongest that was added; there must be one.
  const SettingLayer& Strongest() const { return layers_.back(); }

  // What is in force, weakest first: empty where nobody says anything, several only of a list that adds up.
  std::vector<const GivenSetting*> InForce(const Setting& setting) const;
  // The same as values, in order.
  std::vector<std::string> Values(const Setting& setting) const;

  // Takes all settings of the command that are in force into `options`. InvalidArgument has a line for each that cannot
  // be read: its origin, its name, what is wrong.
  absl::Status Read(Command command, Options* options) const;

  // The settings in force as words of a command line that does without dtest.toml: "--config=none", "--retries=2"...
  // Without overrides, and without the settings that choose layers.
  std::vector<std::string> CommandLine(Command command) const;

 private:
  std::vector<SettingLayer> layers_;  // weakest first
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_SETTINGS_LAYERS_H_
