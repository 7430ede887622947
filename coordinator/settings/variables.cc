#include "coordinator/settings/variables.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "dtest/base/nearest.h"

namespace dtest {
namespace {

// What tests see, what an agent is told, and where the agent is.
constexpr absl::string_view kOthers[] = {"DTEST_HOST",         "DTEST_SLOT",      "DTEST_SLOTS",      "DTEST_WORKER",
                                         "DTEST_WORKER_COUNT", "DTEST_ATTEMPT",   "DTEST_ITERATION",  "DTEST_RUN_ID",
                                         "DTEST_AGENT",        "DTEST_AGENT_LOG", "DTEST_ENVIRONMENT"};

bool IsAnothers(absl::string_view name) {
  return std::find(std::begin(kOthers), std::end(kOthers), name) != std::end(kOthers);
}

}  // namespace

Variables ProcessVariables() {
  Variables variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(*entry, absl::MaxSplits('=', 1));
    variables.insert(parts);
  }
  return variables;
}

VariableSettings ReadVariables(const Variables& variables) {
  VariableSettings read;
  std::vector<std::string> known;
  for (const Setting& setting : AllSettings()) {
    const auto set = variables.find(VariableName(setting));
    if (!setting.has_variable && set != variables.end() && !IsAnothers(set->first)) {
      read.warnings.push_back(
          absl::StrCat(set->first, " is not read: give --", setting.name, ", or set it in dtest.toml"));
    }
    if (!setting.has_variable) continue;
    known.push_back(VariableName(setting));
    const auto found = variables.find(known.back());
    if (found == variables.end() || found->second.empty()) continue;
    std::vector<std::string> values = {found->second};
    if (IsList(setting)) values = absl::StrSplit(found->second, '\n', absl::SkipEmpty());
    read.layer.push_back(Given(setting, std::move(values), known.back()));
  }
  constexpr absl::string_view kPrefix = "DTEST_";
  std::vector<absl::string_view> ends;
  ends.reserve(known.size());
  for (const std::string& one : known) ends.push_back(absl::string_view(one).substr(kPrefix.size()));
  for (auto entry = variables.lower_bound(std::string(kPrefix)); entry != variables.end(); ++entry) {
    const std::string& name = entry->first;
    if (!absl::StartsWith(name, kPrefix)) break;
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    if (IsAnothers(name)) continue;
    const std::string suggestion = DidYouMean(absl::string_view(name).substr(kPrefix.size()), ends, kPrefix);
    if (!suggestion.empty()) read.warnings.push_back(absl::StrCat(name, " is no variable of dtest's", suggestion));
  }
  return read;
}

}  // namespace dtest
