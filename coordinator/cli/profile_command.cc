#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/json_document.h"
#include "coordinator/cli/profile_table.h"
#include "coordinator/cli/standard_output.h"
#include "coordinator/report/summary.h"
#include "coordinator/report/text.h"

namespace dtest {
namespace {

namespace fs = std::filesystem;

constexpr size_t kRows = 20;

absl::StatusOr<std::string> MakeDirectory() {
  std::error_code error;
  std::string path = (fs::temp_directory_path(error) / "dtest-profile-XXXXXX").string();
  if (error || mkdtemp(path.data()) == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot make a directory like ", path,
                                               " for what is measured: does TMPDIR name one that you can write to?"));
  }
  return path;
}

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
  const absl::StatusOr<std::string> directory = MakeDirectory();
  if (!directory.ok()) return ExplainFailure(directory.status());
  const absl::Cleanup remove = [&] {
    std::error_code error;
    fs::remove_all(*directory, error);
  };
  Options run = options;
  run.command = options.collect_only ? Command::kList : Command::kRun;
  run.profile_directory = *directory;
  run.durations = 0;       // of rows here
  run.jobs = 1;            // processes side by side would slow each other down
  run.list_cache = false;  // else nothing is collected
  run.list_timeout *= 2;   // it is collected twice
  // As the run that it is, which `dtest rerun` may repeat.
  run.equivalent[1] = "run";
  std::erase_if(run.equivalent, [](const std::string& word) {
    return absl::StartsWith(word, "--json=") || absl::StartsWith(word, "--collect-only=");
  });
  const int exit_status = RunCommand(run);

  const Profile profile = ReadProfile(*directory);
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
