// What a command of dtest was asked to do, as one value: the settings in force (settings_table.cc says what each means)
// and the words of the command line. A value.

#ifndef DTEST_COORDINATOR_SETTINGS_OPTIONS_H_
#define DTEST_COORDINATOR_SETTINGS_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/schedule/case_policy.h"
#include "coordinator/schedule/retry_budget.h"
#include "coordinator/settings/overrides.h"
#include "coordinator/settings/quarantine_list.h"
#include "dtest/messages.h"

namespace dtest {

enum class Command : uint8_t {
  kRun,
  kList,
  kHosts,
  kReport,
  kReproduce,
  kHistory,
  kConfig,
  kRerun,
  kProfile,
  kPlan,
  kBisect
};

enum class When : uint8_t { kAuto, kAlways, kNever };

// Where the terminal shows the output of cases that passed.
enum class SuccessOutput : uint8_t { kNever, kFinal, kImmediate };

enum class PlainTests : uint8_t { kAuto, kAll, kNone };

// A case by its names as in reports. No name: every case of the unit.
struct NamedCase {
  std::string unit, name;
  std::string suite = {};   // as in CaseInfo, where it is known
  bool stands_for = false;  // for what could not be collected (dtest/labels.h): any case of that is meant
};

// --stress: for so long, or so often.
struct Stress {
  absl::Duration time = absl::InfiniteDuration();
  uint32_t times = 0;  // 0: as often as the time allows
};

struct Options {
  Command command = Command::kRun;
  std::string program;                 // argv[0]
  std::vector<std::string> arguments;  // argv, for the event log
  // argv that asks for the same without dtest.toml and without variables of the environment.
  std::vector<std::string> equivalent;
  std::vector<std::string> paths;           // of tests; for kReport, kRerun: at most one run id or event log;
                                            // for kReproduce, kBisect: a case, then as these;
                                            // for kHistory: nothing, "export" FILE, "forget" EXPR..., "flaky", or
                                            // "trend" and at most one EXPR;
                                            // for kConfig: names of settings
  std::vector<std::string> test_arguments;  // what follows "--": handed to every test program

  // Hosts.
  std::optional<std::string> hosts_file;
  std::vector<std::string> hosts;
  std::optional<uint32_t> jobs;  // slots on a host whose line gives none; nullopt: its cores
  std::vector<std::string> tags;
  bool tcp = false;
  bool peers = true;       // hosts may fetch chunks from one another
  std::string ssh_config;  // empty: ~/.ssh/config and the system's; "none": neither
  absl::Duration connect_timeout = absl::Seconds(15);
  absl::Duration host_timeout = absl::Seconds(30);  // an agent that hears nothing for so long gives up
  std::string remote_store;                         // empty: the host's cache directory
  uint64_t store_limit = 0;                         // bytes; 0: the agent's default
  bool adapt_slots = false;                         // hosts that have much to do use fewer

  // Which cases.
  std::vector<std::string> usual_paths;  // `paths` of kRun, kList and kPlan where the command line has none
  std::vector<std::string> filters;
  uint32_t shard_index = 1, shard_count = 1;  // 1-based
  std::string shard_durations;                // file; empty: divide by hash
  PlainTests plain = PlainTests::kAuto;
  std::string protocol = kPlainFramework;  // the framework of programs that show none
  std::string ctest_config;                // of CTest trees; empty: none is chosen
  bool also_unlisted = false;              // what is in such a tree and in no test of CTest is run, too
  std::string pytest;                      // interpreter; empty: the project's; "none": Python files are no tests
  std::vector<std::string> pytest_arguments;
  std::string pytest_root, pytest_config;                     // of all of its tests; empty: looked for
  When pytest_reports = When::kAuto;                          // a controller of pytest at the end
  absl::Duration pytest_reports_timeout = absl::Minutes(10);  // of each
  bool allow_unrunnable = false;
  bool run_disabled = false;
  bool list_cache = true;
  std::vector<NamedCase> only;      // kReproduce, kRerun: those that run, and no others; empty: whatever is selected
  bool together = false;            // kReproduce: in one process...
  std::string only_host;            // ...here
  std::vector<std::string> behind;  // kReproduce: in place of all that ran before it, of those; "none": alone
  bool rerun_failed = false;        // kRerun: with neither of these, as with the first
  bool rerun_unfinished = false;

