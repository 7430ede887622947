#include "agent/loop/slot_environment.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "dtest/base/paths.h"

namespace dtest {

void SetRunVariables(const Welcome& welcome, Environment* environment) {
  environment->Set("DTEST_RUN_ID", welcome.settings.run_id);
  environment->Set("DTEST_HOST", welcome.settings.host_name);
  environment->Set("DTEST_WORKER_COUNT", absl::StrCat(welcome.worker_count));
  environment->Set("PYTEST_XDIST_WORKER_COUNT", absl::StrCat(welcome.worker_count));
  environment->Set("PYTEST_XDIST_TESTRUNUID", welcome.settings.run_id);
}

void SetSlotVariables(const Welcome& welcome, SlotId slot, Environment* environment) {
  const std::string worker = absl::StrCat(welcome.worker_base + slot.value());
  environment->Set("DTEST_SLOT", absl::StrCat(slot.value()));
  environment->Set("DTEST_WORKER", worker);
  environment->Set("PYTEST_XDIST_WORKER", absl::StrCat("gw", worker));
}

void SetDirectories(const std::string& working, const std::string& temporary, Environment* environment) {
  environment->Set("TEST_TMPDIR", temporary);
  environment->Set("TMPDIR", temporary);
  // What ours says is where our parent was.
  if (absl::StartsWith(working, "/")) {
    environment->Set("PWD", working);
  } else {
    environment->Unset("PWD");
  }
}

void SetHostEnvironment(const std::string& directory, Environment* environment) {
  environment->Set(kEnvironmentVariable, directory);
  environment->Set("VIRTUAL_ENV", directory);
  environment->Unset("PYTHONHOME");  // as a venv's activate does: it would name another library
  if (environment->Get("PATH").empty()) environment->Set("PATH", kUsualSearchPath);
  environment->Prepend("PATH", {absl::StrCat(directory, "/bin")});
}

void SetAll(const VariableList& variables, Environment* environment) {
  for (const auto& [name, value] : variables) environment->Set(name, value);
}

void Make(const EnvChange& change, Environment* environment) {
  const std::string before = environment->Get(change.name);
  // Not `? "" : change.separator`: that makes a temporary string.
  const absl::string_view separator = before.empty() ? absl::string_view() : absl::string_view(change.separator);
  switch (change.kind) {
    case EnvChange::Kind::kSet:
      return environment->Set(change.name, change.value);
    case EnvChange::Kind::kUnset:
      return environment->Unset(change.name);
    case EnvChange::Kind::kAppend:
      return environment->Set(change.name, absl::StrCat(before, separator, change.value));
    case EnvChange::Kind::kPrepend:
      return environment->Set(change.name, absl::StrCat(change.value, separator, before));
  }
}

void NameTheTree(const std::string& tree, UnitSpec* spec) {
  for (std::string& argument : spec->arguments) argument = ReplacePath(argument, spec->mirrors, tree);
  for (EnvChange& change : spec->env_changes) change.value = ReplacePath(change.value, spec->mirrors, tree);
}

}  // namespace dtest
