// DTEST_* variables of the environment as a layer of settings. Free functions, any thread.

#ifndef DTEST_COORDINATOR_SETTINGS_VARIABLES_H_
#define DTEST_COORDINATOR_SETTINGS_VARIABLES_H_

#include <map>
#include <string>
#include <vector>

#include "coordinator/settings/layers.h"

namespace dtest {

using Variables = std::map<std::string, std::string>;

// All of this process.
Variables ProcessVariables();

struct VariableSettings {
  SettingLayer layer;
  // Of variables that begin with DTEST_, are none of ours, and are spelt almost like one.
  std::vector<std::string> warnings;
};
// An empty variable counts as unset. Values of a list are separated by line feeds.
VariableSettings ReadVariables(const Variables& variables);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_SETTINGS_VARIABLES_H_
