#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/json_document.h"
#include "coordinator/cli/profile_table.h"
#include "coordinator/cli/standard_output.h"
#include "coordinator/report/summary.h"
#include "coordinator/report/text.h"
#include "dtest/base/private_directory.h"

namespace dtest {
namespace {

namespace fs = std::filesystem;

constexpr size_t kRows = 20;
// Beyond the limit of collecting apart, in which its process shows where it was, and is read.
constexpr absl::Duration kBeyondLimit = absl::Seconds(10);

Profile ReadProfile(const std::string& directory) {
  Profile profile;
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (entry.path().extension() == ".jsonl") files.push_back(entry.path());
  }
  for (const fs::path& path : files) {
    std::ifstream file(path, std::ios::binary);
    profile.Add(std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()));
  }
  return profile;
}

int ShowAsJson(const std::map<std::string, RootProfile>& roots, int exit_status) {
  JsonDocument document("profile");
  document.BeginList("roots");
  for (const auto& [root, profile] : roots) AppendProfileJson(root, profile, document.Element());
  document.EndList();
  std::vector<JsonDocument::Error> errors;
  if (exit_status != kExitPassed) {
    errors.push_back(
        {absl::StrCat("the run ended with status ", exit_status, "; standard error says why"), "", "", ""});
  }
  return document.End(errors, exit_status);
}

}  // namespace

int ProfileCommand(const Options& options) {
  std::error_code error;
  const absl::StatusOr<PrivateDirectory> directory =
      PrivateDirectory::Make(fs::temp_directory_path(error).string(), "dtest-profile-");
  if (!directory.ok()) return ExplainFailure(directory.status());
  Options run = options;
  run.command = Command::kRun;
  run.profile_directory = directory->path();
  run.durations = 0;       // of rows here
  run.jobs = 1;            // processes side by side would slow each other down
  run.list_cache = false;  // else nothing is collected
  // As the run that it is, which `dtest rerun` may repeat.
  run.equivalent[1] = "run";
  std::erase_if(run.equivalent, [](const std::string& word) {
    return absl::StartsWith(word, "--json=") || absl::StartsWith(word, "--collect-only=");
  });
  // A run of its own, of which neither history nor event logs learn: what collects apart takes longer.
  Options apart = run;
  apart.command = Command::kList;
  apart.env.emplace_back("DTEST_PYTEST_PROFILE_LIMIT", absl::StrCat(absl::ToDoubleSeconds(options.list_timeout)));
  apart.list_timeout += kBeyondLimit;
  int exit_status = RunCommand(apart);
  // What could not be listed is told by the run.
  if (!options.collect_only && (exit_status == kExitPassed || exit_status == kExitFailed)) {
    exit_status = RunCommand(run);
  }

  const Profile profile = ReadProfile(directory->path());
  const std::map<std::string, RootProfile> roots = profile.Roots();
  if (profile.unreadable() > 0) {
    std::fprintf(stderr, "dtest: warning: %s of what was measured cannot be read, and counted nowhere\n",
                 Plural(profile.unreadable(), "line").c_str());
  }
  if (options.json) return ShowAsJson(roots, exit_status);
  std::string text;
  for (const auto& [root, one] : roots) {
    absl::StrAppend(&text, "\n", OneLine(root), ", collected apart in ", SecondsText(one.collection), "\n",
                    ProfileText(one, options.durations == 0 ? kRows : options.durations));
  }
  return StatusAfterOutput(WriteOutput(text), exit_status);
}

}  // namespace dtest