  // How they run.
  Processes processes = Processes::kBatch;
  absl::Duration timeout = absl::Minutes(25);  // of one case; CTest's default
  bool timeout_by_history = false;             // then it is of cases that history does not know
  std::vector<PolicyOverride> overrides;       // of these and some below, for some cases; the last that matches counts
  std::vector<PolicyOverride> exclusive;       // further ones, which make cases exclusive
  std::vector<CaseLock> locks;                 // that overrides name; the last of a name counts
  absl::Duration list_timeout = absl::Seconds(60);
  absl::Duration run_timeout = absl::InfiniteDuration();
  absl::Duration kill_grace = absl::Seconds(10);
  EnvironmentSettings environment;
  Setup host_setup, slot_setup;
  uint32_t retries = 0;
  absl::Duration retry_delay, most_retry_delay;  // CasePolicy has what they mean
  RetryBudget retry_budget;
  bool flaky_fails = false;
  bool network = true;                       // false: tests reach their own host only
  std::optional<absl::Duration> slow_after;  // nullopt: by history
  std::vector<QuarantineEntry> quarantine;
  std::vector<std::string> quarantine_files;  // more of these
  std::string budget;                         // file; empty: none
  bool explain = false;
  uint32_t min_hosts = 0;  // 0: one is enough
  uint32_t repeat = 1;
  std::optional<uint64_t> shuffle;
  uint32_t max_fail = 0;  // 0: never stop
  bool failed_first = false;
  bool new_first = false;
  bool stepwise = false;  // stops at the first failure, and goes on there in the next run...
  bool stepwise_skip = false, stepwise_reset = false;  // ...or behind it, or from the beginning
  bool speculate = false;
  std::optional<Stress> stress;
  std::vector<uint32_t> plan_slots;  // kPlan: for these; empty: 1, 2, 4... as long as it pays
  std::vector<std::pair<std::string, std::string>> env;
  // `dtest reproduce`: what dtest told the process of where it ran. Like `env`, but listings do not depend on it.
  std::vector<std::pair<std::string, std::string>> as_it_ran;
  std::vector<std::string> data;  // globs

  // Reports.
  std::string junit;
  std::string events;
  std::string coverage;  // directory; empty: only what projects themselves ask for
  uint32_t durations = 0;
  bool timings = false;
  bool collect_only = false;      // `dtest profile`: run nothing
  std::string profile_directory;  // where processes of pytest leave what they measure of themselves; empty: nowhere
  bool json = false;              // what is shown is one document for programs
  When color = When::kAuto;
  When progress = When::kAuto;
  std::optional<SuccessOutput> success_output;  // nullopt: immediate with -vv, else never
  bool junit_success_output = false;            // hosts keep it for JUnit and the event log
  int verbosity = 0;                            // -1: -q
  uint64_t output_cap = 1 << 20;

  std::string config;   // a file, or "none"; empty: dtest.toml here or above
  std::string profile;  // empty: none

  // Where the coordinator keeps things.
  std::string cache_dir;       // hashes of files, listings
  std::string state_dir;       // history, event logs
  bool own_state_dir = false;  // it was chosen: a dtest that is not told of it looks elsewhere
};

// As the name of a report's file.
inline constexpr char kStandardOutput[] = "-";

// What is asked for by --success-output, or by -vv without it.
SuccessOutput SuccessOutputOf(const Options& options);
// How cases are asked to be run.
CasePolicies PoliciesOf(const Options& options);
// Whether hosts are to send the output of cases that passed, too.
bool KeepsAllOutput(const Options& options);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_SETTINGS_OPTIONS_H_
